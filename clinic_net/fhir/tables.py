"""Element tables in the form the structural check walks: one dictionary lookup per JSON member."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from .definitions import ElementDefinition, base, elements, primitives, resource_types, type_names, value_set
from .invariants import INVARIANTS, Rule
from .invariants_resources import RESOURCE_INVARIANTS
from .primitives import TESTS, Test


@dataclass(slots=True)
class Slot:
    """What may stand under one JSON member name.

    Exactly one of ``test`` (a primitive), ``table`` (a complex type), ``resource`` and ``companion`` (the ``_name``
    of a primitive, with its id and extensions) is set. ``label`` is the element as FHIRPath names it.
    """

    label: str
    many: bool
    test: Test | None = None
    primitive: str = ""
    codes: bool = False
    table: "Table | None" = None
    resource: bool = False
    companion: str = ""
    choice: str = ""
    reference: bool = False
    targets: frozenset[str] | None = None
    concepts: Mapping[str, frozenset[str]] | None = None


@dataclass(slots=True)
class Table:
    """One type. ``required`` is (element, member names of which one must be there)."""

    name: str
    slots: dict[str, Slot] = field(default_factory=dict)
    required: tuple[tuple[str, frozenset[str]], ...] = ()
    rules: tuple[Rule, ...] = ()


def capitalised(name: str) -> str:
    """Return a type name as it ends a choice's member name: ``dateTime`` → ``DateTime``."""
    return name[0].upper() + name[1:]


def _is_type(name: str) -> Test:
    def test(value: Any) -> bool:
        return type(value) is str and value == name

    return test


def _is_code(codes: frozenset[str]) -> Test:
    def test(value: Any) -> bool:
        return type(value) is str and value in codes

    return test


@cache
def tables() -> Mapping[str, Table]:
    """Return the table of every complex type, backbone element and resource type."""
    found = {name: Table(name, rules=_rules(name)) for name in type_names()}
    simple = Table("Quantity", found["Quantity"].slots, rules=_rules("Quantity") + _rules("SimpleQuantity"))
    for name, table in found.items():
        required = []
        for element in elements(name).values():
            members = _add(table, element, found, simple)
            if element.minimum:
                label = element.name.removesuffix("[x]")
                required.append((label, frozenset(members) | {f"_{member}" for member in members}))
        if name in resource_types():
            table.slots["resourceType"] = Slot("resourceType", False, test=_is_type(name), primitive="code")
        table.required = tuple(required)
    return found


def _rules(name: str) -> tuple[Rule, ...]:
    """Return the constraints of a type and of those that it is derived from."""
    derived = _rules(base(name)) if name in type_names() and base(name) else ()
    return derived + INVARIANTS.get(name, ()) + RESOURCE_INVARIANTS.get(name, ())


def _add(table: Table, element: ElementDefinition, found: dict[str, Table], simple: Table) -> list[str]:
    choice = element.name.endswith("[x]")
    stem = element.name.removesuffix("[x]")
    members = []
    for data_type in element.types:
        member = stem + capitalised(data_type) if choice else stem
        label = f"{stem}.ofType({data_type})" if choice else stem
        members.append(member)
        slot = Slot(label, element.many, choice=stem if choice else "")
        table.slots[member] = slot
        if data_type in primitives():
            _make_primitive(slot, data_type, element)
            if _is_attribute(table, element):
                continue
            table.slots[f"_{member}"] = Slot(
                label, element.many, companion=member, table=found["Element"], choice=slot.choice
            )
        elif data_type == "Resource":
            slot.resource = True
        else:
            slot.table = simple if element.simple and data_type == "Quantity" else found[data_type]
            slot.reference = data_type == "Reference"
            slot.targets = element.targets
            if data_type == "CodeableConcept" and element.binding:
                slot.concepts = {s: frozenset(codes) for s, codes in value_set(element.binding).items()}
    return members


def _is_attribute(table: Table, element: ElementDefinition) -> bool:
    """Whether it is an attribute in XML, which has neither an id nor extensions of its own."""
    if element.name == "id":
        return table.name not in resource_types()
    return (table.name, element.name) == ("Extension", "url")


def _make_primitive(slot: Slot, data_type: str, element: ElementDefinition) -> None:
    slot.primitive = data_type
    slot.test = TESTS[data_type]
    if data_type == "code" and element.binding:
        slot.codes = True
        codes = (code for group in value_set(element.binding).values() for code in group)
        slot.test = _is_code(frozenset(codes))
