"""How a searched value is compared with an index row: prefixes, ranges, beginnings, what comes behind a cursor."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, literal, or_
from sqlmodel import col

from clinic_net.fhir.criteria import DateCriterion, NumberCriterion
from clinic_net.records.index import clipped
from clinic_net.records.model import NumberRow, StringRow

AFTER_ALL = "\U0010ffff"
"""Sorts behind every text."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_APPROXIMATE = 0.1
"""``ap``: within a tenth of the value, or of the time that has gone by since (FHIR R4 search §3.1.1.4.6)."""

Condition = ColumnElement[bool]


def prefix(column: Any, text: str) -> Condition:
    """A computed range, which always finds its index; ``like`` with a parameter does not."""
    if not text:
        return false()
    return and_(column >= text, column < text + AFTER_ALL)


def begins_or_holds(folded: str, modifier: str) -> Condition:
    """A text begins so (found in the index), is equal, or ends so or holds it anywhere (looked at row by row)."""
    text = clipped(folded)
    if not text:
        return false()
    if modifier == "contains":
        return func.strpos(col(StringRow.folded), text) > 0
    if modifier == "ends":
        return func.right(col(StringRow.folded), len(text)) == text
    if modifier == "equals":
        return col(StringRow.folded) == text
    return prefix(col(StringRow.folded), text)


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _widened(value: DateCriterion, now: datetime) -> tuple[int, int]:
    leeway = int(abs(_micros(now) - value.lo) * _APPROXIMATE)
    return value.lo - leeway, value.hi + leeway


def date(value: DateCriterion, lo: Any, hi: Any, now: datetime) -> Condition:
    """Compare half-open ranges (FHIR R4 search §3.1.1.4.6, date)."""
    a, b = value.lo, value.hi

    def near() -> Condition:
        first, last = _widened(value, now)
        return and_(lo < last, hi > first)

    conditions: dict[str, Callable[[], Condition]] = {
        "eq": lambda: and_(lo >= a, hi <= b),
        "ne": lambda: or_(lo < a, hi > b),
        "gt": lambda: hi > b,
        "lt": lambda: lo < a,
        "ge": lambda: or_(lo >= a, hi > b),
        "le": lambda: or_(hi <= b, lo < a),
        "sa": lambda: lo >= b,
        "eb": lambda: hi <= a,
        "ap": near,
        "po": lambda: and_(lo < b, hi > a),
    }
    return conditions[value.prefix]()


def _moment(micros: int) -> datetime:
    lowest, highest = _micros(datetime.min.replace(tzinfo=UTC)), _micros(datetime.max.replace(tzinfo=UTC))
    return _EPOCH + timedelta(microseconds=max(lowest, min(highest, micros)))


def updated(value: DateCriterion, at: Any, now: datetime) -> Condition:
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
        "po": lambda: and_(at >= a, at < b),
    }
    return conditions[value.prefix]()


def number(value: NumberCriterion) -> Condition:
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
