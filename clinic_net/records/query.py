"""From a typed search to SQL conditions on ``records_resource``. Pure: builds expressions, runs none."""

import math
from dataclasses import replace
from typing import Any, assert_never, cast

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Text,
    and_,
    case,
    collate,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH, TSQUERY
from sqlalchemy.orm import aliased
from sqlmodel import col

from clinic_net.clinical.names import tone_key
from clinic_net.fhir import InvalidSearchValue, UnsupportedSearch
from clinic_net.fhir.criteria import (
    CompositeCriterion,
    Criterion,
    DateCriterion,
    NearCriterion,
    NumberCriterion,
    QuantityCriterion,
    ReferenceCriterion,
    StringCriterion,
    TokenCriterion,
    WordsCriterion,
)
from clinic_net.fhir.index import sort_paths
from clinic_net.fhir.search import AnyOf, Chain, Clause, Either, Every, Has, Sort, Term, Without
from clinic_net.fhir.unions import parts_of
from clinic_net.kernel.errors import Place
from clinic_net.records import query_compare as compare
from clinic_net.records.index import Pairs, clipped, unit_hash
from clinic_net.records.keys import parameter_id
from clinic_net.records.model import DateRow, LinkRow, NumberRow, Resource, StringRow, TokenRow, WordsRow
from clinic_net.records.query_compare import AFTER_ALL, Condition
from clinic_net.records.query_hashes import code_of, hashes_of
from clinic_net.records.query_hierarchy import within
from clinic_net.records.query_setting import Setting
from clinic_net.records.store import visible

_EARTH = 6371.0088


class Query:
    """Conditions and orders of one search on one resource type; ``resource`` is the table or an alias of it."""

    def __init__(self, rtype: str, setting: Setting, resource: type[Resource] = Resource) -> None:
        self._rtype = rtype
        self._setting = setting
        self._keys = setting.keys
        self._now = setting.now
        self._resource = resource

    def term(self, term: Term) -> Condition:
        """Return what a term demands. See ``condition``."""
        match term:
            case Clause():
                return self.condition(term)
            case Chain():
                return self._chained(term)
            case Has():
                return self._referred(term)
            case AnyOf(clauses=clauses):
                hashes = [h for clause in clauses for h in self.hashes(clause) or ()]
                return col(self._resource.rid).in_(
                    select(col(TokenRow.rid)).where(col(TokenRow.h).in_(hashes))
                )
            case Every(parts):
                return and_(*(self.term(part) for part in parts))
            case Either(parts):
                return or_(*(self.term(part) for part in parts))
            case Without(inner):
                return not_(self.term(inner))
            case _:
                assert_never(term)

    def _chained(self, chain: Chain) -> Condition:
        """Every link is bound to the caller's scope: what lies outside must not even be told to exist."""
        p = parameter_id(self._rtype, chain.parameter)
        ways = []
        for rtype, term in chain.targets:
            target, link = aliased(Resource), aliased(LinkRow)
            way = select(col(link.rid)).join(target, col(target.address) == col(link.address))
            ways.append(way.where(col(link.p) == p, *self._there(rtype, target, term)))
        return col(self._resource.rid).in_(ways[0] if len(ways) == 1 else union_all(*ways))

    def _referred(self, has: Has) -> Condition:
        source, link = aliased(Resource), aliased(LinkRow)
        way = select(col(link.address)).join(source, col(source.rid) == col(link.rid))
        way = way.where(
            col(link.p) == parameter_id(has.source, has.parameter),
            *self._there(has.source, source, has.term),
        )
        return col(self._resource.address).in_(way)

    def _there(self, rtype: str, resource: type[Resource], term: Term) -> list[Condition]:
        return [
            col(resource.rtype) == rtype,
            ~col(resource.deleted),
            visible(self._setting.scope, self._now, resource),
            Query(rtype, self._setting, resource).term(term),
        ]

    def condition(self, clause: Clause) -> Condition:
        """Return what a clause demands of a row of ``records_resource``.

        Raises:
            UnsupportedSearch, InvalidSearchValue: it asks for what the index does not hold.
        """
        if clause.modifier == "missing":
            return self._missing(clause)
        if clause.parameter == "_id":
            codes = [value.code for value in clause.values if isinstance(value, TokenCriterion)]
            found: Condition = col(self._resource.fid).in_(codes)
            return ~found if clause.modifier == "not" else found
        hashes = self.hashes(clause)
        if hashes is not None:
            found = self._has_token(hashes)
            return ~found if clause.modifier == "not" else found
        if clause.type == "reference":
            return self._within(clause)
        return or_(
            *(
                self._ranged(replace(clause, parameter=part), value)
                for part in parts_of(self._rtype, clause.parameter)
                for value in clause.values
            )
        )

    def _within(self, clause: Clause) -> Condition:
        references = [value for value in clause.values if isinstance(value, ReferenceCriterion)]
        p = parameter_id(self._rtype, clause.parameter)
        return within(references, clause.modifier, p, resource=self._resource, setting=self._setting)

    def hashes(self, clause: Clause) -> list[int] | None:
        """Return the hashes of which a resource must have one, or None for what is not looked up by hash."""
        if clause.parameter in ("_id", "_lastUpdated") or clause.modifier == "missing":
            return None
        found: list[int] = []
        for value in clause.values:
            hashes = hashes_of(self._keys, self._rtype, clause, value)
            if hashes is None:
                return None
            found.extend(hashes)
        return found

    def _missing(self, clause: Clause) -> Condition:
        if clause.parameter in ("_id", "_lastUpdated"):
            return false() if clause.missing else true()
        if clause.type == "words":
            there = self._worded(_words_of(clause).is_not(None))
            return ~there if clause.missing else there
        parts = parts_of(self._rtype, clause.parameter)
        present = self._has_token([self._keys.present(self._rtype, part) for part in parts])
        table = RANGED.get(clause.type)
        if table is not None:
            rows = [self._has(table, parameter_id(self._rtype, part), true()) for part in parts]
            present = or_(present, *rows)
        return ~present if clause.missing else present

    def _ranged(self, clause: Clause, value: Criterion) -> Condition:
        text = ":text" if clause.modifier == "text" else ""
        p = parameter_id(self._rtype, clause.parameter + text)
        match value:
            case DateCriterion() if clause.parameter == "_lastUpdated":
                return compare.updated(value, col(self._resource.updated), self._now)
            case DateCriterion():
                lo, hi = col(DateRow.lo), col(DateRow.hi)
                return self._has(DateRow, p, compare.date(value, lo, hi, self._now))
            case NumberCriterion():
                return self._has(NumberRow, p, compare.number(value))
            case QuantityCriterion():
                return self._has(NumberRow, p, self._amount(clause, value))
            case StringCriterion():
                return self._has(StringRow, p, compare.begins_or_holds(value.text.folded, clause.modifier))
            case CompositeCriterion(parts=(TokenCriterion() as first, second)):
                return self._pair(Pairs(self._keys, self._rtype, clause.parameter), first, second)
            case NearCriterion():
                return self._near(value, clause.parameter)
            case WordsCriterion():
                query = sql_cast(value.query, TSQUERY)
                return self._worded(_words_of(clause).op("@@", is_comparison=True)(query))
            case _:
                raise AssertionError("looked up by hash, or not compiled")

    def _worded(self, condition: Condition) -> Condition:
        found = exists().where(col(WordsRow.rid) == col(self._resource.rid), condition)
        return found.correlate(self._resource)

    def _pair(self, pairs: Pairs, first: TokenCriterion, second: Criterion) -> Condition:
        code = code_of(pairs, first)
        p, guard = pairs.p(code), self._has_token([pairs.guard(code)])
        match second:
            case QuantityCriterion():
                ways = (second, *second.equal)
                amount = or_(
                    *(and_(compare.number(way.number), _pair_unit(pairs, code, way)) for way in ways)
                )
                return self._has(NumberRow, p, amount)
            case DateCriterion():
                found = compare.date(second, col(DateRow.lo), col(DateRow.hi), self._now)
                return and_(guard, self._has(DateRow, p, found))
            case StringCriterion():
                return and_(guard, self._has(StringRow, p, compare.begins_or_holds(second.text.folded, "")))
            case _:
                raise AssertionError("not compiled")

    def _amount(self, clause: Clause, value: QuantityCriterion) -> Condition:
        ways = (value, *value.equal)
        return or_(*(and_(compare.number(way.number), self._unit(clause, way)) for way in ways))

    def _near(self, circle: NearCriterion, name: str) -> Condition:
        """Within a box first, which the index finds, then within the circle (haversine, mean radius 6371.0088 km)."""
        north, east = aliased(NumberRow), aliased(NumberRow)
        latitude, longitude = col(north.lo), col(east.lo)
        reach = math.degrees(circle.kilometres / _EARTH)
        half = func.power(func.sin(func.radians(latitude - circle.latitude) / 2), 2) + func.cos(
            func.radians(latitude)
        ) * math.cos(math.radians(circle.latitude)) * func.power(
            func.sin(func.radians(longitude - circle.longitude) / 2), 2
        )
        found = exists().where(
            col(north.rid) == col(self._resource.rid),
            col(east.rid) == col(self._resource.rid),
            col(north.p) == parameter_id(self._rtype, f"{name}:latitude"),
            col(east.p) == parameter_id(self._rtype, f"{name}:longitude"),
            latitude.between(circle.latitude - reach, circle.latitude + reach),
            func.asin(func.sqrt(func.least(1.0, half))) * 2 * _EARTH <= circle.kilometres,
        )
        return found.correlate(self._resource)

    def _unit(self, clause: Clause, value: QuantityCriterion) -> Condition:
        if value.code is None:
            if value.system is not None:
                place = Place(clause.parameter, InvalidSearchValue.code, "a system needs a code")
                raise InvalidSearchValue(f"{clause.parameter}: {place.message}", places=[place])
            return true()
        if value.system is not None:
            return col(NumberRow.u) == unit_hash(self._keys, value.system, value.code)
        called = unit_hash(self._keys, value.code)
        return or_(col(NumberRow.c) == called, col(NumberRow.n) == called)

    def rank(self, clause: Clause) -> ColumnElement[int]:
        """Return how well a name fits as it is written: 0 the same marks, 1 begins so, 2 only without marks."""
        p = parameter_id(self._rtype, clause.parameter)
        marked = [
            clipped(tone_key(value.text.exact))
            for value in clause.values
            if isinstance(value, StringCriterion)
        ]
        column = col(StringRow.marked)
        same = self._has(StringRow, p, column.in_(marked))
        begins = self._has(StringRow, p, or_(*(compare.prefix(column, text) for text in marked)))
        return case((same, 0), (begins, 1), else_=2)

    def order(self, sort: Sort) -> ColumnElement[Any]:
        """Return what to order by; rows without the value come last in either direction.

        Raises:
            UnsupportedSearch: the parameter's values have no order in the index.
        """
        if sort.parameter == "_lastUpdated":
            return cast(ColumnElement[Any], col(self._resource.updated))
        if sort.parameter == "_id":
            return cast(ColumnElement[Any], col(self._resource.fid))
        p = [parameter_id(self._rtype, part) for part in parts_of(self._rtype, sort.parameter)]
        pick = func.max if sort.descending else func.min
        match sort.type:
            case "date":
                last = -(2**62) - 1 if sort.descending else 2**62 + 1
                return self._value(DateRow, p, pick(col(DateRow.lo)), last)
            case "string":
                return self._value(
                    StringRow, p, pick(col(StringRow.folded)), "" if sort.descending else AFTER_ALL
                )
            case "number" | "quantity":
                last_number = float("-inf") if sort.descending else float("inf")
                return self._value(NumberRow, p, pick(col(NumberRow.lo)), last_number)
            case _:
                return self._written(sort)

    def _written(self, sort: Sort) -> ColumnElement[Any]:
        """Order by what the resource says: the index holds hashes of codes and identifiers, which have no order.

        What is sealed (``records.sealing``) stands behind what is readable, in no order that would tell of it.
        """
        paths = sort_paths(self._rtype, sort.parameter)
        if not paths:
            place = Place("_sort", UnsupportedSearch.code, "this parameter cannot be sorted by")
            raise UnsupportedSearch(f"_sort: {place.message}", places=[place])
        content = sql_cast(func.convert_from(col(self._resource.body), "UTF8"), JSONB)
        found = [
            func.jsonb_path_query_first(content, sql_cast(path, JSONPATH)).op("#>>", return_type=Text())(
                sql_cast(literal("{}"), ARRAY(Text))
            )
            for path in paths
        ]
        ordered: ColumnElement[Any] = func.coalesce(*found, "" if sort.descending else AFTER_ALL)
        return collate(ordered, "C")

    def _has_token(self, hashes: list[int]) -> Condition:
        return (
            exists()
            .where(col(TokenRow.rid) == col(self._resource.rid), col(TokenRow.h).in_(hashes))
            .correlate(self._resource)
        )

    def _has(self, table: "_Row", p: int, condition: Condition) -> Condition:
        found = exists().where(col(table.rid) == col(self._resource.rid), col(table.p) == p, condition)
        return found.correlate(self._resource)

    def _value(
        self, table: "_Row", p: list[int], picked: ColumnElement[Any], last: Any
    ) -> ColumnElement[Any]:
        inner = select(picked).where(col(table.rid) == col(self._resource.rid), col(table.p).in_(p))
        return func.coalesce(inner.correlate(self._resource).scalar_subquery(), last)


def _words_of(clause: Clause) -> Any:
    return col(WordsRow.narrative) if clause.parameter == "_text" else col(WordsRow.content)


def _pair_unit(pairs: Pairs, code: tuple[str, ...], way: QuantityCriterion) -> Condition:
    match way:
        case QuantityCriterion(code=None):
            return col(NumberRow.u) == pairs.unit(code)
        case QuantityCriterion(system=None, code=str(unit)):
            return col(NumberRow.n) == pairs.unit(code, unit)
        case _:
            return col(NumberRow.c) == pairs.unit(code, way.system or "", way.code or "")


_Row = type[DateRow] | type[StringRow] | type[NumberRow]

RANGED: dict[str, _Row] = {
    "date": DateRow,
    "string": StringRow,
    "number": NumberRow,
    "quantity": NumberRow,
}
"""The index table of a search type whose values have an order."""
