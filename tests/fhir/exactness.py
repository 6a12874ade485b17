"""What two texts of one resource must have in common to count as equal."""

import json
from typing import Any
from xml.etree import ElementTree

_numbers_as_texts = json.JSONDecoder(
    parse_float=lambda text: ("number", text), parse_int=lambda text: ("number", text)
)


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
