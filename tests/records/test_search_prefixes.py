"""Every prefix on dates, numbers and quantities, against an oracle that counts points one by one (R4 §3.1.1.4.6)."""

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import httpx
import pytest

from clinic_net.kernel.hub import Hub
from clinic_net.records import service
from tests.records.support import Records, ids, observation

FIRST, DAYS = date(2025, 11, 1), 240
"""The days that the oracle knows: everything stored and asked lies well within."""
EVERY = frozenset(range(DAYS))
DATES = (
    "2026",
    "2026-01",
    "2026-02",
    "2026-03",
    "2026-01-31",
    "2026-02-01",
    "2026-02-14",
    "2026-02-28",
    "2026-03-01",
)
PERIODS = (
    ("2026-01-15", "2026-02-14"),
    ("2026-02-01", "2026-02-28"),
    ("2026-02", "2026-02"),
    ("2026-02-14", None),
    (None, "2026-02-14"),
    ("2026-01", "2026-03-01"),
)
PREFIXES = ("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")

Points = frozenset[Any]


def _days(text: str) -> frozenset[int]:
    everyday = ((FIRST + timedelta(days=number)).isoformat() for number in range(DAYS))
    return frozenset(number for number, day in enumerate(everyday) if day.startswith(text))


def _between(start: str | None, end: str | None) -> frozenset[int]:
    low = min(_days(start)) if start else 0
    high = max(_days(end)) if end else DAYS - 1
    return frozenset(range(low, high + 1))


def holds(prefix: str, stored: Points, asked: Points, every: Points) -> bool:
    """What the standard says of the prefix, for a stored value and an asked one that are sets of points."""
    above = frozenset(point for point in every if point > max(asked))
    below = frozenset(point for point in every if point < min(asked))
    equal = stored <= asked
    rules: dict[str, Callable[[], bool]] = {
        "": lambda: equal,
        "eq": lambda: equal,
        "ne": lambda: not equal,
        "gt": lambda: bool(stored & above),
        "lt": lambda: bool(stored & below),
        "ge": lambda: equal or bool(stored & above),
        "le": lambda: equal or bool(stored & below),
        "sa": lambda: stored <= above,
        "eb": lambda: stored <= below,
        "po": lambda: bool(stored & asked),
    }
    return rules[prefix]()


@pytest.fixture(scope="module")
async def dated(hub: Hub) -> dict[str, Points]:
    """Observations with a date or a period, by id, with the days they cover."""
    records = Records(hub)
    about = await records.new_patient()
    found: dict[str, Points] = {}

    async def keep(covers: Points, **when: Any) -> None:
        content = observation(about, code="dated")
        del content["effectiveDateTime"]
        found[(await records.put({**content, **when})).fid] = covers

    for text in DATES[1:]:
        await keep(_days(text), effectiveDateTime=text)
    for start, end in PERIODS:
        period = {**({"start": start} if start else {}), **({"end": end} if end else {})}
        await keep(_between(start, end), effectivePeriod=period)
    return found


async def search(fhir: httpx.AsyncClient, address: str, **params: str) -> set[str]:
    answer = await fhir.get(f"/fhir/{address}", params={**params, "_count": "1000"})
    assert answer.status_code == 200, answer.text
    return set(ids(answer.json()))


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_dates_compare_as_the_ranges_that_they_are(
    fhir: httpx.AsyncClient, dated: dict[str, Points], prefix: str
) -> None:
    for asked in DATES[1:]:
        expected = {fid for fid, covers in dated.items() if holds(prefix, covers, _days(asked), EVERY)}
        assert await search(fhir, "Observation", code="dated", date=prefix + asked) == expected, asked


async def test_a_filter_compares_dates_alike_and_knows_overlaps(
    fhir: httpx.AsyncClient, dated: dict[str, Points]
) -> None:
    for prefix, asked in product(("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "po"), DATES[1:]):
        expected = {fid for fid, covers in dated.items() if holds(prefix, covers, _days(asked), EVERY)}
        filter_ = f"code eq dated and date {prefix} {asked}"
        assert await search(fhir, "Observation", _filter=filter_) == expected, filter_


STEP = Decimal("0.05")
GRID = tuple(STEP * number for number in range(-60, 400))
NUMBERS = ("0", "-1", "4.9", "5", "5.0", "5.05", "5.4", "5.45", "5.5", "6", "10", "-2.5")
ASKED = ("5", "5.0", "5.4", "6", "-1", "0", "1e1", "10", "-2.5", "5.5")


def _equal(text: str) -> tuple[Decimal, Decimal]:
    """From and to before which a number equals the written one: half of its last digit to each side."""
    number = Decimal(text)
    exponent = int(number.as_tuple().exponent)
    half = Decimal(5).scaleb(exponent - 1 if exponent <= 0 else exponent - 2)
    return number - half, number + half


def compares(prefix: str, stored: Points, asked: str) -> bool:
    """As for dates, but only equality knows the precision: for the rest what is asked is exactly this number."""
    low, high = _equal(asked)
    if prefix in ("", "eq"):
        return all(low <= point < high for point in stored)
    if prefix == "ne":
        return not all(low <= point < high for point in stored)
    if prefix == "ap":
        number = Decimal(asked)
        leeway = abs(number) / 10
        return any(number - leeway <= point <= number + leeway for point in stored)
    exactly = frozenset({Decimal(asked)})
    if prefix in ("ge", "le"):  # "or equal": the number itself is among the stored ones
        beyond = holds("gt" if prefix == "ge" else "lt", stored, exactly, frozenset(GRID))
        return beyond or Decimal(asked) in stored
    return holds(prefix, stored, exactly, frozenset(GRID))


def _with(comparator: str | None, text: str) -> Points:
    number = Decimal(text)
    kept: dict[str | None, Callable[[Decimal], bool]] = {
        None: lambda point: point == number,
        "<": lambda point: point < number,
        "<=": lambda point: point <= number,
        ">": lambda point: point > number,
        ">=": lambda point: point >= number,
    }
    return frozenset(filter(kept[comparator], GRID))


@pytest.fixture(scope="module")
async def measured(hub: Hub) -> dict[str, Points]:
    """Observations of numbers and of bounds of numbers, by id, with the points of the grid they cover."""
    records = Records(hub)
    about = await records.new_patient()
    found: dict[str, Points] = {}
    pairs: Iterable[tuple[str | None, str]] = [
        *((None, text) for text in NUMBERS),
        *product(("<", "<=", ">", ">="), ("5", "5.4", "0")),
    ]
    for comparator, text in pairs:
        amount: dict[str, Any] = {"value": float(text), "unit": "x"}
        if comparator:
            amount["comparator"] = comparator
        kept = await records.put(observation(about, code="measured", valueQuantity=amount))
        found[kept.fid] = _with(comparator, text)
    await service.derive(hub)
    return found


@pytest.mark.parametrize("prefix", [*PREFIXES, "ap"])
async def test_quantities_compare_as_numbers_or_ranges_of_them(
    fhir: httpx.AsyncClient, measured: dict[str, Points], prefix: str
) -> None:
    for asked in ASKED:
        expected = {fid for fid, covers in measured.items() if compares(prefix, covers, asked)}
        found = await search(fhir, "Observation", code="measured", **{"value-quantity": prefix + asked})
        assert found == expected, asked


@pytest.fixture(scope="module")
async def risks(hub: Hub) -> dict[str, list[Points]]:
    """Assessments of one or two probabilities, by id: one of them must fit."""
    records = Records(hub)
    about = await records.new_patient()
    found = {}
    for texts in [(text,) for text in NUMBERS] + [("5", "10"), ("0", "5.4")]:
        content = {
            "resourceType": "RiskAssessment",
            "status": "final",
            "subject": {"reference": f"Patient/{about}"},
            "prediction": [{"probabilityDecimal": float(text)} for text in texts],
        }
        found[(await records.put(content)).fid] = [_with(None, text) for text in texts]
    return found


@pytest.mark.parametrize("prefix", [*PREFIXES, "ap"])
async def test_numbers_compare_each_value_by_itself(
    fhir: httpx.AsyncClient, risks: dict[str, list[Points]], prefix: str
) -> None:
    for asked in ASKED:
        expected = {
            fid for fid, values in risks.items() if any(compares(prefix, covers, asked) for covers in values)
        }
        assert await search(fhir, "RiskAssessment", probability=prefix + asked) == expected, asked
