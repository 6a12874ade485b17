"""What a stored resource looks like to the outside, and how its instants are written."""

from dataclasses import dataclass
from datetime import UTC, datetime

from clinic_net.records import rules
from clinic_net.records.store import Head, labels_said


@dataclass(frozen=True)
class Stored:
    """A version of a resource. ``text`` is the body as bytes, empty where ``deleted``.

    ``changed`` is False when a write left everything as it was; ``created`` when this write made the resource.
    """

    rtype: str
    fid: str
    version: int
    updated: datetime
    text: bytes
    changed: bool
    patient: str | None
    tenant: str
    author: str
    created: bool = False
    deleted: bool = False
    labels: int = 0


News = list[Stored]
"""Collects what several writes of one use case stored, to be told at once by ``tell``."""


def instant(at: datetime) -> str:
    """Return a FHIR instant in UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(at: datetime) -> datetime:
    """Return the instant as ``meta.lastUpdated`` can say it, so that searching for it finds it."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def has_version(etags: str, stored: Stored) -> bool:
    """Whether ``If-None-Match`` names this version, or any."""
    return etags.strip() == "*" or stored.version in map(rules.etag_version, etags.split(","))


def stored_of(head: Head, *, changed: bool = False) -> Stored:
    """Return a head as the outside sees it."""
    return Stored(
        rtype=head.rtype,
        fid=head.fid,
        version=head.version,
        updated=head.updated,
        text=bytes(head.body or b""),
        changed=changed,
        patient=head.patient,
        tenant=head.tenant,
        author=head.author,
        deleted=head.deleted,
        labels=labels_said(head),
    )
