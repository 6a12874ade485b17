"""A country's stations come back after three days without a network, all in the same minute.

Every station is the real state machine (``protocol/sync/station_half.py``) in front of real connections: it waits for
its place of the first five minutes, keeps what the hub asks for, and sends an urgent request whatever else waits. What
is not real: there are no disks, and each station brings fewer records than three days of a clinic, so that a run ends
today; the time to drain is told beside the ideal for what was brought.
"""

import asyncio
import itertools
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg

from clinic_net.bench.communes import Commune, Resource
from clinic_net.bench.framed import BATCH, operation, operations
from clinic_net.bench.hub import MeasuredHub
from clinic_net.bench.load import Client, Unanswered
from clinic_net.bench.sync.stations import Batch, Refused, Station
from clinic_net.kernel import clock
from clinic_net.protocol.sync import Lane, OpHead, PullAsk
from clinic_net.protocol.sync.station_half import Do, StationHalf, Step, Work

Say = Callable[[str], None]

SOCKETS = 2000
"""Connections at once; a station that finds none free waits, as its packets would."""
URGENT_SHARE = 0.02
"""Of stations that come back with somebody who needs a doctor now."""
_LEVEL = 3
_CALL = 1_000_000
"""The number of the operation that asks for a doctor, above all others."""
_GIVE_UP_S = 3600.0
_TELL_EVERY_S = 10.0
_LOOKED_UP = 200
_MISSING = """
    select count(*) from unnest(%s::text[], %s::text[]) as sent(rtype, fid)
    where not exists (select from records_resource r where r.rtype = sent.rtype and r.fid = sent.fid)"""
_OWN = "http://clinic-net.vn/fhir/CodeSystem/"


@dataclass
class Returning:
    """One station: what waits there, and when it was taken."""

    station: Station
    half: StationHalf
    waiting: dict[Lane, list[Batch]]
    ids: list[tuple[str, str]]
    pulled: bool = False
    taken: int = 0

    @property
    def finished(self) -> bool:
        return self.pulled and not any(self.waiting.values())

    def work(self) -> Work:
        return Work(batches={lane: len(some[0].body) for lane, some in self.waiting.items() if some})


@dataclass
class Course:
    """What happened, while it happens."""

    began: float
    requests: int = 0
    refused: int = 0
    broken: int = 0
    urgent: list[float] = field(default_factory=list)
    drained: list[float] = field(default_factory=list)
    memory: int = 0


async def measure(
    hub: MeasuredHub, stations: Sequence[Station], *, records: int, away_s: float, say: Say
) -> dict[str, Any]:
    """Let all stations come back at once, each with so many records; return how it went."""
    say(f"making {records:,} records for each of {len(stations):,} stations …")
    returning = _prepared(stations, records)
    await hub.settled()
    course = Course(clock.monotonic())
    sockets = asyncio.Semaphore(SOCKETS)
    watching = asyncio.create_task(_watch(hub, course, returning, say))
    try:
        await asyncio.wait_for(
            asyncio.gather(*(_come_back(hub, each, course, sockets, away_s) for each in returning)),
            _GIVE_UP_S,
        )
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    drained = clock.monotonic() - course.began
    say(f"drained after {drained:.0f} s; applying …")
    await hub.settled()
    told = _told(course, returning, drained=drained, applied=clock.monotonic() - course.began)
    return told | {"lost": await _missing(hub, returning)}


def _prepared(stations: Sequence[Station], records: int) -> list[Returning]:
    chance = random.Random(7)  # noqa: S311 -- who has something urgent, the same in every run
    return [
        _one(station, number, records, urgent=chance.random() < URGENT_SHARE)
        for number, station in enumerate(stations)
    ]


def _one(station: Station, number: int, records: int, *, urgent: bool) -> Returning:
    ids: list[tuple[str, str]] = []
    ops = _noted(operations(Commune(20_000 + number).work()), ids)
    waiting: dict[Lane, list[Batch]] = {Lane.URGENT: [], Lane.CARE: []}
    if urgent:  # who is ill, the visit, what was measured, and the call for a doctor
        some = list(itertools.islice(ops, 4))
        some += _noted(iter([operation(_CALL, _call(some[0][1], some[1][1], number))]), ids)
        waiting[Lane.URGENT].append(station.batch(some, lane=Lane.URGENT, level=_LEVEL))
    for start in range(0, records, BATCH):
        some = list(itertools.islice(ops, min(BATCH, records - start)))
        waiting[Lane.CARE].append(station.batch(some, level=_LEVEL))
    return Returning(station, StationHalf(station.site), waiting, ids)


def _noted(ops: Iterator[tuple[OpHead, bytes]], ids: list[tuple[str, str]]) -> Iterator[tuple[OpHead, bytes]]:
    for head, body in ops:
        ids.append((head.type, head.id))
        yield head, body


def _call(patient: bytes, visit: bytes, number: int) -> Resource:
    of, during = json.loads(patient), json.loads(visit)
    return {
        "resourceType": "ServiceRequest",
        "id": str(UUID(int=random.Random(number).getrandbits(128), version=4)),  # noqa: S311 -- an invented one
        "status": "active",
        "intent": "order",
        "category": [{"coding": [{"system": _OWN + "request-category", "code": "teleconsultation"}]}],
        "priority": "stat",
        "code": {"text": "Teleconsultation"},
        "subject": {"reference": f"Patient/{of['id']}"},
        "encounter": {"reference": f"Encounter/{during['id']}"},
        "authoredOn": "2026-11-02T01:00:00Z",
        "performerType": {"coding": [{"system": _OWN + "specialty", "code": "cardiology"}]},
        "reasonCode": [{"text": "Đau ngực"}],
    }


async def _come_back(
    hub: MeasuredHub, one: Returning, course: Course, sockets: asyncio.Semaphore, away_s: float
) -> None:
    one.half.began(clock.monotonic(), away_s)
    client = Client(hub.url)
    chance = random.Random(one.station.site)  # noqa: S311 -- jitter
    while not one.finished:
        now = clock.monotonic()
        step = one.half.next(now, one.work())
        if step.do is Do.WAIT:
            client.close()
            await asyncio.sleep(max(step.until - now, 0.001))
            continue
        async with sockets:
            await _step(one, step, client, course, chance)
    client.close()
    course.drained.append(clock.monotonic() - course.began)


async def _step(one: Returning, step: Step, client: Client, course: Course, chance: random.Random) -> None:
    course.requests += 1
    try:
        if step.do is Do.PULL:
            await one.station.pull(client, PullAsk(station=one.station.site, db_epoch=one.station.epoch))
            one.pulled = True
        else:
            await _push(one, step.lane, client, course)
    except Refused as refused:
        course.refused += 1
        again = refused.retry_after
        one.half.failed(step, clock.monotonic(), chance.random, answered=True, retry_after=again)
    except (Unanswered, OSError):
        course.broken += 1
        client.close()
        one.half.failed(step, clock.monotonic(), chance.random, answered=False)
    else:
        one.half.done(step, clock.monotonic())


async def _push(one: Returning, lane: Lane, client: Client, course: Course) -> None:
    batch = one.waiting[lane][0]
    await one.station.push(client, batch)
    one.waiting[lane].pop(0)
    one.taken += batch.count
    if lane is Lane.URGENT:
        course.urgent.append(clock.monotonic() - course.began)


async def _watch(hub: MeasuredHub, course: Course, returning: Sequence[Returning], say: Say) -> None:
    told = clock.monotonic()
    while True:
        course.memory = max(course.memory, hub.memory())
        if clock.monotonic() - told > _TELL_EVERY_S:
            told = clock.monotonic()
            done = sum(each.taken for each in returning)
            say(
                f"{len(course.drained):,} stations done, {done:,} records durable, {course.refused:,} sent away"
            )
        await asyncio.sleep(0.5)


async def _missing(hub: MeasuredHub, returning: Sequence[Returning]) -> int | None:
    """Count the records that were acknowledged and are not at the hub, if its database is ours."""
    if hub.database is None:
        return None
    missing = 0
    async with await psycopg.AsyncConnection.connect(hub.database) as connection:
        for start in range(0, len(returning), _LOOKED_UP):
            sent = [each for one in returning[start : start + _LOOKED_UP] for each in one.ids]
            types, ids = [rtype for rtype, _ in sent], [fid for _, fid in sent]
            row = await (await connection.execute(_MISSING, (types, ids))).fetchone()
            missing += 0 if row is None else int(row[0])
    return missing


def _told(
    course: Course, returning: Sequence[Returning], *, drained: float, applied: float
) -> dict[str, Any]:
    urgent = sorted(course.urgent)
    return {
        "stations": len(returning),
        "records": sum(len(each.ids) for each in returning),
        "stations_with_urgent": len(urgent),
        "urgent_p50_s": round(urgent[len(urgent) // 2], 2) if urgent else None,
        "urgent_p95_s": round(urgent[int(len(urgent) * 0.95)], 2) if urgent else None,
        "drained_s": round(drained, 1),
        "applied_s": round(applied, 1),
        "requests": course.requests,
        "sent_away": course.refused,
        "broken": course.broken,
        "hub_memory_mib": round(course.memory / 2**20),
        "sockets": SOCKETS,
    }
