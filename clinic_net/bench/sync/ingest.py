"""How much many stations get acknowledged in a second, each sending its next batch as soon as the last is durable."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from clinic_net.bench.communes import Commune
from clinic_net.bench.framed import BATCH, operations
from clinic_net.bench.hub import MeasuredHub
from clinic_net.bench.load import Client, Unanswered
from clinic_net.bench.sync.stations import Batch, Refused, Station
from clinic_net.kernel import clock

Say = Callable[[str], None]

_LEVEL = 3
"""Of compression: the stations' processors are not the hub's, but here they are the same two."""
_ASK_EVERY_S = 0.5
_APPLIED_WITHIN_S = 600.0


async def measure(hub: MeasuredHub, stations: Sequence[Station], *, batches: int, say: Say) -> dict[str, Any]:
    """Let every station push so many batches; return what was durable, and what was applied, in a second."""
    say(f"making {len(stations) * batches * BATCH:,} records for {len(stations)} stations …")
    ready = [_batches(station, number, batches) for number, station in enumerate(stations)]
    clients = [Client(hub.url) for _ in stations]
    await asyncio.gather(
        *(station.sign_in(client) for station, client in zip(stations, clients, strict=True))
    )
    await hub.settled()
    spent = hub.spent()
    latencies: list[float] = []
    began = clock.monotonic()

    async def one(station: Station, client: Client, pushes: list[Batch]) -> None:
        for batch in pushes:
            sent = clock.monotonic()
            await _until_taken(station, client, batch)
            latencies.append(clock.monotonic() - sent)

    await asyncio.gather(*map(one, stations, clients, ready))
    durable = clock.monotonic() - began
    say(f"durable after {durable:.1f} s; applying …")
    await _applied(stations, clients, [pushes[-1] for pushes in ready])
    applied = clock.monotonic() - began
    for client in clients:
        client.close()
    records = len(stations) * batches * BATCH
    latencies.sort()
    now_spent = hub.spent()
    return {
        "stations": len(stations),
        "records": records,
        "durable_resources_per_second": round(records / durable, 1),
        "applied_resources_per_second": round(records / applied, 1),
        "push_p50_ms": round(latencies[len(latencies) // 2] * 1000, 1),
        "push_p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1000, 1),
        "hub_cpu_us_per_resource": round((now_spent[0] - spent[0]) / records * 1e6),
        "database_cpu_us_per_resource": round((now_spent[1] - spent[1]) / records * 1e6),
    }


def _batches(station: Station, number: int, count: int) -> list[Batch]:
    ops = operations(Commune(10_000 + number).work())
    return [station.batch(list(itertools.islice(ops, BATCH)), level=_LEVEL) for _ in range(count)]


async def _until_taken(station: Station, client: Client, batch: Batch) -> None:
    while True:
        try:
            await station.push(client, batch)
            return
        except Refused as refused:
            if refused.retry_after is None:
                raise
            await asyncio.sleep(refused.retry_after)


async def _applied(stations: Sequence[Station], clients: Sequence[Client], last: Sequence[Batch]) -> None:
    """Wait until the hub tells of every station's last batch what became of it.

    Raises:
        Unanswered: it does not, for ten minutes.
    """
    left = list(zip(stations, clients, last, strict=True))
    until = clock.monotonic() + _APPLIED_WITHIN_S
    while left:
        if clock.monotonic() > until:
            raise Unanswered(f"{len(left)} batches were taken and not applied")
        # One at a time: what is measured is the hub at work, not the asking.
        told = [await station.became_of(client, batch.lane, batch.seq) for station, client, batch in left]
        left = [each for each, done in zip(left, told, strict=True) if not done]
        if left:
            await asyncio.sleep(_ASK_EVERY_S)
