"""What modifiers need beside the plain search values: texts of codes, types of identifiers, paths of addresses."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .values import Text, text

MAX_ANCESTORS = 12


@dataclass(frozen=True, slots=True)
class TypedIdentifier:
    """An identifier with the coded type it was given, for ``:of-type``."""

    system: str
    code: str
    value: str


@dataclass(frozen=True, slots=True)
class Position:
    """WGS84 degrees."""

    latitude: Decimal
    longitude: Decimal


Extra = Text | TypedIdentifier
Extras = Callable[[Any], Iterator[Extra]]


def _coding(value: Mapping[str, Any]) -> Iterator[Extra]:
    if (display := value.get("display")) is not None:
        yield text(display)


def _concept(value: Mapping[str, Any]) -> Iterator[Extra]:
    if (said := value.get("text")) is not None:
        yield text(said)
    for coding in value.get("coding", ()):
        yield from _coding(coding)


def _identifier(value: Mapping[str, Any]) -> Iterator[Extra]:
    kind, number = value.get("type"), value.get("value")
    if kind is None:
        return
    if (said := kind.get("text")) is not None:
        yield text(said)
    if number is None:
        return
    for coding in kind.get("coding", ()):
        if "system" in coding and "code" in coding:
            yield TypedIdentifier(coding["system"], coding["code"], number)


EXTRAS: Mapping[str, Extras] = {
    "Coding": _coding,
    "CodeableConcept": _concept,
    "Identifier": _identifier,
}
"""By data type of a token."""


def ancestors(uri: str) -> list[str]:
    """Return a URL and what is above it, a path segment at a time; nothing for what has no path (a URN)."""
    scheme, mark, rest = uri.partition("://")
    if not mark:
        return []
    host, *segments = rest.rstrip("/").split("/")
    found = [f"{scheme}://" + "/".join([host, *segments[:depth]]) for depth in range(len(segments) + 1)]
    return found[::-1][:MAX_ANCESTORS]


def position(resource: Mapping[str, Any]) -> Position | None:
    """Return where a Location is."""
    place = resource.get("position")
    if not isinstance(place, Mapping) or "latitude" not in place or "longitude" not in place:
        return None
    return Position(Decimal(place["latitude"]), Decimal(place["longitude"]))
