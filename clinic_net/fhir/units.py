"""Units of UCUM in base units, so that 5400 ug is found as 5.4 mg and 98.6 [degF] as 37 Cel (ADR 13).

A search is asked in every unit of its kind that the records use; what is stored stays as it is. What a unit means is
read from UCUM's own tables by ``ucumvert`` (over ``pint``), which take a second to load. They are loaded for the first
unit that is not in ``EVERYDAY``; a unit seen before is one dictionary look-up. A unit that is not understood has no
base units: it is found as it is written, and nothing fails.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import cache, lru_cache
from typing import Any

import structlog

from .criteria import NumberCriterion, QuantityCriterion

log = structlog.get_logger()

UCUM = "http://unitsofmeasure.org"
_MAX_CODE = 40
_DIGITS = Context(prec=9)
"""Of a converted amount: what two ways of saying the same have in common, below the noise of a factor like 5/9."""
_FACTOR_DIGITS = Context(prec=12)

_HUGE = re.compile(r"\d{4}|[*^][+-]?\d{3}|[A-Za-z\]'%][+-]?\d{2}")
"""Powers that no measurement has, and that would take long to work out."""
_ANNOTATION = re.compile(r"\{[^{}]*\}")
_ARBITRARY = re.compile(
    r"\[(?:[iI]U|[A-Za-z']+'U|[CPF]FU|BAU|AU|PNU|FEU|ELU|EU|IR|Lf|(?:CC|TC|E)ID_50)\]", re.ASCII
)
"""Arbitrary units (UCUM §24): an international unit of one substance is none of another, and never a number."""


@dataclass(frozen=True, slots=True)
class CanonicalUnit:
    """``amount`` × ``factor`` + ``offset`` is the amount in base units; ``dimension`` says what is measured."""

    dimension: str
    factor: Decimal
    offset: Decimal


def _unit(dimension: str, factor: str, offset: str = "0") -> CanonicalUnit:
    return CanonicalUnit(dimension, Decimal(factor), Decimal(offset))


EVERYDAY = {
    "%": _unit("1", "0.01"),
    "/min": _unit("1/s", "0.0166666666667"),
    "{beats}/min": _unit("1/s", "0.0166666666667"),
    "{breaths}/min": _unit("1/s", "0.0166666666667"),
    "10*3/uL": _unit("1/m3", "1E+12"),
    "10*6/uL": _unit("1/m3", "1E+15"),
    "10*9/L": _unit("1/m3", "1E+12"),
    "10*12/L": _unit("1/m3", "1E+15"),
    "Cel": _unit("K", "1", "273.15"),
    "K": _unit("K", "1"),
    "[degF]": _unit("K", "0.555555555556", "255.372222222"),
    "a": _unit("s", "31557600"),
    "cm": _unit("m", "0.01"),
    "d": _unit("s", "86400"),
    "fL": _unit("m3", "1E-18"),
    "g": _unit("kg", "0.001"),
    "g/dL": _unit("kg/m3", "10"),
    "g/L": _unit("kg/m3", "1"),
    "h": _unit("s", "3600"),
    "kg": _unit("kg", "1"),
    "kg/m2": _unit("kg/m2", "1"),
    "L": _unit("m3", "0.001"),
    "m": _unit("m", "1"),
    "mg": _unit("kg", "0.000001"),
    "mg/dL": _unit("kg/m3", "0.01"),
    "min": _unit("s", "60"),
    "mL": _unit("m3", "0.000001"),
    "mm": _unit("m", "0.001"),
    "mm[Hg]": _unit("kg/m/s2", "133.322387415"),
    "mmol/L": _unit("mol/m3", "1"),
    "mo": _unit("s", "2629800"),
    "ms": _unit("s", "0.001"),
    "pg": _unit("kg", "1E-15"),
    "s": _unit("s", "1"),
    "ug": _unit("kg", "1E-9"),
    "umol/L": _unit("mol/m3", "0.001"),
    "wk": _unit("s", "604800"),
}
"""The units of a commune station and its laboratory; a test holds them to what the tables say."""

_CORRECTED = {"[Cal]": _unit("kg.m2/s2", "4184")}
"""A food Calorie is a thousand calories (UCUM table 5); ucumvert 0.3.2 takes it for one."""


def canonical_unit(system: str | None, code: str | None) -> CanonicalUnit | None:
    """Return what a unit is in base units; None outside UCUM and for what UCUM cannot convert."""
    if system != UCUM or code is None:
        return None
    return EVERYDAY.get(code) or _CORRECTED.get(code) or read_unit(code)


def units_of(value: Any) -> Iterator[str]:
    """Return the codes of UCUM in which a resource, or a part of one, gives amounts."""
    if isinstance(value, Mapping):
        if value.get("system") == UCUM and isinstance(value.get("code"), str):
            yield value["code"]
        for member in value.values():
            yield from units_of(member)
    elif isinstance(value, list):
        for member in value:
            yield from units_of(member)


def same(asked: QuantityCriterion, unit: CanonicalUnit, code: str) -> QuantityCriterion | None:
    """Return what is asked (in ``unit``) in another unit of UCUM; None where that is no unit of the same kind."""
    other = canonical_unit(UCUM, code)
    if other is None or other.dimension != unit.dimension:
        return None
    number = asked.number
    value, low, high = (convert(edge, unit, other) for edge in (number.value, number.low, number.high))
    return QuantityCriterion(NumberCriterion(number.prefix, value, low, high), UCUM, code)


def convert(amount: Decimal, unit: CanonicalUnit, other: CanonicalUnit) -> Decimal:
    """Return an amount in another unit of the same dimension."""
    with localcontext(prec=40):
        exact = (amount * unit.factor + unit.offset - other.offset) / other.factor
    return _DIGITS.plus(exact)


@lru_cache(maxsize=4096)
def read_unit(code: str) -> CanonicalUnit | None:
    """Return what UCUM's tables say of a unit. Whatever goes wrong in them, the unit is not understood."""
    if len(code) > _MAX_CODE or _HUGE.search(_ANNOTATION.sub("", code)) or not code.isascii():
        return None
    try:
        return _from_tables(code)
    except Exception as failure:  # noqa: BLE001 -- the libraries raise what they like, and a write must not fail
        log.debug("unit_not_understood", error=type(failure).__name__)
        return None


def _from_tables(code: str) -> CanonicalUnit | None:
    quantity = _tables()
    points = [quantity(amount, code).to_base_units() for amount in (0.0, 1.0, 1000.0)]
    zero, one, far = (float(point.magnitude) for point in points)
    factor = (far - zero) / 1000
    if factor <= 0 or abs(one - zero - factor) > factor * 1e-6:
        return None  # a logarithm, or another scale that is no straight line
    dimension = _named(points[0].units) + "".join(sorted(_arbitrary(code)))
    exact, moved = (_FACTOR_DIGITS.create_decimal(repr(number)) for number in (factor, zero))
    return CanonicalUnit(dimension, exact, moved)


def _arbitrary(code: str) -> set[str]:
    return {atom.replace("[IU]", "[iU]") for atom in _ARBITRARY.findall(code)}


_SHORT = {"kilogram": "kg", "meter": "m", "second": "s", "kelvin": "K", "mole": "mol", "radian": "rad"}


def _named(units: Any) -> str:
    powers = sorted((_SHORT.get(name, name), power) for name, power in units._units.items())
    return _product([(name, power) for name, power in powers if power > 0]) + "".join(
        f"/{_product([(name, -power)])}" for name, power in powers if power < 0
    )


def _product(powers: list[tuple[str, Any]]) -> str:
    return ".".join(name if power == 1 else f"{name}{power:g}" for name, power in powers) or "1"


@cache
def _tables() -> Callable[[float, str], Any]:
    # It takes a second, and most hubs never need it; it has no type hints.
    from ucumvert import PintUcumRegistry  # type: ignore[import-untyped]  # noqa: PLC0415

    registry = PintUcumRegistry()

    def quantity(amount: float, code: str) -> Any:
        return registry.Quantity(amount, registry.from_ucum(code).units)

    return quantity
