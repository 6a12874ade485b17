"""Reading: one resource, a version, a history, a patient's whole record, a search. Looking is written down."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import service as access
from clinic_net.access.policy import Record, RecordScope
from clinic_net.fhir import Search
from clinic_net.records import search as pages
from clinic_net.records import store
from clinic_net.records.errors import PolicyDisagrees, ResourceDeleted, UnknownResource
from clinic_net.records.shapes import Stored, stored_of
from clinic_net.records.store import Head
from clinic_net.records.vault import keys_of

log = structlog.get_logger()

MAX_EVERYTHING = 1000


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
    """Look once more whether all of it may be seen, and write down that somebody looked; one event, identifiers only.

    The subject is the patient when it is about one, else ``subject``. The hub's own work, which has no actor, leaves
    no trace here.

    Raises:
        PolicyDisagrees: something in the answer is not within the scope by the rule's other half.
    """
    records = [Record(one.tenant, one.patient, one.rtype, one.labels) for one in seen]
    look = await access.second_look(s, records, scope=scope, now=now)
    if look.outside:
        log.error("policy_disagrees", kind=look.outside[0].rtype)
        raise PolicyDisagrees("the right to see this has just changed; try again")
    event = looked(action, seen, subject=subject, by=by or scope.grantee, purpose=look.purpose)
    if event is not None:
        await audit.record_many(s, [event], at=now)


def looked(
    action: str, seen: Sequence[Stored], *, subject: str, by: str | None, purpose: str | None = None
) -> audit.Event | None:
    """Return the event of a look into people's records, or None where there is nothing to write down."""
    patients = {stored.patient for stored in seen if stored.patient is not None}
    if by is None or not patients:
        return None
    about = f"Patient/{patients.pop()}" if len(patients) == 1 else subject
    return audit.Event(by, action, about, purpose=purpose)


def current(head: Head | None) -> Stored:
    """Return what a head holds.

    Raises:
        UnknownResource: there is none, or not within the scope.
        ResourceDeleted: it has been deleted.
    """
    if head is None:
        raise UnknownResource
    if head.deleted:
        raise ResourceDeleted("the resource has been deleted")
    return stored_of(head)


async def read(
    s: AsyncSession, rtype: str, fid: str, *, scope: RecordScope, now: datetime, by: str | None = None
) -> Stored:
    """Return the current version of a resource. ``by`` is who reads; the scope's grantee if it is not given.

    Raises:
        UnknownResource: there is none, or not within the scope.
        ResourceDeleted: it has been deleted.
    """
    stored = current(await store.find(s, rtype, fid, scope=scope, now=now))
    await noted(s, "record.read", [stored], subject=f"{rtype}/{fid}", scope=scope, now=now, by=by)
    return stored


async def vread(
    s: AsyncSession,
    rtype: str,
    fid: str,
    version: int,
    *,
    scope: RecordScope,
    now: datetime,
    by: str | None = None,
) -> Stored:
    """Return one version of a resource, by today's right to see it.

    Raises:
        UnknownResource: there is no such version, or not within the scope.
        ResourceDeleted: that version is its deletion.
    """
    head = await store.find(s, rtype, fid, scope=scope, now=now)
    logged = None if head is None else await store.version(s, head.rid, version, scope=scope, now=now)
    if head is None or logged is None:
        raise UnknownResource
    if logged.body is None:
        raise ResourceDeleted("that version is the resource's deletion")
    stored = _of_log(head, logged)
    await noted(s, "record.vread", [stored], subject=f"{rtype}/{fid}", scope=scope, now=now, by=by)
    return stored


def _of_log(head: Head, logged: store.Logged) -> Stored:
    return replace(
        stored_of(head),
        version=logged.version,
        updated=logged.updated,
        text=bytes(logged.body or b""),
        author=logged.author,
        deleted=logged.method == "D",
    )


async def everything(
    s: AsyncSession,
    patient: str,
    *,
    scope: RecordScope,
    now: datetime,
    by: str | None = None,
    limit: int = 500,
) -> list[Stored]:
    """Return a patient's whole record, the Patient first, then newest first; at most ``limit`` resources.

    Raises:
        UnknownResource: there is no such patient, or not within the scope.
        ResourceDeleted: the patient has been deleted.
    """
    whole = current(await store.find(s, "Patient", patient, scope=scope, now=now))
    heads = await store.of_patient(s, patient, scope=scope, now=now, limit=min(limit, MAX_EVERYTHING))
    rest = [stored_of(head) for head in heads if (head.rtype, head.fid) != (whole.rtype, whole.fid)]
    found = [whole, *rest][:limit]
    await noted(s, "record.everything", found, subject=f"Patient/{patient}", scope=scope, now=now, by=by)
    return found


@dataclass(frozen=True)
class Found:
    """A page of a search. ``next`` is the cursor of the page behind it, ``total`` None when it was not counted."""

    entries: list[Stored]
    included: list[Stored]
    total: int | None
    next: str | None


async def search(
    s: AsyncSession,
    asked: Search,
    *,
    scope: RecordScope,
    now: datetime,
    by: str | None = None,
    cursor: str | None = None,
) -> Found:
    """Return a page of what ``asked`` (see ``fhir.parse_search``) finds within the scope.

    In the order asked for; names as they were typed, marks and all, before others; else the newest first.

    Raises:
        InvalidCursor: ``cursor`` is not one of this search and scope.
        UnsupportedSearch, InvalidSearchValue: it asks for what the index does not hold.
    """
    page = await pages.run(s, asked, await keys_of(s), scope=scope, now=now, cursor=cursor)
    found = Found(
        [stored_of(head) for head in page.heads],
        [stored_of(head) for head in page.included],
        page.total,
        page.next,
    )
    seen = [*found.entries, *found.included]
    await noted(s, "record.search", seen, subject=asked.resource_type, scope=scope, now=now, by=by)
    return found
