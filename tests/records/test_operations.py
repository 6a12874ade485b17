"""Operations through HTTP."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from clinic_net.access.principals import Role
from clinic_net.fhir import check, parse
from clinic_net.kernel.hub import Hub
from tests.records.support import (
    OTHER_SITE,
    OTHER_STATION,
    Records,
    codes,
    ids,
    observation,
    patient,
    person,
    text,
)

pytestmark = pytest.mark.usefixtures("hospitals")

TAG = {"system": "urn:t", "code": "a"}


def given(name: str, **value: Any) -> dict[str, Any]:
    return {"name": name, **value}


def asked(*items: dict[str, Any]) -> bytes:
    return text({"resourceType": "Parameters", "parameter": list(items)})


async def test_tags_are_added_once_and_deleted(fhir: httpx.AsyncClient, records: Records) -> None:
    address = f"/fhir/Patient/{await records.new_patient()}"
    body = asked(given("meta", valueMeta={"tag": [TAG]}))

    added = await fhir.post(f"{address}/$meta-add", content=body)
    again = await fhir.post(f"{address}/$meta-add", content=body)
    found = await fhir.get(f"{address}/$meta")
    deleted = await fhir.post(f"{address}/$meta-delete", content=body)
    forged = await fhir.post(
        f"{address}/$meta-add", content=asked(given("meta", valueMeta={"versionId": "9"}))
    )

    assert added.json()["parameter"][0]["valueMeta"]["tag"] == [TAG]
    assert again.json() == added.json() == found.json()
    assert "tag" not in deleted.json()["parameter"][0]["valueMeta"]
    assert deleted.json()["parameter"][0]["valueMeta"]["versionId"] == "3"
    assert forged.status_code == 400


async def test_the_last_of_each_code_are_found(fhir: httpx.AsyncClient, records: Records) -> None:
    about = await records.new_patient()
    days = ("2026-11-01", "2026-11-03", "2026-11-02")
    pulse = [(await records.put(observation(about, effectiveDateTime=day))).fid for day in days]
    weight = (await records.put(observation(about, code="29463-7", effectiveDateTime="2025-01-01"))).fid

    one = await fhir.get(f"/fhir/Observation/$lastn?patient={about}")
    two = await fhir.get(f"/fhir/Observation/$lastn?subject=Patient/{about}&max=2&code=8867-4")
    bad = [
        await fhir.get(f"/fhir/Observation/$lastn?{query}")
        for query in ("", f"patient={about}&max=0x", f"patient={about}&no-such=1")
    ]

    assert ids(one.json()) == [pulse[1], weight]
    assert ids(two.json()) == [pulse[1], pulse[2]]
    assert [answer.status_code for answer in bad] == [400, 400, 400]


async def test_patients_that_fit_are_scored_and_graded(fhir: httpx.AsyncClient, records: Records) -> None:
    number = uuid4().hex
    described = patient(
        name=[{"text": "Trần Thị Hoà Bình"}],
        birthDate="1971-03-02",
        identifier=[{"system": "urn:cccd", "value": number}],
        telecom=[{"system": "phone", "value": "+84 912 345 678"}],
    )
    same = await records.new_patient(**{**described, "name": [{"text": "Trần Thị Hòa Bình"}]})
    without = await records.new_patient(name=[{"text": "Tran Thi Hoa Binh"}], birthDate="1971-03-02")
    await records.new_patient(name=[{"text": "Lê Văn An"}], birthDate="1971-03-02")

    found = await fhir.post("/fhir/Patient/$match", content=asked(given("resource", resource=described)))
    certain = await fhir.post(
        "/fhir/Patient/$match",
        content=asked(
            given("resource", resource=described),
            given("onlyCertainMatches", valueBoolean=True),
            given("count", valueInteger=5),
        ),
    )
    other = await fhir.post(
        "/fhir/Patient/$match",
        content=asked(given("resource", resource={**described, "birthDate": "1990-01-01", "gender": "male"})),
    )

    assert found.status_code == 200, found.text
    assert check(parse(found.content)) == []
    graded = [
        (entry["resource"]["id"], entry["search"]["extension"][0]["valueCode"])
        for entry in found.json()["entry"]
    ]
    assert graded == [(same, "certain"), (without, "possible")]
    assert found.json()["entry"][0]["search"]["score"] == 1
    assert ids(certain.json()) == [same]
    assert other.json()["entry"][0]["search"]["extension"][0]["valueCode"] == "probable"


async def test_a_match_tells_nothing_of_foreign_patients(hub: Hub, records: Records) -> None:
    identifier = [{"system": "urn:cccd", "value": uuid4().hex}]
    await records.within(OTHER_STATION, OTHER_SITE).new_patient(identifier=identifier)
    async with person(hub, Role.DOCTOR) as doctor:
        body = asked(given("resource", resource=patient(identifier=identifier)))
        answer = await doctor.post("/fhir/Patient/$match", content=body)
    assert (answer.status_code, answer.json()["total"]) == (200, 0)


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceType":"Patient"}',
        asked(),
        asked(given("resource", resource={"resourceType": "Group"})),
        asked(given("resource", resource={"resourceType": "Patient", "gender": "x"})),
        asked(given("resource", resource={"resourceType": "Patient"}), given("count", valueString="1")),
    ],
)
async def test_a_description_that_is_none_is_refused(fhir: httpx.AsyncClient, body: bytes) -> None:
    answer = await fhir.post("/fhir/Patient/$match", content=body)
    assert (answer.status_code, codes(answer.json())) == (400, ["malformed-request"])


async def test_validation_has_modes(fhir: httpx.AsyncClient, records: Records) -> None:
    fid = await records.new_patient()
    base = "http://hl7.org/fhir/StructureDefinition/Patient"

    async def status(path: str, *items: dict[str, Any]) -> int:
        answer = await fhir.post(f"/fhir/Patient{path}/$validate", content=asked(*items))
        return answer.status_code

    whole = given("resource", resource=patient())
    own = given("resource", resource=patient(fid))
    assert await status("", whole, given("mode", valueCode="create"), given("profile", valueUri=base)) == 200
    assert await status("", whole, given("profile", valueUri="urn:other")) == 400
    assert await status("", whole, given("mode", valueCode="update")) == 400
    assert await status("", own, given("mode", valueCode="update")) == 200
    assert await status("", given("mode", valueCode="delete")) == 400
    assert await status("", given("mode", valueCode="guess"), whole) == 400
    assert await status(f"/{fid}", own) == 200
    assert await status(f"/{fid}", whole) == 400
    assert await status(f"/{fid}", given("mode", valueCode="delete")) == 200
    assert await status("/unknown", given("mode", valueCode="delete")) == 404
