"""One mistake in a valid resource: every kind that a client makes, each with the element that a refusal must name."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from clinic_net.fhir.definitions import ElementDefinition, elements, primitives
from tests.fhir.generate import Json, Number, generated

_TEXTS = frozenset(
    {"string", "markdown", "code", "uri", "url", "canonical", "date", "dateTime", "instant", "time", "id"}
)
_DATES = frozenset({"date", "dateTime", "instant"})


@dataclass(frozen=True)
class Mistake:
    kind: str
    content: Json
    element: str
    """The element's path, without an index."""


def mistakes(rtype: str, seed: int) -> Iterator[Mistake]:
    """Yield one mistake of every kind for which a resource of the type has an element."""
    sound = generated(rtype, seed, "m")
    random = Random(seed)
    found: dict[str, list[Mistake]] = {}
    for element in elements(rtype).values():
        if element.name in ("id", "meta", "contained", "text"):
            continue
        stem = element.name.removesuffix("[x]")
        for kind, changes in _of_element(element, sound).items():
            content = {name: value for name, value in sound.items() if name not in changes}
            content |= {name: value for name, value in changes.items() if value is not None or kind == "null"}
            found.setdefault(kind, []).append(Mistake(kind, content, f"{rtype}.{stem}"))
    for listed in found.values():
        yield random.choice(listed)
    yield Mistake("an unknown element", {**sound, "nickname": "a"}, f"{rtype}.nickname")
    yield Mistake("an illegal id", {**sound, "id": "a/b"}, f"{rtype}.id")
    yield Mistake("an empty meta", {**sound, "meta": {}}, f"{rtype}.meta")


def _of_element(element: ElementDefinition, sound: Json) -> dict[str, dict[str, Any]]:
    """Return the changed members of every mistake that can be made with one element; None takes a member away."""
    stem = element.name.removesuffix("[x]")
    members = [_member(element, kind) for kind in element.types]
    gone = {name: None for member in members for name in (member, f"_{member}")}
    member, kind = members[0], element.types[0]

    def only(value: Any) -> dict[str, Any]:
        return {**gone, member: value}

    found: dict[str, dict[str, Any]] = {
        "an empty list": only([]),
        "an empty object": only([{}] if element.many else {}),
        "null": {member: [None] if element.many else None, f"_{member}": None}
        if kind not in primitives()
        else {},
        "a list for one or one for a list": only(
            {"extension": []} if element.many else [sound.get(member, "a")]
        ),
    }
    if element.minimum:
        found["a required element is missing"] = gone
    if len(members) > 1 and stem != member:
        found["two values of a choice"] = {
            members[0]: _any(element.types[0]),
            members[1]: _any(element.types[1]),
        }
    if kind in primitives() and kind != "xhtml":
        found["a wrong type"] = only(_listed(element, {"a": "b"}))
        found["an empty text"] = only(_listed(element, ""))
    if kind in _TEXTS:
        found["a number for a text"] = only(_listed(element, Number("1")))
    if kind in _DATES:
        found["an impossible date"] = only(_listed(element, "2024-13-45"))
    if kind == "code" and element.binding:
        found["a code that is none"] = only(_listed(element, "no-such-code"))
    if kind == "Reference" and element.targets is not None and "Bundle" not in element.targets:
        found["a reference to a wrong type"] = only(_listed(element, {"reference": "Bundle/1"}))
    return {name: changes for name, changes in found.items() if changes}


def _member(element: ElementDefinition, kind: str) -> str:
    stem = element.name.removesuffix("[x]")
    return stem + kind[0].upper() + kind[1:] if element.name.endswith("[x]") else stem


def _listed(element: ElementDefinition, value: Any) -> Any:
    return [value] if element.many else value


def _any(kind: str) -> Any:
    if kind in ("boolean",):
        return True
    if kind in ("decimal", "integer", "positiveInt", "unsignedInt"):
        return Number("1")
    return "2024" if kind in primitives() else {"extension": [{"url": "u", "valueCode": "c"}]}
