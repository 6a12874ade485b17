"""What the merge knows of FHIR's JSON: when two values are the same, what belongs to one element, what names an
element of an array. Sources: FHIR R4 §2.6.2 (JSON), datatypes; sync §4.5 for the keys.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

Json = Any
"""Parsed JSON. Decimals may be ``Decimal``, which keeps their digits."""


def words(text: str) -> frozenset[str]:
    """Return the words of a text: how tables of names are written here."""
    return frozenset(text.split())


class _Absent:
    """There is no value: not the same as null, which FHIR has inside arrays."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


def same(one: Json, other: Json) -> bool:
    """Whether two values are the same to the digit: 72.5 is not 72.50, true is not 1. Order of members is nothing."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Decimal):
        return str(one) == str(other)
    return bool(one == other)


def frozen(value: Json) -> Hashable:
    """Return a value as something that can be a key: equal exactly where :func:`same` says so."""
    if isinstance(value, dict):
        return frozenset((name, frozen(item)) for name, item in value.items())
    if isinstance(value, list):
        return tuple(map(frozen, value))
    return type(value).__name__, str(value)


_TYPES = (
    "Base64Binary Boolean Canonical Code Date DateTime Decimal Id Instant Integer Markdown Oid PositiveInt String Time "
    "UnsignedInt Uri Url Uuid Address Age Annotation Attachment CodeableConcept Coding ContactPoint Count Distance "
    "Duration HumanName Identifier Money Period Quantity Range Ratio Reference SampledData Signature Timing "
    "ContactDetail Contributor DataRequirement Expression ParameterDefinition RelatedArtifact TriggerDefinition "
    "UsageContext Dosage Meta"
)
_APART = words(
    "reasonCode reasonReference instantiatesCanonical instantiatesUri outcomeCodeableConcept outcomeCode "
    "outcomeReference prognosisCodeableConcept prognosisReference usedCode usedReference paymentDate "
    "paymentIdentifier"
)
"""Elements that are named like choices and stand beside each other."""
_CHOICE = re.compile(rf"([a-z][A-Za-z0-9]*?)(?:{'|'.join(_TYPES.split())})", re.ASCII)


def element_of(member: str) -> str:
    """Return the element that a member belongs to: ``_birthDate`` goes with ``birthDate``, ``valueString`` with
    ``valueQuantity``.

    A name that only looks like a choice (``birthDate``) gets a name of its own all the same; a test compares this with
    the definitions of every type.
    """
    name = member.removeprefix("_")
    match = None if name in _APART else _CHOICE.fullmatch(name)
    return f"{match[1]}[x]" if match else name


_ONE_VALUE = tuple(
    words(f"id extension {members}")
    for members in (
        "value comparator unit system code",  # Quantity
        "value currency",  # Money
        "system version code display userSelected",  # Coding
        "reference type identifier display",  # Reference
        "low high",  # Range
        "numerator denominator",  # Ratio
        "event repeat code",  # Timing
        "origin period factor lowerLimit upperLimit dimensions data",  # SampledData
        "contentType language data url size hash title creation",  # Attachment
        "status div",  # Narrative
    )
)
"""Types whose parts mean nothing without each other: the number of one side never gets the unit of the other."""

_CONCEPT = words("id extension coding text")


def is_one_value(*objects: Mapping[str, Json]) -> bool:
    """Whether objects are of a type whose parts are never mixed."""
    members = frozenset().union(*objects)
    return any(members <= shape for shape in _ONE_VALUE)


def is_concept(*objects: Mapping[str, Json]) -> bool:
    """Whether objects look like a CodeableConcept."""
    members = frozenset().union(*objects)
    return members <= _CONCEPT and bool(members & {"coding", "text"})


def concepts_agree(base: Mapping[str, Json], ours: Mapping[str, Json], theirs: Mapping[str, Json]) -> bool:
    """Whether two changes of a concept say the same thing: each only added codes, of different systems, and they do not
    differ in its text."""
    before = {frozen(coding) for coding in base.get("coding", ())}
    added: list[set[Hashable]] = []
    for side in (ours, theirs):
        codings = {frozen(coding): coding for coding in side.get("coding", ())}
        if not before <= codings.keys():
            return False
        added.append({codings[key].get("system") for key in codings.keys() - before})
    return not added[0] & added[1] and ("text" not in base or "text" in ours or "text" in theirs)


# -- arrays


def _at(element: Mapping[str, Json], path: str) -> Json:
    value: Json = element
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


_KEYS: Mapping[str, tuple[str, ...]] = {
    "identifier": ("system", "value"),
    "telecom": ("system", "value"),
    "name": ("use",),
    "address": ("use",),
    "coding": ("system", "code"),
    "security": ("system", "code"),
    "tag": ("system", "code"),
    "extension": ("url",),
    "modifierExtension": ("url",),
    "component": ("code",),
    "contact": ("relationship", "name.use", "organization.reference"),
    "communication": ("language",),
    "contained": ("id",),
    "link": ("other.reference", "target.reference", "type"),
    "member": ("entity.reference",),
    "participant": ("type", "individual.reference", "actor.reference", "member.reference"),
    "input": ("type", "valueReference.reference"),
    "output": ("type", "valueReference.reference"),
}
"""What names an element of an array (sync §4.5). Arrays that are not here are one value, but for those below."""

_SETS = words(
    "note generalPractitioner basedOn partOf reasonReference performer hasMember derivedFrom supportingInfo "
    "category reasonCode specimen episodeOfCare diagnosis addresses goal insurance evidence"
)
"""Arrays of statements that stand alone: an element is the whole of what it says."""

_SLOTS: Mapping[str, tuple[str, ...]] = {
    "identifier": ("system", "type"),
    "telecom": ("system", "use"),
    "coding": ("system",),
}
"""Where an element's key is its value, what the value is for: two corrections of one number are not two numbers."""

_MAY_LACK_KEY = frozenset({"name", "address"})


def key_of(array: str, element: Json) -> Hashable | None:
    """Return what names an element of an array, or None if nothing does."""
    if not isinstance(element, dict):
        return None
    if array in _SETS:
        return frozen(element)
    paths = _KEYS.get(array)
    if paths is None:
        return None
    values = [_at(element, path) for path in paths]
    if all(value is None for value in values) and array not in _MAY_LACK_KEY:
        return None
    return tuple(map(frozen, values))


def keyed(array: str, elements: Sequence[Json]) -> dict[Hashable, Json] | None:
    """Return an array's elements by what names them; None if one has no name, or two have the same."""
    found: dict[Hashable, Json] = {}
    for element in elements:
        key = key_of(array, element)
        if key is None or key in found:
            return None
        found[key] = element
    return found


def label_of(array: str, element: Mapping[str, Json]) -> str:
    """Return how a path names an element of a keyed array, without what it says."""
    for path in _SLOTS.get(array, _KEYS.get(array, ())):
        value = _at(element, path)
        if isinstance(value, str):
            return f"{array}[{value}]"
    return f"{array}[]"


def slots_of(array: str) -> Callable[[Mapping[str, Json]], Hashable] | None:
    """Return what an element of this array is for, or None where its key says that already."""
    paths = _SLOTS.get(array)
    if paths is None:
        return None
    return lambda element: tuple(frozen(_at(element, path)) for path in paths)


def in_order(ours: Iterable[Hashable], theirs: Iterable[Hashable]) -> list[Hashable]:
    """Return all names in the order of ours. What only theirs has stands behind what it stood behind there, or before
    what it stood before, or at the end."""
    found = list(ours)
    known = set(found)
    coming = list(theirs)
    first = next((name for name in coming if name in known), None)
    place = len(found) if first is None else found.index(first)
    for name in coming:
        if name in known:
            place = found.index(name) + 1
        else:
            found.insert(place, name)
            known.add(name)
            place += 1
    return found


def removes(array: str, before: Json, after: Json) -> bool:
    """Whether something that was there is there no longer. A value that became another is a change, not a removal."""
    if isinstance(before, dict):
        if not isinstance(after, dict):
            return True
        elements = {element_of(member) for member in after}
        return any(
            element_of(member) not in elements or (member in after and removes(member, value, after[member]))
            for member, value in before.items()
        )
    if isinstance(before, list):
        return not isinstance(after, list) or _shrinks(array, before, after)
    return False


def _shrinks(array: str, before: list[Json], after: list[Json]) -> bool:
    was, now = keyed(array, before), keyed(array, after)
    if array not in _SETS and was is not None and now is not None:
        return any(key not in now or removes(array, element, now[key]) for key, element in was.items())
    return len(after) < len(before) or any(map(lambda b, a: removes(array, b, a), before, after))
