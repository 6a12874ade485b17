"""The search grammar: query parameters to a typed search, without a database.

Alternatives (commas) are joined by or, parameters by and. A strict search refuses what it does not know; a lenient one
drops unknown and unsupported parameters and says which. An unsupported modifier is always refused, because dropping it
would change what the parameter means (FHIR R4 search §3.1.1.4.4).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from .criteria import ID, TokenCriterion, unescape
from .definitions import SearchParameter, elements, resource_types, search_parameters
from .errors import (
    TooManySearchTerms,
    UnknownResourceType,
    UnknownSearchParameter,
    places,
)
from .index import uncompiled
from .search_filter import read_filter_term
from .search_terms import (
    AnyOf,
    Chain,
    Clause,
    DroppableError,
    Either,
    Every,
    Has,
    Link,
    Term,
    Without,
    invalid,
    read_term,
    shown,
    types_of,
    unsupported,
)

__all__ = [
    "AnyOf",
    "Chain",
    "Clause",
    "Either",
    "Every",
    "Has",
    "Include",
    "Link",
    "Search",
    "Sort",
    "Term",
    "Without",
    "parse",
]

MAX_PARAMETERS = 50
MAX_VALUE_LENGTH = 8192
MAX_SORTS = 5
MAX_COUNT = 1000
"""A larger ``_count`` is answered with this many: the standard lets a server return fewer."""

_TRANSPORT = frozenset({"_format", "_pretty"})
_NOT_YET = frozenset({"_list", "_type", "_contained", "_containedType", "_score", "_query"})
_DEFAULTS = {("_contained", "false"), ("_containedType", "container")}
"""Contained resources are part of what contains them: asking for that, the standard's default, changes nothing."""
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
TOTALS = frozenset({"none", "estimate", "accurate"})
_TOTAL_METHODS = {"count": "accurate", "estimate": "estimate", "no": "none"}
SUMMARIES = frozenset({"true", "text", "data", "count", "false"})


@dataclass(frozen=True, slots=True)
class Sort:
    parameter: str
    type: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Include:
    """``source``'s reference ``parameter``, optionally only to ``target``; ``iterate``: from included ones too.

    ``parameter`` "*" is every one of the type, ``source`` "*" of every type.
    """

    source: str
    parameter: str
    target: str | None
    iterate: bool


@dataclass(slots=True)
class Search:
    """A typed search. ``ignored`` are the parameters that a lenient one dropped; ``applied`` the others, in order.

    ``clauses`` speak of the searched resource itself, ``links`` of what it is connected with.
    """

    resource_type: str
    clauses: list[Clause] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    sort: list[Sort] = field(default_factory=list)
    count: int | None = None
    includes: list[Include] = field(default_factory=list)
    revincludes: list[Include] = field(default_factory=list)
    total: str | None = None
    summary: str | None = None
    elements: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    applied: list[tuple[str, str]] = field(default_factory=list)

    @property
    def reaches(self) -> frozenset[str]:
        """The types beside its own of which this search can tell something: the caller needs the right to each."""
        return frozenset(rtype for link in self.links for rtype in types_of(link))


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
            raise invalid(name, "too long, or with characters that text does not have")
        try:
            _apply(search, name, value, base_url)
        except (UnknownSearchParameter, DroppableError) as refusal:
            if not lenient:
                raise _strict(refusal) from None
            search.ignored.append(name)
        else:
            search.applied.append((name, value))
    return search


MAX_TYPES = 12
"""Types that one search over several may name: each is a search of its own."""
OF_ALL = ("_content", "_id", "_lastUpdated", "_profile", "_security", "_source", "_tag", "_text")
"""Parameters that all types have (``_text``: all that can have a narrative)."""
_OF_ALL = frozenset(OF_ALL)
_RESULTS_OF_ALL = frozenset({"_count", "_total", "_summary", "_sort", "_format", "_pretty"})


def parse_types(
    params: Sequence[tuple[str, str]],
    *,
    lenient: bool = False,
    base_url: str | None = None,
    types: Sequence[str] | None = None,
) -> list[Search]:
    """Return the search of each type that ``_type`` names, or of ``types``, by parameters that all types have.

    Raises what ``parse`` does; InvalidSearchValue without a ``_type``, or with a sort but by ``_lastUpdated``.
    """
    named = [value for name, value in params if name == "_type"]
    if types is None:
        types = list(dict.fromkeys(named[0].split(","))) if len(named) == 1 else []
        if not 1 <= len(types) <= MAX_TYPES or not resource_types().issuperset(types):
            raise invalid("_type", f"must name 1 to {MAX_TYPES} resource types")
    rest = [(name, value) for name, value in params if name != "_type"]
    for name, value in rest:
        code = name.partition(":")[0]
        if code not in _OF_ALL | _RESULTS_OF_ALL and not lenient:
            raise UnknownSearchParameter(
                f"{shown(code)}: not a parameter of all types",
                places=places(shown(code), UnknownSearchParameter.code, "not a parameter of all types"),
            )
        if name == "_sort" and value.removeprefix("-") != "_lastUpdated":
            raise invalid("_sort", "resources of several types are sorted by _lastUpdated only")
    kept = [pair for pair in rest if pair[0].partition(":")[0] in _OF_ALL | _RESULTS_OF_ALL]
    found = [parse(rtype, kept, lenient=lenient, base_url=base_url) for rtype in types]
    for search in found:
        search.applied += [("_type", value) for value in named]
        search.ignored += [name for name, value in rest if (name, value) not in kept]
    return found


def parse_everywhere(
    params: Sequence[tuple[str, str]], *, lenient: bool = False, base_url: str | None = None
) -> Search:
    """Return the search over all types, by parameters that all types have. Its type is "Resource".

    Raises what ``parse_types`` does.
    """
    (search,) = parse_types([*params, ("_type", "Basic")], lenient=lenient, base_url=base_url)
    search.resource_type = "Resource"
    search.applied.remove(("_type", "Basic"))
    return search


def _strict(refusal: UnknownSearchParameter | DroppableError) -> Exception:
    return refusal.refusal if isinstance(refusal, DroppableError) else refusal


def _apply(search: Search, name: str, value: str, base_url: str | None) -> None:
    if name in _TRANSPORT:
        return
    code, _, modifier = name.partition(":")
    if code in ("_include", "_revinclude"):
        _include(search, code, modifier, value)
    elif name in _RESULT:
        _RESULT[name](search, value)
    elif name == "_list":
        search.links.append(_member_of(value))
    elif name == "_filter":
        search.links.append(_as_link(read_filter_term(search.resource_type, value, base_url)))
    elif (name, value) in _DEFAULTS:
        return
    elif code in _NOT_YET:
        raise DroppableError(unsupported(code, "is not supported"))
    else:
        term = read_term(search.resource_type, name, value, base_url=base_url)
        if isinstance(term, Clause) and not any(types_of(term)):
            search.clauses.append(term)
        else:
            search.links.append(_as_link(term))


def _as_link(term: Term) -> Link:
    return Every((term,)) if isinstance(term, Clause) else term


def _member_of(value: str) -> Has:
    """Return the term for what a List names. The functional lists (``$current-…``) are not there."""
    if not ID.fullmatch(value):
        raise DroppableError(unsupported("_list", "must be the id of one List"))
    return Has("List", "item", Clause("_id", "token", "", (TokenCriterion(None, value),)))


def _include(search: Search, code: str, modifier: str, value: str) -> None:
    if modifier not in ("", "iterate", "recurse"):
        raise unsupported(code, "this modifier is not supported")
    chosen = search.includes if code == "_include" else search.revincludes
    source, *rest = value.split(":")
    if source == "*" and not rest:
        chosen.append(Include("*", "*", None, bool(modifier)))
        return
    if source not in resource_types() or not 1 <= len(rest) <= 2 or (len(rest) == 2 and not rest[1]):
        raise invalid(code, "must be Type:parameter or Type:parameter:Type")
    target = rest[1] if len(rest) == 2 else None
    if rest[0] == "*" and (target is None or target in resource_types()):
        chosen.append(Include(source, "*", target, bool(modifier)))
        return
    parameter = search_parameters(source).get(rest[0])
    if parameter is None or parameter.type != "reference" or (target and target not in resource_types()):
        raise invalid(code, "must name a reference parameter of that type")
    chosen.append(Include(source, parameter.code, target, bool(modifier)))


def _count(search: Search, value: str) -> None:
    if search.count is not None or not re.fullmatch(r"\d{1,18}", value, re.ASCII):
        raise invalid("_count", "must be one whole number")
    search.count = min(int(value), MAX_COUNT)


def _sort(search: Search, value: str) -> None:
    keys = value.split(",")
    if search.sort or len(keys) > MAX_SORTS:
        raise invalid("_sort", f"must be one list of at most {MAX_SORTS} parameters")
    for key in keys:
        parameter = search_parameters(search.resource_type).get(key.removeprefix("-"))
        if parameter is None or not _has_order(search.resource_type, parameter):
            raise invalid("_sort", "must name search parameters that have an order")
        search.sort.append(Sort(parameter.code, parameter.type, key.startswith("-")))


def _has_order(resource_type: str, parameter: SearchParameter) -> bool:
    return parameter.type not in ("composite", "special") and parameter.code not in uncompiled(resource_type)


def _total(search: Search, value: str) -> None:
    if search.total is not None or value not in TOTALS:
        raise invalid("_total", "must be none, estimate or accurate")
    search.total = value


def _total_method(search: Search, value: str) -> None:
    """Read what some client libraries ask beside ``_count=0``, from before FHIR had ``_total``."""
    if value not in _TOTAL_METHODS:
        raise invalid("_totalMethod", "must be count, estimate or no")
    _total(search, _TOTAL_METHODS[value])


def _summary(search: Search, value: str) -> None:
    if search.summary is not None or value not in SUMMARIES:
        raise invalid("_summary", "must be true, text, data, count or false")
    search.summary = value


def _elements(search: Search, value: str) -> None:
    known = {name.removesuffix("[x]") for name in elements(search.resource_type)} | {"resourceType"}
    names = [unescape(name.strip()) for name in value.split(",")]
    if search.elements or not known.issuperset(names):
        raise invalid("_elements", "must be one list of elements of the resource type")
    search.elements = names


_RESULT = {
    "_count": _count,
    "_sort": _sort,
    "_total": _total,
    "_totalMethod": _total_method,
    "_summary": _summary,
    "_elements": _elements,
}
