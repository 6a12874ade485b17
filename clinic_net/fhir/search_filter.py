"""What a ``_filter`` asks: its tree (``filters``) as typed terms, each comparison by the type of its parameter.

An operator that has no meaning for a type of parameter is refused. ``ne`` of codes, texts, references and addresses is
"there are values, and none is this one": the index holds their hashes and cannot tell one value from another.
"""

from collections.abc import Callable, Mapping

from .definitions import SearchParameter
from .errors import InvalidSearchValue, TooManySearchTerms
from .filters import Comparison, Filter, FilterSyntaxError, Joined, Negated, Step, read_filter
from .search_terms import (
    FULL_TEXT,
    MAX_BRANCHES,
    MAX_LINKS,
    Clause,
    DroppableError,
    Either,
    Every,
    Term,
    Without,
    chained,
    invalid,
    parameter_of,
    read_clause,
    types_of,
    unsupported,
)

_COMPARED = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "ap", "sa", "eb"})
_OPERATORS: Mapping[str, Mapping[str, str]] = {
    "token": {"eq": "", "ss": "below", "sb": "above", "in": "in", "ni": "not-in"},
    "string": {"eq": "equals", "co": "contains", "sw": "", "ew": "ends"},
    "reference": {"eq": "", "re": ""},
    "uri": {"eq": "", "ss": "below", "sb": "above"},
    "words": {"eq": "", "co": ""},
}
"""By type: the operators of a look-up and the modifier that each is; the others compare (``_COMPARED``) or ask
whether there is a value (``pr``)."""


def read_filter_term(resource_type: str, text: str, base_url: str | None) -> Term:
    """Return what a filter asks of resources of this type.

    Raises UnknownSearchParameter, InvalidSearchValue, UnsupportedSearch, TooManySearchTerms.
    """
    try:
        tree = read_filter(text)
    except FilterSyntaxError as error:
        raise invalid("_filter", str(error)) from None
    try:
        term = _Compiler(base_url).term(resource_type, tree)
    except DroppableError as dropped:  # a part that is left out would change what the rest means
        raise dropped.refusal from None
    if sum(1 for _ in types_of(term)) > MAX_BRANCHES:
        raise TooManySearchTerms("_filter: looks into too many types of resources")
    return term


class _Compiler:
    def __init__(self, base_url: str | None) -> None:
        self._base_url = base_url

    def term(self, resource_type: str, tree: Filter, links: int = 0) -> Term:
        match tree:
            case Negated(inner):
                return Without(self.term(resource_type, inner, links))
            case Joined(word, left, right):
                parts = (self.term(resource_type, left, links), self.term(resource_type, right, links))
                return Every(parts) if word == "and" else Either(parts)
            case Comparison(path, operator, value):
                return self._path(
                    resource_type, path, lambda rtype: self._test(rtype, path[-1], operator, value), links
                )

    def _path(
        self, resource_type: str, path: tuple[Step, ...], last: Callable[[str], Term], links: int
    ) -> Term:
        if len(path) == 1:
            return last(resource_type)
        if links >= MAX_LINKS:
            raise TooManySearchTerms(f"_filter: a chain of more than {MAX_LINKS} links")
        step, rest = path[0], path[1:]

        def there(rtype: str) -> Term:
            found = self._path(rtype, rest, last, links + 1)
            return found if step.where is None else Every((self.term(rtype, step.where, links + 1), found))

        return chained(resource_type, step.name, there)

    def _test(self, resource_type: str, step: Step, operator: str, value: str) -> Term:
        parameter = parameter_of(resource_type, step.name)
        if operator == "pr":
            return _present(parameter, value)
        known = _OPERATORS.get("words" if parameter.code in FULL_TEXT else parameter.type, {})
        if operator in known:
            return self._clause(resource_type, parameter, known[operator], value)
        if parameter.type in ("date", "number", "quantity"):
            if operator in _COMPARED:
                return self._clause(resource_type, parameter, "", operator + value)
            if operator == "po" and parameter.type == "date":
                return self._clause(resource_type, parameter, "overlaps", value)
        if operator == "ne" and "eq" in known:
            equal = self._clause(resource_type, parameter, known["eq"], value)
            return Every((Clause(parameter.code, parameter.type, "missing", missing=False), Without(equal)))
        raise unsupported(step.name, f"{operator} says nothing about a parameter of type {parameter.type}")

    def _clause(self, resource_type: str, parameter: SearchParameter, modifier: str, value: str) -> Term:
        return read_clause(resource_type, parameter, modifier, (value,), self._base_url)


def _present(parameter: SearchParameter, value: str) -> Clause:
    if value not in ("true", "false"):
        raise InvalidSearchValue(f"{parameter.code}: pr is followed by true or false")
    kind = "words" if parameter.code in FULL_TEXT else parameter.type
    return Clause(parameter.code, kind, "missing", missing=value == "false")
