"""The least that storing costs: the same texts by COPY into a table with a key, committed in batches."""

import asyncio
import itertools

import psycopg

from clinic_net.bench.communes import Commune, text
from clinic_net.bench.framed import BATCH
from clinic_net.kernel import clock

_CONNECTIONS = 4
_BATCHES = 200
"""Of each connection."""


async def copied(database: str) -> float:
    """Return records a second that the database's driver stores durably, 50 a transaction, over four connections."""
    records = itertools.chain.from_iterable(Commune(31).work())
    batches = [
        [(each["id"], text(each)) for each in itertools.islice(records, BATCH)] for _ in range(_BATCHES)
    ]
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute("drop table if exists bench_floor")
        await connection.execute(
            "create table bench_floor (writer int, fid text, body bytea, primary key (writer, fid))"
        )
        try:
            began = clock.monotonic()
            await asyncio.gather(*(_writer(database, number, batches) for number in range(_CONNECTIONS)))
            took = clock.monotonic() - began
        finally:
            await connection.execute("drop table bench_floor")
    return round(_CONNECTIONS * _BATCHES * BATCH / took, 1)


async def _writer(database: str, number: int, batches: list[list[tuple[str, bytes]]]) -> None:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        for batch in batches:
            async with connection.cursor().copy("copy bench_floor from stdin") as copy:
                for fid, body in batch:
                    await copy.write_row((number, fid, body))
            await connection.commit()
