"""Requests that share a transaction: each caller's own right, each transaction whole or not at all."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx

from clinic_net.access import service as access
from clinic_net.kernel.hub import Hub
from tests.records.support import FHIR, app_of, client_of, observation, patient, text, visiting


async def token(hub: Hub, scope: str) -> tuple[str, dict[str, str]]:
    async with hub.sessions() as s, s.begin():
        client_id, secret = await access.add_client(s, name="test", scope=scope, now=hub.now())
    async with visiting(app_of(hub)) as client:
        form = {"grant_type": "client_credentials", "scope": scope}
        answer = await client.post("/oauth/token", data=form, auth=(client_id, secret))
    return client_id, {"Authorization": f"Bearer {answer.json()['access_token']}", **FHIR}


def transaction(*entries: tuple[str, str, dict[str, Any], dict[str, str]]) -> bytes:
    entry = [
        {"resource": resource, "request": {"method": method, "url": url, **more}}
        for method, url, resource, more in entries
    ]
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entry}).encode()


def phone(number: int) -> dict[str, str]:
    return {"system": "phone", "value": str(number)}


async def test_each_caller_of_a_batch_gets_what_it_may(hub: Hub, fhir: httpx.AsyncClient) -> None:
    fid = str(uuid4())
    await fhir.put(f"/fhir/Patient/{fid}", content=text(patient(fid)))
    _, everything = await token(hub, "system/*.cruds")
    _, observations = await token(hub, "system/Observation.rs")
    disabled, gone = await token(hub, "system/*.cruds")
    async with hub.sessions() as s, s.begin():
        await access.disable_client(s, disabled, by="test", now=hub.now())

    async with visiting(app_of(hub)) as client:
        asked = [everything, observations, gone] * 6
        told = await asyncio.gather(
            *(client.get(f"/fhir/Patient/{fid}", headers=headers) for headers in asked)
        )

    assert [answer.status_code for answer in told] == [200, 403, 401] * 6


async def test_updates_of_one_resource_at_once_make_dense_versions(fhir: httpx.AsyncClient) -> None:
    fid = str(uuid4())
    await fhir.put(f"/fhir/Patient/{fid}", content=text(patient(fid)))

    told = await asyncio.gather(
        *(
            fhir.put(f"/fhir/Patient/{fid}", content=text(patient(fid, telecom=[phone(number)])))
            for number in range(30)
        )
    )

    assert {answer.status_code for answer in told} == {200}
    assert sorted(int(answer.json()["meta"]["versionId"]) for answer in told) == list(range(2, 32))


async def test_creates_of_one_chosen_id_at_once_make_one_resource(fhir: httpx.AsyncClient) -> None:
    fid = str(uuid4())

    told = await asyncio.gather(
        *(fhir.put(f"/fhir/Patient/{fid}", content=text(patient(fid))) for _ in range(20))
    )

    assert sorted(answer.status_code for answer in told) == [200] * 19 + [201]
    assert {answer.headers["etag"] for answer in told} == {'W/"1"'}


async def test_a_refused_transaction_leaves_nothing_and_the_others_are_whole(hub: Hub) -> None:
    async with client_of(hub) as fhir:
        kept = str(uuid4())
        await fhir.put(f"/fhir/Patient/{kept}", content=text(patient(kept)))
        ids = [str(uuid4()) for _ in range(8)]
        bad = 3

        def body(number: int) -> bytes:
            fid = ids[number]
            old = {"ifMatch": 'W/"7"'} if number == bad else {}
            other = kept if number == bad else str(uuid4())
            return transaction(
                ("PUT", f"Patient/{fid}", patient(fid), {}),
                ("POST", "Observation", observation(fid), {}),
                ("PUT", f"Patient/{other}", patient(other, active=True), old),
            )

        told = await asyncio.gather(*(fhir.post("/fhir", content=body(number)) for number in range(8)))
        found = await asyncio.gather(*(fhir.get(f"/fhir/Patient/{fid}") for fid in ids))
        measured = await asyncio.gather(
            *(fhir.get(f"/fhir/Observation?patient=Patient/{fid}") for fid in ids)
        )

    expected = [412 if number == bad else 200 for number in range(8)]
    assert [answer.status_code for answer in told] == expected
    assert told[bad].json()["issue"][0]["expression"][0].startswith("Bundle.entry[2]")
    assert [answer.status_code for answer in found] == [404 if number == bad else 200 for number in range(8)]
    assert [answer.json()["total"] for answer in measured] == [
        0 if number == bad else 1 for number in range(8)
    ]


async def test_transactions_about_the_same_resource_take_turns(fhir: httpx.AsyncClient) -> None:
    fid = str(uuid4())

    told = await asyncio.gather(
        *(
            fhir.post(
                "/fhir",
                content=transaction(("PUT", f"Patient/{fid}", patient(fid, telecom=[phone(n)]), {})),
            )
            for n in range(10)
        )
    )

    assert {answer.status_code for answer in told} == {200}
    etags = [answer.json()["entry"][0]["response"]["etag"] for answer in told]
    assert sorted(etags, key=len) == [f'W/"{version}"' for version in range(1, 11)]
