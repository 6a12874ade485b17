"""What a record costs on the wire in steady work: batches of 50, every byte at the socket, beside the floor."""

import itertools
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import zstandard

from clinic_net.bench import framed
from clinic_net.bench.communes import Commune, Resource
from clinic_net.bench.framed import BATCH
from clinic_net.bench.hub import MeasuredHub
from clinic_net.bench.load import Client
from clinic_net.bench.sync.stations import Station
from clinic_net.bench.weather import BadLink
from clinic_net.protocol.sync import codec

SEED = 1
LEVEL = 19
"""Of compression at a station: a batch is some 50 kB and takes one core 30 ms."""


def stock(records: int) -> list[list[Resource]]:
    """Return at least so many records of a commune's work, as they were saved together."""
    made, count = [], 0
    for saved in Commune(SEED).work():
        made.append(saved)
        count += len(saved)
        if count >= records:
            break
    return made


def first(saved: Sequence[list[Resource]], records: int) -> list[Resource]:
    """Return exactly so many records."""
    return list(itertools.islice(itertools.chain.from_iterable(saved), records))


async def measure(
    hub: MeasuredHub, station: Station, saved: Sequence[list[Resource]], records: int
) -> dict[str, Any]:
    """Push so many records from one station through a counting link."""
    address = urlsplit(hub.url)
    ops = list(itertools.islice(framed.operations(saved), records))
    async with BadLink(address.hostname or "127.0.0.1", address.port or 80).open() as link:
        client = Client(link.url)
        await station.sign_in(client)
        up, down = link.up, link.down
        for start in range(0, len(ops), BATCH):
            await station.push(client, station.batch(ops[start : start + BATCH], level=LEVEL))
        client.close()
        bytes_up, bytes_down = link.up - up, link.down - down
    bodies = [body for _, body in ops]
    return {
        "records": len(ops),
        "json_bytes_per_record": round(sum(map(len, bodies)) / len(ops), 1),
        "bytes_per_record": round((bytes_up + bytes_down) / len(ops), 1),
        "bytes_up": bytes_up,
        "bytes_down": bytes_down,
        "floor_bytes_per_record": floor(bodies),
    }


def floor(bodies: Sequence[bytes]) -> dict[str, float]:
    """Return bytes a record of nothing but the texts: in batches with the dictionary, and all of them in one piece."""
    batches = [b"".join(bodies[start : start + BATCH]) for start in range(0, len(bodies), BATCH)]
    packed = sum(len(codec.compress(batch, codec.newest(), level=LEVEL)[0]) for batch in batches)
    whole = len(zstandard.ZstdCompressor(level=LEVEL).compress(b"".join(bodies)))
    return {
        "texts in batches, dictionary": round(packed / len(bodies), 1),
        "texts in one piece, zstd": round(whole / len(bodies), 1),
    }
