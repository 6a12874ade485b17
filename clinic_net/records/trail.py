"""What the records tell the audit trail: an event for each look into a record, and for each version written."""

from collections.abc import Sequence
from datetime import datetime

from clinic_net import audit
from clinic_net.access.policy import RecordScope
from clinic_net.fhir import Search
from clinic_net.kernel.errors import Refusal
from clinic_net.kernel.links import Database
from clinic_net.records.drafts import Order
from clinic_net.records.shapes import Stored

_LONGEST = 160
"""Characters that ``audit.Event.subject`` holds."""


async def noted(
    s: Database,
    action: str,
    seen: Sequence[Stored],
    *,
    subject: str,
    scope: RecordScope,
    now: datetime,
    by: str | None,
) -> None:
    """Write down that somebody looked into records. See ``looked``; ``by`` None is the scope's grantee.

    The hub's own work, which has no actor, leaves no trace here.
    """
    events = looked(action, seen, subject=subject, by=by or scope.grantee)
    await audit.record_many(s, events, at=now)


def looked(
    action: str,
    seen: Sequence[Stored],
    *,
    subject: str,
    by: str | None,
    origin: audit.Origin | None = None,
) -> list[audit.Event]:
    """Return the events of a look: one for each patient into whose record it led (IHE BALP), or one without any.

    ``subject`` is what was asked for. Where that is no single resource (it has no id) but a search without its values
    (``without_values``) or a type, the event of a patient names the patient, and the search as a detail.
    """
    if by is None:
        return []
    found: dict[str | None, str | None] = {
        stored.patient: stored.tenant for stored in seen if stored.patient is not None
    }
    if not found:
        found[None] = seen[0].tenant if seen else None
    several = "/" not in subject
    return [
        audit.Event(
            by,
            action,
            f"Patient/{patient}" if several and patient is not None else subject,
            patient=patient,
            place=tenant,
            detail=subject if several else None,
            origin=origin or audit.here(),
        )
        for patient, tenant in found.items()
    ]


def without_values(search: Search) -> str:
    """Return a search as the trail may hold it: its type and the names of its parameters, for values tell of people."""
    names = ",".join(name for name, _ in search.applied)
    return f"{search.resource_type}?{names}"[:_LONGEST]


_WRITES = {(True, False): "record.create", (False, False): "record.update", (False, True): "record.delete"}
"""The action of a write that ``created`` or ``deleted``."""


async def written(
    s: Database, orders: Sequence[Order], told: Sequence[Stored | Refusal], *, now: datetime
) -> None:
    """Write down, in one statement, each version that orders have made."""
    events = [
        wrote(stored, origin=order.origin)
        for order, stored in zip(orders, told, strict=True)
        if isinstance(stored, Stored) and stored.changed
    ]
    await audit.record_many(s, events, at=now)


def wrote(stored: Stored, *, origin: audit.Origin) -> audit.Event:
    """Return the event of a new version; its subject is that version."""
    return audit.Event(
        stored.author,
        _WRITES[stored.created, stored.deleted],
        f"{stored.rtype}/{stored.fid}/_history/{stored.version}",
        patient=stored.patient,
        place=stored.tenant,
        origin=origin,
    )
