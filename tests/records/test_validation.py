"""``$validate``: of what is sent or stored, in general or for an interaction, without a trace."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text as sql_text

from clinic_net.access.principals import Role
from clinic_net.kernel.hub import Hub
from tests.records.support import Records, client_of, codes, observation, patient, person, text

pytestmark = pytest.mark.usefixtures("hospitals")

BASE = "http://hl7.org/fhir/StructureDefinition/Patient"


def given(
    mode: str | None = None, resource: dict[str, Any] | None = None, profile: str | None = None
) -> bytes:
    items: list[dict[str, Any]] = []
    if resource is not None:
        items.append({"name": "resource", "resource": resource})
    if mode is not None:
        items.append({"name": "mode", "valueCode": mode})
    if profile is not None:
        items.append({"name": "profile", "valueUri": profile})
    return text({"resourceType": "Parameters", "parameter": items})


def severities(answer: httpx.Response) -> set[str]:
    assert answer.status_code == 200, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
    return {issue["severity"] for issue in answer.json()["issue"]}


async def versions(hub: Hub) -> tuple[int, int]:
    async with hub.sessions() as s, s.begin():
        counts = sql_text(
            "select (select count(*) from records_version), (select count(*) from procrastinate_jobs)"
        )
        row = (await (await s.connection()).execute(counts)).one()
        return row[0], row[1]


async def test_a_sound_resource_has_no_errors_in_any_mode(
    hub: Hub, fhir: httpx.AsyncClient, records: Records
) -> None:
    fid = await records.new_patient()
    before = await versions(hub)
    answers = [
        await fhir.post("/fhir/Patient/$validate", content=text(patient())),
        await fhir.post("/fhir/Patient/$validate?mode=create", content=text(patient())),
        await fhir.post("/fhir/Patient/$validate", content=given("create", patient(), BASE)),
        await fhir.post("/fhir/Patient/$validate", content=given("profile", patient(), f"{BASE}|4.0.1")),
        await fhir.post(f"/fhir/Patient/{fid}/$validate", content=text(patient())),
        await fhir.post(
            f"/fhir/Patient/{fid}/$validate", content=given("update", patient(fid, gender="male"))
        ),
        await fhir.post(f"/fhir/Patient/{fid}/$validate", content=given("delete")),
        await fhir.get(f"/fhir/Patient/{fid}/$validate"),
        await fhir.get(f"/fhir/Patient/{fid}/$validate?mode=delete"),
        await fhir.get(f"/fhir/Patient/{fid}/$validate?mode=update&profile={BASE}"),
    ]

    assert [severities(answer) for answer in answers] == [{"information"}] * 10
    assert await versions(hub) == before
    assert (await records.read("Patient", fid)).version == 1


async def test_what_is_wrong_is_an_answer_and_no_failure(fhir: httpx.AsyncClient, records: Records) -> None:
    fid = await records.new_patient()
    wrong = patient(fid, gender="x")
    for path, body in (
        ("Patient/$validate", text(wrong)),
        ("Patient/$validate", given("create", wrong)),
        (f"Patient/{fid}/$validate", given("update", wrong)),
        (f"Patient/{fid}/$validate", given(None, wrong)),
    ):
        answer = await fhir.post(f"/fhir/{path}", content=body)
        assert severities(answer) == {"error"}
        assert answer.json()["issue"][0]["expression"] == ["Patient.gender"]


async def test_a_mode_tells_what_the_interaction_would(hub: Hub, records: Records) -> None:
    fid = await records.new_patient()
    async with person(hub, Role.DOCTOR) as doctor, client_of(hub) as client:
        own = patient(str(uuid4()))
        made = await doctor.put(f"/fhir/Patient/{own['id']}", content=text(own))
        foreign = await doctor.post("/fhir/Observation/$validate", content=given("create", observation(fid)))
        sound = await doctor.post("/fhir/Observation/$validate", content=given(None, observation(fid)))
        kept = await doctor.post(f"/fhir/Patient/{own['id']}/$validate", content=given("update", own))
        stale = await client.post(
            f"/fhir/Patient/{fid}/$validate",
            content=given("update", patient(fid, gender="male")),
            headers={"If-Match": 'W/"7"'},
        )
        other = await client.post(
            f"/fhir/Patient/{fid}/$validate", content=given("update", patient(str(uuid4())))
        )

    assert made.status_code == 201, made.text
    assert (severities(foreign), codes(foreign.json())) == ({"error"}, ["unknown-patient"])
    assert severities(sound) == severities(kept) == {"information"}
    assert (severities(stale), codes(stale.json())) == ({"error"}, ["version-conflict"])
    assert (severities(other), other.json()["issue"][0]["expression"]) == ({"error"}, ["Patient.id"])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", given("update", patient("x"))),
        ("", given("delete")),
        ("", given("guess", patient())),
        ("", given("create")),
        ("", given(None, observation("x"))),
        ("", given(None, patient(), "urn:other")),
        ("", given("profile", patient())),
        ("", text({"resourceType": "Parameters", "parameter": [{"name": "resource"}]})),
        ("", b""),
        ("?mode=create", given("create", patient())),
    ],
)
async def test_what_cannot_be_validated_is_refused(fhir: httpx.AsyncClient, path: str, body: bytes) -> None:
    answer = await fhir.post(f"/fhir/Patient/$validate{path}", content=body)
    assert (answer.status_code, codes(answer.json())) == (400, ["malformed-request"])


async def test_what_is_not_there_or_not_allowed_is_not_validated(hub: Hub, records: Records) -> None:
    fid = await records.new_patient()
    gone = await records.new_patient()
    await records.delete("Patient", gone)
    async with client_of(hub, "system/Patient.rs") as reader, person(hub, Role.DOCTOR) as stranger:
        answers = [
            await reader.get("/fhir/Patient/unknown/$validate"),
            await reader.get(f"/fhir/Patient/{gone}/$validate"),
            await stranger.get(f"/fhir/Patient/{fid}/$validate"),
            await reader.post("/fhir/Patient/$validate?mode=create", content=text(patient())),
            await reader.get(f"/fhir/Patient/{fid}/$validate?mode=delete"),
            await reader.post("/fhir/Observation/$validate", content=text(observation("x"))),
            await reader.post("/fhir/Bogus/$validate", content=text(patient())),
            await reader.post("/fhir/Patient/$validate", content=text(patient())),
        ]
    assert [answer.status_code for answer in answers] == [404, 410, 404, 403, 403, 403, 404, 200]
