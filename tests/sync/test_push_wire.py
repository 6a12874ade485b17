"""The door of the inbox: what is let in, in which form, and what is refused with which words."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any
from uuid import uuid4

import httpx
import pytest
import zstandard
from fastapi import FastAPI

from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import PushReply, codec
from tests.access.support import Device
from tests.console.support import browser
from tests.consultations.support import SITE
from tests.sync.stations import Station, count, patient
from tests.sync.wire import Line, signed


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(app) as opened:
        yield opened


def a_batch(station: Station, many: int = 1, **members: Any) -> bytes:
    return station.batch(*(station.op(patient(**members)) for _ in range(many)))


async def last_runs(line: Line, client: httpx.AsyncClient, stream: bytes) -> tuple[tuple[int, int, int], ...]:
    """Push a batch again until nothing of it is pending, and return its runs."""
    async with asyncio.timeout(60):
        while True:
            told = PushReply.model_validate_json((await line.push(client, stream)).content).answer
            if not told.pending:
                assert told.others == ()
                return told.runs


def a_dictionary() -> codec.Dictionary:
    raw = b'{"resourceType":"Patient","gender":"female"}' * 40
    return codec.Dictionary(1, sha256(raw).digest(), zstandard.ZstdCompressionDict(raw), {})


@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd", "dcz"])
async def test_a_signed_batch_is_taken_however_it_was_compressed(
    line: Line, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, coding: str
) -> None:
    known = a_dictionary()
    monkeypatch.setattr(codec, "dictionaries", lambda: (known,))
    stream = a_batch(line.station(), 3)
    packed = {
        "identity": stream,
        "gzip": gzip.compress(stream),
        "zstd": codec.compress(stream, None)[0],
        "dcz": codec.compress(stream, known)[0],
    }

    answer = await line.push(client, stream, packed[coding], Content_Encoding=coding)

    assert answer.status_code == 200, answer.text
    assert await last_runs(line, client, stream) == ((1, 3, 1),)


async def test_a_relay_may_compress_anew_and_the_signature_still_holds(
    line: Line, client: httpx.AsyncClient
) -> None:
    stream = a_batch(line.station())
    await line.push(client, stream, gzip.compress(stream), Content_Encoding="gzip")
    assert await last_runs(line, client, stream) == ((1, 1, 1),)
    first = await line.push(client, stream)
    again = await line.push(client, stream, codec.compress(stream, None)[0], Content_Encoding="zstd")
    assert (first.status_code, first.text) == (again.status_code, again.text)


async def test_what_its_device_did_not_sign_is_not_kept_and_an_alarm_is_raised(
    district: Hub, line: Line, client: httpx.AsyncClient
) -> None:
    station = line.station()
    stream = a_batch(station)
    other = signed(Device.fresh(), stream)
    of_other = line.signature(stream + b" ")
    told = [
        await line.push(client, stream, Sync_Signature=wrong) for wrong in (other, of_other, "AAAA", "A" * 86)
    ]
    missing = [await line.push(client, stream, Sync_Signature=none) for none in ("", "!!", "x" * 300)]

    assert {(each.status_code, each.json()["code"]) for each in told} == {(403, "batch-signature-wrong")}
    assert {(each.status_code, each.json()["code"]) for each in missing} == {(400, "batch-not-signed")}
    kept = "select count(*) from sync_batch where db_epoch = :e"
    assert await count(district, kept, e=station.epoch) == 0
    trail = "select count(*) from audit_event where outcome = 'batch-signature-wrong' and actor = :a"
    assert await count(district, trail, a=f"device:{line.device.id}") == len(told)


async def test_a_stream_that_cannot_be_read_is_refused_with_its_place_and_nothing_of_it_is_kept(
    district: Hub, line: Line, client: httpx.AsyncClient
) -> None:
    station = line.station()
    good = a_batch(station, 3)
    secret = good.replace(b'"kind":"put",', b"").replace(b'"type":"Patient"', b'"type":"Lo/Thi"', 2)
    for bad, place in (
        (good[:-1], "frame[3].size"),
        (good + b"{}\n", "frame[4]"),
        (good.replace(b'"count":3', b'"count":4'), "frame[4]"),
        (b"", "frame[0]"),
        (b"\x00" * 100, "frame[0]"),
        (secret, "frame[1].type"),
        (good.replace(b'"seq":1', b'"seq":0'), "frame[0].seq"),
        (good.replace(b'"op":2', b'"op":1'), "frame[2].op"),
        (good.replace(b'"op":2', b'"op":' + b"9" * 30), "frame[2]"),
    ):
        answer = await line.push(client, bad)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed-push"), place
        assert [each["path"] for each in answer.json()["places"]] == [place]
        assert "Thi" not in answer.text
    kept = "select count(*) from sync_batch where db_epoch = :e"
    assert await count(district, kept, e=station.epoch) == 0


async def test_bombs_and_damage_are_refused_in_words_that_tell_what_to_do(
    line: Line, client: httpx.AsyncClient
) -> None:
    stream = a_batch(line.station())
    huge = b"x" * (5 * 1024 * 1024)
    unknown = codec.compress(stream, a_dictionary())[0]
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(stream)
    for body, coding, told in (
        (gzip.compress(huge), "gzip", (413, "push-too-large")),
        (zstandard.compress(huge), "zstd", (413, "push-too-large")),
        (unsized, "zstd", (400, "malformed-push")),
        (gzip.compress(stream)[:-9], "gzip", (400, "malformed-push")),
        (codec.compress(stream, None)[0][:-2], "zstd", (400, "malformed-push")),
        (b"nothing of the kind", "gzip", (400, "malformed-push")),
        (b"nothing of the kind", "dcz", (400, "malformed-push")),
        (unknown, "dcz", (415, "unknown-coding")),
        (stream, "br", (415, "unknown-coding")),
    ):
        answer = await line.push(client, stream, body, Content_Encoding=coding)
        assert (answer.status_code, answer.json()["code"]) == told


async def test_a_gap_and_a_fork_are_told_as_the_wire_has_them(line: Line, client: httpx.AsyncClient) -> None:
    station = line.station()
    await line.push(client, a_batch(station))

    gap = await line.push(client, station.batch(station.op(patient()), seq=7))
    fork = await line.push(client, station.batch(station.op(patient()), seq=1))

    assert (gap.status_code, gap.json()) == (409, {"code": "sync-behind", "lane": 1, "expected": 2})
    assert (fork.status_code, fork.json()["code"]) == (409, "sync-fork")
    assert fork.json()["epoch"] != str(station.epoch)


async def test_a_station_speaks_only_for_itself(line: Line, client: httpx.AsyncClient) -> None:
    answer = await line.push(client, a_batch(Station()))
    assert (answer.status_code, answer.json()["code"]) == (403, "not-your-station")


async def test_agents_of_form_1_are_answered_as_ever_and_share_the_inbox(
    district: Hub, line: Line, client: httpx.AsyncClient
) -> None:
    station, fid = line.station(), str(uuid4())
    when = {"resourceType": "Observation", "id": str(uuid4())}

    def op(number: int, content: dict[str, Any]) -> dict[str, Any]:
        return {
            "op": number, "type": content["resourceType"], "id": content["id"], "at": "2026-11-24T02:00:00Z",
            "body": json.dumps(content),
        }  # fmt: skip

    body = {
        "station": SITE,
        "db_epoch": str(station.epoch),
        "batch": str(uuid4()),
        "ops": [op(1, {**patient(), "id": fid}), op(2, when), op(1, patient())],
    }
    headers = {"Authorization": f"Bearer {line.token}"}
    first = await client.post("/sync/v1/push", json=body, headers=headers)
    packed = gzip.compress(json.dumps(body).encode())
    again = await client.post(
        "/sync/v1/push", content=packed, headers={**headers, "Content-Encoding": "gzip"}
    )

    assert first.status_code == 200
    assert [result["outcome"] for result in first.json()["results"]] == ["applied", "quarantined", "applied"]
    assert again.text == first.text
    assert await count(district, "select count(*) from sync_batch where db_epoch = :e", e=station.epoch) == 2

    # The same agent, updated: what it sends again in form 2 was done.
    stream = station.batch(station.op({**patient(), "id": fid}))
    assert await last_runs(line, client, stream) == ((1, 1, 1),)
