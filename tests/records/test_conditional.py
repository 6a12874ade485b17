"""Interactions that name their target by a search: none, one and many matches, and what a caller may learn by them."""

import asyncio
from uuid import uuid4

import httpx
import pytest

from clinic_net.access.principals import Role
from clinic_net.kernel.hub import Hub, open_hub
from tests.records.support import (
    OTHER_HOSPITAL,
    OTHER_SITE,
    OTHER_STATION,
    Records,
    client_of,
    codes,
    ids,
    patient,
    person,
    text,
)

pytestmark = pytest.mark.usefixtures("hospitals")

ADD_BIRTH = b'[{"op":"add","path":"/birthDate","value":"1950-01-01"}]'
PATCH = {"Content-Type": "application/json-patch+json"}


def named(value: str) -> list[dict[str, str]]:
    return [{"system": "urn:test", "value": value}]


def where(value: str) -> str:
    return f"/fhir/Patient?identifier=urn:test|{value}"


async def made(fhir: httpx.AsyncClient, value: str, times: int = 1) -> list[str]:
    answers = [
        await fhir.post("/fhir/Patient", content=text(patient(identifier=named(value)))) for _ in range(times)
    ]
    return [answer.json()["id"] for answer in answers]


async def test_an_update_by_search_creates_once_and_then_changes(fhir: httpx.AsyncClient) -> None:
    value = uuid4().hex
    content = patient(identifier=named(value))

    created = await fhir.put(where(value), content=text(content))
    same = await fhir.put(where(value), content=text(content))
    changed = await fhir.put(where(value), content=text({**content, "gender": "male"}))
    stale = await fhir.put(where(value), content=text(content), headers={"If-Match": 'W/"1"'})

    fid = created.json()["id"]
    assert [answer.status_code for answer in (created, same, changed, stale)] == [201, 200, 200, 412]
    assert changed.headers["location"].endswith(f"/Patient/{fid}/_history/2")


async def test_an_update_by_search_keeps_to_the_id_of_its_match(fhir: httpx.AsyncClient) -> None:
    value, chosen = uuid4().hex, str(uuid4())
    content = patient(chosen, identifier=named(value))

    created = await fhir.put(where(value), content=text(content))
    other = await fhir.put(where(value), content=text({**content, "id": "another"}))
    taken = await fhir.put(where(uuid4().hex), content=text({**content, "gender": "male"}))

    assert (created.status_code, created.json()["id"]) == (201, chosen)
    assert (other.status_code, taken.status_code) == (400, 409)


async def test_of_several_updates_by_search_at_once_one_makes_the_resource(fhir: httpx.AsyncClient) -> None:
    value = uuid4().hex
    answers = await asyncio.gather(
        *(fhir.put(where(value), content=text(patient(identifier=named(value)))) for _ in range(6))
    )

    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len(ids((await fhir.get(where(value))).json())) == 1


async def test_of_fifty_conditional_creates_at_once_on_two_nodes_one_makes_the_resource(hub: Hub) -> None:
    value = uuid4().hex
    body = text(patient(identifier=named(value)))
    condition = {"If-None-Exist": f"identifier=urn:test|{value}"}
    async with open_hub(hub.settings) as second, client_of(hub) as here, client_of(second) as there:
        answers = await asyncio.gather(
            *(node.post("/fhir/Patient", content=body, headers=condition) for node in (here, there) * 25)
        )
        found = ids((await there.get(where(value))).json())

    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    assert {answer.json()["id"] for answer in answers} == set(found)
    assert len(found) == 1
    assert {answer.headers["etag"] for answer in answers} == {'W/"1"'}


async def test_many_matches_change_nothing(fhir: httpx.AsyncClient) -> None:
    value = uuid4().hex
    await made(fhir, value, 2)

    answers = [
        await fhir.put(where(value), content=text(patient(identifier=named(value)))),
        await fhir.patch(where(value), content=ADD_BIRTH, headers=PATCH),
        await fhir.delete(where(value)),
    ]

    assert [(answer.status_code, codes(answer.json())) for answer in answers] == [
        (412, ["multiple-matches"])
    ] * 3
    assert len(ids((await fhir.get(where(value))).json())) == 2


async def test_a_patch_by_search_changes_the_one_and_needs_one(fhir: httpx.AsyncClient) -> None:
    value = uuid4().hex
    none = await fhir.patch(where(value), content=ADD_BIRTH, headers=PATCH)
    await made(fhir, value)
    one = await fhir.patch(where(value), content=ADD_BIRTH, headers=PATCH)

    assert (none.status_code, one.status_code) == (404, 200)
    assert one.json()["birthDate"] == "1950-01-01"


async def test_a_delete_by_search_deletes_the_one_and_may_be_repeated(fhir: httpx.AsyncClient) -> None:
    value = uuid4().hex
    [fid] = await made(fhir, value)

    deleted, again = await fhir.delete(where(value)), await fhir.delete(where(value))

    assert (deleted.status_code, deleted.headers["etag"]) == (204, 'W/"2"')
    assert (again.status_code, "etag" in again.headers) == (204, False)
    assert (await fhir.get(f"/fhir/Patient/{fid}")).status_code == 410


@pytest.mark.parametrize("query", ["", "?_count=1", "?no-such=1", "?identifier="])
async def test_criteria_that_name_nothing_are_refused_even_when_leniency_is_asked_for(
    fhir: httpx.AsyncClient, query: str
) -> None:
    lenient = {"Prefer": "handling=lenient"}
    answers = [
        await fhir.put(f"/fhir/Patient{query}", content=text(patient()), headers=lenient),
        await fhir.patch(f"/fhir/Patient{query}", content=ADD_BIRTH, headers={**PATCH, **lenient}),
        await fhir.delete(f"/fhir/Patient{query}", headers=lenient),
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 400]


async def test_strict_search_refuses_what_lenient_search_leaves_out(fhir: httpx.AsyncClient) -> None:
    answers = [
        await fhir.get("/fhir/Patient?no-such=1", headers={"Prefer": prefer})
        for prefer in ("handling=strict", "return=minimal; handling=lenient", "wait=10", "handling=x")
    ]
    assert [answer.status_code for answer in answers] == [400, 200, 400, 400]


async def test_a_foreign_match_counts_as_none(hub: Hub, records: Records) -> None:
    value = uuid4().hex
    theirs = records.within(OTHER_STATION, OTHER_SITE)
    fid = await theirs.new_patient(identifier=named(value))
    async with person(hub, Role.DOCTOR) as doctor:
        patched = await doctor.patch(where(value), content=ADD_BIRTH, headers=PATCH)
        unknown = await doctor.patch(where(uuid4().hex), content=ADD_BIRTH, headers=PATCH)
        by_id = await doctor.patch(f"/fhir/Patient/{fid}", content=ADD_BIRTH, headers=PATCH)
        updated = await doctor.put(where(value), content=text(patient(identifier=named(value))))
        created = await doctor.post(
            "/fhir/Patient",
            content=text(patient(identifier=named(value))),
            headers={"If-None-Exist": f"identifier=urn:test|{value}"},
        )

    assert (patched.status_code, patched.content) == (404, unknown.content)
    assert (by_id.status_code, by_id.content) == (404, unknown.content)
    assert (updated.status_code, updated.json()["id"] == fid) == (201, False)
    assert (created.status_code, created.json()["id"]) == (200, updated.json()["id"])
    assert (await theirs.read("Patient", fid)).version == 1


@pytest.mark.parametrize("scope", ["system/Patient.cud", "system/Patient.cuds", "system/Patient.crud"])
async def test_whoever_may_not_read_and_search_learns_nothing_by_criteria(
    hub: Hub, fhir: httpx.AsyncClient, scope: str
) -> None:
    value = uuid4().hex
    await made(fhir, value)
    async with client_of(hub, scope) as writer:
        answers = [
            await writer.put(where(value), content=text(patient(identifier=named(value)))),
            await writer.patch(where(value), content=ADD_BIRTH, headers=PATCH),
            await writer.delete(where(value)),
            await writer.post(
                "/fhir/Patient",
                content=text(patient()),
                headers={"If-None-Exist": f"identifier=urn:test|{value}"},
            ),
        ]
    assert {answer.status_code for answer in answers} == {403}
    assert all(value not in answer.text for answer in answers)


async def test_whoever_may_only_update_does_not_create_by_criteria(hub: Hub, fhir: httpx.AsyncClient) -> None:
    value = uuid4().hex
    async with client_of(hub, "system/Patient.rus") as changer:
        absent = await changer.put(where(value), content=text(patient(identifier=named(value))))
        await made(fhir, value)
        present = await changer.put(where(value), content=text(patient(identifier=named(value), active=True)))
    assert (absent.status_code, present.status_code) == (403, 200)


async def test_an_id_of_ones_own_choice_tells_nothing_about_the_ids_of_others(
    hub: Hub, records: Records
) -> None:
    theirs = await records.within(OTHER_STATION, OTHER_SITE).put(patient("cccd-001085012345"))
    async with person(hub, Role.DOCTOR, OTHER_HOSPITAL) as doctor:
        taken = await doctor.put(f"/fhir/Patient/{theirs.fid}", content=text(patient(theirs.fid)))
        free = await doctor.put("/fhir/Patient/cccd-1", content=text(patient("cccd-1")))
        random = str(uuid4())
        made = await doctor.put(f"/fhir/Patient/{random}", content=text(patient(random)))
        own = await doctor.put(f"/fhir/Patient/{random}", content=text(patient(random, active=True)))

    assert (taken.status_code, taken.content) == (404, free.content)
    assert (free.status_code, made.status_code, own.status_code) == (404, 201, 200)
