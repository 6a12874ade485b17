"""Code systems as hierarchies, and value sets as what they are composed of (FHIR R4 codesystem, valueset)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .criteria import TokenCriterion
from .definitions import hierarchies

MAX_LEVELS = 50


class NotExpandableError(Exception):
    """The codes cannot be listed here; the message says why."""


@dataclass(frozen=True, slots=True)
class Concepts:
    """The codes of a code system and the parents of those that have any. ``complete``: these are all its codes."""

    codes: frozenset[str]
    parents: Mapping[str, Sequence[str]]
    complete: bool

    def above(self, code: str) -> set[str]:
        """Return what subsumes a code, without the code."""
        return _reached(code, self.parents)

    def below(self, code: str) -> set[str]:
        """Return what a code subsumes, without the code."""
        children: dict[str, list[str]] = defaultdict(list)
        for child, parents in self.parents.items():
            for parent in parents:
                children[parent].append(child)
        return _reached(code, children)


def _reached(start: str, steps: Mapping[str, Sequence[str]]) -> set[str]:
    found: set[str] = set()
    fresh = [start]
    for _ in range(MAX_LEVELS):
        fresh = [code for known in fresh for code in steps.get(known, ()) if code not in found]
        if not fresh:
            break
        found.update(fresh)
    return found - {start}


def concepts_of(code_system: Mapping[str, Any]) -> Concepts:
    """Return the codes of a CodeSystem resource: nested ones, and those that name a parent by property."""
    codes: set[str] = set()
    parents: dict[str, list[str]] = defaultdict(list)
    for code, parent in _pairs(code_system.get("concept", ()), None):
        codes.add(code)
        if parent is not None and parent not in parents[code]:
            parents[code].append(parent)
    complete = code_system.get("content") == "complete"
    return Concepts(frozenset(codes), {code: found for code, found in parents.items() if found}, complete)


def _pairs(concepts: Sequence[Mapping[str, Any]], parent: str | None) -> Iterator[tuple[str, str | None]]:
    for concept in concepts:
        code = concept["code"]
        yield code, parent
        for said in concept.get("property", ()):
            if said.get("code") in ("parent", "subsumedBy") and "valueCode" in said:
                yield code, said["valueCode"]
            elif said.get("code") == "child" and "valueCode" in said:
                yield said["valueCode"], code
        yield from _pairs(concept.get("concept", ()), code)


@lru_cache(maxsize=32)
def standard_concepts(system: str) -> Concepts | None:
    """Return the hierarchy of a code system that the standard defines, or None where it has none."""
    parents = hierarchies().get(system)
    if parents is None:
        return None
    codes = frozenset(parents) | {parent for found in parents.values() for parent in found}
    return Concepts(codes, parents, complete=False)


@dataclass(frozen=True, slots=True)
class Part:
    """One include or exclude of a value set: codes of a system, all or listed or filtered, and of other value sets."""

    system: str | None
    excluded: bool
    listed: tuple[str, ...] = ()
    filters: tuple[tuple[str, str, str], ...] = ()
    value_sets: tuple[str, ...] = ()

    def codes(self, known: Concepts | None) -> set[TokenCriterion]:
        """Return the codes of the system's part; a system that nobody knows stands for all its codes.

        Raises NotExpandableError.
        """
        assert self.system is not None
        if self.listed:
            return {TokenCriterion(self.system, code) for code in self.listed}
        if not self.filters:
            if known is not None and known.complete:
                return {TokenCriterion(self.system, code) for code in known.codes}
            if self.excluded or self.value_sets:
                raise NotExpandableError("the codes of a code system of this value set are not known here")
            return {TokenCriterion(self.system, None)}
        if known is None:
            raise NotExpandableError("a code system of this value set is not known here")
        chosen = [_filtered(known, *one) for one in self.filters]
        return {TokenCriterion(self.system, code) for code in set.intersection(*chosen)}


def _filtered(known: Concepts, name: str, operator: str, value: str) -> set[str]:
    if name in ("concept", "code"):
        match operator:
            case "is-a":
                return known.below(value) | {value}
            case "descendent-of":
                return known.below(value)
            case "generalizes":
                return known.above(value) | {value}
            case "is-not-a" if known.complete:
                return set(known.codes) - known.below(value) - {value}
            case "=":
                return {value}
            case "in":
                return {code.strip() for code in value.split(",")}
    raise NotExpandableError("a filter of this value set is not understood here")


def compose(value_set: Mapping[str, Any]) -> list[Part]:
    """Return the parts of a ValueSet resource, includes first. An expansion without a compose counts as a list."""
    composed = value_set.get("compose")
    if composed is None:
        found: dict[str, list[str]] = defaultdict(list)
        for system, code in _contained(value_set.get("expansion", {}).get("contains", ())):
            found[system].append(code)
        return [Part(system, excluded=False, listed=tuple(codes)) for system, codes in found.items()]
    return [
        Part(
            system=part.get("system"),
            excluded=kind == "exclude",
            listed=tuple(concept["code"] for concept in part.get("concept", ())),
            filters=tuple((one["property"], one["op"], one["value"]) for one in part.get("filter", ())),
            value_sets=tuple(part.get("valueSet", ())),
        )
        for kind in ("include", "exclude")
        for part in composed.get(kind, ())
    ]


def _contained(entries: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        if "code" in entry and "system" in entry and not entry.get("abstract", False):
            yield entry["system"], entry["code"]
        yield from _contained(entry.get("contains", ()))
