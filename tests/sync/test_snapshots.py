"""A station that has nothing yet gets a prepared copy: in the order of need, in parts, signed, its own only."""

import json
from datetime import date
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest
from joserfc import jws
from joserfc.jwk import KeySet
from sqlmodel import select

from clinic_net.audit.model import AuditEvent
from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import EntryHead, Manifest, codec, frames, sums
from clinic_net.sync import snapshots
from clinic_net.sync.snapshot_rules import Need, need_of
from tests.access.support import OTHER_SITE, SITE, fill
from tests.sync.support import Station, a_patient, a_station, an_observation, enrolled, served, store


@pytest.fixture(scope="module", autouse=True)
async def filled(hub: Hub) -> None:
    await fill(hub)


@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scope of a few records counts as far, and a segment is small."""
    monkeypatch.setattr(snapshots, "FAR", 3)
    monkeypatch.setattr(snapshots, "SEGMENT_BYTES", 300)


@pytest.mark.parametrize(
    ("resource", "need"),
    [
        ({"resourceType": "Patient", "birthDate": "2023"}, Need.SMALL_CHILD),
        ({"resourceType": "Patient", "birthDate": "2021-11-23"}, Need.SMALL_CHILD),
        ({"resourceType": "Patient", "birthDate": "2021-11-22"}, Need.REST),
        ({"resourceType": "Patient"}, Need.REST),
        ({"resourceType": "Patient", "birthDate": 7}, Need.REST),
        ({"resourceType": "ServiceRequest", "status": "active"}, Need.OPEN),
        ({"resourceType": "ServiceRequest", "status": "completed"}, Need.REST),
        ({"resourceType": "Condition", "code": {"coding": "?"}}, Need.REST),
        *(
            ({"resourceType": "Condition", "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10",
              "code": code}]}, "clinicalStatus": {"coding": [{"code": state}]}}, need)
            for code, state, need in [
                ("O14.1", "active", Need.OPEN), ("I10", "active", Need.CHRONIC), ("I10", "resolved", Need.REST),
                ("J06.9", "active", Need.REST), ("E11.9", "recurrence", Need.CHRONIC),
            ]
        ),
    ],
)  # fmt: skip
def test_who_is_needed_first(resource: dict[str, Any], need: Need) -> None:
    assert need_of(resource, date(2026, 11, 22)) == need


def entries_of(data: bytes, count: int) -> list[tuple[EntryHead, bytes]]:
    plain = codec.decompress(data, "zstd", limit=snapshots.LONGEST_PLAIN)
    return list(frames.frames_of(plain, 0, EntryHead, count))


@pytest.mark.usefixtures("low")
async def test_a_snapshot_and_the_feed_behind_it_are_a_fresh_copy(hub: Hub) -> None:
    async with served(hub) as client:
        _, headers = await enrolled(hub, client, SITE)
        name = [{"text": "Lò Thị Thử Nghiệm " * 90}]
        waiting, child, other = (
            a_patient(name=name, **born) for born in ({}, {"birthDate": "2025-02"}, {"birthDate": "1960"})
        )
        for patient in (other, child, waiting):
            await store(hub, SITE, patient, fed=False)
            await store(hub, SITE, an_observation(patient["id"]), fed=False)
        order = {
            "resourceType": "ServiceRequest", "id": str(uuid4()), "status": "active", "intent": "order",
            "subject": {"reference": f"Patient/{waiting['id']}"},
        }  # fmt: skip
        await store(hub, SITE, order)
        station = Station(a_station(SITE).principal)
        assert (await station.pull(hub, max_bytes=4096)).snapshot is None
        await hub.jobs.run_pending()
        station = Station(station.principal)
        offer = (await station.pull(hub, max_bytes=4096)).snapshot
        assert offer is not None

        signed = await client.get(offer.url, headers=headers)
        keys = KeySet.import_key_set((await client.get("/oauth/jwks")).json())
        manifest = Manifest.model_validate_json(
            jws.deserialize_compact(signed.text, keys, algorithms=["ES256"]).payload
        )
        fresh = Station(a_station(SITE).principal)
        came: list[str] = []
        for segment in manifest.segments:
            url = f"{offer.url}/{segment.n}"
            begin = await client.get(url, headers={**headers, "Range": "bytes=0-99"})
            rest = await client.get(url, headers={**headers, "Range": "bytes=100-"})
            assert (begin.status_code, rest.status_code) == (206, 206)
            data = begin.content + rest.content
            assert (sha256(data).hexdigest(), len(data)) == (segment.sha256, segment.bytes)
            for entry, text in entries_of(data, segment.records):
                fresh.apply(entry, text)
                came.append(json.loads(text).get("subject", {}).get("reference", f"Patient/{entry.id}"))
        fresh.cursors = {manifest.scope: manifest.as_of}
        assert (manifest.total.count, manifest.total.sum) == fresh.held[manifest.scope].sum
        groups = list(dict.fromkeys(reference.removeprefix("Patient/") for reference in came))
        assert groups == [waiting["id"], child["id"], other["id"]]

        await store(hub, SITE, {**other, "gender": "male"})
        await fresh.pull_all(hub)
        whole = Station(a_station(SITE).principal)
        await whole.pull_all(hub)
        assert fresh.held[fresh.scope] == whole.held[whole.scope]
        async with hub.sessions() as session:
            told = select(AuditEvent).where(AuditEvent.action == "sync.snapshot")
            assert len((await session.exec(told)).all()) == 1


@pytest.mark.usefixtures("low")
async def test_another_station_s_snapshot_is_as_one_that_is_not_there(hub: Hub) -> None:
    station = a_station(OTHER_SITE)
    await store(hub, OTHER_SITE, a_patient())
    made = await snapshots.build(hub.sessions, station.scope, now=hub.now())
    async with served(hub) as client:
        _, ours = await enrolled(hub, client, OTHER_SITE)
        _, theirs = await enrolled(hub, client, SITE)
        for name, status in ((made, 200), (UUID(int=7), 404)):
            assert (await client.get(f"/sync/v1/snapshots/{name}", headers=ours)).status_code == status
        answers = [
            await client.get(f"/sync/v1/snapshots/{name}{more}", headers=theirs)
            for name in (made, UUID(int=7))
            for more in ("", "/0")
        ]
        assert {(answer.status_code, answer.text) for answer in answers} == {(404, answers[0].text)}
        whole = await client.get(f"/sync/v1/snapshots/{made}/0", headers=ours)
        etag = whole.headers["etag"]
        again = await client.get(f"/sync/v1/snapshots/{made}/0", headers={**ours, "If-None-Match": etag})
        beyond = await client.get(f"/sync/v1/snapshots/{made}/0", headers={**ours, "Range": "bytes=99999-"})
        assert (again.status_code, beyond.status_code) == (304, 416)
        assert (await client.get(f"/sync/v1/snapshots/{made}/9", headers=ours)).status_code == 404


async def test_an_empty_scope_has_an_empty_snapshot_and_a_fresh_one_is_not_made_again(hub: Hub) -> None:
    station = a_station()
    made = await snapshots.build(hub.sessions, station.scope, now=hub.now())
    assert made is not None
    assert await snapshots.build(hub.sessions, station.scope, now=hub.now()) == made
    assert sums.total([]) == 0
