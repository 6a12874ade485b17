"""Interactions whose target is named by a search instead of an id, and patches, by id or by search.

A search finds only what is within the scope, so a foreign match counts as none. The one match is held before it is
changed and looked at again if it changed meanwhile.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import RecordScope
from clinic_net.fhir import InvalidPatch, Patch, Search, parse, write
from clinic_net.kernel.errors import Place
from clinic_net.records import store
from clinic_net.records.errors import (
    MalformedRequest,
    ReadOnly,
    ResourceDeleted,
    TryAgain,
    UnknownResource,
    VersionConflict,
)
from clinic_net.records.shapes import News, Stored
from clinic_net.records.store import Head
from clinic_net.records.writing import condition_key, delete, match_one, put

_MOST_LOOKS = 3


@dataclass(frozen=True)
class Writer:
    """Who changes records, within what, for whom and when. With ``news`` the caller announces, through ``tell``."""

    scope: RecordScope
    author: str
    tenant: str
    now: datetime
    news: News | None = None


async def _held(s: AsyncSession, criteria: Search, by: Writer) -> Head | None:
    """Return the one match with its row held, or None.

    Raises:
        MultipleMatches, MalformedRequest: see ``match_one``.
        TryAgain: it changes faster than it can be held.
    """
    for _ in range(_MOST_LOOKS):
        found = await match_one(s, criteria, scope=by.scope, now=by.now)
        if found is None:
            return None
        identity = (found.rtype, found.fid)
        held = (await store.lock(s, [identity], scope=by.scope, now=by.now)).get(identity)
        if held is not None and held.version == found.version:
            return held
    raise TryAgain("somebody else is changing the same records; try again")


async def _put(
    s: AsyncSession,
    text: bytes,
    identity: tuple[str, str | None],
    by: Writer,
    *,
    if_match: int | None,
    create_only: bool = False,
) -> Stored:
    return await put(
        s,
        text,
        rtype=identity[0],
        fid=identity[1],
        scope=by.scope,
        author=by.author,
        tenant=by.tenant,
        now=by.now,
        if_match=if_match,
        create_only=create_only,
        with_patient=True,
        news=by.news,
    )


async def update_where(
    s: AsyncSession,
    text: bytes,
    criteria: Search,
    by: Writer,
    *,
    may_create: bool,
    if_match: int | None = None,
) -> Stored:
    """Write the next version of the one resource that meets the criteria, or create it (FHIR R4 http §3.1.0.4.3).

    Two that would both create under the same criteria take turns, as conditional creates do.

    Raises:
        ReadOnly: nothing meets the criteria, and not ``may_create``.
        MultipleMatches: more than one resource meets the criteria.
        MalformedRequest: the text's id is not that of the match.
        AlreadyExists: nothing meets the criteria, but the text's id is taken.
        See also ``put``.
    """
    if not by.scope.writable:
        raise ReadOnly("this caller may not write records")
    given = parse(text).get("id")
    found = await _held(s, criteria, by)
    if found is None:
        if not may_create:
            raise ReadOnly("nothing meets the criteria, and this caller may not create")
        key = await condition_key(s, criteria, by.tenant)
        await store.hold_conditions(s, [key], scope=by.scope, now=by.now)
        found = await _held(s, criteria, by)
    if found is None:
        fid = given if isinstance(given, str) else None
        return await _put(
            s, text, (criteria.resource_type, fid), by, if_match=if_match, create_only=fid is not None
        )
    if given not in (None, found.fid):
        place = Place(f"{criteria.resource_type}.id", "wrong-id", "not the id of the match")
        raise MalformedRequest("the resource's id is not that of the resource that was found", places=[place])
    return await _put(s, text, (found.rtype, found.fid), by, if_match=if_match)


async def delete_where(
    s: AsyncSession, criteria: Search, by: Writer, *, if_match: int | None = None
) -> Stored | None:
    """Delete the one resource that meets the criteria; None when nothing does, which is no refusal.

    Raises:
        MultipleMatches: more than one meets them; none is deleted.
        See also ``delete``.
    """
    if not by.scope.writable:
        raise ReadOnly("this caller may not write records")
    found = await _held(s, criteria, by)
    if found is None:
        return None
    return await delete(
        s,
        found.rtype,
        found.fid,
        scope=by.scope,
        author=by.author,
        now=by.now,
        if_match=if_match,
        news=by.news,
    )


async def patch(
    s: AsyncSession,
    rtype: str,
    fid: str,
    change: Patch,
    by: Writer,
    *,
    if_match: int | None = None,
) -> Stored:
    """Change parts of a resource. A patch that leaves it as it was makes no version.

    Whoever patches learns what the resource holds: ask for the right to read too.

    Raises:
        InvalidPatch: it cannot be applied; the resource stays as it is.
        UnknownResource, ResourceDeleted, VersionConflict, InvalidResource and others: see ``put``.
    """
    if not by.scope.writable:
        raise ReadOnly("this caller may not write records")
    head = (await store.lock(s, [(rtype, fid)], scope=by.scope, now=by.now)).get((rtype, fid))
    if head is None:
        raise UnknownResource
    return await _patch(s, head, change, by, if_match=if_match)


async def patch_where(
    s: AsyncSession, criteria: Search, change: Patch, by: Writer, *, if_match: int | None = None
) -> Stored:
    """Change parts of the one resource that meets the criteria.

    Raises:
        UnknownResource: none meets them.
        MultipleMatches: more than one does.
        See also ``patch``.
    """
    if not by.scope.writable:
        raise ReadOnly("this caller may not write records")
    head = await _held(s, criteria, by)
    if head is None:
        raise UnknownResource
    return await _patch(s, head, change, by, if_match=if_match)


async def _patch(s: AsyncSession, head: Head, change: Patch, by: Writer, *, if_match: int | None) -> Stored:
    if head.body is None:
        raise ResourceDeleted("the resource has been deleted")
    if if_match is not None and if_match != head.version:
        raise VersionConflict("the resource has changed since that version")
    before = parse(bytes(head.body))
    text = write(before)
    try:
        patched = write(change(before))
    except (TypeError, RecursionError):
        raise InvalidPatch("the patch makes what is not JSON, or nests too deeply") from None
    same = patched == text
    return await _put(s, bytes(head.body) if same else patched, (head.rtype, head.fid), by, if_match=if_match)
