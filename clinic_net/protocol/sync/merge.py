"""Three-way merge of a FHIR resource by its elements: pure, and without an opinion of what a type means.

What one side changed is taken, what both changed alike too; what both changed differently is a clash, for a person.
What a type means (what belongs together, which way a status goes) comes in as :class:`Rules`, from ``merge_policy``.

Text survives: values are taken as they were read (decimals keep their digits), members and elements stay in the order
of ours, with what only theirs has behind what it stood behind there.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from clinic_net.protocol.sync.merge_values import (
    ABSENT,
    Json,
    concepts_agree,
    element_of,
    in_order,
    is_concept,
    is_one_value,
    keyed,
    label_of,
    removes,
    same,
    slots_of,
)

Resource = dict[str, Any]
Members = Mapping[str, Json]

_FREE_ANYWHERE = frozenset({"resourceType", "id", "meta", "text"})
_STAMPS = frozenset({"versionId", "lastUpdated"})
_NONE: Members = MappingProxyType({})


class Side(StrEnum):
    """Whose value. ``OURS`` is the hub's current version, ``THEIRS`` the one that came in."""

    OURS = "ours"
    THEIRS = "theirs"


@dataclass(frozen=True)
class Clash:
    """An element that both sides changed, each to something else.

    ``path`` names the element (``name[official].family``) and never what it says, but two elements may have the same;
    each value is the members that say it (``{"birthDate": …, "_birthDate": …}``), none where there is none.
    """

    path: str
    base: Members
    ours: Members
    theirs: Members


@dataclass(frozen=True)
class Merged:
    """The merged resource, or the clashes that stand against it."""

    resource: Resource | None
    clashes: tuple[Clash, ...] = ()


Join = Callable[[Json, Json], Json]
"""Which of two values of a state a record is in when both were reached; ``ABSENT`` when a person must say."""


@dataclass(frozen=True)
class Rules:
    """What a type's merge minds. Names are elements of the resource itself.

    ``units``: elements that are changed together or not at all; an element in no unit is one by itself. ``rest_is_one``
    makes one more unit of all elements that ``units`` and ``free`` do not name. ``states``: elements that move along a
    lattice. ``in_effect``: whether the resource says that something holds; two versions that differ in it clash in
    ``says_effect``. ``keeps``: what one side removed is no longer just removed, a person says so.
    """

    units: tuple[frozenset[str], ...] = ()
    rest_is_one: bool = False
    free: frozenset[str] = frozenset()
    states: Mapping[str, Join] = field(default_factory=dict)
    in_effect: Callable[[Mapping[str, Json]], bool] | None = None
    says_effect: frozenset[str] = frozenset()
    keeps: bool = False

    def unit_of(self, element: str) -> Hashable:
        """Return the unit an element is part of, or the element."""
        for unit in self.units:
            if element in unit:
                return unit
        return None if self.rest_is_one and element not in self.free | _FREE_ANYWHERE else element


PLAIN = Rules()

Choose = Callable[[int, Clash], Side | None]
"""Settles the clash of this number (they are always met in one order), or leaves it."""


def merge(
    base: Resource | None,
    ours: Resource,
    theirs: Resource,
    *,
    rules: Rules = PLAIN,
    choose: Choose | None = None,
) -> Merged:
    """Merge two changes of one resource. ``base`` is what both were made from; None when there is no such text.

    ``meta.versionId`` and ``meta.lastUpdated`` say nothing about the content and are left to whoever stores it.

    Raises:
        ValueError: the two are not of one type.
    """
    if ours.get("resourceType") != theirs.get("resourceType"):
        raise ValueError("only versions of one resource can be merged")
    before, one, other = _unstamped(base or {}), _unstamped(ours), _unstamped(theirs)
    if same(one, other) or same(before, other):
        return Merged(ours)
    if same(before, one):
        return Merged(theirs)
    walk = _Walk(rules, choose)
    resource = walk.resource(before, one, other)
    if walk.clashes:
        return Merged(None, tuple(walk.clashes))
    stamps = {name: value for name, value in ours.get("meta", {}).items() if name in _STAMPS}
    if stamps:
        resource["meta"] = {**stamps, **resource.get("meta", {})}
    return Merged(resource)


def whole(base: Resource | None, ours: Resource, theirs: Resource) -> Clash:
    """Return the clash of two versions of which no part can be taken by itself."""
    return Clash(str(ours.get("resourceType", "")), base or _NONE, ours, theirs)


def _unstamped(resource: Resource) -> Resource:
    meta = resource.get("meta")
    if not isinstance(meta, dict) or not meta.keys() & _STAMPS:
        return resource
    rest = {name: value for name, value in meta.items() if name not in _STAMPS}
    return {
        name: (rest if name == "meta" else value)
        for name, value in resource.items()
        if rest or name != "meta"
    }


def _generated(narrative: Json) -> bool:
    return narrative is ABSENT or (
        isinstance(narrative, dict) and narrative.get("status") in ("generated", "extensions")
    )


class _Walk:
    """One merge on its way down: what clashes, and how that was settled."""

    def __init__(self, rules: Rules, choose: Choose | None) -> None:
        self.clashes: list[Clash] = []
        self._rules = rules
        self._choose = choose
        self._met = 0

    def _clash(self, path: str, base: Members, ours: Members, theirs: Members) -> Members:
        clash = Clash(path, base, ours, theirs)
        chosen = None if self._choose is None else self._choose(self._met, clash)
        self._met += 1
        if chosen is None:
            self.clashes.append(clash)
        return theirs if chosen is Side.THEIRS else ours

    # -- the resource itself

    def resource(self, base: Resource, ours: Resource, theirs: Resource) -> Resource:
        rules = self._rules
        opposed = rules.in_effect is not None and rules.in_effect(ours) != rules.in_effect(theirs)
        sides = [base, ours, theirs]
        texts = [side.get("text", ABSENT) for side in sides]
        if not same(texts[1], texts[2]) and all(map(_generated, texts)):
            # It describes one side only. It is made from the content, by whoever shows it.
            sides = [{name: value for name, value in side.items() if name != "text"} for side in sides]
        found: dict[str, Json] = {}
        for elements in _units(rules, *sides):
            b, o, t = (_members(side, elements) for side in sides)
            if opposed and elements & rules.says_effect and not same(o, t):
                found |= self._clash(_name(elements, o, t), b, o, t)
            else:
                found |= self._merged(elements, "", b, o, t)
        return {str(name): found[str(name)] for name in in_order(sides[1], sides[2]) if name in found}

    def _merged(self, elements: frozenset[str], path: str, b: Members, o: Members, t: Members) -> Members:
        """Merge the members of one element, or of several that are changed together."""
        if same(o, t):
            return o
        here = path + _name(elements, o, t)
        if same(b, o):
            return t if not self._removed(b, t) else self._clash(here, b, o, t)
        if same(b, t):
            return o if not self._removed(b, o) else self._clash(here, b, o, t)
        member, *others = {*o, *t}
        if not others and member in o and member in t and b.keys() <= {member}:
            join = self._rules.states.get(member) if not path else None
            merged = (
                join(o[member], t[member])
                if join is not None
                else self._value(member, here, b.get(member, ABSENT), o[member], t[member])
            )
            if merged is not ABSENT:
                return {member: merged} if merged not in ([], {}) else _NONE
        return self._clash(here, b, o, t)

    def _removed(self, before: Members, after: Members) -> bool:
        return self._rules.keeps and bool(before) and removes("", dict(before), dict(after))

    # -- inside an element; ABSENT where it must clash as a whole

    def _value(self, name: str, path: str, b: Json, o: Json, t: Json) -> Json:
        if isinstance(o, dict) and isinstance(t, dict):
            return self._object(path, b if isinstance(b, dict) else {}, o, t)
        if isinstance(o, list) and isinstance(t, list):
            return self._array(name, path, b if isinstance(b, list) else [], o, t)
        return ABSENT

    def _object(self, path: str, b: Members, o: Members, t: Members) -> Json:
        if is_one_value(b, o, t) or (is_concept(b, o, t) and not concepts_agree(b, o, t)):
            return ABSENT
        found: dict[str, Json] = {}
        for elements in _units(PLAIN, b, o, t):
            found |= self._merged(elements, f"{path}.", *(_members(side, elements) for side in (b, o, t)))
        return {str(name): found[str(name)] for name in in_order(o, t) if name in found}

    def _array(self, name: str, path: str, b: list[Json], o: list[Json], t: list[Json]) -> Json:
        was, one, other = keyed(name, b), keyed(name, o), keyed(name, t)
        if was is None or one is None or other is None:
            return ABSENT
        if _corrected_twice(name, was, one, other):
            return ABSENT
        parent = path.rpartition(".")[0]
        found = []
        for key in in_order(one, other):
            sides = [side.get(key, ABSENT) for side in (was, one, other)]
            label = next(label_of(name, side) for side in sides if side is not ABSENT)
            element = self._one_of_array(name, f"{parent}.{label}" if parent else label, *sides)
            if element is not ABSENT:
                found.append(element)
        return found

    def _one_of_array(self, name: str, path: str, b: Json, o: Json, t: Json) -> Json:
        """Merge one element of a keyed array; ABSENT when it is gone."""
        kept = {name: b}, {name: o}, {name: t}
        members = [_NONE if value is ABSENT else side for value, side in zip((b, o, t), kept, strict=True)]
        if o is not ABSENT and t is not ABSENT and not same(o, t) and not (same(b, o) or same(b, t)):
            merged = self._value("", path, b, o, t)
            if merged is not ABSENT:
                return merged
            return self._clash(path, *members).get(name, ABSENT)
        return self._taken(path, *members).get(name, ABSENT)

    def _taken(self, path: str, b: Members, o: Members, t: Members) -> Members:
        """Take an element of which at most one side made something else."""
        if same(o, t):
            return o
        if same(b, o) and not self._removed(b, t):
            return t
        if same(b, t) and not self._removed(b, o):
            return o
        return self._clash(path, b, o, t)


def _units(rules: Rules, *sides: Members) -> Iterable[frozenset[str]]:
    """Return what is changed together, in the order of the sides, ours first."""
    _, ours, theirs = sides
    found: dict[Hashable, set[str]] = {}
    for member in (*in_order(ours, theirs), *sides[0]):
        element = element_of(str(member))
        found.setdefault(rules.unit_of(element), set()).add(element)
    return list(map(frozenset, found.values()))


def _members(side: Members, elements: frozenset[str]) -> Members:
    return {name: value for name, value in side.items() if element_of(name) in elements}


def _name(elements: frozenset[str], ours: Members, theirs: Members) -> str:
    """Name an element as FHIRPath does, or those of several in which the sides differ."""
    names = []
    for element in sorted(elements):
        one, other = _members(ours, frozenset({element})), _members(theirs, frozenset({element}))
        if len(elements) == 1 or not same(one, other):
            plain = {name.removeprefix("_") for name in (*one, *other)}
            names.append(plain.pop() if len(plain) == 1 else element.removesuffix("[x]"))
    return ", ".join(names)


def _corrected_twice(
    array: str,
    was: Mapping[Hashable, Json],
    ours: Mapping[Hashable, Json],
    theirs: Mapping[Hashable, Json],
) -> bool:
    """Whether both sides put another value in the place of the same one: two corrections of one telephone number."""
    slot = slots_of(array)
    if slot is None:
        return False
    gone = {slot(was[key]) for key in was.keys() - ours.keys() - theirs.keys()}
    added = [
        {(slot(side[key]), key) for key in side.keys() - was.keys() if slot(side[key]) in gone}
        for side in (ours, theirs)
    ]
    one, other = ({place for place, _ in each} for each in added)
    return any(
        {a for a in added[0] if a[0] == place} != {a for a in added[1] if a[0] == place}
        for place in one & other
    )
