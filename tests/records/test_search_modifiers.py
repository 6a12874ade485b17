"""Modifiers, composites and places over HTTP."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from clinic_net.fhir.definitions import resource_types, search_parameters
from clinic_net.kernel.hub import Hub
from clinic_net.records.keys import parameter_id
from tests.records.support import Records, codes, ids, observation

LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
V2 = "http://terminology.hl7.org/CodeSystem/v2-0203"


def test_derived_parameters_share_no_number_with_others() -> None:
    names = [(rtype, name) for rtype in resource_types() for name in search_parameters(rtype)]
    derived = [*names, *((rtype, f"{name}:text") for rtype, name in names)]
    derived += [("Location", "near:latitude"), ("Location", "near:longitude")]

    assert len({parameter_id(*pair) for pair in derived}) == len(derived)


def _coded(code: str, display: str, system: str = LOINC) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": f"Đo {display}"}


def _amount(value: float, code: str = "mm[Hg]") -> dict[str, Any]:
    return {"value": value, "unit": code, "system": UCUM, "code": code}


@pytest.fixture(scope="module")
async def ward(hub: Hub) -> dict[str, str]:
    records = Records(hub)
    number = {"type": {"coding": [{"system": V2, "code": "MR"}], "text": "Số bệnh án"}, "value": "777"}
    about = await records.new_patient(identifier=[number])
    pressure = observation(
        about,
        code="85354-9",
        component=[
            {"code": _coded("8480-6", "Systolic"), "valueQuantity": _amount(151)},
            {"code": _coded("8462-4", "Diastolic"), "valueQuantity": _amount(95)},
        ],
    )
    del pressure["valueQuantity"]
    blood = observation(about, code="883-9")
    del blood["valueQuantity"]
    note = {**blood, "code": _coded("8709-8", "Appearance"), "valueString": "Da xanh tái"}
    seen = {**blood, "code": _coded("8665-2", "Last menses"), "valueDateTime": "2026-10-01"}
    made = {
        "pulse": observation(about, value=72),
        "pressure": pressure,
        "blood": {**blood, "valueCodeableConcept": _coded("A", "Group A", "http://x.example/abo")},
        "note": note,
        "seen": seen,
    }
    found = {"patient": about}
    for name, content in made.items():
        found[name] = (await records.put(content)).fid
    for name, latitude, longitude in (("near", 20.9712, 107.0448), ("far", 21.5250, 107.9666)):
        place: dict[str, Any] = {"resourceType": "Location", "name": name}
        place["position"] = {"latitude": latitude, "longitude": longitude}
        found[name] = (await records.put(place)).fid
    for name, url in (("flat", "http://x.example/sets/a"), ("deep", "http://x.example/sets/a/b/c")):
        values = {"resourceType": "ValueSet", "status": "active", "url": url}
        found[name] = (await records.put(values)).fid
    return found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Observation?patient={patient}&code:text=do last", {"seen"}),
        ("Observation?patient={patient}&code:text=APPEAR", {"note"}),
        ("Observation?patient={patient}&code:text=nothing", set()),
        (
            "Observation?patient={patient}&status:in=http://hl7.org/fhir/ValueSet/observation-status&code=883-9",
            {"blood"},
        ),
        (
            "Observation?patient={patient}&status:not-in=http://hl7.org/fhir/ValueSet/observation-status",
            set(),
        ),
        ("Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|777", {"patient"}),
        ("Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|SS|777", set()),
        ("Patient?identifier:text=so benh an&_id={patient}", {"patient"}),
        ("ValueSet?url:below=http://x.example/sets/a", {"flat", "deep"}),
        ("ValueSet?url:below=http://x.example/sets/", {"flat", "deep"}),
        ("ValueSet?url:below=http://x.example/set", set()),
        ("ValueSet?url:above=http://x.example/sets/a/b", {"flat"}),
        ("ValueSet?url:above=http://x.example/sets/a/b/c/d", {"flat", "deep"}),
        ("Observation?patient={patient}&code-value-quantity=8867-4$gt70", {"pulse"}),
        ("Observation?patient={patient}&code-value-quantity=8867-4$lt70", set()),
        ("Observation?patient={patient}&code-value-quantity=85354-9$gt70", set()),
        ("Observation?patient={patient}&component-code-value-quantity=8480-6$gt150", {"pressure"}),
        ("Observation?patient={patient}&component-code-value-quantity=8462-4$gt150", set()),
        (
            "Observation?patient={patient}&component-code-value-quantity=http://loinc.org|8462-4$95",
            {"pressure"},
        ),
        ("Observation?patient={patient}&component-code-value-quantity=|8462-4$95", set()),
        ("Observation?patient={patient}&component-code-value-quantity=8462-4$95||mm[Hg]", {"pressure"}),
        (
            "Observation?patient={patient}&component-code-value-quantity="
            "8462-4$le95|http://unitsofmeasure.org|mm[Hg],8480-6$lt100",
            {"pressure"},
        ),
        ("Observation?patient={patient}&component-code-value-quantity=8462-4$95||kPa", set()),
        (
            "Observation?patient={patient}&component-code-value-quantity="
            "8462-4$12.67|http://unitsofmeasure.org|kPa",
            {"pressure"},
        ),
        (
            "Observation?patient={patient}&combo-code-value-quantity=8867-4$72,8480-6$151",
            {"pulse", "pressure"},
        ),
        ("Observation?patient={patient}&code-value-concept=883-9$A", {"blood"}),
        (
            "Observation?patient={patient}&code-value-concept=http://loinc.org|883-9$http://x.example/abo|A",
            {"blood"},
        ),
        ("Observation?patient={patient}&code-value-concept=883-9$B", set()),
        ("Observation?patient={patient}&code-value-string=8709-8$da xanh", {"note"}),
        ("Observation?patient={patient}&code-value-string=883-9$da xanh", set()),
        ("Observation?patient={patient}&code-value-date=8665-2$lt2026-11", {"seen"}),
        ("Observation?patient={patient}&code-value-date=8665-2$gt2026-11", set()),
        ("Observation?patient={patient}&value-quantity:missing=false", {"pulse"}),
        ("Observation?patient={patient}&combo-code=8867-4,8480-6", {"pulse", "pressure"}),
        ("Observation?patient={patient}&combo-value-quantity=gt150", {"pressure"}),
        ("Observation?patient={patient}&combo-value-quantity:missing=false", {"pulse", "pressure"}),
        ("Observation?patient={patient}&status=final&value-quantity:missing=true&date:missing=true", set()),
        ("Location?near=20.97|107.04|5|km", {"near"}),
        ("Location?near=20.97|107.04", {"near"}),
        ("Location?near=20.97|107.04|200", {"near", "far"}),
        ("Location?near=20.97|107.04|100|m", set()),
        ("Location?near=20.97|107.04|5|km,21.525|107.9666|1|km", {"near", "far"}),
    ],
)
async def test_a_search_finds_what_is_meant(
    fhir: httpx.AsyncClient, ward: dict[str, str], query: str, expected: set[str]
) -> None:
    address, _, rest = query.format(**ward).partition("?")
    answer = await fhir.get(f"/fhir/{address}", params=httpx.QueryParams(rest))

    assert answer.status_code == 200, answer.text
    by_id = {fid: name for name, fid in ward.items()}
    assert {by_id[fid] for fid in ids(answer.json())} == expected


@pytest.mark.parametrize(
    "query",
    [
        "code:in=http://x.example/unknown",
        "code:not-in=http://x.example/unknown",
        "code-value-quantity=http://loinc.org|$gt5",
        "_text=(x",
    ],
)
async def test_what_cannot_be_answered_is_refused(fhir: httpx.AsyncClient, query: str) -> None:
    answer = await fhir.get(f"/fhir/Observation?{query}")

    assert answer.status_code == 400
    assert codes(answer.json())[0] in ("unsupported-search", "invalid-search-value")


async def test_an_update_leaves_no_old_part_behind(
    fhir: httpx.AsyncClient, records: Records, ward: dict[str, str]
) -> None:
    fid = str(uuid4())
    await records.put(observation(ward["patient"], id=fid, code="X-1", value=5))
    await records.put(observation(ward["patient"], id=fid, code="X-2", value=6))

    async def found(query: str) -> list[str]:
        return ids((await fhir.get("/fhir/Observation?code-value-quantity=" + query)).json())

    assert (await found("X-1$5"), await found("X-2$5"), await found("X-2$6")) == ([], [], [fid])
