"""What the records tell the audit trail: an event for each look into a record, and for each version written."""

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import service as access
from clinic_net.access.policy import Record, RecordScope
from clinic_net.fhir import Search
from clinic_net.kernel.errors import Refusal
from clinic_net.kernel.links import Database
from clinic_net.records.drafts import Order
from clinic_net.records.errors import PolicyDisagrees
from clinic_net.records.shapes import Stored

log = structlog.get_logger()

_LONGEST = 160
"""Characters that ``audit.Event.subject`` holds."""


async def noted(
    s: AsyncSession,
    action: str,
    seen: Sequence[Stored],
    *,
    subject: str,
    scope: RecordScope,
    now: datetime,
    by: str | None,
) -> None:
    """Look once more whether all of it may be seen, and write down that somebody looked. See ``looked``.

    ``by`` None is the scope's grantee. The hub's own work, which has no actor, leaves no trace here.

    Raises:
        PolicyDisagrees: something in the answer is not within the scope by the rule's other half.
    """
    purpose = None
    if not scope.everywhere:
        records = [Record(one.tenant, one.patient, one.rtype, one.labels) for one in seen]
        look = await access.second_look(s, records, scope=scope, now=now)
        if look.outside:
            log.error("policy_disagrees", kind=look.outside[0].rtype)
            raise PolicyDisagrees("the right to see this has just changed; try again")
        purpose = look.purpose
    events = looked(action, seen, subject=subject, by=by or scope.grantee, purpose=purpose)
    await audit.record_many(s, events, at=now)


def looked(
    action: str,
    seen: Sequence[Stored],
    *,
    subject: str,
    by: str | None,
    origin: audit.Origin | None = None,
    purpose: str | None = None,
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
            purpose=purpose,
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
