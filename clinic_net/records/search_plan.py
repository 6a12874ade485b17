"""How a page of a search is asked for, so that the database stops soon whoever asks.

Three shapes of one question, with the same rows in the same order. ``near_the_top`` looks at the first ``WINDOW`` rows
of an index that is in the order asked for, and answers nearly every search; when what it finds does not fill the page,
``complete`` is asked: it starts from the narrowest criterion and sorts. For a caller who sees a part of the records
that one is ``merged`` from what their places hold and what their patients' records hold, each by an index of its own,
which one condition with an *or* does not allow.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from operator import add
from typing import Any, cast

from sqlalchemy import ColumnElement, Select, exists, func, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased
from sqlmodel import col

from clinic_net.access.policy import RecordScope
from clinic_net.fhir import Search
from clinic_net.fhir.search import Clause, Sort
from clinic_net.fhir.unions import is_union
from clinic_net.records import store
from clinic_net.records.keys import Keys, parameter_id
from clinic_net.records.model import Resource, TokenRow
from clinic_net.records.query import RANGED, Query
from clinic_net.records.query_compare import beyond
from clinic_net.records.query_setting import Setting
from clinic_net.records.store import visible

WINDOW = 20_000
"""Index rows that a page may look at before another way is tried: some 30 ms."""
LINKED_WINDOW = 1_000
"""The same for a search through other resources, each row of which is a walk of its own."""

Orders = list[tuple[ColumnElement[Any], bool]]
_NEWEST_FIRST: tuple[Any, bool] = (col(Resource.rid), True)


@dataclass(frozen=True)
class Slice:
    """Which rows of an order: at most ``limit``, behind the one with these order values."""

    limit: int
    after: Sequence[Any] | None = None


class Plan:
    """The statements of one search within a scope."""

    def __init__(self, search: Search, keys: Keys, *, scope: RecordScope, now: datetime) -> None:
        self.search = search
        self._scope = scope
        self._now = now
        self._query = Query(search.resource_type, Setting(keys, scope, now))
        self._driver = self._narrowest()
        self.orders = self._orders()

    def _narrowest(self) -> Clause | None:
        """The clause to start from: one hash, so its rows stream in order; a reference is the narrowest guess."""
        single = [
            clause
            for clause in self.search.clauses
            if clause.modifier in ("", "exact", "identifier", "of-type")
            and len(self._query.hashes(clause) or ()) == 1
        ]
        return next(
            (clause for clause in single if clause.type == "reference"), single[0] if single else None
        )

    def _orders(self) -> Orders:
        """Return what to order by: as asked; else names as written first; always newest first in the end."""
        asked = [(self._query.order(sort), sort.descending) for sort in self.search.sort]
        names = [
            clause for clause in self.search.clauses if clause.type == "string" and clause.modifier == ""
        ]
        if not asked and names:
            return [(self._query.rank(names[0]), False), _NEWEST_FIRST]
        return [*asked, _NEWEST_FIRST]

    @property
    def cheap(self) -> bool:
        """Whether one index leads straight to the page, so that nobody need watch the time."""
        return self._driver is not None and not self.search.sort and not self.search.links

    def count(self) -> Select[Any]:
        """Count what the search finds."""
        counts = [
            self._within(select(func.count()).select_from(Resource), scope).scalar_subquery()
            for scope in self._branches()
        ]
        return select(reduce(add, counts))

    def count_up_to(self, most: int) -> Select[Any]:
        """Count what the search finds, but no further than ``most``."""
        return select(func.count()).select_from(self._found().limit(most).subquery())

    async def expected(self, connection: AsyncConnection) -> int:
        """Return how many rows the planner expects the search to find."""
        compiled = self._found().compile(
            dialect=connection.dialect, compile_kwargs={"render_postcompile": True}
        )
        explained = await connection.exec_driver_sql(
            f"explain (format json) {compiled}", compiled.construct_params()
        )
        return int(explained.scalar_one()[0]["Plan"]["Plan Rows"])

    def _found(self) -> Select[Any]:
        return self._within(select(col(Resource.rid)).select_from(Resource), self._scope)

    def complete(self, part: Slice) -> Select[Any]:
        """Return the page, whatever it takes."""
        branches = self._branches()
        if len(branches) == 1:
            return self._sorted(select(*store.HEAD, *self._values()), part, branches[0])
        rows = [
            self._sorted(select(col(Resource.rid), *self._values()), part, scope).subquery()
            for scope in branches
        ]
        merged = union_all(*(select(*(column for column in row.c)) for row in rows)).subquery()
        rid, *values = merged.c
        statement = select(*store.HEAD, *values).join(merged, rid == col(Resource.rid))
        ordered = [
            value.desc() if descending else value.asc()
            for value, (_, descending) in zip(values, self.orders, strict=True)
        ]
        return statement.order_by(*ordered).limit(part.limit)

    def near_the_top(self, part: Slice) -> Select[Any] | None:
        """Return the page as far as the first rows of an index in this order hold it; None where none is."""
        if self._driver is not None and self._driver.type == "reference":
            return None
        if len(self.orders) == 1:
            partial = self._scope.tenants is not None or bool(self.search.links)
            return self._newest(part) if partial else None
        sort = self.search.sort[0] if len(self.search.sort) == 1 else None
        if sort is None or sort.type not in RANGED or is_union(self.search.resource_type, sort.parameter):
            return None
        return self._in_order_of(sort, part)

    def _newest(self, part: Slice) -> Select[Any]:
        if self._driver is None:
            head = aliased(Resource)
            rid: Any = col(head.rid)
            window = select(rid).where(col(head.rtype) == self.search.resource_type, ~col(head.deleted))
        else:
            rid = col(TokenRow.rid)
            window = select(rid).where(col(TokenRow.h) == self._hash(self._driver))
        if part.after is not None:
            window = window.where(rid < part.after[-1])
        first = window.order_by(rid.desc()).limit(self._window).subquery()
        statement = select(*store.HEAD, col(Resource.rid).label("at")).join(
            first, first.c.rid == col(Resource.rid)
        )
        statement = statement.where(*self._conditions(without=self._driver))
        return statement.order_by(col(Resource.rid).desc()).limit(part.limit)

    def _in_order_of(self, sort: Sort, part: Slice) -> Select[Any] | None:
        table: Any = RANGED[sort.type]
        if sort.parameter == "_lastUpdated":
            return None
        row = aliased(table)
        value, rid, p = (
            self._column(row),
            col(row.rid),
            parameter_id(self.search.resource_type, sort.parameter),
        )
        window = select(row).where(col(row.p) == p)
        if part.after is not None:
            window = window.where(
                beyond([(value, sort.descending), (cast(ColumnElement[Any], rid), True)], list(part.after))
            )
        ordered = (value.desc() if sort.descending else value.asc(), rid.desc())
        first = aliased(table, window.order_by(*ordered).limit(self._window).subquery())
        better = aliased(table)
        mine, theirs = self._whole(first), self._whole(better)
        outdone = exists().where(
            col(better.rid) == col(first.rid),
            col(better.p) == p,
            theirs > mine if sort.descending else theirs < mine,
        )
        at = self._column(first)
        statement = select(*store.HEAD, at, col(first.rid).label("last")).join(
            first, col(first.rid) == col(Resource.rid)
        )
        statement = statement.where(~outdone, *self._conditions())
        return statement.order_by(at.desc() if sort.descending else at.asc(), col(first.rid).desc()).limit(
            part.limit
        )

    @staticmethod
    def _column(row: Any) -> Any:
        found: Any = row.folded if hasattr(row, "folded") else row.lo
        return found

    @staticmethod
    def _whole(row: Any) -> Any:
        """What tells two rows of one resource apart, the order's value first."""
        if hasattr(row, "folded"):
            return tuple_(row.folded, row.marked)
        return tuple_(row.lo, row.hi, row.u, row.c, row.n) if hasattr(row, "u") else tuple_(row.lo, row.hi)

    def _values(self) -> list[ColumnElement[Any]]:
        return [order.label(f"order_{position}") for position, (order, _) in enumerate(self.orders)]

    def _branches(self) -> list[RecordScope]:
        """The scope in parts that an index leads to: what its places hold, and what is about its patients."""
        scope = self._scope
        if not scope.tenants or scope.grantee is None or self._narrow:
            return [scope]
        return [replace(scope, grantee=None), replace(scope, tenants=frozenset())]

    @property
    def _window(self) -> int:
        return LINKED_WINDOW if self.search.links else WINDOW

    @property
    def _narrow(self) -> bool:
        return self._driver is not None and self._driver.type == "reference"

    def _sorted(self, statement: Select[Any], part: Slice, scope: RecordScope) -> Select[Any]:
        statement = self._within(statement.select_from(Resource), scope)
        if part.after is not None:
            statement = statement.where(beyond(self.orders, list(part.after)))
        ordered = [order.desc() if descending else order.asc() for order, descending in self.orders]
        return statement.order_by(*ordered).limit(part.limit)

    def _within(self, statement: Select[Any], scope: RecordScope) -> Select[Any]:
        statement = self._from_driver(statement).where(*self._conditions(scope, without=self._driver))
        if scope is not self._scope and not scope.tenants:
            # Not once more what the places' own part has.
            statement = statement.where(~visible(replace(self._scope, grantee=None), self._now))
        return statement

    def _hash(self, driver: Clause) -> int:
        return (self._query.hashes(driver) or [0])[0]

    def _from_driver(self, statement: Select[Any]) -> Select[Any]:
        if self._driver is None:
            return statement
        statement = statement.join(TokenRow, col(TokenRow.rid) == col(Resource.rid))
        return statement.where(col(TokenRow.h) == self._hash(self._driver))

    def _conditions(
        self, scope: RecordScope | None = None, *, without: Clause | None = None
    ) -> list[ColumnElement[bool]]:
        return [
            col(Resource.rtype) == self.search.resource_type,
            ~col(Resource.deleted),
            visible(self._scope if scope is None else scope, self._now),
            *(self._query.condition(clause) for clause in self.search.clauses if clause is not without),
            *(self._query.term(link) for link in self.search.links),
        ]
