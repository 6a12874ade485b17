"""The text of a Bundle, read once: as strictly as ``parse``, with the own text of each entry's resource."""

from collections.abc import Iterator
from typing import Any

from .errors import MalformedJson
from .jsontext import checked, may_be_too_deep, parse, skip, value_at


def read_entries(data: bytes, *, limit: int, members: dict[str, Any]) -> Iterator[tuple[Any, str | None]]:
    """Yield each entry of a bundle and the text of its resource; put the other members into ``members``.

    One entry at a time, so that whoever reads a large bundle can pause; ``members`` is complete at the end. An
    ``entry`` that is no array yields nothing and is put there too.

    Raises:
        ResourceTooLarge, MalformedJson: as ``parse``, perhaps after some entries.
    """
    text = checked(data, limit=limit, depth=False)
    try:
        yield from _entries(text, members)
    except (ValueError, IndexError, RecursionError):
        parse(data, limit=limit)  # says what is wrong, and where
        raise MalformedJson("not valid JSON") from None


def _entries(text: str, members: dict[str, Any]) -> Iterator[tuple[Any, str | None]]:
    """Read the bundle's own braces and brackets by hand; ValueError or IndexError where something else stands."""
    at = _sign(text, skip(text, 0), "{")
    seen: set[str] = set()
    while (name_at := _next(text, at, "}", first=not seen)) is not None:
        name, at = _name(text, name_at, seen)
        if name == "entry" and text[at] == "[":
            at += 1
            first = True
            while (item_at := _next(text, at, "]", first=first)) is not None:
                entry, resource, at = _entry(text, item_at)
                first = False
                yield entry, resource
            at = skip(text, at) + 1
        else:
            members[name], at = _value(text, at, above=1)
    if skip(text, skip(text, at) + 1) != len(text):
        raise ValueError


def _entry(text: str, at: int) -> tuple[Any, str | None, int]:
    """Return an entry, the text of its resource, and where the entry ends."""
    if text[at] != "{":
        value, end = _value(text, at, above=2)
        return value, None, end
    entry: dict[str, Any] = {}
    seen: set[str] = set()
    resource = None
    at += 1
    while (name_at := _next(text, at, "}", first=not seen)) is not None:
        name, start = _name(text, name_at, seen)
        entry[name], at = _value(text, start, above=3)
        if name == "resource":
            resource = text[start:at]
    return entry, resource, skip(text, at) + 1


def _value(text: str, at: int, *, above: int) -> tuple[Any, int]:
    """Return a value that stands below ``above`` levels, and where it ends; ValueError where it has too many."""
    value, end = value_at(text, at)
    if may_be_too_deep(text, at, end, above=above):
        raise ValueError
    return value, end


def _next(text: str, at: int, end: str, *, first: bool) -> int | None:
    """Return where the next member or item begins; None where ``end`` stands."""
    at = skip(text, at)
    if text[at] == end:
        return None
    return at if first else skip(text, _sign(text, at, ","))


def _name(text: str, at: int, seen: set[str]) -> tuple[str, int]:
    """Return a member's name, and where its value begins."""
    if text[at] != '"':
        raise ValueError
    name, at = value_at(text, at)
    if name in seen:
        raise ValueError
    seen.add(name)
    return name, skip(text, _sign(text, skip(text, at), ":"))


def _sign(text: str, at: int, sign: str) -> int:
    if text[at] != sign:
        raise ValueError
    return at + 1
