"""What the hub keeps beside a record about which two places disagree: texts, where they come from, who is asked.

These are resources of their own (Binary, Provenance, Task), in the record of the same patient and with its labels, so
that whoever may see the record sees them and nobody else does. The hub writes them; it acts for no caller here.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import RecordScope, hub_scope
from clinic_net.fhir import check, write
from clinic_net.kernel.errors import Refusal
from clinic_net.records import store
from clinic_net.records.drafts import Draft, Order, read_resource
from clinic_net.records.putting import put_many
from clinic_net.records.shapes import News, Stored, stored_of
from clinic_net.records.vault import keys_of

AUTHOR = "hub"


@dataclass(frozen=True)
class Held:
    """A record that is about to be changed: as it is now (or ``deleted``), and the text of an earlier version."""

    current: Stored
    base: bytes | None


async def hold(
    s: AsyncSession, rtype: str, fid: str, *, base: int | None, scope: RecordScope, now: datetime
) -> Held | None:
    """Return a record that ``scope`` may change, and hold its row until the transaction ends; None if there is none.

    ``base`` is the version whose text is wanted; its text is None when there is no such version, when it is a
    deletion, and when its content was erased. Nothing is written to the trail: what is made of this is.
    """
    scope = scope.to_write()
    head = (await store.lock(s, [(rtype, fid)], scope=scope, now=now)).get((rtype, fid))
    if head is None:
        return None
    if base is None:
        return Held(stored_of(head), None)
    logged = await store.version(s, head.rid, base, scope=scope, now=now)
    return Held(stored_of(head), None if logged is None or logged.body is None else bytes(logged.body))


def sound(resource: dict[str, Any]) -> bool:
    """Whether a resource is structurally valid."""
    return not any(issue.severity in ("fatal", "error") for issue in check(resource))


async def steady_id(s: AsyncSession, *parts: str) -> str:
    """Return the id that ``parts`` always give in this hub, and that nobody outside can guess (RFC 9562 version 8)."""
    keys = await keys_of(s)
    number = b"".join(keys.of("beside", half, *parts).to_bytes(8, "big", signed=True) for half in "ab")
    bits = int.from_bytes(number, "big") & ~(0xF << 76) & ~(0x3 << 62)
    return str(UUID(int=bits | 8 << 76 | 0x2 << 62))


async def beside(
    s: AsyncSession, rtype: str, fid: str, *, scope: RecordScope | None = None, now: datetime
) -> Stored | None:
    """Return the newest version of something that the hub keeps beside a record; None if there is none.

    ``scope`` None is for the hub's own work. Nothing is written to the trail.
    """
    head = await store.find(s, rtype, fid, scope=scope or hub_scope(), now=now)
    return None if head is None or head.deleted else stored_of(head)


async def keep_beside(
    s: AsyncSession, resource: dict[str, Any], *, record: Stored, now: datetime, news: News
) -> Stored:
    """Store what the hub has to say about ``record``; the same again changes nothing.

    Raises:
        InvalidResource: it would not be valid.
    """
    rtype, fid = str(resource["resourceType"]), str(resource["id"])
    text = write(resource)
    made = Draft(
        text, read_resource(text, rtype=rtype, fid=fid), rtype, fid, chosen=True, part_of=record.patient
    )
    (stored,) = await put_many(
        s, [Order(made, hub_scope(), AUTHOR, record.tenant)], await keys_of(s), now=now
    )
    if isinstance(stored, Refusal):
        raise stored
    if stored.changed:
        news.append(stored)
    return stored
