"""One search parameter as a caller writes it, with its modifier, its chain or its ``_has``, as a typed term.

A modifier that is not there for a type is refused even when lenient, because dropping it would change what the
parameter means (FHIR R4 search §3.1.1.4.4).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from .criteria import (
    Asked,
    Criterion,
    ReferenceCriterion,
    TokenCriterion,
    ValueSetCriterion,
    WordsCriterion,
    read,
    read_of_type,
    read_overlap,
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
from .fulltext import NoWordsError, read_words
from .index import uncompiled

MAX_ALTERNATIVES = 100
MAX_LINKS = 4
"""Links of one chain, ``_has`` included: each is a join."""
MAX_BRANCHES = 40
"""Ways that a chain without types may take in all."""

_MODIFIERS = {
    "token": frozenset({"not", "missing", "text", "in", "not-in", "of-type", "above", "below"}),
    "string": frozenset({"exact", "contains", "missing"}),
    "reference": frozenset({"identifier", "missing", "above", "below"}),
    "uri": frozenset({"above", "below", "missing"}),
}
_READERS: Mapping[str, Callable[[Asked, str], Criterion]] = {
    "identifier": read_token,
    "text": read_text,
    "of-type": read_of_type,
    "overlaps": read_overlap,
}
HIERARCHICAL = {
    "CarePlan": "part-of",
    "DeviceDefinition": "parent",
    "Encounter": "part-of",
    "Location": "partof",
    "MedicationStatement": "part-of",
    "Organization": "partof",
    "Procedure": "part-of",
    "ResearchStudy": "partof",
    "Specimen": "parent",
    "Task": "part-of",
}
"""By type, the reference to another of its kind of which it is a part."""
FULL_TEXT = frozenset({"_text", "_content"})
"""Asked of the words of a resource, which are no values of an element."""
VALUE_SET = "http://hl7.org/fhir/ValueSet/"
MAX_EXPANSION = 500
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-.:]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Clause:
    """One criterion of a search: any of ``values`` must hold, or with ``not`` none of them.

    ``modifier`` is "", exact, contains, not, identifier, text, of-type, above, below, in, not-in or missing, or what
    only ``_filter`` asks: equals, ends, overlaps. For missing, ``missing`` is what was asked and ``values`` is empty.
    Value sets whose codes the standard lists have become their codes; ``type`` is "words" for a full-text search.
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


@dataclass(frozen=True, slots=True)
class Every:
    """All of these hold."""

    parts: tuple["Term", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """At least one of these holds."""

    parts: tuple["Term", ...]


@dataclass(frozen=True, slots=True)
class Without:
    """This does not hold."""

    inner: "Term"


Link = Chain | Has | AnyOf | Every | Either | Without
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
        case Every(parts) | Either(parts):
            for part in parts:
                yield from types_of(part)
        case Without(inner):
            yield from types_of(inner)
        case Clause(type="reference", modifier="above" | "below", values=values):
            yield from sorted({key.partition("/")[0] for value in values for key in _local_keys(value)})


def _local_keys(value: Criterion) -> list[str]:
    return [key for key in value.keys if ":" not in key] if isinstance(value, ReferenceCriterion) else []


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
    parameter = parameter_of(resource_type, code)
    if not value:
        raise DroppableError(invalid(name, "an empty value"))
    if colon and not modifier:
        raise unsupported(name, "an empty modifier")
    kind = "words" if code in FULL_TEXT else parameter.type
    allowed = _MODIFIERS.get(kind, frozenset({"missing"}))
    of_type = parameter.type == "reference" and modifier in resource_types()
    if modifier and modifier not in allowed and not of_type:
        raise unsupported(code, "FHIR R4 has no such modifier for a parameter of this type")
    return read_clause(resource_type, parameter, modifier, split(value, ","), base_url)


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
    def there(target: str) -> Term:
        return read_term(target, rest, value, base_url=base_url, links=links + 1)

    return chained(resource_type, head, there)


def chained(resource_type: str, head: str, there: Callable[[str], Term]) -> Chain:
    """Return the chain from a reference, ``parameter`` or ``parameter:Type``; ``there`` reads what follows it."""
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
            found.append((target, there(target)))
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
    parameter = parameter_of(resource_type, code)
    if parameter.type != "reference":
        raise unsupported(code, "only references lead on to another resource")
    return parameter


def parameter_of(resource_type: str, code: str) -> SearchParameter:
    """Return a search parameter that can be asked. Raises UnknownSearchParameter, DroppableError."""
    parameter = search_parameters(resource_type).get(code)
    if parameter is None:
        message = f"{resource_type} has no search parameter of this name"
        raise UnknownSearchParameter(
            f"{shown(code)}: {message}", places=places(shown(code), UnknownSearchParameter.code, message)
        )
    if code in uncompiled(resource_type) and code not in FULL_TEXT:
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


def read_clause(
    resource_type: str,
    parameter: SearchParameter,
    modifier: str,
    alternatives: Sequence[str],
    base_url: str | None,
) -> Clause:
    """Return the clause of a parameter whose modifier is known to fit it."""
    code, kind = parameter.code, "words" if parameter.code in FULL_TEXT else parameter.type
    if len(alternatives) > MAX_ALTERNATIVES:
        raise TooManySearchTerms(f"{code}: more than {MAX_ALTERNATIVES} alternatives")
    targets = _targets(resource_type, code) if kind == "reference" else None
    if kind == "reference" and modifier in resource_types():
        if targets is not None and modifier not in targets:
            raise invalid(code, "it does not point to resources of that type")
        targets, modifier = frozenset({modifier}), ""
    if modifier == "missing":
        if list(alternatives) not in (["true"], ["false"]):
            raise invalid(code, "missing is true or false")
        return Clause(code, kind, modifier, missing=alternatives[0] == "true")
    if modifier in ("in", "not-in"):
        return _in_value_set(code, modifier, [unescape(part) for part in alternatives])
    if kind == "words":
        return Clause(code, kind, modifier, tuple(_words(code, part) for part in alternatives))
    asked = Asked(parameter, targets, base_url)
    reading = _READERS.get(modifier, read)
    return Clause(code, kind, modifier, tuple(reading(asked, part) for part in alternatives))


def _words(code: str, text: str) -> WordsCriterion:
    try:
        return WordsCriterion(read_words(unescape(text)))
    except NoWordsError as error:
        raise invalid(code, str(error)) from None


def _in_value_set(code: str, modifier: str, urls: Sequence[str]) -> Clause:
    """Value sets that the definitions list become codes at once; of others the records must ask."""
    if not all(urls):
        raise invalid(code, "must name a value set by its address")
    if not all(listed(url) for url in urls):
        return Clause(code, "token", modifier, tuple(map(ValueSetCriterion, urls)))
    codes = tuple(token for url in urls for token in _expanded(code, url))
    return Clause(code, "token", "" if modifier == "in" else "not", codes)


def listed(url: str) -> str | None:
    """Return the short name of a value set of the standard whose codes the definitions list."""
    name = url.split("|")[0].removeprefix(VALUE_SET)
    return name if url.startswith(VALUE_SET) and name in value_sets() else None


def _expanded(code: str, url: str) -> Iterator[TokenCriterion]:
    codes = value_set(listed(url) or "")
    found = [TokenCriterion(system, c) for system, names in codes.items() for c in names]
    if len(found) > MAX_EXPANSION:
        raise unsupported(code, "this value set has too many codes")
    yield from found
