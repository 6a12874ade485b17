"""Identifiers that a station gives: UUIDs, so that two stations never give the same one offline."""

import secrets
from datetime import datetime
from uuid import NAMESPACE_OID, UUID, uuid5

from clinic_net.protocol.ids import uuid7


def new_id(now: datetime) -> str:
    """Return a fresh UUIDv7 born at ``now``, as FHIR writes an id."""
    return str(uuid7(int(now.timestamp() * 1000), secrets.token_bytes(10)))


def part_of(whole: str, part: str) -> str:
    """Return the id of a named part of something that has an id: the same each time a form is sent."""
    return str(uuid5(UUID(whole) if is_uuid(whole) else uuid5(NAMESPACE_OID, whole), part))


def is_uuid(text: str) -> bool:
    """Whether ``text`` is a UUID in its canonical form."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
