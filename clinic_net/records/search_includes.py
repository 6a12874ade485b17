"""What a search brings along: resources that its entries refer to, and those that refer to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import RecordScope
from clinic_net.fhir import Search, index, parse
from clinic_net.fhir.search import Include
from clinic_net.records import rules, store
from clinic_net.records.keys import Keys
from clinic_net.records.model import Resource, TokenRow
from clinic_net.records.store import Head, head_of, visible

MAX_INCLUDED = 500
_MOST_ROUNDS = 3
"""How often an include marked ``:iterate`` is followed on."""


@dataclass(frozen=True)
class Reach:
    """The hashes, and whose records may be looked into, when."""

    keys: Keys
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
        asked = [include for include in includes if include.source == head.rtype]
        if not asked or head.body is None:
            continue
        references = index(parse(bytes(head.body))).references
        for include in asked:
            for reference in references.get(include.parameter, ()):
                target = rules.local_reference(reference)
                if target is not None and include.target in (None, target[0]):
                    wanted.add(target)
    return wanted


async def _referrers(
    s: AsyncSession, running: Reach, includes: Sequence[Include], heads: Sequence[Head]
) -> list[Head]:
    hashes = [
        running.keys.value(include.source, include.parameter, f"{head.rtype}/{head.fid}")
        for include in includes
        for head in heads
        if include.target in (None, head.rtype)
    ]
    if not hashes:
        return []
    referring = select(col(TokenRow.rid)).where(col(TokenRow.h).in_(hashes))
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
