"""The search grammar: query parameters to a typed search, without a database.

Alternatives (commas) are joined by or, parameters by and. A strict search refuses what it does not know; a lenient one
drops unknown and unsupported parameters and says which. An unsupported modifier is always refused, because dropping it
would change what the parameter means (FHIR R4 search §3.1.1.4.4).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from .criteria import Asked, Criterion, read, read_token, split, unescape
from .definitions import SearchParameter, elements, resource_types, search_parameters
from .errors import (
    InvalidSearchValue,
    TooManySearchTerms,
    UnknownResourceType,
    UnknownSearchParameter,
    UnsupportedSearch,
    places,
)
from .expressions import NotCompilable, target_types
from .index import uncompiled

MAX_PARAMETERS = 50
MAX_ALTERNATIVES = 100
MAX_VALUE_LENGTH = 8192
MAX_SORTS = 5
MAX_COUNT = 1000
"""A larger ``_count`` is answered with this many: the standard lets a server return fewer."""

_MODIFIERS = {
    "token": frozenset({"not", "missing"}),
    "string": frozenset({"exact", "contains", "missing"}),
    "reference": frozenset({"identifier", "missing"}),
}
_TRANSPORT = frozenset({"_format", "_pretty"})
_NOT_YET = frozenset(
    {"_has", "_list", "_type", "_filter", "_contained", "_containedType", "_score", "_query"}
)
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-.:]{0,63}", re.ASCII)
_TOTALS = frozenset({"none", "estimate", "accurate"})
_SUMMARIES = frozenset({"true", "text", "data", "count", "false"})


@dataclass(frozen=True, slots=True)
class Clause:
    """One criterion of a search: any of ``values`` must hold, or with ``not`` none of them.

    ``modifier`` is "", exact, contains, not, identifier or missing; for missing, ``missing`` is what was asked and
    ``values`` is empty.
    """

    parameter: str
    type: str
    modifier: str = ""
    values: tuple[Criterion, ...] = ()
    missing: bool | None = None


@dataclass(frozen=True, slots=True)
class Sort:
    parameter: str
    type: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Include:
    """``source``'s reference ``parameter``, optionally only to ``target``; ``iterate``: from included ones too."""

    source: str
    parameter: str
    target: str | None
    iterate: bool


@dataclass(slots=True)
class Search:
    """A typed search. ``ignored`` are the parameters that a lenient one dropped; ``applied`` the others, in order."""

    resource_type: str
    clauses: list[Clause] = field(default_factory=list)
    sort: list[Sort] = field(default_factory=list)
    count: int | None = None
    includes: list[Include] = field(default_factory=list)
    revincludes: list[Include] = field(default_factory=list)
    total: str | None = None
    summary: str | None = None
    elements: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    applied: list[tuple[str, str]] = field(default_factory=list)


def _shown(name: str) -> str:
    """Return a parameter name fit for a message: what is not formed like one may hold anything."""
    return name if _NAME.fullmatch(name) else "a parameter"


def _invalid(name: str, message: str) -> InvalidSearchValue:
    shown = _shown(name)
    return InvalidSearchValue(f"{shown}: {message}", places=places(shown, InvalidSearchValue.code, message))


def _unsupported(name: str, message: str) -> UnsupportedSearch:
    shown = _shown(name)
    return UnsupportedSearch(f"{shown}: {message}", places=places(shown, UnsupportedSearch.code, message))


def parse(
    resource_type: str,
    params: Sequence[tuple[str, str]],
    *,
    lenient: bool = False,
    base_url: str | None = None,
) -> Search:
    """Return the search that ``params`` (decoded names and values, in order) ask for.

    ``base_url`` is this server's own FHIR address. Raises UnknownResourceType, UnknownSearchParameter,
    InvalidSearchValue, UnsupportedSearch, TooManySearchTerms.
    """
    if resource_type not in resource_types():
        raise UnknownResourceType("FHIR R4 has no such resource type")
    if len(params) > MAX_PARAMETERS:
        raise TooManySearchTerms(f"more than {MAX_PARAMETERS} parameters")
    search = Search(resource_type)
    for name, value in params:
        if len(value) > MAX_VALUE_LENGTH or _CONTROL.search(value):
            raise _invalid(name, "too long, or with characters that text does not have")
        try:
            _apply(search, name, value, base_url)
        except (UnknownSearchParameter, _DroppableError) as refusal:
            if not lenient:
                raise _strict(refusal) from None
            search.ignored.append(name)
        else:
            search.applied.append((name, value))
    return search


class _DroppableError(Exception):
    """An unsupported or empty parameter, which a lenient search may leave out."""

    def __init__(self, refusal: UnsupportedSearch | InvalidSearchValue) -> None:
        self.refusal = refusal


def _strict(refusal: UnknownSearchParameter | _DroppableError) -> Exception:
    return refusal.refusal if isinstance(refusal, _DroppableError) else refusal


def _apply(search: Search, name: str, value: str, base_url: str | None) -> None:
    if name in _TRANSPORT:
        return
    code, colon, modifier = name.partition(":")
    if code in ("_include", "_revinclude"):
        _include(search, code, modifier, value)
    elif name in _RESULT:
        _RESULT[name](search, value)
    elif code in _NOT_YET:
        raise _DroppableError(_unsupported(code, "is not supported"))
    elif "." in name:
        raise _DroppableError(_unsupported(name, "chained parameters are not supported"))
    else:
        parameter = _parameter(search.resource_type, code)
        if not value:
            raise _DroppableError(_invalid(name, "an empty value"))
        if colon and not modifier:
            raise _unsupported(name, "an empty modifier")
        search.clauses.append(_clause(search.resource_type, parameter, modifier, value, base_url))


def _parameter(resource_type: str, code: str) -> SearchParameter:
    parameter = search_parameters(resource_type).get(code)
    if parameter is None:
        shown = _shown(code)
        message = f"{resource_type} has no search parameter of this name"
        raise UnknownSearchParameter(
            f"{shown}: {message}", places=places(shown, UnknownSearchParameter.code, message)
        )
    if code in uncompiled(resource_type):
        raise _DroppableError(_unsupported(code, "is not supported"))
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
            raise _invalid(code, "it does not point to resources of that type")
        targets, modifier = frozenset({modifier}), ""
    if modifier and modifier not in _MODIFIERS.get(kind, {"missing"}):
        raise _unsupported(code, "this modifier is not supported")
    if modifier == "missing":
        if value not in ("true", "false"):
            raise _invalid(code, "missing is true or false")
        return Clause(code, kind, modifier, missing=value == "true")
    alternatives = split(value, ",")
    if len(alternatives) > MAX_ALTERNATIVES:
        raise TooManySearchTerms(f"{code}: more than {MAX_ALTERNATIVES} alternatives")
    asked = Asked(parameter, targets, base_url)
    if modifier == "identifier":
        return Clause(code, kind, modifier, tuple(read_token(asked, part) for part in alternatives))
    return Clause(code, kind, modifier, tuple(read(asked, part) for part in alternatives))


def _include(search: Search, code: str, modifier: str, value: str) -> None:
    if modifier not in ("", "iterate", "recurse"):
        raise _unsupported(code, "this modifier is not supported")
    source, *rest = value.split(":")
    if source not in resource_types() or not 1 <= len(rest) <= 2 or (len(rest) == 2 and not rest[1]):
        raise _invalid(code, "must be Type:parameter or Type:parameter:Type")
    if rest[0] == "*":
        raise _unsupported(code, "name the parameter; * is not supported")
    parameter = search_parameters(source).get(rest[0])
    target = rest[1] if len(rest) == 2 else None
    if parameter is None or parameter.type != "reference" or (target and target not in resource_types()):
        raise _invalid(code, "must name a reference parameter of that type")
    chosen = search.includes if code == "_include" else search.revincludes
    chosen.append(Include(source, parameter.code, target, bool(modifier)))


def _count(search: Search, value: str) -> None:
    if search.count is not None or not re.fullmatch(r"\d{1,18}", value, re.ASCII):
        raise _invalid("_count", "must be one whole number")
    search.count = min(int(value), MAX_COUNT)


def _sort(search: Search, value: str) -> None:
    keys = value.split(",")
    if search.sort or len(keys) > MAX_SORTS:
        raise _invalid("_sort", f"must be one list of at most {MAX_SORTS} parameters")
    for key in keys:
        parameter = search_parameters(search.resource_type).get(key.removeprefix("-"))
        if parameter is None or parameter.type in ("composite", "special"):
            raise _invalid("_sort", "must name search parameters that have an order")
        search.sort.append(Sort(parameter.code, parameter.type, key.startswith("-")))


def _total(search: Search, value: str) -> None:
    if search.total is not None or value not in _TOTALS:
        raise _invalid("_total", "must be none, estimate or accurate")
    search.total = value


def _summary(search: Search, value: str) -> None:
    if search.summary is not None or value not in _SUMMARIES:
        raise _invalid("_summary", "must be true, text, data, count or false")
    search.summary = value


def _elements(search: Search, value: str) -> None:
    known = {name.removesuffix("[x]") for name in elements(search.resource_type)}
    names = [unescape(name.strip()) for name in value.split(",")]
    if search.elements or not known.issuperset(names):
        raise _invalid("_elements", "must be one list of elements of the resource type")
    search.elements = names


_RESULT = {"_count": _count, "_sort": _sort, "_total": _total, "_summary": _summary, "_elements": _elements}
