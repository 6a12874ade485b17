"""Everything of a patient or an encounter: what belongs to it, page by page, and what that refers to.

What belongs to a patient is their record and their compartment; to an encounter, whatever refers to it. Both are index
ranges as long as the answer. Beside them come practitioners, places, medicines, organisations: what the entries of a
page refer to, unless it is part of somebody else's record.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any

from sqlalchemy import ColumnElement, exists, func, or_, select, union
from sqlalchemy.orm import aliased
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import RecordScope, scope_of
from clinic_net.fhir import Search
from clinic_net.fhir.care_dates import care_dates
from clinic_net.fhir.search import Include
from clinic_net.fhir.search_compartments import compartments
from clinic_net.records import search_includes, store
from clinic_net.records.compartments import itself, referring
from clinic_net.records.errors import InvalidCursor, ResourceDeleted, UnknownResource
from clinic_net.records.index import address_of
from clinic_net.records.keys import Keys, parameter_id
from clinic_net.records.model import DateRow, LinkRow, Resource
from clinic_net.records.reading import Found
from clinic_net.records.search_includes import Reach, included_with
from clinic_net.records.searching import Searching
from clinic_net.records.shapes import stored_of
from clinic_net.records.store import Head, head_of, visible
from clinic_net.records.trail import noted

MAX_PAGE = 1000
"""Resources of one page; without ``_count`` a larger record comes in pages of so many."""


@dataclass(frozen=True)
class Asked:
    """Of whom, and which part: some ``types``, changed after ``since``, of care between ``start`` and ``end`` (µs)."""

    rtype: str
    fid: str
    types: tuple[str, ...]
    since: datetime | None = None
    start: int | None = None
    end: int | None = None
    count: int = MAX_PAGE


@dataclass(frozen=True)
class Everything:
    """A page. Not ``whole``: its entries refer to more than is brought along."""

    found: Found
    whole: bool


async def everything(
    s: AsyncSession, asked: Asked, keys: Keys, by: Searching, *, cursor: str | None
) -> Everything:
    """Return a page, newest first; the first begins with the patient or encounter itself.

    ``asked.types`` must be types that the caller may read.

    Raises:
        UnknownResource: there is none, or not within reach.
        ResourceDeleted: it has been deleted.
        InvalidCursor: ``cursor`` is not one of this question and caller.
    """
    scope = scope_of(by.caller)
    whose = await store.find(s, asked.rtype, asked.fid, scope=scope, now=by.now)
    if whose is None:
        raise UnknownResource
    if whose.deleted:
        raise ResourceDeleted("the resource has been deleted")
    after = None if cursor is None else _after(cursor, asked, keys, scope)
    first = [whose] if cursor is None and _wanted(whose, asked) else []
    conditions = _conditions(asked, scope, by.now, without=whose.rid)
    room = asked.count - len(first)
    heads = await _page(s, asked, [*conditions, *_behind(after)], room + 1)
    more, heads = len(heads) > room, [*first, *heads[:room]]
    last = heads[-1].rid if room else None
    following = keys.sign(_payload(asked, scope, last)) if more else None
    total = len(heads)
    if more or cursor is not None:
        total = await _count(s, asked, conditions) + _wanted(whose, asked)
    supporting, whole = await _supporting(s, heads, whose, asked, Reach(scope, by.now))
    found = Found(
        [stored_of(head) for head in heads], [stored_of(head) for head in supporting], total, following
    )
    subject = f"{asked.rtype}/{asked.fid}"
    seen = [*found.entries, *found.included]
    await noted(s, "record.everything", seen, subject=subject, scope=scope, now=by.now, by=by.caller.address)
    return Everything(found, whole)


def _wanted(whose: Head, asked: Asked) -> bool:
    return whose.rtype in asked.types and (asked.since is None or whose.updated > asked.since)


def _payload(asked: Asked, scope: RecordScope, last: int | None) -> bytes:
    """A page's cursor: the question and who asks, as a fingerprint, and the last entry of the page before."""
    question = repr([replace(asked, count=MAX_PAGE), scope.mark])
    return json.dumps([blake2b(question.encode(), digest_size=9).hexdigest(), last]).encode()


def _after(cursor: str, asked: Asked, keys: Keys, scope: RecordScope) -> int | None:
    payload = keys.unsign(cursor)
    content = None if payload is None else json.loads(payload)
    if content is None or _payload(asked, scope, content[-1]) != payload:
        raise InvalidCursor("the page's cursor is not valid")
    last: int | None = content[-1]
    return last


def _behind(after: int | None) -> list[ColumnElement[bool]]:
    return [] if after is None else [col(Resource.rid) < after]


def _members(asked: Asked) -> Any:
    if asked.rtype == "Patient":
        mine = aliased(Resource)
        record = select(col(mine.rid)).where(col(mine.patient) == asked.fid, ~col(mine.deleted))
        return union(record, referring(compartments()["Patient"], asked.fid)).subquery()
    here = col(LinkRow.address) == address_of(asked.rtype, asked.fid)
    return union(select(col(LinkRow.rid)).where(here), itself(asked.rtype, asked.fid)).subquery()


def _conditions(
    asked: Asked, scope: RecordScope, now: datetime, *, without: int
) -> list[ColumnElement[bool]]:
    conditions = [
        ~col(Resource.deleted),
        visible(scope, now),
        col(Resource.rid) != without,
        col(Resource.rtype).in_(asked.types),
    ]
    if asked.since is not None:
        conditions.append(col(Resource.updated) > asked.since)
    if asked.start is not None or asked.end is not None:
        conditions.append(_cared_for(asked))
    return conditions


def _cared_for(asked: Asked) -> ColumnElement[bool]:
    """What has a date of care has one that touches the time asked for; what has none belongs to every time."""
    numbers = [parameter_id(rtype, code) for rtype in asked.types for code in care_dates(rtype)]
    dated = exists().where(col(DateRow.rid) == col(Resource.rid), col(DateRow.p).in_(numbers))
    within = dated
    if asked.start is not None:
        within = within.where(col(DateRow.hi) > asked.start)
    if asked.end is not None:
        within = within.where(col(DateRow.lo) < asked.end)
    return or_(~dated, within)


async def _page(
    s: AsyncSession, asked: Asked, conditions: Sequence[ColumnElement[bool]], limit: int
) -> list[Head]:
    members = _members(asked)
    statement = select(*store.HEAD).join(members, members.c.rid == col(Resource.rid)).where(*conditions)
    statement = statement.order_by(col(Resource.rid).desc()).limit(limit)
    return [head_of(row) for row in (await (await s.connection()).execute(statement)).all()]


async def _count(s: AsyncSession, asked: Asked, conditions: Sequence[ColumnElement[bool]]) -> int:
    members = _members(asked)
    statement = select(func.count()).select_from(Resource)
    statement = statement.join(members, members.c.rid == col(Resource.rid)).where(*conditions)
    found: int = (await (await s.connection()).execute(statement)).scalar_one()
    return found


async def _supporting(
    s: AsyncSession, heads: list[Head], whose: Head, asked: Asked, reach: Reach
) -> tuple[list[Head], bool]:
    """Return what the entries refer to, and whether that is all."""
    search = Search(asked.rtype, includes=[Include("*", "*", None, True)])
    allowed = {None} if asked.rtype == "Patient" else {None, whose.patient}
    included = await included_with(s, search, heads, reach)
    kept = [
        head
        for head in included
        if head.patient in allowed and head.rtype in asked.types and head.rid != whose.rid
    ]
    return kept, len(included) < search_includes.MAX_INCLUDED
