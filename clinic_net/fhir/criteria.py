"""Search values as a caller writes them, read by the type of their parameter (FHIR R4 search §3.1.1.4–5)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from .dates import date_range
from .definitions import SearchParameter, resource_types
from .errors import InvalidSearchValue, places
from .values import Text, reference_key, text

PREFIXES = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"})
MAX_BARE_TARGETS = 20
"""A bare id is tried against every type the parameter may point to; with more types than this, name the type."""

DEFAULT_DISTANCE = 10
"""Kilometres, where ``near`` gives none."""
_KILOMETRES = {"": 1.0, "km": 1.0, "m": 0.001, "[mi_us]": 1.609347, "[mi_i]": 1.609344}

_NUMBER = re.compile(r"[+-]?\d{1,30}(?:\.\d{1,30})?(?:[eE][+-]?\d{1,2})?", re.ASCII)
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_ESCAPED = re.compile(r"\\([\\,$|])")


@dataclass(frozen=True, slots=True)
class TokenCriterion:
    """``system`` None: any; "": none at all. ``code`` None: any code of the system."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class StringCriterion:
    """``text.folded`` is compared from the start (default), anywhere (contains); ``text.exact`` as a whole (exact)."""

    text: Text


@dataclass(frozen=True, slots=True)
class DateCriterion:
    """Half-open range in microseconds since the epoch, with the prefix's relation to it."""

    prefix: str
    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class NumberCriterion:
    """``low`` ≤ x < ``high`` is what "equal" means at the precision that was written."""

    prefix: str
    value: Decimal
    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class QuantityCriterion:
    """``system`` None: any system, and ``code`` may then be the written unit too. ``code`` None: any unit.

    ``equal`` is the same in other units, any of which will do.
    """

    number: NumberCriterion
    system: str | None
    code: str | None
    equal: tuple["QuantityCriterion", ...] = ()


@dataclass(frozen=True, slots=True)
class ReferenceCriterion:
    """Any of ``keys`` (``Type/id`` or an outside address)."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UriCriterion:
    uri: str


@dataclass(frozen=True, slots=True)
class CompositeCriterion:
    """One criterion per component, all met by the same repetition."""

    parts: tuple["Criterion", ...]


@dataclass(frozen=True, slots=True)
class OfTypeCriterion:
    """An identifier's value with the coding of its type."""

    system: str
    code: str
    value: str


@dataclass(frozen=True, slots=True)
class ValueSetCriterion:
    """The codes of a value set, named by its canonical address."""

    url: str


@dataclass(frozen=True, slots=True)
class WordsCriterion:
    """A full-text query (see ``fulltext``)."""

    query: str


@dataclass(frozen=True, slots=True)
class NearCriterion:
    """A circle: WGS84 degrees and kilometres."""

    latitude: float
    longitude: float
    kilometres: float


Criterion = (
    TokenCriterion
    | StringCriterion
    | DateCriterion
    | NumberCriterion
    | QuantityCriterion
    | ReferenceCriterion
    | UriCriterion
    | CompositeCriterion
    | OfTypeCriterion
    | NearCriterion
    | ValueSetCriterion
    | WordsCriterion
)


@dataclass(frozen=True, slots=True)
class Asked:
    """How a value is to be read: the parameter, and for references the types it may name and our own address."""

    parameter: SearchParameter
    targets: frozenset[str] | None = None
    base_url: str | None = None

    def invalid(self, message: str) -> InvalidSearchValue:
        """Return the refusal of a value of this parameter."""
        code = self.parameter.code
        return InvalidSearchValue(f"{code}: {message}", places=places(code, InvalidSearchValue.code, message))


def split(value: str, separator: str) -> list[str]:
    """Split at a separator that no backslash escapes; escapes stay."""
    parts = [""]
    escaped = False
    for character in value:
        if character == separator and not escaped:
            parts.append("")
            continue
        parts[-1] += character
        escaped = character == "\\" and not escaped
    return parts


def unescape(value: str) -> str:
    """Replace ``\\,``, ``\\$``, ``\\|`` and ``\\\\`` by what they stand for."""
    return _ESCAPED.sub(r"\1", value)


def read(asked: Asked, value: str) -> Criterion:
    """Return the criterion that one alternative (already split at commas) means. Raises InvalidSearchValue."""
    if not value:
        raise asked.invalid("an empty value")
    return _READERS[asked.parameter.type](asked, value)


def read_token(asked: Asked, value: str) -> TokenCriterion:
    """Return a token: ``code``, ``system|code``, ``|code`` or ``system|``."""
    system, *rest = (unescape(part) for part in split(value, "|"))
    if not rest:
        return TokenCriterion(None, system)
    if len(rest) > 1 or not (system or rest[0]):
        raise asked.invalid("must be code, system|code, |code or system|")
    return TokenCriterion(system, rest[0] or None)


def read_of_type(asked: Asked, value: str) -> OfTypeCriterion:
    """Return ``system|code|value`` of ``:of-type``. Raises InvalidSearchValue."""
    parts = [unescape(part) for part in split(value, "|")]
    if len(parts) != 3 or not all(parts):
        raise asked.invalid("must be system|code|value")
    return OfTypeCriterion(*parts)


def read_text(asked: Asked, value: str) -> StringCriterion:
    """Return the text of ``:text``. Raises InvalidSearchValue."""
    if not value:
        raise asked.invalid("an empty value")
    return _string(asked, value)


def _near(asked: Asked, value: str) -> NearCriterion:
    """Location.near: latitude|longitude|distance|units (FHIR R4 location.html, search parameter near)."""
    latitude, longitude, distance, unit, *more = [*value.split("|"), "", "", ""][
        : max(4, value.count("|") + 1)
    ]
    if more or not _NUMBER.fullmatch(latitude) or not _NUMBER.fullmatch(longitude):
        raise asked.invalid("must be latitude|longitude|distance|units")
    if unit not in _KILOMETRES or (distance and not _NUMBER.fullmatch(distance)):
        raise asked.invalid("the distance must be a number in km, m or [mi_us]")
    found = NearCriterion(
        float(latitude), float(longitude), float(distance or DEFAULT_DISTANCE) * _KILOMETRES[unit]
    )
    if abs(found.latitude) > 90 or abs(found.longitude) > 180 or not 0 <= found.kilometres <= 20_100:
        raise asked.invalid("no such place or distance on Earth")
    return found


def _string(_asked: Asked, value: str) -> StringCriterion:
    return StringCriterion(text(unescape(value)))


def _prefixed(value: str) -> tuple[str, str]:
    return (value[:2], value[2:]) if value[:2] in PREFIXES else ("eq", value)


def _date(asked: Asked, value: str) -> DateCriterion:
    prefix, rest = _prefixed(value)
    try:
        return DateCriterion(prefix, *date_range(rest))
    except ValueError:
        raise asked.invalid(
            "must be a date such as 2026, 2026-05, 2026-05-01 or 2026-05-01T08:30:00+07:00"
        ) from None


def read_overlap(asked: Asked, value: str) -> DateCriterion:
    """Return a date with which a value must overlap. Raises InvalidSearchValue."""
    found = _date(asked, value)
    if found.prefix != "eq" or value[:2] == "eq":
        raise asked.invalid("a date without a prefix")
    return DateCriterion("po", found.lo, found.hi)


def _number(asked: Asked, value: str) -> NumberCriterion:
    prefix, rest = _prefixed(value)
    if not _NUMBER.fullmatch(rest):
        raise asked.invalid("must be a number")
    number = Decimal(rest)
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    # The standard's own examples: 100 is 99.5 to 100.5, 100.00 is 99.995 to 100.005, 1e2 is 95 to 105.
    half = Decimal(5).scaleb(exponent - 1 if exponent <= 0 else exponent - 2)
    return NumberCriterion(prefix, number, number - half, number + half)


def _quantity(asked: Asked, value: str) -> QuantityCriterion:
    number, *unit = (unescape(part) for part in split(value, "|"))
    if len(unit) not in (0, 2):
        raise asked.invalid("must be number, number|system|code or number||code")
    system, code = unit or ("", "")
    return QuantityCriterion(_number(asked, number), system or None, code or None)


def _reference(asked: Asked, value: str) -> ReferenceCriterion:
    key = reference_key(unescape(value), asked.base_url)
    if not key:
        raise asked.invalid("must be Type/id, id or an absolute address")
    if ":" in key:
        return ReferenceCriterion((key,))
    resource_type, slash, identity = key.rpartition("/")
    if not ID.fullmatch(identity):
        raise asked.invalid("must be Type/id, id or an absolute address")
    if slash:
        if resource_type not in resource_types():
            raise asked.invalid("there is no such resource type")
        if asked.targets is not None and resource_type not in asked.targets:
            raise asked.invalid("it does not point to resources of that type")
        return ReferenceCriterion((key,))
    if asked.targets is None or len(asked.targets) > MAX_BARE_TARGETS:
        raise asked.invalid("name the resource type: Type/id")
    return ReferenceCriterion(tuple(f"{target}/{identity}" for target in sorted(asked.targets)))


def _uri(_asked: Asked, value: str) -> UriCriterion:
    return UriCriterion(unescape(value))


def _composite(asked: Asked, value: str) -> CompositeCriterion:
    parts = split(value, "$")
    components = asked.parameter.components
    if len(parts) != len(components):
        raise asked.invalid(f"needs {len(components)} parts with $ between them")
    found = []
    for part, (_code, kind, _path) in zip(parts, components, strict=True):
        parameter = SearchParameter(asked.parameter.code, kind, asked.parameter.url, "", None, ())
        criterion = read(Asked(parameter, None, asked.base_url), part)
        if isinstance(criterion, TokenCriterion) and criterion.code is None:
            raise asked.invalid("a system needs a code")
        found.append(criterion)
    return CompositeCriterion(tuple(found))


_READERS: dict[str, Callable[[Asked, str], Criterion]] = {
    "token": read_token,
    "string": _string,
    "date": _date,
    "number": _number,
    "quantity": _quantity,
    "reference": _reference,
    "uri": _uri,
    "composite": _composite,
    "special": _near,
}
