"""Quantities over HTTP: the same amount in another unit of UCUM is found, and no unit fails a write."""

from typing import Any

import httpx
import pytest

from clinic_net.kernel.hub import Hub
from clinic_net.records import service
from tests.records.support import Records, ids, observation

UCUM = "http://unitsofmeasure.org"


def _amount(value: float, code: str, system: str = UCUM) -> dict[str, Any]:
    return {"value": value, "unit": code, "system": system, "code": code}


@pytest.fixture(scope="module")
async def ward(hub: Hub) -> dict[str, str]:
    records = Records(hub)
    found = {"patient": await records.new_patient()}
    for name, amount in {
        "dose": _amount(5400, "ug"),
        "fever": _amount(38.5, "Cel"),
        "fever_f": _amount(101.3, "[degF]"),
        "odd": _amount(7, "qwerty"),
        "rare": _amount(3, "[gr]"),
        "own": _amount(5.4, "mg", "http://x.example/units"),
        "more": {**_amount(2, "mg"), "comparator": ">"},
    }.items():
        kept = await records.put(observation(found["patient"], valueQuantity=amount))
        found[name] = kept.fid
    await service.derive(hub)
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"5.4|{UCUM}|mg", {"dose"}),
        (f"5400|{UCUM}|ug", {"dose"}),
        (f"0.0054|{UCUM}|g", {"dose"}),
        (f"5.5|{UCUM}|mg", set()),
        (f"gt5.4|{UCUM}|mg", {"more", "rare"}),
        (f"ge5.4|{UCUM}|mg", {"dose", "more", "rare"}),
        (f"lt1|{UCUM}|kg", {"dose", "more", "rare"}),
        (f"sa5.5|{UCUM}|mg", {"rare"}),
        (f"194.4|{UCUM}|mg", {"rare"}),
        (f"0.1944|{UCUM}|g", {"rare"}),
        (f"3|{UCUM}|[gr]", {"rare"}),
        (f"0.08333|{UCUM}|[gr]", {"dose"}),
        (f"eb6|{UCUM}|mg", {"dose"}),
        (f"ap5.5|{UCUM}|mg", {"dose", "more"}),
        (f"101.3|{UCUM}|[degF]", {"fever", "fever_f"}),
        (f"38.5|{UCUM}|Cel", {"fever", "fever_f"}),
        (f"gt311|{UCUM}|K", {"fever", "fever_f"}),
        (f"7|{UCUM}|qwerty", {"odd"}),
        ("5.4|http://x.example/units|mg", {"own"}),
        ("5.4||mg", {"own"}),
        ("5400", {"dose"}),
        ("0.0000054", set()),
    ],
)
async def test_an_amount_is_found_in_every_unit_of_its_kind(
    fhir: httpx.AsyncClient, ward: dict[str, str], value: str, expected: set[str]
) -> None:
    answer = await fhir.get("/fhir/Observation", params={"patient": ward["patient"], "value-quantity": value})

    assert answer.status_code == 200, answer.text
    by_id = {fid: name for name, fid in ward.items()}
    assert {by_id[fid] for fid in ids(answer.json())} == expected


async def test_pages_go_on_when_a_new_unit_comes_into_use(
    hub: Hub, fhir: httpx.AsyncClient, records: Records
) -> None:
    about = await records.new_patient()
    made = [
        (await records.put(observation(about, valueQuantity=_amount(2 + number, "mg")))).fid
        for number in range(3)
    ]
    filter_ = f"patient._id eq {about} and value-quantity gt 1|{UCUM}|mg"
    first = (await fhir.get("/fhir/Observation", params={"_filter": filter_, "_count": "2"})).json()
    await records.put(observation(about, valueQuantity=_amount(1, "[oz_av]")))
    await service.derive(hub)
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")

    rest = await fhir.get(following.removeprefix("http://hub.test"))

    assert (rest.status_code, ids(first) + ids(rest.json())) == (200, made[::-1])
