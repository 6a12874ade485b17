"""From a typed search to SQL conditions on ``records_resource``. Pure: builds expressions, runs none."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never, cast

from sqlalchemy import ColumnElement, and_, case, exists, false, func, literal, or_, select, true
from sqlmodel import col

from clinic_net.clinical.names import tone_key
from clinic_net.fhir import InvalidSearchValue, UnsupportedSearch
from clinic_net.fhir.criteria import (
    CompositeCriterion,
    Criterion,
    DateCriterion,
    NumberCriterion,
    QuantityCriterion,
    ReferenceCriterion,
    StringCriterion,
    TokenCriterion,
    UriCriterion,
)
from clinic_net.fhir.search import Clause, Sort
from clinic_net.kernel.errors import Place
from clinic_net.records.index import clipped, unit_hash
from clinic_net.records.keys import Keys, parameter_id
from clinic_net.records.model import DateRow, NumberRow, Resource, StringRow, TokenRow

_AFTER_ALL = "\U0010ffff"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_APPROXIMATE = 0.1
"""``ap``: within a tenth of the value, or of the time that has gone by since (FHIR R4 search §3.1.1.4.6)."""

Condition = ColumnElement[bool]


class Query:
    """Conditions and orders of one search on one resource type."""

    def __init__(self, rtype: str, keys: Keys, now: datetime) -> None:
        self._rtype = rtype
        self._keys = keys
        self._now = now

    def condition(self, clause: Clause) -> Condition:
        """Return what a clause demands of a row of ``records_resource``.

        Raises:
            UnsupportedSearch, InvalidSearchValue: it asks for what the index does not hold.
        """
        if clause.modifier == "missing":
            return self._missing(clause)
        if clause.parameter == "_id":
            codes = [value.code for value in clause.values if isinstance(value, TokenCriterion)]
            found: Condition = col(Resource.fid).in_(codes)
            return ~found if clause.modifier == "not" else found
        hashes = self.hashes(clause)
        if hashes is not None:
            found = _has_token(hashes)
            return ~found if clause.modifier == "not" else found
        return or_(*(self._ranged(clause, value) for value in clause.values))

    def hashes(self, clause: Clause) -> list[int] | None:
        """Return the hashes of which a resource must have one, or None for what is not looked up by hash."""
        if clause.parameter in ("_id", "_lastUpdated") or clause.modifier == "missing":
            return None
        name = f"{clause.parameter}:identifier" if clause.modifier == "identifier" else clause.parameter
        found: list[int] = []
        for value in clause.values:
            match value:
                case TokenCriterion(system=system, code=code):
                    found.append(self._keys.token(self._rtype, name, system, code))
                case ReferenceCriterion(keys=references):
                    found.extend(self._keys.value(self._rtype, name, key) for key in references)
                case UriCriterion(uri=uri):
                    found.append(self._keys.value(self._rtype, name, uri))
                case StringCriterion(text=text) if clause.modifier == "exact":
                    found.append(self._keys.value(self._rtype, name, text.exact))
                case _:
                    return None
        return found

    def _missing(self, clause: Clause) -> Condition:
        if clause.parameter in ("_id", "_lastUpdated"):
            return false() if clause.missing else true()
        present = _has_token([self._keys.present(self._rtype, clause.parameter)])
        return ~present if clause.missing else present

    def _ranged(self, clause: Clause, value: Criterion) -> Condition:
        p = parameter_id(self._rtype, clause.parameter)
        match value:
            case DateCriterion() if clause.parameter == "_lastUpdated":
                return _updated(value, self._now)
            case DateCriterion():
                lo, hi = col(DateRow.lo), col(DateRow.hi)
                return _has(DateRow, p, _date(value, lo, hi, self._now))
            case NumberCriterion():
                return _has(NumberRow, p, _number(value))
            case QuantityCriterion():
                return _has(NumberRow, p, and_(_number(value.number), self._unit(clause, value)))
            case StringCriterion(text=text):
                return _has(StringRow, p, _string(text.folded, clause.modifier))
            case CompositeCriterion():
                place = Place(
                    clause.parameter, UnsupportedSearch.code, "composite parameters are not supported"
                )
                raise UnsupportedSearch(f"{clause.parameter}: {place.message}", places=[place])
            case TokenCriterion() | ReferenceCriterion() | UriCriterion():
                raise AssertionError("looked up by hash")
            case _:
                assert_never(value)

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
        same = _has(StringRow, p, column.in_(marked))
        begins = _has(StringRow, p, or_(*(_prefix(column, text) for text in marked)))
        return case((same, 0), (begins, 1), else_=2)

    def order(self, sort: Sort) -> ColumnElement[Any]:
        """Return what to order by; rows without the value come last in either direction.

        Raises:
            UnsupportedSearch: the parameter's values have no order in the index.
        """
        if sort.parameter == "_lastUpdated":
            return cast(ColumnElement[Any], col(Resource.updated))
        if sort.parameter == "_id":
            return cast(ColumnElement[Any], col(Resource.fid))
        p = parameter_id(self._rtype, sort.parameter)
        pick = func.max if sort.descending else func.min
        match sort.type:
            case "date":
                last = -(2**62) - 1 if sort.descending else 2**62 + 1
                return _value(DateRow, p, pick(col(DateRow.lo)), last)
            case "string":
                return _value(
                    StringRow, p, pick(col(StringRow.folded)), "" if sort.descending else _AFTER_ALL
                )
            case "number" | "quantity":
                last_number = float("-inf") if sort.descending else float("inf")
                return _value(NumberRow, p, pick(col(NumberRow.lo)), last_number)
            case _:
                place = Place("_sort", UnsupportedSearch.code, "this parameter cannot be sorted by")
                raise UnsupportedSearch(f"_sort: {place.message}", places=[place])


_Row = type[DateRow] | type[StringRow] | type[NumberRow]


def _has_token(hashes: list[int]) -> Condition:
    found = exists().where(col(TokenRow.rid) == col(Resource.rid), col(TokenRow.h).in_(hashes))
    return found.correlate(Resource)


def _has(table: _Row, p: int, condition: Condition) -> Condition:
    found = exists().where(col(table.rid) == col(Resource.rid), col(table.p) == p, condition)
    return found.correlate(Resource)


def _value(table: _Row, p: int, picked: ColumnElement[Any], last: Any) -> ColumnElement[Any]:
    inner = select(picked).where(col(table.rid) == col(Resource.rid), col(table.p) == p).correlate(Resource)
    return func.coalesce(inner.scalar_subquery(), last)


def _prefix(column: Any, text: str) -> Condition:
    """A computed range, which always finds its index; ``like`` with a parameter does not."""
    if not text:
        return false()
    return and_(column >= text, column < text + _AFTER_ALL)


def _string(folded: str, modifier: str) -> Condition:
    text = clipped(folded)
    if not text:
        return false()
    if modifier == "contains":
        return func.strpos(col(StringRow.folded), text) > 0
    return _prefix(col(StringRow.folded), text)


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _widened(value: DateCriterion, now: datetime) -> tuple[int, int]:
    leeway = int(abs(_micros(now) - value.lo) * _APPROXIMATE)
    return value.lo - leeway, value.hi + leeway


def _date(value: DateCriterion, lo: Any, hi: Any, now: datetime) -> Condition:
    """Compare half-open ranges (FHIR R4 search §3.1.1.4.6, date)."""
    a, b = value.lo, value.hi
    near = _widened(value, now)
    conditions: dict[str, Callable[[], Condition]] = {
        "eq": lambda: and_(lo >= a, hi <= b),
        "ne": lambda: or_(lo < a, hi > b),
        "gt": lambda: hi > b,
        "lt": lambda: lo < a,
        "ge": lambda: or_(lo >= a, hi > b),
        "le": lambda: or_(hi <= b, lo < a),
        "sa": lambda: lo >= b,
        "eb": lambda: hi <= a,
        "ap": lambda: and_(lo < near[1], hi > near[0]),
    }
    return conditions[value.prefix]()


def _moment(micros: int) -> datetime:
    lowest, highest = _micros(datetime.min.replace(tzinfo=UTC)), _micros(datetime.max.replace(tzinfo=UTC))
    return _EPOCH + timedelta(microseconds=max(lowest, min(highest, micros)))


def _updated(value: DateCriterion, now: datetime) -> Condition:
    at = col(Resource.updated)
    a, b = _moment(value.lo), _moment(value.hi)
    near = tuple(_moment(edge) for edge in _widened(value, now))
    conditions: dict[str, Callable[[], Condition]] = {
        "eq": lambda: and_(at >= a, at < b),
        "ne": lambda: or_(at < a, at >= b),
        "gt": lambda: at >= b,
        "lt": lambda: at < a,
        "ge": lambda: at >= a,
        "le": lambda: at < b,
        "sa": lambda: at >= b,
        "eb": lambda: at < a,
        "ap": lambda: and_(at >= near[0], at < near[1]),
    }
    return conditions[value.prefix]()


def _number(value: NumberCriterion) -> Condition:
    """Compare with a stored number, or range of one (FHIR R4 search §3.1.1.4.6, number)."""
    lo, hi = col(NumberRow.lo), col(NumberRow.hi)
    x, low, high = float(value.value), float(value.low), float(value.high)
    leeway = abs(x) * _APPROXIMATE
    conditions: dict[str, Callable[[], Condition]] = {
        "eq": lambda: and_(lo >= low, hi < high),
        "ne": lambda: or_(lo < low, hi >= high),
        "gt": lambda: hi > x,
        "lt": lambda: lo < x,
        "ge": lambda: hi >= x,
        "le": lambda: lo <= x,
        "sa": lambda: lo > x,
        "eb": lambda: hi < x,
        "ap": lambda: and_(lo <= x + leeway, hi >= x - leeway),
    }
    return conditions[value.prefix]()


def beyond(orders: list[tuple[ColumnElement[Any], bool]], values: list[Any]) -> Condition:
    """The rows that come after the one with these values, in these orders (expression, descending)."""
    alternatives: list[Condition] = []
    equal: list[Condition] = []
    for (expression, descending), value in zip(orders, values, strict=True):
        bound = literal(value)
        alternatives.append(and_(*equal, expression < bound if descending else expression > bound))
        equal.append(expression == bound)
    return or_(*alternatives)
