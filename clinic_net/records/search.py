"""Search: the page of a typed search within a scope, what it includes, and the cursor of the next page.

A cursor is stateless: the order values of the last entry, signed together with the search and the scope they belong
to, so that it fits nothing else. Pages stay stable while data is written, because they go on behind an entry.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import RecordScope
from clinic_net.fhir import Search
from clinic_net.fhir.search_terms import unsupported
from clinic_net.records import store
from clinic_net.records.keys import Keys
from clinic_net.records.query_setting import Setting
from clinic_net.records.search_cursors import Cursors
from clinic_net.records.search_everywhere import Everywhere
from clinic_net.records.search_includes import Reach, included_with
from clinic_net.records.search_plan import Plan, Slice
from clinic_net.records.search_terminology import Terminology, with_codes
from clinic_net.records.store import Head, head_of

COUNTED = 10_000
"""So many are counted for ``_total=estimate``."""
BUDGET = timedelta(seconds=5)
"""What the database may spend on a search that no single index answers."""
DEFAULT_COUNT = 50


@dataclass(frozen=True)
class Page:
    """A page of heads. ``next`` is the cursor of the page after it; ``total`` is None when nobody asked."""

    heads: list[Head]
    included: list[Head]
    total: int | None
    next: str | None


class _Run:
    """One search as it was asked, on its way through the database by a plan that knows its codes and units."""

    def __init__(
        self,
        search: Search,
        keys: Keys,
        *,
        scope: RecordScope,
        now: datetime,
        plan: Plan | Everywhere,
    ) -> None:
        self.search = search
        self.keys = keys
        self.scope = scope
        self.now = now
        self.plan = plan
        self.cursors = Cursors(search, keys, scope)

    def cursor(self, row: Any) -> str:
        """Return the cursor of the page behind a row."""
        return self.cursors.make(row[len(store.HEAD) :])

    def behind(self, cursor: str) -> list[Any]:
        """Return the order values behind which the page of a cursor begins."""
        return self.cursors.read(cursor, length=len(self.search.sort or self.plan.orders[:-1]) + 1)


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
    may_read = allows is None or (allows("ValueSet") and allows("CodeSystem"))
    resolved = await with_codes(search, Terminology(s, keys, scope, now, may_read))
    plan = Plan(resolved, keys, scope=scope, now=now)
    running = _Run(search, keys, scope=scope, now=now, plan=plan)
    limit = DEFAULT_COUNT if search.count is None else search.count
    counts_only = search.summary == "count" or limit == 0
    counts = counts_only or search.total in ("accurate", "estimate")
    async with _budget(s, needed=counts or not plan.cheap):
        total = await _count(s, plan, exact=counts_only or search.total == "accurate") if counts else None
        if counts_only:
            return Page([], [], total, None)
        after = None if cursor is None else running.behind(cursor)
        rows = await _rows(s, plan, Slice(limit + 1, after))
    more, rows = len(rows) > limit, rows[:limit]
    heads = [head_of(row) for row in rows]
    following = running.cursor(rows[-1]) if more else None
    if total is None and cursor is None and not more:
        total = len(heads)
    reach = Reach(scope, now)
    included = await included_with(s, search, heads, reach)
    if allows is not None:
        included = [head for head in included if allows(head.rtype)]
    return Page(heads, included, total, following)


async def run_types(
    s: AsyncSession,
    searches: Sequence[Search],
    keys: Keys,
    *,
    scope: RecordScope,
    now: datetime,
    cursor: str | None,
) -> Page:
    """Return one page of the same search over several types (see ``fhir.search.parse_types``), in one order.

    Raises:
        InvalidCursor: ``cursor`` is not one of this search and scope.
    """
    terminology = Terminology(s, keys, scope, now)
    plans = [Plan(await with_codes(one, terminology), keys, scope=scope, now=now) for one in searches]
    runs = [
        _Run(search, keys, scope=scope, now=now, plan=plan)
        for search, plan in zip(searches, plans, strict=True)
    ]
    first = runs[0]
    limit = DEFAULT_COUNT if first.search.count is None else first.search.count
    counts_only = first.search.summary == "count" or limit == 0
    total: int | None = None
    async with _budget(s, needed=True):
        if counts_only or first.search.total == "accurate":
            total = sum([await _count(s, running.plan) for running in runs])
        if counts_only:
            return Page([], [], total, None)
        after = None if cursor is None else first.behind(cursor)
        rows = [row for running in runs for row in await _rows(s, running.plan, Slice(limit + 1, after))]
    for position, (_, descending) in reversed(list(enumerate(first.plan.orders, len(store.HEAD)))):
        rows.sort(key=itemgetter(position), reverse=descending)
    more, rows = len(rows) > limit, rows[:limit]
    following = first.cursor(rows[-1]) if more else None
    if total is None and cursor is None and not more:
        total = len(rows)
    return Page([head_of(row) for row in rows], [], total, following)


async def run_everywhere(
    s: AsyncSession,
    search: Search,
    types: Sequence[str],
    keys: Keys,
    *,
    scope: RecordScope,
    now: datetime,
    cursor: str | None,
) -> Page:
    """Return one page of a search over all of these types (see ``fhir.search.parse_everywhere``).

    Raises:
        InvalidCursor: ``cursor`` is not one of this search and scope.
        UnsupportedSearch, TooManySearchTerms: only a search of named types can answer it.
    """
    resolved = await with_codes(search, Terminology(s, keys, scope, now))
    plan = Everywhere(resolved, types, Setting(keys, scope, now))
    running = _Run(search, keys, scope=scope, now=now, plan=plan)
    limit = DEFAULT_COUNT if search.count is None else search.count
    counts_only = search.summary == "count" or limit == 0
    total: int | None = None
    async with _budget(s, needed=True):
        if counts_only or search.total in ("accurate", "estimate"):
            total = await _count(s, plan)
        if counts_only:
            return Page([], [], total, None)
        after = None if cursor is None else running.behind(cursor)
        rows = await _rows(s, plan, Slice(limit + 1, after))
    more, rows = len(rows) > limit, rows[:limit]
    following = running.cursor(rows[-1]) if more else None
    if total is None and cursor is None and not more:
        total = len(rows)
    return Page([head_of(row) for row in rows], [], total, following)


async def _rows(s: AsyncSession, plan: Plan | Everywhere, part: Slice) -> list[Any]:
    """Return a page's rows: from the top of an index if they are there, else from wherever they are."""
    connection = await s.connection()
    quick = plan.near_the_top(part)
    if quick is not None:
        rows = list((await connection.execute(quick)).all())
        if len(rows) == part.limit:
            return rows
    return list((await connection.execute(plan.complete(part))).all())


async def _count(s: AsyncSession, plan: Plan | Everywhere, *, exact: bool = True) -> int:
    """Count; an estimate is exact up to ``COUNTED``, beyond that it is what the planner expects, but no fewer."""
    if not exact and isinstance(plan, Plan):
        counted: int = (await (await s.connection()).execute(plan.count_up_to(COUNTED))).scalar_one()
        if counted < COUNTED:
            return counted
        return max(counted, await plan.expected(await s.connection()))
    found: int = (await (await s.connection()).execute(plan.count())).scalar_one()
    return found


@asynccontextmanager
async def _budget(s: AsyncSession, *, needed: bool) -> AsyncIterator[None]:
    """Give the statements within a time of their own; past it the database stops them (``too-costly``)."""
    if not needed:
        yield
        return
    connection = await s.connection()
    milliseconds = int(BUDGET / timedelta(milliseconds=1))
    await connection.execute(text(f"set local statement_timeout = {milliseconds}"))
    yield
    await connection.execute(text("set local statement_timeout to default"))
