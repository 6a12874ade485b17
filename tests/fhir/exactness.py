"""What two texts of one resource must have in common to count as equal."""

import json
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

_numbers_as_texts = json.JSONDecoder(
    parse_float=lambda text: ("number", text), parse_int=lambda text: ("number", text)
)
_scanner = json.JSONDecoder()
_BETWEEN = re.compile(r"[ \r\n\t,:]*")


def canonical_xml(text: str) -> str:
    """Return XML in its canonical form: equal for equal infosets."""
    return ElementTree.canonicalize(text)


def exactly(text: bytes) -> Any:
    """Return a resource's JSON as data in which numbers keep their text and a narrative is its infoset."""
    return _same(_numbers_as_texts.decode(text.decode()))


def _same(value: Any) -> Any:
    if isinstance(value, list):
        return [_same(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: canonical_xml(item) if name == "div" and isinstance(item, str) else _same(item)
        for name, item in value.items()
        if not _says_nothing(item)
    }


def _says_nothing(value: Any) -> bool:
    """A list of nulls stands beside extensions and says nothing itself; XML has no place for it."""
    return isinstance(value, list) and all(item is None for item in value)


def _members(text: str) -> Iterator[tuple[str, int, int, int]]:
    """Yield of every member of the object: name, where its name begins, where its value begins and ends."""
    at = text.index("{") + 1
    while text[begin := _between(text, at)] != "}":
        name, at = _scanner.raw_decode(text, begin)
        value = _between(text, at)
        _, at = _scanner.raw_decode(text, value)
        yield name, begin, value, at


def _between(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    assert found is not None
    return found.end()


def apart_from_id_and_meta(text: bytes, *, sent: bytes) -> str:
    """Return the text without the values of id and meta, and without a meta that was not in what was sent."""
    content = text.decode()
    had = {name for name, *_ in _members(sent.decode())}
    for name, begin, value, end in reversed(list(_members(content))):
        if name in ("id", "meta"):
            start = value if name in had else content.rindex(",", 0, begin)
            content = content[:start] + content[end:]
    return content
