"""Extraction: the search values of a resource for every standard parameter of its type."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

from .definitions import SearchParameter, search_parameters
from .expressions import NotCompilable, Route, compile_expression, walk
from .index_extras import EXTRAS, Extras, Position, TypedIdentifier, position
from .unions import is_union, parts_of
from .values import CONVERTERS, Context, Convert, DateRange, QuantityValue, Text, Token, Value

Component = tuple[Value, ...]


@dataclass(slots=True)
class IndexValues:
    """Search values by parameter name; a parameter without values is absent. Values are distinct, in found order.

    ``references`` are ``Type/id`` without version, or an address outside this server; ``identifiers`` are what a
    reference says by identifier. ``composites`` hold, per repetition, the values of each component.
    """

    tokens: dict[str, list[Token]] = field(default_factory=dict)
    strings: dict[str, list[Text]] = field(default_factory=dict)
    dates: dict[str, list[DateRange]] = field(default_factory=dict)
    references: dict[str, list[str]] = field(default_factory=dict)
    identifiers: dict[str, list[Token]] = field(default_factory=dict)
    quantities: dict[str, list[QuantityValue]] = field(default_factory=dict)
    numbers: dict[str, list[Decimal]] = field(default_factory=dict)
    uris: dict[str, list[str]] = field(default_factory=dict)
    composites: dict[str, list[tuple[Component, ...]]] = field(default_factory=dict)
    texts: dict[str, list[Text]] = field(default_factory=dict)
    typed: dict[str, list[TypedIdentifier]] = field(default_factory=dict)
    positions: dict[str, list[Position]] = field(default_factory=dict)

    def names(self) -> frozenset[str]:
        """Return the parameters that have a value (the complement answers ``:missing``)."""
        parts = (self.tokens, self.strings, self.dates, self.references, self.identifiers)
        more = (self.quantities, self.numbers, self.uris, self.composites, self.positions)
        return frozenset(name for part in (*parts, *more) for name in part)


_FIELDS = {
    "token": "tokens",
    "string": "strings",
    "date": "dates",
    "reference": "references",
    "quantity": "quantities",
    "number": "numbers",
    "uri": "uris",
}


_COMPOSITES = frozenset({("token", kind) for kind in ("token", "quantity", "date", "string")})
"""All but a few rare ones; the one published for a document's relations has its parts exchanged."""


@dataclass(frozen=True, slots=True)
class _Extractor:
    """``steps`` lead on from the values of the member under which the extractor is filed."""

    parameter: str
    field: str
    route: Route
    convert: Convert
    context: Context
    extras: Extras | None = None


@dataclass(frozen=True, slots=True)
class _Composite:
    parameter: str
    route: Route
    components: tuple[tuple[_Extractor, ...], ...]
    needs: tuple[frozenset[str], ...]
    """Members of the resource, of each set of which it must have one for this to find anything."""


@dataclass(slots=True)
class _Plan:
    by_member: dict[str, list[_Extractor]] = field(default_factory=dict)
    composites: list[_Composite] = field(default_factory=list)
    uncompiled: dict[str, str] = field(default_factory=dict)
    unconverted: dict[str, set[str]] = field(default_factory=dict)


def _indexed(resource_type: str) -> Iterator[tuple[str, SearchParameter]]:
    """The parameters that have rows of their own."""
    for code, parameter in search_parameters(resource_type).items():
        if not is_union(resource_type, code):
            yield code, parameter


@cache
def _plan(resource_type: str) -> _Plan:
    plan = _Plan()
    for code, parameter in _indexed(resource_type):
        try:
            if not parameter.expression:
                raise NotCompilable("the standard gives no expression")
            if (resource_type, code) == ("Location", "near"):
                continue
            if parameter.type == "special":
                raise NotCompilable("a special parameter has rules of its own")
            routes = compile_expression(parameter.expression, resource_type)
            if parameter.type == "composite":
                if tuple(kind for _, kind, _ in parameter.components) not in _COMPOSITES:
                    raise NotCompilable("composites of this form have no index")
                plan.composites.extend(_composites(code, parameter.components, routes))
                continue
            found = _extractors(code, parameter.type, routes, plan)
            if not found:
                raise NotCompilable("no converter for its data type")
        except NotCompilable as error:
            plan.uncompiled[code] = str(error)
            continue
        for extractor in found:
            plan.by_member.setdefault(extractor.route.steps[0][0], []).append(extractor)
    return plan


def _extractors(code: str, kind: str, routes: Sequence[Route], plan: _Plan) -> list[_Extractor]:
    found = []
    for route in routes:
        data_type = "boolean" if route.exists else route.data_type
        convert = CONVERTERS.get((kind, data_type))
        if convert is None:
            plan.unconverted.setdefault(code, set()).add(data_type)
        else:
            extras = EXTRAS.get(data_type) if kind == "token" else None
            found.append(_Extractor(code, _FIELDS[kind], route, convert, Context(route.systems), extras))
    return found


def _composites(
    code: str, components: Sequence[tuple[str, str, str]], routes: Sequence[Route]
) -> list[_Composite]:
    found = []
    for route in routes:
        parts = []
        for name, kind, expression in components:
            compiled = compile_expression(expression, route.data_type)
            parts.append(tuple(_extractors(name, kind, compiled, _Plan())))
        found.append(_Composite(code, route, tuple(parts), _needs(route, parts)))
    return found


def _needs(route: Route, parts: Sequence[tuple[_Extractor, ...]]) -> tuple[frozenset[str], ...]:
    if route.steps:
        return (frozenset({route.steps[0][0]}),)
    return tuple(frozenset(extractor.route.steps[0][0] for extractor in part) for part in parts)


_PLAIN = {
    "CodeableConcept": ("coding", "code"),
    "Coding": ("code",),
    "Identifier": ("value",),
    "ContactPoint": ("value",),
    "Reference": ("reference",),
}


@cache
def sort_paths(resource_type: str, code: str) -> tuple[str, ...]:
    """Return the JSON paths that lead to the text to sort a token, reference or uri parameter by; () where none do."""
    routes = [
        extractor.route
        for extractors in _plan(resource_type).by_member.values()
        for extractor in extractors
        if extractor.parameter in parts_of(resource_type, code)
    ]
    if any(route.exists for route in routes):
        return ()
    return tuple(_json_path(route) for route in routes)


def _json_path(route: Route) -> str:
    found = "$"
    for member, keep in route.steps:
        found += f'."{member}"' + ("" if keep is None else keep.jsonpath)
    return found + "".join(f'."{member}"' for member in _PLAIN.get(route.data_type, ()))


def uncompiled(resource_type: str) -> Mapping[str, str]:
    """Return the parameters of a type that have no index, with the reason. Raises KeyError for an unknown type."""
    return _plan(resource_type).uncompiled


def unconverted(resource_type: str) -> Mapping[str, set[str]]:
    """Return, by parameter, the data types of a choice that its search type cannot express (free text as a date)."""
    return _plan(resource_type).unconverted


def index(resource: Mapping[str, Any], *, base_url: str | None = None) -> IndexValues:
    """Return the search values of a resource that has passed ``structure.check``.

    ``base_url`` is this server's own FHIR address: references under it become ``Type/id``.
    """
    values = IndexValues()
    plan = _plan(resource["resourceType"])
    for member in resource:
        _index_member(values, plan, member, resource, base_url)
    _index_across(values, plan, resource, base_url)
    return values


def index_member(resource_type: str, member: str, value: Any) -> IndexValues:
    """Return the search values that come from one member of a resource, whatever else the resource says.

    ``index`` finds what all members give by themselves, and what ``index_across`` gives.
    """
    values = IndexValues()
    _index_member(values, _plan(resource_type), member, {member: value}, None)
    return values


@cache
def indexed_members(resource_type: str) -> frozenset[str]:
    """Return the members of a type that give search values by themselves."""
    return frozenset(_plan(resource_type).by_member)


@cache
def members_across(resource_type: str) -> frozenset[str]:
    """Return the members of a type that ``index_across`` looks at."""
    found = {"Patient": {"deceasedBoolean", "deceasedDateTime"}, "Location": {"position"}}.get(
        resource_type, set()
    )
    for composite in _plan(resource_type).composites:
        found.update(*composite.needs)
        extractors = (extractor for part in composite.components for extractor in part)
        found.update(one.route.steps[0][0] for one in extractors if one.route.from_root)
    return frozenset(found)


def index_across(resource: Mapping[str, Any]) -> IndexValues:
    """Return the search values of a resource that take more than one of its members, or what it does not say."""
    values = IndexValues()
    _index_across(values, _plan(resource["resourceType"]), resource, None)
    return values


def _index_member(
    values: IndexValues, plan: _Plan, member: str, resource: Mapping[str, Any], base_url: str | None
) -> None:
    for extractor in plan.by_member.get(member, ()):
        for value in _extract(extractor, resource, resource, base_url):
            _put(values, extractor, value)
        if extractor.extras is not None:
            _put_extras(values, extractor, extractor.extras, resource)


def _index_across(
    values: IndexValues, plan: _Plan, resource: Mapping[str, Any], base_url: str | None
) -> None:
    for composite in plan.composites:
        if not any(needed.isdisjoint(resource) for needed in composite.needs):
            _index_composite(values, composite, resource, base_url)
    # R4 defines the parameter so: whoever is not said to have died lives.
    if resource["resourceType"] == "Patient" and not (
        resource.get("deceasedBoolean") or "deceasedDateTime" in resource
    ):
        values.tokens["deceased"] = [Token(None, "false")]
    if resource["resourceType"] == "Location" and (place := position(resource)) is not None:
        values.positions["near"] = [place]


def _put_extras(
    values: IndexValues, extractor: _Extractor, extras: Extras, resource: Mapping[str, Any]
) -> None:
    for item in walk(extractor.route.steps, [resource]):
        for extra in extras(item):
            if isinstance(extra, Text):
                texts = values.texts.setdefault(extractor.parameter, [])
                if extra not in texts:
                    texts.append(extra)
            else:
                values.typed.setdefault(extractor.parameter, []).append(extra)


def _extract(
    extractor: _Extractor, node: Mapping[str, Any], root: Mapping[str, Any], base_url: str | None
) -> list[Value]:
    route = extractor.route
    found = walk(route.steps, [root if route.from_root else node])
    if route.exists:
        found = [True for value in found[:1] if value is not False]
    context = extractor.context
    if base_url is not None and extractor.field == "references":
        context = Context(context.systems, base_url)
    convert = extractor.convert
    return [value for item in found for value in convert(item, context)]


def _put(values: IndexValues, extractor: _Extractor, value: Value) -> None:
    name = extractor.field
    if name == "references" and type(value) is Token:
        name = "identifiers"
    bucket: list[Value] = getattr(values, name).setdefault(extractor.parameter, [])
    if value not in bucket:
        bucket.append(value)


def _index_composite(
    values: IndexValues, composite: _Composite, root: Mapping[str, Any], base_url: str | None
) -> None:
    for node in walk(composite.route.steps, [root]):
        parts = tuple(
            tuple(value for extractor in part for value in _extract(extractor, node, root, base_url))
            for part in composite.components
        )
        if all(parts):
            values.composites.setdefault(composite.parameter, []).append(parts)
