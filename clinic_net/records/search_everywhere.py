"""How a page of a search over all types is asked for: the parameters that all resources have, within one order.

Two shapes. What a hash or an id finds starts from there. Anything else looks at the top of each type, of which each
has an index in the order asked for, and merges them: so many rows for each type, however many there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import ARRAY, Select, Text, cast, column, func, not_, select, true
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
"""A code is hashed with the type, so one code is as many hashes as there are types."""


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
        values = [order.label(f"order_{position}") for position, (order, _) in enumerate(self.orders)]
        whole = _sliced(select(*store.HEAD, *values), self.orders, part)
        if any(map(_narrow, self.search.clauses)):
            return whole.where(col(Resource.rtype).in_(self.types), *self._conditions(Resource))
        listed = func.unnest(cast(list(self.types), ARRAY(Text)))
        each = listed.table_valued(column("rtype", Text), name="each").render_derived()
        one = aliased(Resource)
        inner: Select[Any] = select(col(one.rid).label("rid")).where(
            col(one.rtype) == each.c.rtype, *self._conditions(one)
        )
        top = _sliced(inner, self._orders(one), part).lateral()
        return whole.where(col(Resource.rid).in_(select(top.c.rid).select_from(each).join(top, true())))

    def count(self) -> Select[Any]:
        """Count what the search finds."""
        statement = select(func.count()).select_from(Resource)
        return statement.where(col(Resource.rtype).in_(self.types), *self._conditions(Resource))

    def _conditions(self, resource: type[Resource]) -> list[Condition]:
        reach = visible(self.setting.scope, self.setting.now, resource)
        return [
            ~col(resource.deleted),
            reach,
            *(self._condition(one, resource) for one in self.search.clauses),
        ]

    def _condition(self, clause: Clause, resource: type[Resource]) -> Condition:
        if clause.parameter in ("_id", "_lastUpdated") or clause.type == "words":
            return Query("Resource", self.setting, resource).condition(clause)
        hashes = [h for rtype in self.types for h in self._hashes(rtype, clause)]
        if len(hashes) > MAX_HASHES:
            raise TooManySearchTerms(f"{clause.parameter}: too many alternatives for a search without _type")
        found = col(resource.rid).in_(select(col(TokenRow.rid)).where(col(TokenRow.h).in_(hashes)))
        absent = clause.modifier == "not" or clause.missing is True
        return not_(found) if absent else found

    def _hashes(self, rtype: str, clause: Clause) -> list[int]:
        if clause.modifier == "missing":
            return [self.setting.keys.present(rtype, clause.parameter)]
        hashes = Query(rtype, self.setting).hashes(clause)
        if hashes is None:
            raise unsupported(clause.parameter, "this modifier needs a _type")
        return hashes


def _sliced(statement: Select[Any], orders: Orders, part: Slice) -> Select[Any]:
    if part.after is not None:
        statement = statement.where(beyond(orders, list(part.after)))
    ordered = [order.desc() if descending else order.asc() for order, descending in orders]
    return statement.order_by(*ordered).limit(part.limit)


def _narrow(clause: Clause) -> bool:
    return clause.parameter != "_lastUpdated" and clause.modifier not in ("not", "missing")
