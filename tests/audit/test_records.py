"""Every read and every write of a record is in the trail: by whichever door, for whichever patient, or not at all."""

import asyncio
import json
import time
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text as sql

from clinic_net.access.principals import Role, StationPrincipal
from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import Op, Pull, Push, Report
from clinic_net.records.shapes import Stored
from clinic_net.sync import service as sync
from tests.audit.support import acts, events
from tests.records.support import (
    HOSPITAL,
    NOW,
    SITE,
    Records,
    client_of,
    observation,
    open_hospitals,
    patient,
    person,
    text,
)

PATCH = {"Content-Type": "application/json-patch+json"}


def entry(method: str, url: str, resource: dict[str, Any] | None = None, **more: str) -> dict[str, Any]:
    return {"request": {"method": method, "url": url, **more}, **({"resource": resource} if resource else {})}


def bundle(kind: str, *entries: dict[str, Any]) -> bytes:
    return text({"resourceType": "Bundle", "type": kind, "entry": list(entries)})


async def made(client: httpx.AsyncClient) -> str:
    answer = await client.post("/fhir/Patient", content=text(patient()))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_each_version_is_written_down_with_its_patient_and_place(hub: Hub) -> None:
    async with client_of(hub) as client:
        fid = await made(client)
        await client.put(f"/fhir/Patient/{fid}", content=text(patient(fid, active=True)))
        change = text([{"op": "replace", "path": "/active", "value": False}])  # type: ignore[arg-type]
        assert (await client.patch(f"/fhir/Patient/{fid}", content=change, headers=PATCH)).is_success
        assert (await client.delete(f"/fhir/Patient/{fid}")).status_code == 204

    assert await acts(hub, fid) == [
        ("record.create", f"Patient/{fid}/_history/1"),
        ("record.update", f"Patient/{fid}/_history/2"),
        ("record.update", f"Patient/{fid}/_history/3"),
        ("record.delete", f"Patient/{fid}/_history/4"),
    ]
    (first, *_) = await events(hub, "patient = :p", p=fid)
    assert (first["outcome"], first["place"]) == ("ok", "national")
    assert first["actor"].startswith("client:")


async def test_a_write_that_changes_nothing_or_is_refused_leaves_no_event(hub: Hub) -> None:
    async with client_of(hub) as client:
        fid = await made(client)
        stored = (await client.get(f"/fhir/Patient/{fid}")).content
        assert (await client.put(f"/fhir/Patient/{fid}", content=stored)).headers["etag"] == 'W/"1"'
        stale = await client.put(
            f"/fhir/Patient/{fid}", content=text(patient(fid, active=True)), headers={"If-Match": 'W/"7"'}
        )
        assert stale.status_code == 412

    assert [action for action, _ in await acts(hub, fid)] == ["record.create", "record.read"]


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_every_entry_of_a_bundle_is_written_down(hub: Hub, kind: str) -> None:
    async with client_of(hub) as client:
        fid = await made(client)
        answer = await client.post(
            "/fhir",
            content=bundle(
                kind,
                entry("POST", "Observation", observation(fid)),
                entry("PUT", f"Patient/{fid}", patient(fid, active=True)),
                entry("GET", f"Patient/{fid}"),
            ),
        )
        assert answer.status_code == 200, answer.text

    told = await acts(hub, fid)
    assert sorted(action for action, _ in told) == [
        "record.create",
        "record.create",
        "record.read",
        "record.update",
    ]


async def test_a_transaction_that_fails_leaves_no_event(hub: Hub) -> None:
    async with client_of(hub) as client:
        fid = await made(client)
        answer = await client.post(
            "/fhir",
            content=bundle(
                "transaction",
                entry("PUT", f"Patient/{fid}", patient(fid, active=True)),
                entry("PUT", f"Observation/{uuid4()}", observation(fid), ifMatch='W/"3"'),
            ),
        )
        assert answer.is_client_error

    assert [action for action, _ in await acts(hub, fid)] == ["record.create"]


async def test_writes_and_reads_that_share_a_commit_keep_their_own_author_request_and_address(
    hub: Hub,
) -> None:
    async with client_of(hub) as one, client_of(hub) as other:
        made_at_once = await asyncio.gather(
            *(
                client.post(
                    "/fhir/Patient",
                    content=text(patient()),
                    headers={"X-Request-Id": f"write-{name}-{number}"},
                )
                for number in range(8)
                for name, client in (("one", one), ("other", other))
            )
        )
        authors = {
            name: {row["actor"] for row in await events(hub, "request like :r", r=f"write-{name}-%")}
            for name in ("one", "other")
        }
        assert {len(found) for found in authors.values()} == {1}
        assert authors["one"] != authors["other"]
        for answer in made_at_once:
            fid, request = answer.json()["id"], answer.headers["x-request-id"]
            (row,) = await events(hub, "patient = :p", p=fid)
            assert (row["request"], row["address"]) == (request, "127.0.0.1")
        await asyncio.gather(
            *(
                one.get(f"/fhir/Patient/{answer.json()['id']}", headers={"X-Request-Id": f"read-{number}"})
                for number, answer in enumerate(made_at_once)
            )
        )
        for number, answer in enumerate(made_at_once):
            (row,) = await events(hub, "request = :r", r=f"read-{number}")
            assert (row["patient"], row["action"]) == (answer.json()["id"], "record.read")


async def test_a_search_leaves_one_event_for_each_patient_and_no_value(hub: Hub) -> None:
    async with client_of(hub) as client:
        family = f"Họ{uuid4().hex}"
        found = {
            (await client.post("/fhir/Patient", content=text(patient(name=[{"text": family}])))).json()["id"]
            for _ in range(3)
        }
        asked = {"X-Request-Id": f"search-{family[2:]}"}
        assert (await client.get("/fhir/Patient", params={"name": family}, headers=asked)).json()[
            "total"
        ] == 3

    rows = await events(hub, "request = :r", r=asked["X-Request-Id"])
    assert {row["patient"] for row in rows} == found
    assert {(row["action"], row["detail"]) for row in rows} == {("record.search", "Patient?name")}
    assert family not in json.dumps(rows)


async def test_a_search_that_finds_nothing_is_written_down_too(hub: Hub) -> None:
    async with client_of(hub) as client:
        await client.get("/fhir/Patient?identifier=nobody", headers={"X-Request-Id": "found-nothing"})

    (row,) = await events(hub, "request = 'found-nothing'")
    assert (row["action"], row["subject"], row["patient"]) == ("record.search", "Patient?identifier", None)


async def test_a_conditional_create_that_finds_something_is_a_read(hub: Hub) -> None:
    async with client_of(hub) as client:
        number = {"system": "urn:x", "value": uuid4().hex}
        content = text(patient(identifier=[number]))
        where = {"If-None-Exist": f"identifier=urn:x|{number['value']}"}
        fid = (await client.post("/fhir/Patient", content=content, headers=where)).json()["id"]
        assert (await client.post("/fhir/Patient", content=content, headers=where)).status_code == 200
        again = bundle(
            "transaction",
            entry("POST", "Patient", patient(), ifNoneExist=f"identifier=urn:x|{number['value']}"),
        )
        assert (await client.post("/fhir", content=again)).status_code == 200

    assert [action for action, _ in await acts(hub, fid)] == ["record.create", "record.read", "record.read"]


async def test_a_person_s_events_say_for_what_and_from_where(hub: Hub) -> None:
    await open_hospitals(hub)
    async with person(hub, Role.DOCTOR) as doctor:
        fid = await made(doctor)
        assert (await doctor.get(f"/fhir/Patient/{fid}/_history/1")).status_code == 200

    wrote, read = await events(hub, "patient = :p", p=fid)
    assert (wrote["purpose"], wrote["place"], wrote["actor_place"]) == ("TREAT", HOSPITAL, HOSPITAL)
    assert (read["action"], read["subject"]) == ("record.vread", f"Patient/{fid}/_history/1")


async def test_what_a_station_stores_is_of_its_place(hub: Hub, records: Records) -> None:
    stored: Stored = await records.put(patient(str(uuid4())))

    (row,) = await events(hub, "patient = :p", p=stored.fid)
    assert (row["place"], row["action"], row["request"]) == (SITE, "record.create", None)


async def test_a_client_s_request_id_is_kept_and_told_back_unless_it_is_none(hub: Hub) -> None:
    async with client_of(hub) as client:
        given = await client.get("/fhir/metadata", headers={"X-Request-Id": "a-1"})
        forged = await client.get("/fhir/metadata", headers={"X-Request-Id": 'x"} injected'})
    assert given.headers["x-request-id"] == "a-1"
    assert "x-request-id" not in forged.headers


async def test_a_record_stays_closed_while_the_trail_cannot_be_written(hub: Hub) -> None:
    """F20, I18: reads wait two seconds at most and are refused; nothing is stored without its event."""
    await open_hospitals(hub)
    async with client_of(hub) as client, person(hub, Role.DOCTOR) as doctor:
        fid, own = await made(client), await made(doctor)
        before = await acts(hub, fid)
        async with hub.engine.connect() as locking:
            await locking.execute(sql("lock table audit_event in access exclusive mode"))
            began = time.monotonic()
            told = await asyncio.gather(
                *(client.get(f"/fhir/Patient/{fid}") for _ in range(6)),
                client.put(f"/fhir/Patient/{fid}", content=text(patient(fid, active=True))),
                doctor.get(f"/fhir/Patient/{own}"),
                doctor.get("/fhir/Patient?gender=female"),
            )
            took = time.monotonic() - began
            await locking.rollback()
        assert [answer.status_code for answer in told] == [503] * 9
        assert took < 3.0, "1.2 s, and what a busy machine adds"
        assert all("retry-after" in answer.headers and fid not in answer.text for answer in told)
        after = await client.get(f"/fhir/Patient/{fid}")
        assert (after.status_code, after.headers["etag"]) == (200, 'W/"1"')
    assert await acts(hub, fid) == [*before, ("record.read", f"Patient/{fid}")]


async def test_what_a_station_pushes_and_fetches_is_written_down_as_the_station_s(hub: Hub) -> None:
    station, fid = StationPrincipal(site=f"03325-{uuid4().hex[:6]}", device=uuid4()), str(uuid4())
    op = Op(op=1, type="Patient", id=fid, at=NOW, body=json.dumps(patient(fid)))
    push = Push(station=station.site, db_epoch=uuid4(), batch=uuid4(), ops=(op,))
    for _ in range(2):  # what is sent again is stored once
        await sync.push_form_1(hub, push, station=station)
    async with hub.sessions() as session, session.begin():
        stored: list[dict[str, object]] = [
            {"rtype": "Patient", "fid": fid, "version": 1, "tenant": station.site}
        ]
        await sync.feed(session, stored, now=NOW)
    async with hub.sessions() as session, session.begin():
        pull = Pull(station=station.site, cursor=0, report=Report(agent="0.1.0", waiting={}))
        page = await sync.pull(session, pull, station=station, now=NOW)
        assert [each.id for each in page.entries] == [fid]

    rows = await events(hub, "patient = :p", p=fid)
    told = [(row["actor"], row["action"], row["place"], row["actor_place"]) for row in rows]
    assert sorted(told) == [  # both are of one instant here
        (station.address, "record.create", station.site, station.site),
        (station.address, "record.read", station.site, station.site),
    ]
