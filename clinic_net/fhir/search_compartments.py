"""Compartments: by which references a resource of each type belongs to a patient, an encounter, a practitioner.

From the five CompartmentDefinitions of FHIR R4. A type that a definition gives no parameter for is never in that
compartment: asking for it is refused, because an answer without the restriction would be everybody's.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .criteria import ID, ReferenceCriterion, TokenCriterion
from .search import Search
from .search_terms import AnyOf, Clause, invalid, unsupported

_ITSELF = "{def}"


@dataclass(frozen=True, slots=True)
class Compartment:
    """``parameters``: by type the references that put a resource into it. ``whole``: its own type is in it too."""

    rtype: str
    url: str
    parameters: Mapping[str, tuple[str, ...]]
    whole: bool

    @property
    def types(self) -> list[str]:
        return sorted({*self.parameters, *([self.rtype] if self.whole else [])})


@cache
def compartments() -> Mapping[str, Compartment]:
    """Return the compartments by the type of the resource that makes one."""
    text = (Path(__file__).parent / "definitions" / "compartments.json").read_text(encoding="utf-8")
    return {rtype: _compartment(rtype, **given) for rtype, given in json.loads(text).items()}


def _compartment(rtype: str, url: str, parameters: dict[str, list[str]]) -> Compartment:
    references = {
        name: tuple(code for code in codes if code != _ITSELF) for name, codes in parameters.items()
    }
    return Compartment(
        rtype=rtype,
        url=url,
        parameters={name: codes for name, codes in references.items() if codes},
        whole=_ITSELF in parameters.get(rtype, ()),
    )


def confine(search: Search, compartment: Compartment, fid: str) -> None:
    """Keep a search to the compartment of one resource.

    Raises:
        UnsupportedSearch: resources of the searched type are never in it.
        InvalidSearchValue: ``fid`` cannot be an id.
    """
    if not ID.fullmatch(fid):
        raise invalid("compartment", "no such id")
    codes = compartment.parameters.get(search.resource_type, ())
    criteria = (ReferenceCriterion((f"{compartment.rtype}/{fid}",)),)
    if codes:
        search.links.append(AnyOf(tuple(Clause(code, "reference", "", criteria) for code in codes)))
    elif compartment.whole and search.resource_type == compartment.rtype:
        search.clauses.append(Clause("_id", "token", "", (TokenCriterion(None, fid),)))
    else:
        raise unsupported("compartment", "this type is never in this compartment")
