"""How a page of a search over all types is asked for: the parameters that all resources have, within one order.

A code is hashed with the type, so every type has hashes of its own: they stand beside its name in a small table of the
statement. A page is found in one of two ways, and the statement itself chooses. What few resources have starts from
them; anything else looks at the top of each type, of which each has an index in the order asked for, and merges them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Select,
    TableValuedAlias,
    Text,
    cast,
    column,
    exists,
    func,
    not_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import aliased
from sqlmodel import col

from clinic_net.fhir import Search, TooManySearchTerms
from clinic_net.fhir.search import Clause
from clinic_net.fhir.search_terms import unsupported
from clinic_net.records import store
from clinic_net.records.model import Resource, TokenRow
from clinic_net.records.query import Query
from clinic_net.records.query_compare import Condition, beyond
from clinic_net.records.query_setting import Setting
from clinic_net.records.search_plan import Orders, Slice
from clinic_net.records.store import visible

MAX_HASHES = 5_000
FEW = 5_000
"""So many resources that have a code are looked at one by one."""


@dataclass(frozen=True)
class Everywhere:
    """The statements of one search over these types."""

    search: Search
    types: Sequence[str]
    setting: Setting

    @cached_property
    def orders(self) -> Orders:
        return self._orders(Resource)

    def _orders(self, resource: type[Resource]) -> Orders:
        query = Query("Resource", self.setting, resource)
        newest: tuple[Any, bool] = (col(resource.rid), True)
        return [*((query.order(sort), sort.descending) for sort in self.search.sort), newest]

    def near_the_top(self, _part: Slice) -> None:
        """There is no quicker way than ``complete``."""

    def complete(self, part: Slice) -> Select[Any]:
        """Return the page."""
        driver = next(filter(self._leads, self.search.clauses), None)
        if driver is None:
            found = self._top(part).subquery()
        elif driver not in self._hashes:
            found = self._direct(part).subquery()
        else:
            few = self._having(driver).limit(FEW + 1).cte("few").prefix_with("materialized")
            many = select(func.count()).select_from(few).scalar_subquery() > FEW
            direct = self._direct(part).where(col(Resource.rid).in_(select(few.c.rid)), ~many)
            found = union_all(
                select(direct.subquery().c.rid), select(self._top(part).where(many).subquery().c.rid)
            ).subquery()
        values = [order.label(f"order_{position}") for position, (order, _) in enumerate(self.orders)]
        whole = select(*store.HEAD, *values).join(found, found.c.rid == col(Resource.rid))
        ordered = [order.desc() if descending else order.asc() for order, descending in self.orders]
        return whole.order_by(*ordered).limit(part.limit)

    def _direct(self, part: Slice) -> Select[Any]:
        statement: Select[Any] = select(col(Resource.rid).label("rid")).join(
            self._each, self._each.c.rtype == col(Resource.rtype)
        )
        return _sliced(statement.where(*self._conditions(Resource)), self.orders, part)

    def _top(self, part: Slice) -> Select[Any]:
        one = aliased(Resource)
        inner: Select[Any] = select(col(one.rid).label("rid")).where(
            # Not "equal": then the planner knows the type for one and the same, and reads all types by number instead
            # of this one by the index that the type leads.
            col(one.rtype) >= self._each.c.rtype,
            col(one.rtype) <= self._each.c.rtype,
            *self._conditions(one),
        )
        orders = self._orders(one)
        kind = col(one.rtype).desc() if orders[0][1] else col(one.rtype).asc()
        top = _sliced(inner.order_by(kind), orders, part).lateral()
        return select(top.c.rid).select_from(self._each).join(top, true())

    def count(self) -> Select[Any]:
        """Count what the search finds."""
        statement: Select[Any] = select(func.count()).select_from(Resource)
        statement = statement.join(self._each, self._each.c.rtype == col(Resource.rtype))
        leading = filter(self._leads, self.search.clauses)
        having = [col(Resource.rid).in_(self._having(clause)) for clause in leading if clause in self._hashes]
        return statement.where(*self._conditions(Resource), *having)

    def _leads(self, clause: Clause) -> bool:
        return clause.parameter != "_lastUpdated" and clause.modifier not in ("not", "missing")

    @cached_property
    def _hashes(self) -> dict[Clause, list[list[int]]]:
        """By clause, the hashes of each type."""
        found = {
            clause: [self._hashes_of(rtype, clause) for rtype in self.types]
            for clause in self.search.clauses
            if clause.parameter not in ("_id", "_lastUpdated") and clause.type != "words"
        }
        if sum(len(hashes) for lists in found.values() for hashes in lists) > MAX_HASHES:
            raise TooManySearchTerms("too many alternatives for a search without _type")
        return found

    def _hashes_of(self, rtype: str, clause: Clause) -> list[int]:
        if clause.modifier == "missing":
            return [self.setting.keys.present(rtype, clause.parameter)]
        hashes = Query(rtype, self.setting).hashes(clause)
        if hashes is None:
            raise unsupported(clause.parameter, "this modifier needs a _type")
        return hashes

    @cached_property
    def _each(self) -> TableValuedAlias:
        """The types, each with its hashes: a column for every hash that a clause asks for."""
        lists: list[Any] = [cast(list(self.types), ARRAY(Text))]
        columns: list[Any] = [column("rtype", Text)]
        for clause, hashes in self._hashes.items():
            for name, of_types in zip(self._columns(clause), zip(*hashes, strict=True), strict=True):
                lists.append(cast(list(of_types), ARRAY(BigInteger)))
                columns.append(column(name, BigInteger))
        return func.unnest(*lists).table_valued(*columns, name="each").render_derived()

    def _columns(self, clause: Clause) -> Iterator[str]:
        number = list(self._hashes).index(clause)
        return (f"h_{number}_{position}" for position in range(len(self._hashes[clause][0])))

    def _having(self, clause: Clause) -> Select[Any]:
        flat = [h for hashes in self._hashes[clause] for h in hashes]
        return select(col(TokenRow.rid).label("rid")).where(col(TokenRow.h).in_(flat))

    def _conditions(self, resource: type[Resource]) -> list[Condition]:
        reach = visible(self.setting.scope, self.setting.now, resource)
        return [
            ~col(resource.deleted),
            reach,
            *(self._condition(one, resource) for one in self.search.clauses),
        ]

    def _condition(self, clause: Clause, resource: type[Resource]) -> Condition:
        if clause not in self._hashes:
            return Query("Resource", self.setting, resource).condition(clause)
        token = aliased(TokenRow)
        asked = [self._each.c[name] for name in self._columns(clause)]
        found = exists().where(col(token.rid) == col(resource.rid), col(token.h).in_(asked))
        absent = clause.modifier == "not" or clause.missing is True
        return (
            not_(found.correlate(resource, self._each)) if absent else found.correlate(resource, self._each)
        )


def _sliced(statement: Select[Any], orders: Orders, part: Slice) -> Select[Any]:
    if part.after is not None:
        statement = statement.where(beyond(orders, list(part.after)))
    ordered = [order.desc() if descending else order.asc() for order, descending in orders]
    return statement.order_by(*ordered).limit(part.limit)
