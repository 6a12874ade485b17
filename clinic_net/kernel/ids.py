"""Identifiers of the hub: UUID version 7, ordered by time of birth (RFC 9562 §5.7)."""

import secrets
from datetime import datetime
from uuid import UUID

from clinic_net.protocol.ids import uuid7


def new_id(now: datetime) -> UUID:
    """Return a fresh UUIDv7 born at ``now``."""
    return uuid7(int(now.timestamp() * 1000), secrets.token_bytes(10))
