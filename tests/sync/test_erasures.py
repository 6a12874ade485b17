"""What a station may not hold any more goes, by its own signed word; a revoked device is told so by its hub alone."""

import json
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from clinic_net.access import StationPrincipal, care
from clinic_net.access import service as access
from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import EntryHead, Receipt
from clinic_net.protocol.sync.standing import EVERYTHING, Standing, proof_input
from clinic_net.sync import erasures
from tests.access.support import OTHER_SITE, SITE, Device, fill
from tests.sync.support import Station, a_patient, an_observation, enrolled, served, store


@pytest.fixture(scope="module", autouse=True)
async def filled(hub: Hub) -> None:
    await fill(hub)


def receipt(device: Device, site: str, command: EntryHead, **changed: object) -> str:
    said = {
        "station": site, "device": device.id, "scope": f"dev:{device.id}", "seq": command.seq, "patient": command.id,
        "erased": 2, "at": "2026-11-22T03:00:00Z", **changed,
    }  # fmt: skip
    text = Receipt.model_validate(said).model_dump_json().encode()
    return jws.serialize_compact({"alg": "ES256"}, text, device.key, algorithms=["ES256"])


async def owed(hub: Hub, device: Device) -> int:
    async with hub.sessions() as session:
        return sum(each.device == UUID(device.id) for each in await erasures.owed(session))


async def standing(client: httpx.AsyncClient, device: Device, nonce: str = "n" * 20) -> httpx.Response:
    proof = jws.serialize_compact(
        {"alg": "ES256"}, proof_input(UUID(device.id), nonce), device.key, algorithms=["ES256"]
    )
    return await client.post("/sync/v1/standing", json={"device": device.id, "nonce": nonce, "proof": proof})


async def test_a_restricted_record_is_erased_at_the_station_and_comes_back_when_it_may(hub: Hub) -> None:
    async with served(hub) as client:
        device, _ = await enrolled(hub, client, SITE)
    station = Station(StationPrincipal(site=SITE, device=UUID(device.id)))
    patient, other = a_patient(), a_patient()
    for resource in (patient, an_observation(patient["id"]), other):
        await store(hub, SITE, resource)
    await station.pull_all(hub)
    before = dict(station.held[station.scope].records)

    async with hub.sessions() as session, session.begin():
        await care.restrict(session, patient["id"], by="user:1", at=hub.now())
    await hub.jobs.run_pending()
    await station.pull_all(hub)

    assert [(each.kind, each.type, each.id) for each in station.commands] == [
        ("purge", "Patient", patient["id"])
    ]
    assert len(station.held[station.scope].records) == len(before) - 2
    assert await owed(hub, device) == 1

    forger = Device.fresh()
    forger.id = device.id
    forged = receipt(forger, SITE, station.commands[0])
    wrong = receipt(device, SITE, station.commands[0], patient=other["id"])
    await station.pull(hub, receipts=(forged, wrong, "nonsense"))
    assert await owed(hub, device) == 1
    await station.pull(hub, receipts=(receipt(device, SITE, station.commands[0]),))
    assert await owed(hub, device) == 0

    async with hub.sessions() as session, session.begin():
        await care.lift_restriction(session, patient["id"], by="user:1", at=hub.now())
    await hub.jobs.run_pending()
    await station.pull_all(hub)
    assert station.held[station.scope].records == before


async def test_a_device_that_was_revoked_while_it_was_away_learns_it_and_hands_in_its_receipt(
    hub: Hub,
) -> None:
    async with served(hub) as client:
        device, headers = await enrolled(hub, client, OTHER_SITE)
        keys = KeySet.import_key_set((await client.get("/oauth/jwks")).json())
        told = Standing.model_validate_json(
            jws.deserialize_compact((await standing(client, device)).text, keys, algorithms=["ES256"]).payload
        )
        assert (told.status, told.seq, told.nonce) == ("active", None, "n" * 20)
        async with hub.sessions() as session, session.begin():
            await access.revoke_device(
                session, site=OTHER_SITE, by="user:1", now=hub.now() + timedelta(seconds=1)
            )
        await hub.jobs.run_pending()

        refused = await client.post("/sync/v1/pull", json={"station": OTHER_SITE}, headers=headers)
        answer = await standing(client, device)
        statement = jws.deserialize_compact(answer.text, keys, algorithms=["ES256"])
        told = Standing.model_validate_json(statement.payload)
        assert refused.status_code == 401
        assert statement.headers()["typ"] == "clinicnet-standing+jws"
        assert (told.status, told.station) == ("revoked", OTHER_SITE)
        assert told.seq is not None
        assert await owed(hub, device) == 1

        command = EntryHead(
            scope=f"dev:{device.id}", seq=told.seq, kind="purge", type="Patient", id=EVERYTHING
        )
        body = {"device": device.id, "receipts": [receipt(device, OTHER_SITE, command)]}
        taken = [(await client.post("/sync/v1/receipts", json=body)).json() for _ in range(2)]
        assert taken == [{"taken": 1}] * 2
        assert await owed(hub, device) == 0


async def test_who_does_not_have_the_key_learns_nothing(hub: Hub) -> None:
    async with served(hub) as client:
        device, _ = await enrolled(hub, client, SITE)
        stranger = Device.fresh()
        answers = []
        for claimed in (device.id, str(uuid4())):
            stranger.id = claimed
            answer = await standing(client, stranger)
            answers.append((answer.status_code, json.dumps(answer.json(), sort_keys=True)))
    assert answers[0] == answers[1]
    assert answers[0][0] == 401
