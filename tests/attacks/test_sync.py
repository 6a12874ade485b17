"""The stations' door and the urgent request under attack: 59 to 64 of the checklist."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from clinic_net.access.principals import Role
from clinic_net.consultations import service as consultations
from clinic_net.kernel.hub import Hub
from tests.app.callers import Callers, session_of
from tests.app.process import Process, serving
from tests.console.patients import chest_pain, send
from tests.console.support import add_person, go_on_duty
from tests.consultations.support import CENTRE, SITE


def op(
    number: int, body: str | dict[str, Any], *, rtype: str = "Patient", fid: str | None = None
) -> dict[str, Any]:
    content = body if isinstance(body, str) else json.dumps(body)
    return {
        "op": number,
        "type": rtype,
        "id": fid or str(uuid4()),
        "at": "2020-01-01T00:00:00Z",
        "by": "Y tá",
        "body": content,
    }


def patient(fid: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": fid, **more}


def pushed(*ops: dict[str, Any], epoch: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "station": SITE,
        "db_epoch": epoch or str(uuid4()),
        "batch": str(uuid4()),
        "ops": list(ops),
        **more,
    }


@asynccontextmanager
async def station(process: Process, callers: Callers) -> AsyncIterator[httpx.AsyncClient]:
    headers = await callers.headers_of("station")
    async with httpx.AsyncClient(base_url=process.url, headers=headers, timeout=60) as client:
        yield client


async def _count(hub: Hub, sql: str, **values: Any) -> int:
    async with hub.sessions() as s:
        return int((await (await s.connection()).execute(text(sql), values)).scalar_one())


async def test_one_push_a_hundred_times_at_two_nodes_has_one_effect(
    district: Hub, callers: Callers, served: Process
) -> None:
    """Attack 59: the same push in parallel over nodes is one version and one answer."""
    fid = str(uuid4())
    body = pushed(op(1, patient(fid), fid=fid))
    with serving(district.settings, "--no-worker") as second:
        async with station(served, callers) as one, station(second, callers) as two:
            answers = await asyncio.gather(
                *(client.post("/sync/v1/push", json=body) for _ in range(50) for client in (one, two))
            )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert await _count(district, "select version from records_resource where fid = :fid", fid=fid) == 1


async def test_a_number_that_was_used_keeps_its_first_answer_whatever_comes_under_it(
    district: Hub, callers: Callers, served: Process
) -> None:
    """Attack 59: another body under a used number has no effect; a lower number and a gap are taken as they are."""
    epoch, first, second = str(uuid4()), str(uuid4()), str(uuid4())
    async with station(served, callers) as client:
        before = await client.post(
            "/sync/v1/push", json=pushed(op(5, patient(first), fid=first), epoch=epoch)
        )
        other = await client.post(
            "/sync/v1/push", json=pushed(op(5, patient(second), fid=second), epoch=epoch)
        )
        assert before.json()["results"] == other.json()["results"]
        assert (
            await _count(district, "select count(*) from records_resource where fid = :fid", fid=second) == 0
        )
        late = await client.post(
            "/sync/v1/push", json=pushed(op(2, patient(second), fid=second), epoch=epoch)
        )
        assert late.json()["results"][0]["outcome"] == "applied"
        whole = json.dumps(pushed(op(9, patient(str(uuid4())))))
        for cut in (1, len(whole) // 2, len(whole) - 1):
            headers = {"Content-Type": "application/json"}
            assert (
                await client.post("/sync/v1/push", content=whole[:cut], headers=headers)
            ).status_code == 400
        foreign = {**pushed(op(1, patient(str(uuid4())))), "station": "99999-01"}
        assert (await client.post("/sync/v1/push", json=foreign)).status_code == 403


POISON: list[str | dict[str, Any]] = [
    '{"resourceType":"Patient","id":"@","name":[{"text":"a\\u0000"}]}',
    '{"resourceType":"Patient","id":"@","gender":"x"}',
    '{"resourceType":"Patient","id":"@","name":[{"text":"' + "x" * 900_000 + '"}],"gender":"\ud7ff?"}',
    "",
    "null",
    "[[[[",
    '{"resourceType":"Patient","id":"@","birthDate":"2024-13-45"}',
    '{"resourceType":"Bogus","id":"@"}',
]


async def test_a_poisoned_record_is_set_aside_and_the_next_ones_go_on(
    district: Hub, callers: Callers, served: Process
) -> None:
    """Attack 60: each bad record is quarantined with its place, the good ones between are stored, twice over."""
    ops, good = [], []
    for number, body in enumerate(POISON):
        bad, fine = str(uuid4()), str(uuid4())
        ops.append(op(2 * number + 1, str(body).replace("@", bad), fid=bad))
        ops.append(op(2 * number + 2, patient(fine), fid=fine))
        good.append(fine)
    body = pushed(*ops)
    async with station(served, callers) as client:
        first = await client.post("/sync/v1/push", json=body)
        again = await client.post("/sync/v1/push", json=body)
    assert first.status_code == 200
    assert first.json()["results"] == again.json()["results"]
    outcomes = [result["outcome"] for result in first.json()["results"]]
    assert outcomes[1::2] == ["applied"] * len(POISON)
    assert set(outcomes[::2]) == {"quarantined"}
    assert all(result["issues"] for result in first.json()["results"][::2])
    found = "select count(*) from records_resource where fid = any(:fids)"
    assert await _count(district, found, fids=good) == len(POISON)


async def test_two_doctors_who_accept_at_once_are_one_doctor_and_one_answer(
    district: Hub, app: FastAPI, served: Process
) -> None:
    """Attack 61: over two nodes, one wins by a row; the other is told, and nobody rings any more."""
    people = [
        await add_person(district, Role.DOCTOR, facility=CENTRE, specialties=("cardiology",))
        for _ in range(2)
    ]
    for each in people:
        await go_on_duty(district, each)
    case = await send(district, chest_pain(district.now()))
    cookies = [f"clinic_net_session={await session_of(district, each)}" for each in people]
    with serving(district.settings, "--no-worker") as second:

        async def accept(process: Process, cookie: str) -> int:
            async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
                headers = {"Cookie": cookie, "Origin": "http://hub.test", "Accept": "text/html"}
                return (await client.post(f"/consultations/{case}/accept", headers=headers)).status_code

        got = await asyncio.gather(
            *(accept(process, cookie) for process, cookie in zip((served, second), cookies, strict=True))
        )
    assert sorted(got) == [303, 409]
    assert (
        await _count(
            district, "select count(*) from consultation where id = :id and accepted_by is not null", id=case
        )
        == 1
    )
    open_ = "select count(*) from consultation_ring where consultation = :id and answer is null"
    assert await _count(district, open_, id=case) == 0


async def test_a_deadline_is_the_hub_s_whatever_the_station_s_clock_says(district: Hub) -> None:
    """Attacks 63 and 64: a request from a clock a day off is due by the hub's time."""
    for skew in (timedelta(days=-1), timedelta(days=1)):
        doctor = await add_person(district, Role.DOCTOR, facility=CENTRE, specialties=("cardiology",))
        await go_on_duty(district, doctor)
        written = chest_pain(district.now() + skew)
        case = await send(district, written)
        async with district.sessions() as s:
            row = (
                await (await s.connection()).execute(
                    text("select received_at, next_step_at, next_step from consultation where id = :id"),
                    {"id": case},
                )
            ).one()
        assert abs(row.received_at - district.now()) < timedelta(minutes=1)
        assert row.next_step_at is not None
        assert row.next_step_at - district.now() < timedelta(minutes=10)
    async with district.sessions() as s, s.begin():
        assert await consultations.sweep(s, district.now() + timedelta(hours=1)) is not False


async def test_what_many_write_at_once_comes_down_whole_and_in_order(
    district: Hub, callers: Callers, served: Process
) -> None:
    """Attack 64: the feed's numbers follow the order of commits; a reader that never waits misses nothing."""
    fids = [str(uuid4()) for _ in range(60)]
    async with station(served, callers) as client:
        start = (await client.post("/sync/v1/pull", json={"station": SITE})).json()
        while start["more"]:
            start = (
                await client.post("/sync/v1/pull", json={"station": SITE, "cursor": start["cursor"]})
            ).json()
        cursor: int = start["cursor"]
        seen: list[str] = []
        writing = asyncio.gather(
            *(client.post("/sync/v1/push", json=pushed(op(1, patient(fid), fid=fid))) for fid in fids)
        )
        until = time.monotonic() + 60
        while time.monotonic() < until and not (writing.done() and set(fids) <= set(seen)):
            await district.jobs.run_pending()
            page = (await client.post("/sync/v1/pull", json={"station": SITE, "cursor": cursor})).json()
            numbers = [entry["seq"] for entry in page["entries"]]
            assert numbers == sorted(numbers)
            seen += [entry["id"] for entry in page["entries"]]
            cursor = page["cursor"]
            await asyncio.sleep(0.05)
        assert {answer.status_code for answer in await writing} == {200}
    assert set(fids) <= set(seen)


async def test_a_fake_emergency_of_somebody_who_is_no_station_is_none(
    served: Process, callers: Callers
) -> None:
    """Attack 62: only a station's push becomes a ring; whoever else sends one is refused, and told so."""
    request = {
        "resourceType": "ServiceRequest", "id": str(uuid4()), "status": "active", "intent": "order", "priority": "stat",
        "subject": {"reference": "Patient/x"},
    }  # fmt: skip
    for who in ("out", "nurse", "doctor", "client", "coordinator"):
        headers = {**await callers.headers_of(who), "Origin": "http://hub.test"}
        async with httpx.AsyncClient(base_url=served.url, headers=headers) as client:
            answer = await client.post(
                "/sync/v1/push", json=pushed(op(1, request, rtype="ServiceRequest"), lane=0)
            )
        assert answer.status_code in (401, 403), who


@pytest.mark.parametrize("lane", [-1, 4, 99, "urgent", None])
async def test_a_lane_that_is_none_is_refused(served: Process, callers: Callers, lane: object) -> None:
    async with station(served, callers) as client:
        answer = await client.post("/sync/v1/push", json=pushed(lane=lane))
    assert answer.status_code == 400
