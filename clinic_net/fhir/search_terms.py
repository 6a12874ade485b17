"""One search parameter as a caller writes it, with its modifier, its chain or its ``_has``, as a typed term.

A modifier that is not there for a type is refused even when lenient, because dropping it would change what the
parameter means (FHIR R4 search §3.1.1.4.4).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from .criteria import (
    Asked,
    Criterion,
    TokenCriterion,
    read,
    read_of_type,
    read_text,
    read_token,
    split,
    unescape,
)
from .definitions import SearchParameter, resource_types, search_parameters, value_set, value_sets
from .errors import (
    InvalidSearchValue,
    TooManySearchTerms,
    UnknownSearchParameter,
    UnsupportedSearch,
    places,
)
from .expressions import NotCompilable, target_types
from .index import uncompiled

MAX_ALTERNATIVES = 100
MAX_LINKS = 4
"""Links of one chain, ``_has`` included: each is a join."""
MAX_BRANCHES = 40
"""Ways that a chain without types may take in all."""

_MODIFIERS = {
    "token": frozenset({"not", "missing", "text", "in", "not-in", "of-type"}),
    "string": frozenset({"exact", "contains", "missing"}),
    "reference": frozenset({"identifier", "missing"}),
    "uri": frozenset({"above", "below", "missing"}),
}
_NEED_TERMINOLOGY = "needs a hierarchy of codes, and this server holds none"
_READERS: Mapping[str, Callable[[Asked, str], Criterion]] = {
    "identifier": read_token,
    "text": read_text,
    "of-type": read_of_type,
}
VALUE_SET = "http://hl7.org/fhir/ValueSet/"
MAX_EXPANSION = 500
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-.:]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Clause:
    """One criterion of a search: any of ``values`` must hold, or with ``not`` none of them.

    ``modifier`` is "", exact, contains, not, identifier, text, of-type, above, below or missing; for missing,
    ``missing`` is what was asked and ``values`` is empty. ``:in`` and ``:not-in`` have become their codes.
    """

    parameter: str
    type: str
    modifier: str = ""
    values: tuple[Criterion, ...] = ()
    missing: bool | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """The reference ``parameter`` leads to a resource that meets the term of its type (one entry a type)."""

    parameter: str
    targets: tuple[tuple[str, "Term"], ...]


@dataclass(frozen=True, slots=True)
class Has:
    """A resource of type ``source`` that meets ``term`` refers here by its reference ``parameter``."""

    source: str
    parameter: str
    term: "Term"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of these references holds; all of them are looked up by hash."""

    clauses: tuple[Clause, ...]


Link = Chain | Has | AnyOf
Term = Clause | Link


class DroppableError(Exception):
    """An unsupported or empty parameter, which a lenient search may leave out."""

    def __init__(self, refusal: UnsupportedSearch | InvalidSearchValue) -> None:
        self.refusal = refusal


def shown(name: str) -> str:
    """Return a parameter name fit for a message: what is not formed like one may hold anything."""
    return name if _NAME.fullmatch(name) else "a parameter"


def invalid(name: str, message: str) -> InvalidSearchValue:
    """Return the refusal of a parameter's value."""
    return InvalidSearchValue(
        f"{shown(name)}: {message}", places=places(shown(name), InvalidSearchValue.code, message)
    )


def unsupported(name: str, message: str) -> UnsupportedSearch:
    """Return the refusal of what the standard has and this server does not."""
    return UnsupportedSearch(
        f"{shown(name)}: {message}", places=places(shown(name), UnsupportedSearch.code, message)
    )


def types_of(term: Term) -> Iterator[str]:
    """Return the resource types that a term looks into beside its own, each as often as it does."""
    match term:
        case Chain(targets=targets):
            for rtype, inner in targets:
                yield rtype
                yield from types_of(inner)
        case Has(source=source, term=inner):
            yield source
            yield from types_of(inner)


def read_term(resource_type: str, name: str, value: str, *, base_url: str | None, links: int = 0) -> Term:
    """Return what a parameter asks of resources of this type.

    Raises UnknownSearchParameter, InvalidSearchValue, UnsupportedSearch, TooManySearchTerms, DroppableError.
    """
    if links > MAX_LINKS:
        raise TooManySearchTerms(f"a chain of more than {MAX_LINKS} links")
    if name.startswith("_has:"):
        return _has(resource_type, name, value, base_url=base_url, links=links)
    head, dot, rest = name.partition(".")
    if dot:
        return _chain(resource_type, head, rest, value, base_url=base_url, links=links)
    code, colon, modifier = name.partition(":")
    parameter = _parameter(resource_type, code)
    if not value:
        raise DroppableError(invalid(name, "an empty value"))
    if colon and not modifier:
        raise unsupported(name, "an empty modifier")
    return _clause(resource_type, parameter, modifier, value, base_url)


def _has(resource_type: str, name: str, value: str, *, base_url: str | None, links: int) -> Has:
    parts = name.split(":", 3)
    if len(parts) != 4 or parts[1] not in resource_types():
        raise invalid("_has", "must be _has:Type:reference:parameter")
    _, source, code, rest = parts
    targets = _targets(source, _reference(source, code).code)
    if targets is not None and resource_type not in targets:
        raise invalid("_has", "this parameter does not point to resources of the searched type")
    return Has(source, code, read_term(source, rest, value, base_url=base_url, links=links + 1))


def _chain(
    resource_type: str, head: str, rest: str, value: str, *, base_url: str | None, links: int
) -> Chain:
    code, colon, only = head.partition(":")
    targets = _targets(resource_type, _reference(resource_type, code).code)
    if colon and (only not in resource_types() or (targets is not None and only not in targets)):
        raise invalid(code, "it does not point to resources of that type")
    if targets is None and not only:
        raise invalid(code, "name the type it points to: parameter:Type.parameter")
    chosen = [only] if only else sorted(targets or ())
    found: list[tuple[str, Term]] = []
    refused: UnknownSearchParameter | InvalidSearchValue | UnsupportedSearch | DroppableError | None = None
    for target in chosen:
        try:
            found.append((target, read_term(target, rest, value, base_url=base_url, links=links + 1)))
        except (UnknownSearchParameter, InvalidSearchValue, UnsupportedSearch, DroppableError) as error:
            # What another type understands is not lost by this one; the most telling refusal is kept.
            refused = error if refused is None or isinstance(refused, UnknownSearchParameter) else refused
    if not found:
        assert refused is not None
        raise refused
    chain = Chain(code, tuple(found))
    if sum(1 for _ in types_of(chain)) > MAX_BRANCHES:
        raise TooManySearchTerms(f"{shown(code)}: name the types that the chain goes through")
    return chain


def _reference(resource_type: str, code: str) -> SearchParameter:
    parameter = _parameter(resource_type, code)
    if parameter.type != "reference":
        raise unsupported(code, "only references lead on to another resource")
    return parameter


def _parameter(resource_type: str, code: str) -> SearchParameter:
    parameter = search_parameters(resource_type).get(code)
    if parameter is None:
        message = f"{resource_type} has no search parameter of this name"
        raise UnknownSearchParameter(
            f"{shown(code)}: {message}", places=places(shown(code), UnknownSearchParameter.code, message)
        )
    if code in uncompiled(resource_type):
        raise DroppableError(unsupported(code, "is not supported"))
    return parameter


@cache
def _targets(resource_type: str, code: str) -> frozenset[str] | None:
    """Return the types a reference parameter may point to: those of the parameter that its elements allow too."""
    parameter = search_parameters(resource_type)[code]
    try:
        allowed = target_types(parameter.expression, resource_type)
    except NotCompilable:
        allowed = None
    if parameter.targets is None or allowed is None:
        return parameter.targets if allowed is None else allowed
    return parameter.targets & allowed or parameter.targets


def _clause(
    resource_type: str, parameter: SearchParameter, modifier: str, value: str, base_url: str | None
) -> Clause:
    code, kind = parameter.code, parameter.type
    targets = _targets(resource_type, code) if kind == "reference" else None
    if kind == "reference" and modifier in resource_types():
        if targets is not None and modifier not in targets:
            raise invalid(code, "it does not point to resources of that type")
        targets, modifier = frozenset({modifier}), ""
    if kind == "token" and modifier in ("above", "below"):
        raise unsupported(code, _NEED_TERMINOLOGY)
    if modifier and modifier not in _MODIFIERS.get(kind, {"missing"}):
        raise unsupported(code, "this modifier is not supported")
    if modifier == "missing":
        if value not in ("true", "false"):
            raise invalid(code, "missing is true or false")
        return Clause(code, kind, modifier, missing=value == "true")
    alternatives = split(value, ",")
    if len(alternatives) > MAX_ALTERNATIVES:
        raise TooManySearchTerms(f"{code}: more than {MAX_ALTERNATIVES} alternatives")
    asked = Asked(parameter, targets, base_url)
    if modifier in ("in", "not-in"):
        codes = tuple(token for part in alternatives for token in _expanded(code, unescape(part)))
        return Clause(code, kind, "" if modifier == "in" else "not", codes)
    reading = _READERS.get(modifier, read)
    return Clause(code, kind, modifier, tuple(reading(asked, part) for part in alternatives))


def _expanded(code: str, url: str) -> Iterator[TokenCriterion]:
    """Return the codes of a value set of the standard whose codes the definitions list."""
    name = url.split("|")[0].removeprefix(VALUE_SET)
    if not url.startswith(VALUE_SET) or name not in value_sets():
        raise unsupported(code, "this value set cannot be expanded here")
    found = [TokenCriterion(system, c) for system, codes in value_set(name).items() for c in codes]
    if len(found) > MAX_EXPANSION:
        raise unsupported(code, "this value set has too many codes")
    yield from found
