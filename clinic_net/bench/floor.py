"""The floor below the records' figures: the same rows, straight through the database driver, with nothing around it.

The statements are the hub's own and their parameters are made before the clock starts, so that what is left is the
driver and the database: no HTTP, no token, no check, no extraction.
"""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from sqlalchemy.dialects import postgresql

from clinic_net.bench.load import Load
from clinic_net.bench.records import Stock
from clinic_net.bench.sample import FREQUENT, LOINC, Sample, text
from clinic_net.fhir import parse_search
from clinic_net.kernel import clock
from clinic_net.records import search_express, store_writes
from clinic_net.records.drafts import draft
from clinic_net.records.keys import Keys

Connection = psycopg.AsyncConnection[Any]
Work = Callable[[Connection], Awaitable[int]]
"""Does one piece and returns how many resources that were."""

_CREATE = str(store_writes.CREATE.compile(dialect=postgresql.psycopg.dialect()))  # type: ignore[no-untyped-call]
_READ = "select body from records_resource where rtype = 'Observation' and fid = %s"


class Floor:
    """The works on one database, whose ``stock`` a run of the hub has left there."""

    def __init__(self, database: str, stock: Stock, *, seed: int = 7) -> None:
        self._database = database
        self._stock = stock
        self._sample = Sample(seed)
        self._random = random.Random(seed)  # noqa: S311 -- the same records in every run

    async def measure(self, *, clients: int, seconds: float) -> dict[str, dict[str, Any]]:
        """Return the figures of each work."""
        async with await psycopg.AsyncConnection.connect(self._database) as connection:
            row = await (await connection.execute("select key from records_index_key")).fetchone()
        assert row is not None
        keys = Keys(bytes(row[0]))
        found = {}
        for name, work in self._works(keys).items():
            load = await self._press(work, clients=clients, seconds=seconds)
            count = len(load.latencies)
            found[name] = {
                "clients": clients,
                "per_second": round(count / load.seconds, 1),
                "p50_ms": round(load.quantile(0.5) * 1000, 2),
                "p99_ms": round(load.quantile(0.99) * 1000, 2),
                "resources_per_second": round(load.resources / load.seconds, 1),
            }
        return found

    def _works(self, keys: Keys) -> dict[str, Work]:
        return {
            "create": self._writing(1, keys, made=2000),
            "transaction of 20": self._writing(20, keys, made=300),
            "transaction of 300": self._writing(300, keys, made=40),
            "read": self._reading(),
            "search patient + code, newest 20": self._searching(keys),
        }

    def _writing(self, size: int, keys: Keys, *, made: int) -> Work:
        now = clock.now()

        def change() -> store_writes.Change:
            patient, _ = self._random.choice(self._stock.patients)
            one = draft(
                text(self._sample.observation(f"Patient/{patient}")), rtype="Observation", fid=None, now=now
            )
            return store_writes.Change(
                None,
                one.rtype,
                one.fid,
                1,
                "C",
                "national",
                patient,
                "bench",
                one.stamped(1, now),
                one.rows(keys),
            )

        pieces = itertools.cycle(
            [store_writes.parameters([change() for _ in range(size)], now) for _ in range(made)]
        )
        fresh = itertools.count()

        async def write(connection: Connection) -> int:
            # Ids and addresses of its own, as every resource has.
            number = next(fresh)
            piece = next(pieces)
            fids = [f"floor-{size}-{number}-{position}" for position in range(size)]
            await connection.execute(_CREATE, {**piece, "fids": fids})
            await connection.commit()
            return size

        return write

    def _reading(self) -> Work:
        fids = itertools.cycle([self._random.choice(self._stock.observations)[0] for _ in range(3000)])

        async def read(connection: Connection) -> int:
            await (await connection.execute(_READ, (next(fids),), binary=True)).fetchall()
            await connection.commit()
            return 1

        return read

    def _searching(self, keys: Keys) -> Work:
        asked = []
        for _ in range(1000):
            patient, _ = self._random.choice(self._stock.patients)
            pairs = [("patient", f"Patient/{patient}"), ("code", f"{LOINC}|{FREQUENT}")]
            straight = search_express.straight(parse_search("Observation", pairs), keys, limit=21)
            assert straight is not None
            asked.append((search_express.statement(straight.form), search_express.parameters([straight])))
        searches = itertools.cycle(asked)

        async def search(connection: Connection) -> int:
            statement, parameters = next(searches)
            await (await connection.execute(statement.encode(), parameters, binary=True)).fetchall()
            await connection.commit()
            return 1

        return search

    async def _press(self, work: Work, *, clients: int, seconds: float) -> Load:
        latencies: list[float] = []
        resources = 0

        async def one(until: float, *, counts: bool) -> None:
            nonlocal resources
            async with await psycopg.AsyncConnection.connect(self._database) as connection:
                while (sent := clock.monotonic()) < until:
                    done = await work(connection)
                    if counts:
                        latencies.append(clock.monotonic() - sent)
                        resources += done

        async def all_of_them(until: float, *, counts: bool) -> None:
            await asyncio.gather(*(one(until, counts=counts) for _ in range(clients)))

        await all_of_them(clock.monotonic() + 1, counts=False)  # plans, caches
        began = clock.monotonic()
        await all_of_them(began + seconds, counts=True)
        return Load(clock.monotonic() - began, sorted(latencies), resources)


def share(figure: dict[str, Any], floor: dict[str, Any]) -> float:
    """Return a figure as a share of its floor, by resources where they are counted."""
    name = "resources_per_second" if "resources_per_second" in figure else "per_second"
    return round(float(figure[name]) / float(floor[name]), 2)
