"""``If-None-Match`` on writes, and conditional reads and writes within bundles."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from clinic_net.access.principals import Role
from clinic_net.kernel.hub import Hub
from tests.records.support import Records, client_of, codes, patient, person, text

pytestmark = pytest.mark.usefixtures("hospitals")

NOTHING_THERE = {"If-None-Match": "*"}


def bundle(kind: str, *requests: dict[str, Any]) -> bytes:
    entries = [
        {"request": {name: value for name, value in request.items() if name != "resource"}}
        | ({"resource": request["resource"]} if "resource" in request else {})
        for request in requests
    ]
    return text({"resourceType": "Bundle", "type": kind, "entry": entries})


def put(resource: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"method": "PUT", "url": f"Patient/{resource['id']}", "resource": resource, **more}


async def statuses(fhir: httpx.AsyncClient, *requests: dict[str, Any]) -> list[str]:
    answer = await fhir.post("/fhir", content=bundle("batch", *requests))
    assert answer.status_code == 200, answer.text
    return [entry["response"]["status"][:3] for entry in answer.json()["entry"]]


async def test_a_resource_is_made_only_where_nothing_is(fhir: httpx.AsyncClient) -> None:
    content = patient(str(uuid4()))
    address = f"/fhir/Patient/{content['id']}"

    made = await fhir.put(address, content=text(content), headers=NOTHING_THERE)
    same = await fhir.put(address, content=text(content), headers=NOTHING_THERE)
    other = await fhir.put(address, content=text({**content, "gender": "male"}), headers=NOTHING_THERE)
    held = await fhir.get(address)
    await fhir.delete(address)
    again = await fhir.put(address, content=text(content), headers=NOTHING_THERE)

    assert [answer.status_code for answer in (made, same, other, again)] == [201, 412, 412, 201]
    assert codes(other.json()) == ["resource-exists"]
    assert (held.json()["gender"], held.json()["meta"]["versionId"]) == ("female", "1")


async def test_of_two_at_once_one_makes_it(fhir: httpx.AsyncClient) -> None:
    fid = str(uuid4())
    contents = [patient(fid, birthDate=f"19{year}") for year in range(80, 88)]
    plain = patient(fid, birthDate="1900")

    answers = await asyncio.gather(
        *(fhir.put(f"/fhir/Patient/{fid}", content=text(one), headers=NOTHING_THERE) for one in contents)
    )
    made = [one for one, answer in zip(contents, answers, strict=True) if answer.status_code == 201]
    held = (await fhir.get(f"/fhir/Patient/{fid}")).json()
    await fhir.put(f"/fhir/Patient/{fid}", content=text(plain))

    assert sorted(answer.status_code for answer in answers) == [201] + [412] * 7
    assert (held["birthDate"], held["meta"]["versionId"]) == (made[0]["birthDate"], "1")


@pytest.mark.parametrize(
    ("etag", "status"), [('W/"1"', 412), ('W/"1", W/"7"', 412), ('W/"7"', 200), ("x", 400), ('W/"x"', 400)]
)
async def test_a_version_that_is_current_is_not_written_over(
    fhir: httpx.AsyncClient, records: Records, etag: str, status: int
) -> None:
    fid = await records.new_patient()
    content = text(patient(fid, gender="male"))

    answer = await fhir.put(f"/fhir/Patient/{fid}", content=content, headers={"If-None-Match": etag})
    held = await fhir.get(f"/fhir/Patient/{fid}")

    assert answer.status_code == status
    assert held.json()["meta"]["versionId"] == ("2" if status == 200 else "1")


async def test_an_update_by_search_makes_only_where_nothing_is_found(fhir: httpx.AsyncClient) -> None:
    number = uuid4().hex
    content = text(patient(identifier=[{"system": "urn:n", "value": number}]))
    address = f"/fhir/Patient?identifier=urn:n|{number}"

    made = await fhir.put(address, content=content, headers=NOTHING_THERE)
    again = await fhir.put(address, content=content, headers=NOTHING_THERE)

    assert (made.status_code, again.status_code) == (201, 412)


async def test_a_foreign_resource_looks_like_none_as_ever(hub: Hub, records: Records) -> None:
    foreign = await records.new_patient()
    async with person(hub, Role.DOCTOR) as doctor, client_of(hub, "system/Patient.r") as reader:
        answer = await doctor.put(
            f"/fhir/Patient/{foreign}", content=text(patient(foreign)), headers=NOTHING_THERE
        )
        refused = await reader.put(
            f"/fhir/Patient/{foreign}", content=text(patient(foreign)), headers=NOTHING_THERE
        )
    assert (answer.status_code, refused.status_code) == (404, 403)


async def test_an_entry_of_a_batch_makes_only_where_nothing_is(
    fhir: httpx.AsyncClient, records: Records
) -> None:
    there, fresh = await records.new_patient(), str(uuid4())
    found = await statuses(
        fhir,
        put(patient(there, gender="male"), ifNoneMatch="*"),
        put(patient(fresh), ifNoneMatch="*"),
        put(patient(fresh, gender="male"), ifNoneMatch='W/"1"'),
        put(patient(fresh, gender="male"), ifNoneMatch='W/"9"'),
    )
    malformed = await fhir.post("/fhir", content=bundle("batch", put(patient(fresh), ifNoneMatch="x")))

    assert found == ["412", "201", "412", "200"]
    assert (malformed.status_code, codes(malformed.json())) == (400, ["malformed-request"])
    assert (await records.read("Patient", there)).version == 1


async def test_a_transaction_with_an_entry_that_finds_something_does_nothing(
    fhir: httpx.AsyncClient, records: Records
) -> None:
    there, fresh = await records.new_patient(), str(uuid4())
    requests = [put(patient(fresh)), put(patient(there, gender="male"), ifNoneMatch="*")]
    answer = await fhir.post("/fhir", content=bundle("transaction", *requests))

    assert (answer.status_code, codes(answer.json())) == (412, ["resource-exists"])
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[1]"]
    assert (await fhir.get(f"/fhir/Patient/{fresh}")).status_code == 404


async def test_an_entry_reads_what_is_new_to_its_sender(fhir: httpx.AsyncClient, records: Records) -> None:
    fid = await records.new_patient()
    read = {"method": "GET", "url": f"Patient/{fid}"}
    found = await statuses(
        fhir,
        {**read, "ifNoneMatch": 'W/"1"'},
        {**read, "ifNoneMatch": 'W/"2"'},
        {**read, "ifNoneMatch": "*"},
        {**read, "ifModifiedSince": "2026-11-22T03:00:01Z"},
        {**read, "ifModifiedSince": "2026-11-22T02:59:59Z"},
        {**read, "ifModifiedSince": "2026-11-22T10:00:01+07:00", "ifNoneMatch": 'W/"2"'},
    )
    assert found == ["304", "200", "304", "304", "200", "200"]


@pytest.mark.parametrize("since", ["yesterday", "2026-11-22", "2026-11-22T03:00:00", 7])
async def test_a_time_that_is_no_instant_is_refused(fhir: httpx.AsyncClient, since: Any) -> None:
    request = {"method": "GET", "url": "Patient/x", "ifModifiedSince": since}
    answer = await fhir.post("/fhir", content=bundle("batch", request))

    assert (answer.status_code, codes(answer.json())) == (400, ["malformed-request"])
