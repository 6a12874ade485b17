"""Reading: one resource, a version, a history, a patient's whole record, a search. Looking is written down."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import RecordScope
from clinic_net.fhir import Search
from clinic_net.records import search as pages
from clinic_net.records import store
from clinic_net.records.errors import ResourceDeleted, UnknownResource
from clinic_net.records.shapes import Stored, stored_of
from clinic_net.records.store import Head
from clinic_net.records.trail import noted, without_values
from clinic_net.records.vault import keys_of

MAX_EVERYTHING = 1000


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
    subject = f"{rtype}/{fid}/_history/{version}"
    await noted(s, "record.vread", [stored], subject=subject, scope=scope, now=now, by=by)
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
    await noted(s, "record.search", seen, subject=without_values(asked), scope=scope, now=now, by=by)
    return found
