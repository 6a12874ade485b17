"""Search expressions compiled to routes: which JSON members lead from a resource to the values of a parameter.

The standard's expressions use a small part of FHIRPath: paths, unions, ``as``, ``ofType``, ``where(x='y')`` and
``where(resolve() is T)``. The element tables tell the type at every step, so that choices become plain member names
(``Observation.value as Quantity`` → ``valueQuantity``) and nothing is left to find out at run time.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from .definitions import ElementDefinition, elements, primitives, resource_types, value_set
from .tables import capitalised

_AS = re.compile(r"\(\s*([\w.]+)\s+as\s+(\w+)\s*\)(.*)")
_SEGMENT = re.compile(r"(%?[A-Za-z]\w*)(?:\(((?:[^()']|'[^']*'|\(\))*)\))?(?:\.|$)")
_EQUALS = re.compile(r"(\w+)\s*=\s*'([^']*)'")
_RESOLVES = re.compile(r"resolve\(\)\s+is\s+(\w+)")
_IS_NOT_FALSE = re.compile(r"([\w.]+)\.exists\(\) and ([\w.]+) != false")


class Keep(Protocol):
    """A filter of values; ``jsonpath`` says the same to PostgreSQL."""

    @property
    def jsonpath(self) -> str: ...

    def __call__(self, value: Any, /) -> bool: ...


class NotCompilable(Exception):
    """The expression asks for more than the element tables can answer; the message says what."""


@dataclass(frozen=True, slots=True)
class Route:
    """``steps`` are (JSON member, filter of its values or None); ``data_type`` is the type of what they lead to.

    ``systems`` gives the code system of a bare code where its required value set tells. ``exists`` asks only whether
    there is a value other than false. ``from_root`` starts at the resource, even inside a composite.
    ``targets`` are the resource types a Reference at the end may point to (None: any).
    """

    steps: tuple[tuple[str, Keep | None], ...]
    data_type: str
    systems: Mapping[str, str] | None = None
    exists: bool = False
    from_root: bool = False
    targets: frozenset[str] | None = None


def compile_expression(expression: str, start: str) -> list[Route]:
    """Return the routes of ``expression``, read from type ``start``. Raises NotCompilable."""
    if match := _IS_NOT_FALSE.fullmatch(expression.strip()):
        return [replace(route, exists=True) for route in compile_expression(match[1], start)]
    routes: list[Route] = []
    for branch in expression.split("|"):
        text = branch.strip()
        if match := _AS.fullmatch(text):
            text = f"{match[1]}.ofType({match[2]}){match[3]}"
        routes.extend(_branch(text, start))
    return routes


def target_types(expression: str, start: str) -> frozenset[str] | None:
    """Return the resource types that the references of an expression may point to; None: any. Raises NotCompilable."""
    found: frozenset[str] = frozenset()
    for route in compile_expression(expression, start):
        if route.data_type == "Reference":
            if route.targets is None:
                return None
            found |= route.targets
    return found or None


def _branch(text: str, start: str) -> list[Route]:
    segments = _segments(text)
    routes = [Route((), start)]
    for position, (name, argument) in enumerate(segments):
        if argument is not None:
            routes = _function(routes, name, argument)
        elif name == "%resource":
            routes = [Route((), start.split(".")[0], from_root=True)]
        elif position == 0 and (name in resource_types() or name in ("Resource", "DomainResource")):
            continue
        else:
            routes = [found for route in routes for found in _child(route, name)]
    if not routes:
        raise NotCompilable("no such element")
    return routes


def _segments(text: str) -> list[tuple[str, str | None]]:
    segments: list[tuple[str, str | None]] = []
    at = 0
    while at < len(text):
        match = _SEGMENT.match(text, at)
        if match is None:
            raise NotCompilable("only paths, types and simple filters are compiled")
        segments.append((match[1], match[2]))
        at = match.end()
    return segments


def _child(route: Route, name: str) -> list[Route]:
    if route.data_type in primitives():
        return []
    known = elements(route.data_type)
    if (element := known.get(name)) is not None:
        return [_extend(route, name, element.types[0], element)]
    if (element := known.get(f"{name}[x]")) is not None:
        return [_extend(route, name + capitalised(t), t, element) for t in element.types]
    return []


def _extend(route: Route, member: str, data_type: str, element: ElementDefinition) -> Route:
    systems: dict[str, str] | None = None
    if data_type == "code" and element.binding:
        systems = {code: system for system, codes in value_set(element.binding).items() for code in codes}
    steps = (*route.steps, (member, None))
    return replace(route, steps=steps, data_type=data_type, systems=systems, targets=element.targets)


def _function(routes: list[Route], name: str, argument: str) -> list[Route]:
    if name in ("as", "ofType"):
        wanted = argument.strip().lower()  # one published composite writes DateTime
        return [route for route in routes if route.data_type.lower() == wanted]
    if name == "where" and (match := _EQUALS.fullmatch(argument.strip())):
        return [_filtered(route, _Equals(match[1], match[2])) for route in routes]
    if name == "where" and (match := _RESOLVES.fullmatch(argument.strip())):
        kept = [route for route in routes if route.data_type == "Reference"]
        target = frozenset({match[1]})
        return [replace(_filtered(route, _RefersTo(match[1])), targets=target) for route in kept]
    raise NotCompilable(f"the function {name} is not compiled")


def _filtered(route: Route, keep: Keep) -> Route:
    *before, (member, _) = route.steps
    return replace(route, steps=(*before, (member, keep)))


@dataclass(frozen=True, slots=True)
class _Equals:
    member: str
    text: str

    @property
    def jsonpath(self) -> str:
        return f'[*] ? (@."{self.member}" == {json.dumps(self.text)})'

    def __call__(self, value: Any, /) -> bool:
        return isinstance(value, dict) and value.get(self.member) == self.text


@dataclass(frozen=True, slots=True)
class _RefersTo:
    resource_type: str

    @property
    def jsonpath(self) -> str:
        return f'[*] ? (@."reference" like_regex "(^|/){self.resource_type}/" || @."type" == "{self.resource_type}")'

    def __call__(self, value: Any, /) -> bool:
        return isinstance(value, dict) and reference_type(value) == self.resource_type


def reference_type(reference: Mapping[str, Any]) -> str | None:
    """Return the resource type that a Reference points to, where it tells."""
    text = reference.get("reference")
    if isinstance(text, str) and not text.startswith(("#", "urn:")):
        parts = text.split("/_history/")[0].split("/")
        if len(parts) >= 2 and parts[-2] in resource_types():
            return str(parts[-2])
    stated = reference.get("type")
    return stated if isinstance(stated, str) else None


def walk(steps: tuple[tuple[str, Keep | None], ...], start: list[Any]) -> list[Any]:
    """Return the values that ``steps`` lead to from each of ``start``."""
    current = start
    for member, keep in steps:
        found: list[Any] = []
        for node in current:
            value = node.get(member)
            if value is None:
                continue
            if type(value) is list:
                found.extend(part for part in value if part is not None)
            else:
                found.append(value)
        current = found if keep is None else [value for value in found if keep(value)]
        if not current:
            break
    return current
