"""Search: the page of a typed search within a scope, what it includes, and the cursor of the next page.

A cursor is stateless: the order values of the last entry, signed together with the search and the scope they belong
to, so that it fits nothing else. Pages stay stable while data is written, because they go on behind an entry.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import RecordScope
from clinic_net.fhir import Search, index, parse
from clinic_net.fhir.search import Clause, Include
from clinic_net.fhir.search_terms import unsupported
from clinic_net.records import rules, store
from clinic_net.records.errors import InvalidCursor
from clinic_net.records.keys import Keys
from clinic_net.records.model import Resource, TokenRow
from clinic_net.records.query import Query, Setting, beyond
from clinic_net.records.store import Head, head_of, visible

DEFAULT_COUNT = 50
MAX_INCLUDED = 500
_MOST_ROUNDS = 3
"""How often an include marked ``:iterate`` is followed on."""

_NEWEST_FIRST: tuple[Any, bool] = (col(Resource.rid), True)


@dataclass(frozen=True)
class Page:
    """A page of heads. ``next`` is the cursor of the page after it; ``total`` is None when nobody asked."""

    heads: list[Head]
    included: list[Head]
    total: int | None
    next: str | None


class _Run:
    """One search, on its way through the database."""

    def __init__(self, search: Search, keys: Keys, *, scope: RecordScope, now: datetime) -> None:
        self.search = search
        self.keys = keys
        self.scope = scope
        self.now = now
        self._query = Query(search.resource_type, Setting(keys, scope, now))

    def matching(self, statement: Select[Any]) -> Select[Any]:
        """Keep a statement on ``records_resource`` to what the search asks for and the scope allows."""
        driver = self._driver()
        if driver is not None:
            hashes = self._query.hashes(driver) or []
            statement = statement.join(TokenRow, col(TokenRow.rid) == col(Resource.rid))
            statement = statement.where(col(TokenRow.h) == hashes[0])
        others = [self._query.condition(clause) for clause in self.search.clauses if clause is not driver]
        return statement.where(
            col(Resource.rtype) == self.search.resource_type,
            ~col(Resource.deleted),
            visible(self.scope, self.now),
            *others,
            *(self._query.term(link) for link in self.search.links),
        )

    def _driver(self) -> Clause | None:
        """The clause to start from: one hash, so its rows stream in order; a reference is the narrowest guess."""
        single = [
            clause
            for clause in self.search.clauses
            if clause.modifier in ("", "exact", "identifier") and len(self._query.hashes(clause) or ()) == 1
        ]
        return next(
            (clause for clause in single if clause.type == "reference"), single[0] if single else None
        )

    def orders(self) -> list[tuple[ColumnElement[Any], bool]]:
        """Return what to order by: as asked; else names as written first; always newest first in the end."""
        asked = [(self._query.order(sort), sort.descending) for sort in self.search.sort]
        names = [
            clause for clause in self.search.clauses if clause.type == "string" and clause.modifier == ""
        ]
        if not asked and names:
            return [(self._query.rank(names[0]), False), _NEWEST_FIRST]
        return [*asked, _NEWEST_FIRST]

    def fingerprint(self) -> str:
        """Name search and scope, so that a cursor of another search or caller is refused."""
        tenants = None if self.scope.tenants is None else sorted(self.scope.tenants)
        applied = [pair for pair in self.search.applied if pair[0] != "_count"]
        named = json.dumps([self.search.resource_type, applied, tenants, self.scope.grantee])
        return blake2b(named.encode(), digest_size=9).hexdigest()

    def cursor(self, values: Sequence[Any]) -> str:
        plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
        return self.keys.sign(json.dumps([self.fingerprint(), plain]).encode())

    def behind(self, cursor: str) -> list[Any]:
        payload = self.keys.unsign(cursor)
        if payload is None:
            raise InvalidCursor("the page's cursor is not valid")
        fingerprint, values = json.loads(payload)
        if (
            fingerprint != self.fingerprint()
            or len(values) != len(self.search.sort or self.orders()[:-1]) + 1
        ):
            raise InvalidCursor("the page's cursor is not valid")
        for position, sort in enumerate(self.search.sort):
            if sort.parameter == "_lastUpdated":
                values[position] = datetime.fromisoformat(values[position])
        return list(values)


Allows = Callable[[str], bool]
"""Whether the caller may search a type of resources at all."""


async def run(
    s: AsyncSession,
    search: Search,
    keys: Keys,
    *,
    scope: RecordScope,
    now: datetime,
    cursor: str | None,
    allows: Allows | None = None,
) -> Page:
    """Return one page of a search.

    A search that looks into other types needs ``allows``; what it includes is kept to those that the caller may
    search. Without it, chains are refused: they would tell of resources that the caller may not read.

    Raises:
        UnsupportedSearch: it looks into other types, and nobody says whether the caller may.
        InvalidCursor: ``cursor`` is not one of this search and scope.
        UnsupportedSearch, InvalidSearchValue: the index does not hold what it asks for.
    """
    if search.reaches and (allows is None or not all(map(allows, search.reaches))):
        raise unsupported("_has", "a search through these other resource types is not open to this caller")
    running = _Run(search, keys, scope=scope, now=now)
    limit = DEFAULT_COUNT if search.count is None else search.count
    connection = await s.connection()
    total: int | None = None
    if search.summary == "count" or limit == 0 or search.total == "accurate":
        counted = running.matching(select(func.count()).select_from(Resource))
        total = (await connection.execute(counted)).scalar_one()
        if search.summary == "count" or limit == 0:
            return Page([], [], total, None)
    orders = running.orders()
    statement = running.matching(select(*store.HEAD, *(order for order, _ in orders)).select_from(Resource))
    if cursor is not None:
        statement = statement.where(beyond(orders, running.behind(cursor)))
    statement = statement.order_by(
        *(order.desc() if descending else order.asc() for order, descending in orders)
    )
    rows = (await connection.execute(statement.limit(limit + 1))).all()
    more, rows = len(rows) > limit, rows[:limit]
    heads = [head_of(row) for row in rows]
    following = running.cursor(rows[-1][len(store.HEAD) :]) if more else None
    if total is None and cursor is None and not more:
        total = len(heads)
    included = await _included(s, running, heads)
    if allows is not None:
        included = [head for head in included if allows(head.rtype)]
    return Page(heads, included, total, following)


async def _included(s: AsyncSession, running: _Run, heads: list[Head]) -> list[Head]:
    """Return what the entries refer to, or what refers to them, within the scope and at most ``MAX_INCLUDED``."""
    search = running.search
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
    s: AsyncSession, running: _Run, includes: Sequence[Include], heads: Sequence[Head]
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
