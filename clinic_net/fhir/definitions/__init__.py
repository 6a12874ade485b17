"""The official FHIR R4 definitions, read from the compiled ``r4.json`` beside this module.

Search parameters of our own, for what the Vietnamese guide adds, are in ``ours.json``.

Everything is read once and never changes afterwards; a caller must not change what it is given.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FHIR_VERSION = "4.0.1"
CORE = "http://hl7.org/fhir/"


@dataclass(frozen=True, slots=True)
class ElementDefinition:
    """One element. ``name`` ends in ``[x]`` where the type is a choice.

    ``types`` are data type names or, for a backbone element, its path (``Patient.contact``).
    ``targets`` are the resource types a Reference may point to; None means any.
    ``binding`` names a required value set whose codes can be listed.
    """

    name: str
    types: tuple[str, ...]
    targets: frozenset[str] | None
    minimum: int
    many: bool
    summary: bool
    modifier: bool
    binding: str | None


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One search parameter as it applies to one resource type.

    ``type`` is number, date, string, token, reference, composite, quantity, uri or special. ``expression`` holds the
    branches that speak of this resource type and is empty for parameters that have none. ``components`` are
    (code, type, expression) of a composite.
    """

    code: str
    type: str
    url: str
    expression: str
    targets: frozenset[str] | None
    components: tuple[tuple[str, str, str], ...]


@cache
def _raw() -> dict[str, Any]:
    text = (Path(__file__).parent / "r4.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


@cache
def _ours() -> dict[str, dict[str, Any]]:
    text = (Path(__file__).parent / "ours.json").read_text(encoding="utf-8")
    content: dict[str, dict[str, Any]] = json.loads(text)
    return content


@cache
def hierarchies() -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Return, by code system of the standard, the parents of each code that has any. Read when first asked for."""
    text = (Path(__file__).parent / "hierarchies.json").read_text(encoding="utf-8")
    content: dict[str, dict[str, list[str]]] = json.loads(text)
    return content


@cache
def resource_types() -> frozenset[str]:
    """Return the names of all resource types that can be instantiated (146 in R4)."""
    return frozenset(name for name, value in _raw()["types"].items() if value.get("abstract") is False)


@cache
def type_names() -> tuple[str, ...]:
    """Return the names of all complex types, resource types and backbone paths."""
    return tuple(_raw()["types"])


def primitives() -> Mapping[str, str]:
    """Return the primitive types with the regular expression of their JSON text ("" where there is none)."""
    found: dict[str, str] = _raw()["primitives"]
    return found


def value_set(name: str) -> Mapping[str, tuple[str, ...]]:
    """Return the codes of a required value set by code system. Raises KeyError for an unknown name."""
    return {system: tuple(codes) for system, codes in _raw()["valueSets"][name].items()}


@cache
def value_sets() -> frozenset[str]:
    """Return the names of the required value sets whose codes can be listed."""
    return frozenset(_raw()["valueSets"])


@cache
def elements(type_name: str) -> Mapping[str, ElementDefinition]:
    """Return the elements of a type by name, inherited ones first. Raises KeyError for an unknown type."""
    definition = _raw()["types"][type_name]
    found = dict(elements(definition["base"])) if definition["base"] else {}
    for name, text in definition["elements"].items():
        found[name] = _element(name, text)
    return found


def _element(name: str, text: str) -> ElementDefinition:
    types, cardinality, flags, *binding = text.split(" ")
    minimum, maximum = cardinality.split("..")
    names: list[str] = []
    targets: frozenset[str] | None = None
    for part in types.split("|"):
        head, _, rest = part.partition("(")
        names.append(head)
        if rest:
            targets = frozenset(rest.rstrip(")").split(","))
    return ElementDefinition(
        name=name,
        types=tuple(names),
        targets=targets,
        minimum=int(minimum),
        many=maximum == "*",
        summary="s" in flags,
        modifier="m" in flags,
        binding=binding[0].removeprefix("@") if binding else None,
    )


@cache
def search_parameters(resource_type: str) -> Mapping[str, SearchParameter]:
    """Return the search parameters of a resource type by code: those of all resources, of the type, and ours.

    Raises KeyError for an unknown type.
    """
    chain = [resource_type]
    while base := _raw()["types"][chain[-1]]["base"]:
        chain.append(base)
    found: dict[str, SearchParameter] = {}
    for owner in reversed(chain):
        for code, value in _raw()["search"].get(owner, {}).items():
            found[code] = _search_parameter(owner, code, value)
    for code, value in _ours().get(resource_type, {}).items():
        found[code] = _search_parameter(resource_type, code, value)
    return found


def _search_parameter(owner: str, code: str, value: dict[str, Any]) -> SearchParameter:
    targets = value.get("targets")
    return SearchParameter(
        code=code,
        type=value["type"],
        url=value.get("url") or f"{CORE}SearchParameter/{value.get('id', f'{owner}-{code}')}",
        expression=value.get("expression", ""),
        targets=frozenset(targets) if targets else None,
        components=tuple((name, kind, path) for name, kind, path in value.get("components", ())),
    )
