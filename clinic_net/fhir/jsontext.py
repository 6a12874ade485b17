"""FHIR JSON as text: strict reading, stamping without rewriting, writing with decimals as they are.

The received text is the record. ``parse`` gives a view of it to check and index, in which a decimal is a
``decimal.Decimal`` that keeps its digits (72.50 stays 72.50); ``stamp`` sets ``id`` and ``meta`` in the text and leaves
every other byte alone; ``write`` turns plain data of our own into text.

What is refused (sources: FHIR R4 JSON format §2.6.2, RFC 8259, RFC 7493 I-JSON): more bytes than the limit, more than
64 levels, a member named twice, NaN and infinities, numbers beyond a double or over 64 characters,
NUL and lone surrogates (PostgreSQL's jsonb refuses them), anything but an object at the top, a byte order mark.
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

import orjson

from .errors import MalformedJson, ResourceTooLarge

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
MAX_NUMBER_LENGTH = 64
MIN_EXPONENT = -400
"""Of the last digit. PostgreSQL's numeric stops at 16,383 digits behind the point; a double at 324."""
MAX_LOCATED = 128 * 1024
"""Characters in which a repeated name is looked for again to say where it is: a refusal must stay cheap."""
_MAX_NUMBER = Decimal("1.7976931348623157E+308")

_STRING = r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)'
_NUMBER = r"NaN|-?Infinity|-?\d[\d.eE+-]*"
_STRINGS = re.compile(_STRING, re.DOTALL)
_TOKENS = re.compile(
    rf"(?P<string>{_STRING})|(?P<open>[{{\[])|(?P<close>[}}\]])|(?P<number>{_NUMBER})", re.DOTALL
)
_SPACE = re.compile(r"[ \t\r\n]*+")
_COLON = re.compile(r"[ \t\r\n]*+:")
_ONE_BRACKET = {code: {"[": "(", "{": "(", "]": ")", "}": ")"}.get(chr(code)) for code in range(128)}
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_HALF = re.compile(r"\\u[dD][89abcdefABCDEF][0-9a-fA-F]{2}")


class _Refused(ValueError):
    """Found by a hook of the decoder, which does not know the place."""


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Refused("a member is named twice")
    return members


def _decimal(text: str) -> Decimal:
    if len(text) > MAX_NUMBER_LENGTH:
        raise _Refused("a number is too long")
    try:
        number = Decimal(text)
    except ArithmeticError:
        raise _Refused("a number is out of range") from None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < MIN_EXPONENT or abs(number) > _MAX_NUMBER:
        raise _Refused("a number is out of range")
    return number


def _integer(text: str) -> int | Decimal:
    if len(text) <= 18 and text != "-0":  # an int has no sign at 0; FHIR's integer has no -0
        return int(text)
    return _decimal(text)


def _constant(_text: str) -> NoReturn:
    raise _Refused("NaN and infinities are not JSON")


_decoder = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=_decimal, parse_int=_integer, parse_constant=_constant
)
_scanner = json.JSONDecoder()


def parse(data: bytes, *, limit: int = MAX_BYTES) -> dict[str, Any]:
    """Return the object that ``data`` (UTF-8 JSON) holds; decimals as ``Decimal``, integers as ``int``.

    ``limit`` is in bytes. Raises ResourceTooLarge, MalformedJson.
    """
    value = parse_value(data, limit=limit)
    if not isinstance(value, dict):
        raise MalformedJson("the text must hold one object", line=1, column=1)
    return value


def parse_value(data: bytes, *, limit: int = MAX_BYTES) -> Any:
    """Return whatever ``data`` holds, as strictly as ``parse``: a patch is an array."""
    text = checked(data, limit=limit)
    try:
        return _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise MalformedJson("not valid JSON", line=error.lineno, column=error.colno) from None
    except (_Refused, RecursionError) as error:
        message = str(error) if isinstance(error, _Refused) else "nested too deeply"
        raise _located(message, text, _find_hook_problem(text)) from None


def checked(data: bytes, *, limit: int, depth: bool = True) -> str:
    """Return the text of bytes that are small and shallow enough and hold no half characters.

    Without ``depth`` the caller looks at the depth of the parts (``may_be_too_deep``).

    Raises ResourceTooLarge, MalformedJson.
    """
    if len(data) > limit:
        raise ResourceTooLarge(f"more than {limit} bytes")
    text = _decode(data)
    if "\\u" in text:
        _refuse_bad_escapes(text)
    if depth:
        _refuse_depth(text)
    return text


def value_at(text: str, at: int) -> tuple[Any, int]:
    """Return the value that begins at ``at``, read as ``parse`` reads, and where it ends. ValueError when it cannot."""
    return _decoder.raw_decode(text, at)


def skip(text: str, at: int) -> int:
    """Return where the next character that is no space stands."""
    space = _SPACE.match(text, at)
    assert space is not None
    return space.end()


def _decode(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _located(
            "not valid UTF-8", data[: error.start].decode("utf-8", "replace"), error.start
        ) from None
    if text.startswith("\ufeff"):
        raise MalformedJson("a byte order mark is not allowed", line=1, column=1)
    return text


def _located(message: str, text: str, position: int | None) -> MalformedJson:
    if position is None:
        return MalformedJson(message)
    before = text[:position]
    return MalformedJson(message, line=before.count("\n") + 1, column=len(before) - before.rfind("\n"))


def _refuse_bad_escapes(text: str) -> None:
    blanked = text.replace("\\\\", "  ")  # keeps places; what is left of \u is an escape
    if (nul := blanked.find("\\u0000")) >= 0:
        raise _located("the character NUL is not allowed", text, nul)
    if half := _HALF.search(_PAIR.sub(" " * 12, blanked)):
        raise _located("half of a surrogate pair", text, half.start())


def _refuse_depth(text: str) -> None:
    if may_be_too_deep(text, 0, len(text)) and (place := _find_depth(text)) is not None:
        raise _located(f"more than {MAX_DEPTH} levels", text, place)


def may_be_too_deep(text: str, start: int, end: int, *, above: int = 0) -> bool:
    """Whether a part of a text that stands below ``above`` levels has more levels than allowed, or unequal brackets."""
    levels = MAX_DEPTH - above
    if text.count("{", start, end) + text.count("[", start, end) <= levels:
        return False
    brackets = _STRINGS.sub("", text[start:end]).translate(_ONE_BRACKET)
    for _ in range(levels):  # every round takes the innermost level away
        if not brackets:
            return False
        before, brackets = len(brackets), brackets.replace("()", "")
        if len(brackets) == before:
            break
    return bool(brackets)


def _find_depth(text: str) -> int | None:
    depth = 0
    for token in _TOKENS.finditer(text):
        depth += (token.lastgroup == "open") - (token.lastgroup == "close")
        if depth > MAX_DEPTH:
            return token.start()
    return None


def _find_hook_problem(text: str) -> int | None:
    """Return where the first repeated member name or unusable number of a refused text stands, if it is not far in."""
    names: list[set[str] | None] = []
    for token in _TOKENS.finditer(text, 0, MAX_LOCATED):
        kind = token.lastgroup
        if kind == "open":
            names.append(set() if token.group() == "{" else None)
        elif kind == "close" and names:
            names.pop()
        elif kind == "number" and _unusable(token.group()):
            return token.start()
        elif kind == "string" and names and (seen := names[-1]) is not None:
            if not _COLON.match(text, token.end(), MAX_LOCATED):
                continue
            name = str(_scanner.raw_decode(token.group())[0])
            if name in seen:
                return token.start()
            seen.add(name)
    return None


def _unusable(number: str) -> bool:
    try:
        _decimal(number)
    except _Refused:
        return True
    return False


_TYPE_FIRST = re.compile(rb'[ \t\r\n]*+\{[ \t\r\n]*+"resourceType"[ \t\r\n]*+:[ \t\r\n]*+"[A-Za-z]++"')


def stamp(
    text: bytes, *, id: str, version_id: str, last_updated: str, resource: Mapping[str, Any] | None = None
) -> bytes:
    """Set ``id``, ``meta.versionId`` and ``meta.lastUpdated`` in a resource's text; every other byte stays.

    ``text`` must have passed ``parse``; ``last_updated`` is a FHIR instant. A missing ``id`` or ``meta`` is put behind
    ``resourceType`` (or first); other members of ``meta`` are kept. ``resource``, if it is at hand, is what ``parse``
    gave: where nothing is to be replaced, the text need not be searched. Raises MalformedJson when ``meta`` is no
    object.
    """
    if resource is not None and "meta" not in resource and resource.get("id", id) == id:
        first = _TYPE_FIRST.match(text)
        if first is not None:
            named = "" if "id" in resource else f'"id":{json.dumps(id)},'
            meta = f'"meta":{{"versionId":{json.dumps(version_id)},"lastUpdated":{json.dumps(last_updated)}}}'
            return b"".join((text[: first.end()], b",", (named + meta).encode(), text[first.end() :]))
    source = text.decode("utf-8")
    root = _Span(source, source.index("{"), frozenset({"resourceType", "id", "meta"}))
    meta_members = {"versionId": json.dumps(version_id), "lastUpdated": json.dumps(last_updated)}
    edits: list[tuple[int, int, str]] = []
    missing: list[str] = []
    if (found := root.value("id")) is not None:
        edits.append((*found, json.dumps(id)))
    else:
        missing.append(f'"id":{json.dumps(id)}')
    if (found := root.value("meta")) is None:
        missing.append(
            '"meta":{' + ",".join(f'"{name}":{value}' for name, value in meta_members.items()) + "}"
        )
    elif source[found[0]] != "{":
        raise _located("meta must be an object", source, found[0])
    else:
        edits.extend(_set_members(_Span(source, found[0], frozenset(meta_members)), meta_members))
    if missing:
        edits.append(root.insertion(",".join(missing), behind="resourceType"))
    for start, end, replacement in sorted(edits, reverse=True):
        source = source[:start] + replacement + source[end:]
    return source.encode("utf-8")


def _set_members(span: "_Span", members: dict[str, str]) -> list[tuple[int, int, str]]:
    edits = []
    missing = []
    for name, value in members.items():
        if (found := span.value(name)) is not None:
            edits.append((*found, value))
        else:
            missing.append(f'"{name}":{value}')
    if missing:
        edits.append(span.insertion(",".join(missing)))
    return edits


class _Span:
    """The wanted members of one object in a JSON text, by the places of their values."""

    def __init__(self, text: str, start: int, wanted: frozenset[str]) -> None:
        self._text = text
        self._start = start
        self._values: dict[str, tuple[int, int]] = {}
        at = skip(text, start + 1)
        self._empty = text[at] == "}"
        while text[at] != "}" and not wanted <= self._values.keys():
            name, at = _scanner.raw_decode(text, at)
            at = skip(text, skip(text, at) + 1)
            _, end = _scanner.raw_decode(text, at)
            self._values[name] = (at, end)
            at = skip(text, end)
            if text[at] == ",":
                at = skip(text, at + 1)

    def value(self, name: str) -> tuple[int, int] | None:
        """Return start and end of a member's value."""
        return self._values.get(name)

    def insertion(self, members: str, *, behind: str | None = None) -> tuple[int, int, str]:
        """Return the edit that adds ``members`` behind a named member, or first."""
        found = self._values.get(behind) if behind else None
        if found is not None:
            return (found[1], found[1], "," + members)
        return (self._start + 1, self._start + 1, members + ("" if self._empty else ","))


def _write_other(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value).encode())
    raise TypeError("not JSON data")


def write(value: object, *, pretty: bool = False) -> bytes:
    """Return the JSON text of plain data; a ``Decimal`` keeps its digits. Raises TypeError for anything else."""
    return orjson.dumps(value, default=_write_other, option=orjson.OPT_INDENT_2 if pretty else None)
