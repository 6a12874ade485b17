"""The primitive data types of FHIR R4 as tests of a JSON value.

Source of every format: FHIR R4 data types §2.24.0.1; the regular expressions are those of the official definitions,
anchored. The calendar is checked beyond them (no 31 February).
"""

import re
from calendar import monthrange
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from .definitions import primitives
from .narrative import problem

MAX_STRING = 1024 * 1024
"""FHIR R4: strings shall not exceed 1,048,576 characters."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""What neither a FHIR string nor XML may hold."""
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]*+={0,2}\s*", re.ASCII)
_MAX_INTEGER = 2**31 - 1

Test = Callable[[Any], bool]


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(primitives()[name], re.ASCII)


_DATE, _DATETIME, _INSTANT = _pattern("date"), _pattern("dateTime"), _pattern("instant")
_TIME, _OID, _UUID, _ID = _pattern("time"), _pattern("oid"), _pattern("uuid"), _pattern("id")
_URI = re.compile("[^\\s\x00-\x1f\x7f\ufffe\uffff]+")
_CODE = re.compile("[^\\s\x00-\x1f\x7f\ufffe\uffff]+(?: [^\\s\x00-\x1f\x7f\ufffe\uffff]+)*+")


def _is_string(value: Any) -> bool:
    return (
        type(value) is str
        and 0 < len(value) <= MAX_STRING
        and (value.isprintable() or not _CONTROL.search(value))
        and not value.isspace()
    )


def _matches(pattern: re.Pattern[str]) -> Test:
    full = pattern.fullmatch

    def test(value: Any) -> bool:
        return type(value) is str and full(value) is not None

    return test


def _in_calendar(pattern: re.Pattern[str]) -> Test:
    full = pattern.fullmatch

    def test(value: Any) -> bool:
        if type(value) is not str or full(value) is None:
            return False
        if len(value) < 10 or value[8:10] < "29":
            return True
        return int(value[8:10]) <= monthrange(int(value[:4]), int(value[5:7]))[1]

    return test


def _is_boolean(value: Any) -> bool:
    return value is True or value is False


def _in_range(lowest: int) -> Test:
    def test(value: Any) -> bool:
        return type(value) is int and lowest <= value <= _MAX_INTEGER

    return test


def _is_decimal(value: Any) -> bool:
    return type(value) is int or (type(value) is Decimal and value.is_finite())


def _is_base64(value: Any) -> bool:
    if type(value) is not str or not value or _BASE64.fullmatch(value) is None:
        return False
    return len("".join(value.split())) % 4 == 0


def _is_narrative(value: Any) -> bool:
    return type(value) is str and problem(value) is None


TESTS: dict[str, Test] = {
    "base64Binary": _is_base64,
    "boolean": _is_boolean,
    "canonical": _matches(_URI),
    "code": _matches(_CODE),
    "date": _in_calendar(_DATE),
    "dateTime": _in_calendar(_DATETIME),
    "decimal": _is_decimal,
    "id": _matches(_ID),
    "instant": _in_calendar(_INSTANT),
    "integer": _in_range(-_MAX_INTEGER - 1),
    "markdown": _is_string,
    "oid": _matches(_OID),
    "positiveInt": _in_range(1),
    "string": _is_string,
    "time": _matches(_TIME),
    "unsignedInt": _in_range(0),
    "uri": _matches(_URI),
    "url": _matches(_URI),
    "uuid": _matches(_UUID),
    "xhtml": _is_narrative,
}
"""By data type: is this JSON value one of its values? Decimals are ``Decimal`` or ``int``, never ``float``."""

_JSON_TYPES: dict[str, tuple[str, tuple[type, ...]]] = {
    "boolean": ("a boolean", (bool,)),
    "decimal": ("a number", (int, Decimal)),
    "integer": ("a number", (int, Decimal)),
    "positiveInt": ("a number", (int, Decimal)),
    "unsignedInt": ("a number", (int, Decimal)),
}


def explain(name: str, value: Any) -> tuple[str, str]:
    """Return issue code and words for a value that failed the test of data type ``name``, without the value."""
    words, types = _JSON_TYPES.get(name, ("a string", (str,)))
    if type(value) not in types:
        return "structure", f"must be {words} in JSON ({name})"
    if name == "xhtml":
        words = problem(value) or ""
        return "invariant" if words.startswith("txt-") else "value", words
    return "value", f"is not a valid {name}"
