"""What one real agent does: send what was written offline once the link is back, and do nothing, cheaply."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from clinic_net.bench.communes import Commune, Resource
from clinic_net.bench.hub import MeasuredHub, NoHub
from clinic_net.bench.sync.agent import Agent, AgentFailed, code_for, link_to
from clinic_net.kernel import clock

Say = Callable[[str], None]

RATE = 256_000 / 8
"""Bytes a second in each direction: 256 kbit/s."""
_OFFLINE_S = 20.0
_LOOK_EVERY_S = 0.1
_WITHIN_S = 600.0
_SETTLED_S = 20.0
"""Before a process at rest is looked at."""
_HERE = """
    select count(*) from unnest(%s::text[], %s::text[]) as sent(rtype, fid)
    join records_resource r on r.rtype = sent.rtype and r.fid = sent.fid"""


async def restored(hub: MeasuredHub, site: str, *, records: int, runs: int, say: Say) -> dict[str, Any]:
    """Cut the link, save so many records, restore it at 256 kbit/s; tell how long until all are at the hub."""
    if hub.database is None:
        raise NoHub("what is at the hub is looked up in its database, which is not ours")
    whole: list[float] = []
    each: list[float] = []
    with TemporaryDirectory(prefix="clinic-net-agent-") as folder:
        agent = Agent(Path(folder), hub.url)
        await agent.enrol(await code_for(hub, site))
        work = Commune(501).work()
        async with link_to(hub, rate=RATE).open() as link, agent.running(link.url):
            await _online(link)
            spent_bytes = link.up + link.down
            for number in range(runs):
                saved, sent = [], 0
                while sent < records:
                    saved.append(next(work)[: records - sent])
                    sent += len(saved[-1])
                link.weather.down = True
                link.cut()
                await agent.save(saved)
                await asyncio.sleep(_OFFLINE_S)
                link.weather.down = False
                arrived = await _arrivals(hub.database, [one for some in saved for one in some])
                whole.append(arrived[-1])
                each += arrived
                say(f"run {number + 1}: all {records} at the hub after {arrived[-1]:.1f} s")
            carried = link.up + link.down - spent_bytes
    whole.sort()
    each.sort()
    return {
        "records": records,
        "runs": runs,
        "p50_s": round(whole[len(whole) // 2], 2),
        "p95_s": round(whole[min(len(whole) - 1, int(len(whole) * 0.95))], 2),
        "record_p50_s": round(each[len(each) // 2], 2),
        "record_p95_s": round(each[int(len(each) * 0.95)], 2),
        "bytes_per_record": round(carried / (records * runs), 1),
        "offline_s": _OFFLINE_S,
        "kbit_per_s": round(RATE * 8 / 1000),
    }


async def _online(link: Any) -> None:
    """Wait until the agent has spoken with the hub and has nothing more to say."""
    until, quiet, seen = clock.monotonic() + 60, 0, -1
    while quiet < 20:
        if clock.monotonic() > until:
            raise AgentFailed("the agent does not come to rest")
        quiet = quiet + 1 if link.requests == seen and seen > 0 else 0
        seen = link.requests
        await asyncio.sleep(0.1)


async def _arrivals(database: str, records: Sequence[Resource]) -> list[float]:
    """Return, for each record, the seconds until it was at the hub (seen every tenth of a second), in order."""
    types, ids = [one["resourceType"] for one in records], [one["id"] for one in records]
    began = clock.monotonic()
    seen: list[float] = []
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        while len(seen) < len(records):
            row = await (await connection.execute(_HERE, (types, ids))).fetchone()
            after = clock.monotonic() - began
            seen += [after] * ((0 if row is None else int(row[0])) - len(seen))
            if after > _WITHIN_S:
                raise AgentFailed(f"{len(records) - len(seen)} records did not arrive")
            await asyncio.sleep(_LOOK_EVERY_S)
    return seen


async def at_rest(hub: MeasuredHub, agent: Agent | None, site: str, *, seconds: float) -> dict[str, Any]:
    """Look at an agent that has a link and nothing to do: ``agent``, with all it holds, or a new one of ``site``."""
    with TemporaryDirectory(prefix="clinic-net-agent-") as folder:
        if agent is None:
            agent = Agent(Path(folder), hub.url)
            await agent.enrol(await code_for(hub, site))
        async with link_to(hub).open() as link, agent.running(link.url):
            await _online(link)
            await asyncio.sleep(min(_SETTLED_S, seconds))
            carried, spent, began = link.up + link.down, agent.spent(), clock.monotonic()
            most = 0
            while (after := clock.monotonic() - began) < seconds:
                most = max(most, agent.resident())
                await asyncio.sleep(1)
            return {
                "memory_mib": round(most / 2**20, 1),
                "cpu_percent": round((agent.spent() - spent) / after * 100, 2),
                "bytes_per_hour": round((link.up + link.down - carried) / after * 3600),
                "seconds": round(after, 1),
            }
