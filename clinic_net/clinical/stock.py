"""What is on a shelf: the sum of what came and went. Nobody sets the number, so two places cannot set it differently.

A movement is a resource of its own with a signed amount: a ``SupplyDelivery`` that is completed comes to where its
``destination`` is and goes from its ``supplier``; a ``MedicationDispense`` goes from its ``location``. A count that
finds more or less is a delivery of the difference, which may be negative. What was entered in error never happened.
A ledger of signed movements instead of a counter: sync §4.5, stock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

_HAPPENED = frozenset({"completed"})


@dataclass(frozen=True, order=True)
class Item:
    """Something that is stored: ``code`` as ``system|code``, a reference, or words; ``unit`` as written."""

    code: str
    unit: str


@dataclass(frozen=True)
class Movement:
    """Something came to a place (positive) or went from it (negative). ``id`` is ``Type/id``."""

    id: str
    item: Item
    amount: Decimal


def movement_of(resource: Mapping[str, Any], place: str) -> Movement | None:
    """Return what a resource moved at ``place`` (a reference such as ``Location/x``); None when nothing.

    Where an amount is no number, nothing has moved.
    """
    if resource.get("status") not in _HAPPENED:
        return None
    match resource.get("resourceType"):
        case "SupplyDelivery":
            supplied = resource.get("suppliedItem")
            supplied = supplied if isinstance(supplied, Mapping) else {}
            sign = _is(resource.get("destination"), place) - _is(resource.get("supplier"), place)
            item, quantity = _item(supplied, "item"), supplied.get("quantity")
        case "MedicationDispense":
            sign = -_is(resource.get("location"), place)
            item, quantity = _item(resource, "medication"), resource.get("quantity")
        case _:
            return None
    amount = _amount(quantity)
    if not sign or not item or amount is None:
        return None
    unit = str(quantity.get("code") or quantity.get("unit") or "") if isinstance(quantity, Mapping) else ""
    return Movement(f"{resource['resourceType']}/{resource.get('id')}", Item(item, unit), sign * amount)


def balance(resources: Iterable[Mapping[str, Any]], place: str) -> dict[Item, Decimal]:
    """Return what is at a place, by item. The order does not matter, and a movement that is told twice counts once."""
    moved = {m.id: m for resource in resources if (m := movement_of(resource, place)) is not None}
    found: dict[Item, Decimal] = {}
    for movement in moved.values():
        found[movement.item] = found.get(movement.item, Decimal(0)) + movement.amount
    return found


def _is(reference: object, place: str) -> int:
    return int(isinstance(reference, Mapping) and reference.get("reference") == place)


def _item(owner: Mapping[str, Any], stem: str) -> str:
    concept = owner.get(f"{stem}CodeableConcept")
    if isinstance(concept, Mapping):
        for coding in concept.get("coding") or ():
            if isinstance(coding, Mapping) and coding.get("code"):
                return f"{coding.get('system', '')}|{coding['code']}"
        return str(concept.get("text", ""))
    reference = owner.get(f"{stem}Reference")
    return str(reference.get("reference", "")) if isinstance(reference, Mapping) else ""


def _amount(quantity: object) -> Decimal | None:
    value = quantity.get("value") if isinstance(quantity, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    amount = Decimal(str(value))
    return amount if amount.is_finite() else None
