"""Search values: what an element means to a search parameter of each type (FHIR R4 search §3.1.1.4).

Every converter takes a value that has passed the structural check.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from clinic_net.clinical.names import fold

from .dates import EARLIEST, LATEST, date_range

MAX_FOLDED = 512
_SHORT = 80
"""Characters of a folded text that are indexed: a prefix search needs no more, and an index row stays small."""
CURRENCY = "urn:iso:std:iso:4217"


@dataclass(frozen=True, slots=True)
class Token:
    """A code in a system; ``system`` is None where the element gives none."""

    system: str | None
    code: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text as compared by default (case, marks and spacing folded) and as written."""

    folded: str
    exact: str


@dataclass(frozen=True, slots=True)
class DateRange:
    """Half open, in microseconds since the epoch; see ``dates``."""

    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class QuantityValue:
    """An amount from ``low`` to ``high`` (None: open), in a coded or a written unit."""

    low: Decimal | None
    high: Decimal | None
    system: str | None
    code: str | None
    unit: str | None


@dataclass(frozen=True, slots=True)
class Context:
    """What a converter may need beside the value."""

    systems: Mapping[str, str] | None = None
    base_url: str | None = None


Value = Token | Text | DateRange | QuantityValue | Decimal | str
Convert = Callable[[Any, Context], Iterator[Value]]


def _coding(value: Any, _context: Context) -> Iterator[Token]:
    if (code := value.get("code")) is not None:
        yield Token(value.get("system"), code)


def _concept(value: Any, context: Context) -> Iterator[Token]:
    for coding in value.get("coding", ()):
        yield from _coding(coding, context)


def _identifier(value: Any, _context: Context) -> Iterator[Token]:
    if (text := value.get("value")) is not None:
        yield Token(value.get("system"), text)


def _code(value: Any, context: Context) -> Iterator[Token]:
    yield Token(context.systems.get(value) if context.systems else None, value)


def _boolean(value: Any, _context: Context) -> Iterator[Token]:
    yield Token(None, "true" if value else "false")


def _plain_token(value: Any, _context: Context) -> Iterator[Token]:
    yield Token(None, value)


def text(value: str) -> Text:
    """Return a text with its folded form."""
    return _short(value) if len(value) <= _SHORT else Text(fold(value)[:MAX_FOLDED], value)


@lru_cache(maxsize=8192)
def _short(value: str) -> Text:
    """The same words come again and again: displays of codes, family names."""
    return Text(fold(value), value)


def _string(value: Any, _context: Context) -> Iterator[Text]:
    yield text(value)


def _members(value: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        found = value.get(name)
        if isinstance(found, str):
            yield found
        elif isinstance(found, list):
            yield from (part for part in found if isinstance(part, str))


def _human_name(value: Any, _context: Context) -> Iterator[Text]:
    for part in _members(value, ("text", "family", "given", "prefix", "suffix")):
        yield text(part)
    # In Vietnamese order, so that a whole name can be typed as it is spoken.
    yield text(" ".join(_members(value, ("family", "given"))))


def _address(value: Any, _context: Context) -> Iterator[Text]:
    names = ("text", "line", "city", "district", "state", "postalCode", "country")
    for part in _members(value, names):
        yield text(part)


def _date(value: Any, _context: Context) -> Iterator[DateRange]:
    yield DateRange(*date_range(value))


def _period(value: Any, _context: Context) -> Iterator[DateRange]:
    start, end = value.get("start"), value.get("end")
    if start is not None or end is not None:
        yield DateRange(date_range(start)[0] if start else EARLIEST, date_range(end)[1] if end else LATEST)


def _timing(value: Any, context: Context) -> Iterator[DateRange]:
    ranges = [date_range(event) for event in value.get("event", ()) if event is not None]
    bounds = value.get("repeat", {}).get("boundsPeriod")
    if bounds is not None:
        ranges.extend((found.lo, found.hi) for found in _period(bounds, context))
    if ranges:
        yield DateRange(min(lo for lo, _ in ranges), max(hi for _, hi in ranges))


def reference_key(reference: str, base_url: str | None) -> str | None:
    """Return ``Type/id`` of a local reference, any other address as it is, None for what is inside the resource."""
    if base_url and reference.startswith(base_url):
        reference = reference[len(base_url) :].lstrip("/")
    if reference.startswith("#") or ("?" in reference and "://" not in reference):
        return None
    return reference.split("/_history/")[0]


def _reference(value: Any, context: Context) -> Iterator[Value]:
    if (target := value.get("reference")) is not None and (key := reference_key(target, context.base_url)):
        yield key
    if (identifier := value.get("identifier")) is not None:
        yield from _identifier(identifier, context)


def _canonical(value: Any, _context: Context) -> Iterator[str]:
    yield value
    if "|" in value:
        yield value.split("|")[0]


def _uri(value: Any, _context: Context) -> Iterator[str]:
    yield value


def _decimal(value: Any) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(value)


def _number(value: Any, _context: Context) -> Iterator[Decimal]:
    yield _decimal(value)


def _beside(number: Decimal, towards: float) -> Decimal:
    """Return the nearest number that the index tells apart: what is less than 5 does not reach 5."""
    return Decimal(math.nextafter(float(number), towards))


def _quantity(value: Any, _context: Context) -> Iterator[QuantityValue]:
    if (amount := value.get("value")) is None:
        return
    number = _decimal(amount)
    comparator = value.get("comparator", "")
    yield QuantityValue(
        None if comparator.startswith("<") else _beside(number, math.inf) if comparator == ">" else number,
        None if comparator.startswith(">") else _beside(number, -math.inf) if comparator == "<" else number,
        value.get("system"),
        value.get("code"),
        value.get("unit"),
    )


def _money(value: Any, _context: Context) -> Iterator[QuantityValue]:
    if (amount := value.get("value")) is not None:
        number = _decimal(amount)
        yield QuantityValue(number, number, CURRENCY, value.get("currency"), None)


def _range(value: Any, _context: Context) -> Iterator[QuantityValue]:
    low, high = value.get("low", {}), value.get("high", {})
    unit = low or high
    if "value" in low or "value" in high:
        yield QuantityValue(
            _decimal(low["value"]) if "value" in low else None,
            _decimal(high["value"]) if "value" in high else None,
            unit.get("system"),
            unit.get("code"),
            unit.get("unit"),
        )


CONVERTERS: dict[tuple[str, str], Convert] = {
    ("token", "Coding"): _coding,
    ("token", "CodeableConcept"): _concept,
    ("token", "Identifier"): _identifier,
    ("token", "ContactPoint"): _identifier,
    ("token", "code"): _code,
    ("token", "boolean"): _boolean,
    **{("token", name): _plain_token for name in ("id", "string", "uri", "canonical", "oid", "uuid", "url")},
    ("string", "string"): _string,
    ("string", "markdown"): _string,
    ("string", "HumanName"): _human_name,
    ("string", "Address"): _address,
    **{("date", name): _date for name in ("date", "dateTime", "instant")},
    ("date", "Period"): _period,
    ("date", "Timing"): _timing,
    ("reference", "Reference"): _reference,
    ("reference", "canonical"): _canonical,
    ("reference", "uri"): _canonical,
    **{("uri", name): _uri for name in ("uri", "url", "oid", "uuid")},
    ("uri", "canonical"): _canonical,
    **{("number", name): _number for name in ("integer", "decimal", "positiveInt", "unsignedInt")},
    **{("quantity", name): _quantity for name in ("Quantity", "Age", "Duration", "Distance", "Count")},
    ("quantity", "Money"): _money,
    ("quantity", "Range"): _range,
}
"""By search parameter type and data type."""
