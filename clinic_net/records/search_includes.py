"""What a search brings along: resources that its entries refer to, and those that refer to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import RecordScope
from clinic_net.fhir import Search, index, parse
from clinic_net.fhir.definitions import search_parameters
from clinic_net.fhir.search import Include
from clinic_net.records import rules, store
from clinic_net.records.index import address_of
from clinic_net.records.keys import parameter_id
from clinic_net.records.model import LinkRow, Resource
from clinic_net.records.store import Head, head_of, visible

MAX_INCLUDED = 500
_MOST_ROUNDS = 3
"""How often an include marked ``:iterate`` is followed on."""


@dataclass(frozen=True)
class Reach:
    """Whose records may be looked into, and when."""

    scope: RecordScope
    now: datetime


async def included_with(s: AsyncSession, search: Search, heads: list[Head], running: Reach) -> list[Head]:
    """Return what the entries refer to, or what refers to them, within the scope and at most ``MAX_INCLUDED``."""
    known = {(head.rtype, head.fid) for head in heads}
    found: list[Head] = []
    fresh = heads
    for turn in range(_MOST_ROUNDS):
        forward = [include for include in search.includes if turn == 0 or include.iterate]
        backward = [include for include in search.revincludes if turn == 0 or include.iterate]
        if not fresh or not (forward or backward) or len(found) >= MAX_INCLUDED:
            break
        room = MAX_INCLUDED - len(found)
        wanted = sorted(_targets(forward, fresh) - known)[:room]
        new: list[Head] = []
        if wanted:
            new += await store.find_many(s, wanted, scope=running.scope, now=running.now, limit=room)
        if backward:
            new += await _referrers(s, running, backward, fresh)
        fresh = []
        for head in new:
            if (head.rtype, head.fid) not in known and len(found) < MAX_INCLUDED:
                known.add((head.rtype, head.fid))
                fresh.append(head)
                found.append(head)
    return found


def _targets(includes: Sequence[Include], heads: Sequence[Head]) -> set[tuple[str, str]]:
    wanted: set[tuple[str, str]] = set()
    for head in heads:
        asked = [include for include in includes if include.source in (head.rtype, "*")]
        if not asked or head.body is None:
            continue
        references = index(parse(bytes(head.body))).references
        for include in asked:
            every = (reference for found in references.values() for reference in found)
            for reference in every if include.parameter == "*" else references.get(include.parameter, ()):
                target = rules.local_reference(reference)
                if target is not None and include.target in (None, target[0]):
                    wanted.add(target)
    return wanted


async def _referrers(
    s: AsyncSession, running: Reach, includes: Sequence[Include], heads: Sequence[Head]
) -> list[Head]:
    pointing = [way for include in includes if (way := _pointing(include, heads)) is not None]
    if not pointing:
        return []
    referring = select(col(LinkRow.rid)).where(or_(*pointing))
    statement = (
        select(*store.HEAD)
        .where(
            col(Resource.rid).in_(referring),
            ~col(Resource.deleted),
            visible(running.scope, running.now),
        )
        .order_by(col(Resource.rid).desc())
        .limit(MAX_INCLUDED)
    )
    return [head_of(row) for row in (await (await s.connection()).execute(statement)).all()]


def _pointing(include: Include, heads: Sequence[Head]) -> ColumnElement[bool] | None:
    """The links that an include follows back from these heads, or None where it follows none."""
    addresses = [address_of(head.rtype, head.fid) for head in heads if include.target in (None, head.rtype)]
    if not addresses:
        return None
    here = col(LinkRow.address).in_(addresses)
    if include.source == "*":
        return here
    names = [include.parameter]
    if include.parameter == "*":
        parameters = search_parameters(include.source)
        names = [name for name, parameter in parameters.items() if parameter.type == "reference"]
    return and_(here, col(LinkRow.p).in_([parameter_id(include.source, name) for name in names]))
