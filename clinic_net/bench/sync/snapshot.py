"""The first copy of a whole commune, at a new computer on one processor: bytes and seconds until all can be found."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zstandard

from clinic_net.bench.communes import Commune
from clinic_net.bench.framed import operation
from clinic_net.bench.hub import MeasuredHub
from clinic_net.bench.load import Client
from clinic_net.bench.sync.agent import Agent, code_for, link_to
from clinic_net.bench.sync.stations import Station
from clinic_net.kernel import clock
from clinic_net.protocol.sync import Lane, OpHead

Say = Callable[[str], None]

_PUSH = 400
_WITHIN_S = 1800.0
_APPLIED_EVERY_S = 1.0


async def measure(
    hub: MeasuredHub, station: Station, folder: Path, *, people: int, say: Say
) -> dict[str, Any]:
    """Fill a commune, then let a computer that has nothing take it over, in ``folder``."""
    bytes_of_json, packed, count = await _fill(hub, station, people, say)
    await hub.settled()
    agent = Agent(folder, hub.url)
    await agent.enrol(await code_for(hub, station.site))
    say(f"{count:,} records at the hub; a new computer takes them over …")
    async with link_to(hub).open() as link:
        began = clock.monotonic()
        async with agent.running(link.url, core=0):
            await agent.held(count, _WITHIN_S)
            took, carried = clock.monotonic() - began, link.up + link.down
    return {
        "people": people,
        "records": count,
        "json_megabytes": round(bytes_of_json / 1e6, 1),
        "megabytes": round(carried / 1e6, 2),
        "bytes_per_record": round(carried / count, 1),
        "applied_s": round(took, 1),
        "floor_megabytes": round(packed / 1e6, 2),
    }


async def _fill(hub: MeasuredHub, station: Station, people: int, say: Say) -> tuple[int, int, int]:
    """Push a commune's register; return its bytes as JSON, the same as one zstd frame, and how many records it has."""
    client = Client(hub.url)
    packing = zstandard.ZstdCompressor(level=19).compressobj()
    plain = packed = count = 0
    ops = _register(Commune(401, people=people))
    while some := list(itertools.islice(ops, _PUSH)):
        for _, body in some:
            plain += len(body)
            packed += len(packing.compress(body))
        await station.push(client, station.batch(some, lane=Lane.CARE, level=3))
        count += len(some)
        if count % (_PUSH * 50) == 0:
            say(f"{count:,} records pushed")
    packed += len(packing.flush())
    while not await station.became_of(client, Lane.CARE, station.sent[Lane.CARE]):  # noqa: ASYNC110 -- it is asked
        await asyncio.sleep(_APPLIED_EVERY_S)
    client.close()
    return plain, packed, count


def _register(commune: Commune) -> Iterator[tuple[OpHead, bytes]]:
    for number, resource in enumerate(commune.records(), 1):
        yield operation(number, resource, tx=number)
