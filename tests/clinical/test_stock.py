"""What is on a shelf is the sum of what came and went, in whatever order it is told."""

from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clinic_net.clinical.stock import Item, balance, movement_of

HERE, THERE = "Location/station", "Location/centre"
AMLODIPINE = {"coding": [{"system": "urn:drug", "code": "aml5"}], "text": "Amlodipin 5 mg"}
ITEM = Item("urn:drug|aml5", "viên")


def delivery(number: int, amount: Any, *, to: str = HERE, by: str = THERE, **changed: Any) -> dict[str, Any]:
    return {
        "resourceType": "SupplyDelivery", "id": f"d{number}", "status": "completed",
        "supplier": {"reference": by}, "destination": {"reference": to},
        "suppliedItem": {"quantity": {"value": amount, "unit": "viên"}, "itemCodeableConcept": AMLODIPINE},
        **changed,
    }  # fmt: skip


def dispense(number: int, amount: Any, **changed: Any) -> dict[str, Any]:
    return {
        "resourceType": "MedicationDispense", "id": f"m{number}", "status": "completed",
        "location": {"reference": HERE}, "medicationCodeableConcept": AMLODIPINE,
        "quantity": {"value": amount, "unit": "viên"}, **changed,
    }  # fmt: skip


def test_what_came_less_what_went_is_there() -> None:
    told = [
        delivery(1, 100),
        dispense(1, 30),
        dispense(2, 14),
        delivery(2, -1),
        delivery(3, 20, to=THERE, by=HERE),
    ]

    assert balance(told, HERE) == {ITEM: Decimal(35)}
    assert balance(told, THERE) == {ITEM: Decimal(-79)}


def test_what_did_not_happen_moves_nothing() -> None:
    for status in ("in-progress", "entered-in-error", "abandoned", None):
        assert movement_of(delivery(1, 5, status=status), HERE) is None
    assert movement_of(delivery(1, None), HERE) is None
    assert movement_of(delivery(1, True), HERE) is None
    assert movement_of({"resourceType": "Patient"}, HERE) is None
    assert movement_of({"resourceType": "SupplyDelivery", "status": "completed"}, HERE) is None


movements = st.lists(st.tuples(st.booleans(), st.decimals(-1000, 1000, places=2)), max_size=20)


@given(movements, movements, st.integers())
def test_two_stations_movements_add_up_whatever_arrives_first_or_twice(
    one: list[tuple[bool, Decimal]], other: list[tuple[bool, Decimal]], seed: int
) -> None:
    told = [
        delivery(number, amount) if comes else dispense(number, amount)
        for number, (comes, amount) in enumerate([*one, *other])
    ]
    shuffled = Random(seed).sample([*told, *told[: len(told) // 2]], len(told) + len(told) // 2)

    expected = sum((amount if comes else -amount for comes, amount in (*one, *other)), Decimal(0))

    assert balance(shuffled, HERE).get(ITEM, Decimal(0)) == expected
