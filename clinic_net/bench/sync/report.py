"""A whole run of ``clinic-net bench sync``: every row of the table, told as JSON or as a page of text."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from clinic_net.bench import machine
from clinic_net.bench.framed import BATCH
from clinic_net.bench.hub import MeasuredHub, running
from clinic_net.bench.sync import agents, floor, ingest, pouch, reconnect, snapshot, steady
from clinic_net.bench.sync.agent import Agent
from clinic_net.bench.sync.stations import Station, enrolled

Say = Callable[[str], None]

METHOD = (
    "Stations, hub (processes of its own) and PostgreSQL with Valkey on one machine, over loopback HTTP/1.1 with "
    "connections kept open; durable commits (fsync). Records of invented communes (clinic_net/bench/communes.py), none "
    "of which the dictionary was trained on. Bytes are counted at the socket by a relay, in both directions, with all "
    "heads of HTTP, and without TLS. Hundreds and thousands of stations are simulated: real keys, tokens, signatures "
    "and batches, no disks. One station is the real agent's store and link in a process of its own. The floor of bytes "
    "is zstd over nothing but the texts; the floor of ingest is COPY of the same texts by the database's driver."
)


@dataclass(frozen=True)
class Size:
    """How much of everything. ``QUICK`` is for a check that it runs; its figures mean little."""

    pushed: int = 10_000
    compared: int = 10_000
    ingest_stations: int = 200
    ingest_batches: int = 10
    people: int = 10_000
    offline: int = 1_000
    offline_runs: int = 20
    returning: int = 12_000
    returning_records: int = 24
    away_s: float = 3 * 86_400.0
    rest_s: float = 60.0


QUICK = Size(500, 300, 20, 2, 150, 100, 2, 100, 24, 600.0, 5.0)


@dataclass(frozen=True)
class Options:
    """What to run. ``url`` with ``codes`` names a running hub; otherwise one is started. ``only`` names rows."""

    size: Size = Size()
    processes: int = 2
    url: str | None = None
    codes: Sequence[tuple[str, str]] = ()
    only: frozenset[str] = frozenset()


ROWS = ("bytes", "ingest", "snapshot", "offline", "reconnect", "rest")

SETTINGS: Mapping[str, str] = {"CLINIC_NET_RATE_ADDRESS": "0"}
"""All stations share one address here, which no real country does."""


async def sync(options: Options, say: Say) -> dict[str, Any]:
    """Measure the stations' link and return everything that was measured, with its method.

    Raises:
        NoHub: the hub does not start, or a running one gives no stations.
    """
    rows = {row for row in ROWS if not options.only or row in options.only}
    told: dict[str, Any] = {
        "machine": machine.described(),
        "method": METHOD,
        "processes": options.processes,
        "size": vars(options.size),
        "figures": {},
    }
    figures = told["figures"]
    client = ("", "") if options.url is not None else None
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(
            running(options.url, client, processes=options.processes, settings=SETTINGS)
        )
        folder = stack.enter_context(TemporaryDirectory(prefix="clinic-net-station-"))
        run = _Run(hub, options, Path(folder), say)
        for row in ROWS:
            if row in rows:
                say(f"{row} …")
                figures[row] = await run.measure(row)
                say(f"{row}: {figures[row]}")
    told["judged"] = list(judged(figures))
    return told


class _Run:
    def __init__(self, hub: MeasuredHub, options: Options, folder: Path, say: Say) -> None:
        self._hub, self._options, self._size, self._say = hub, options, options.size, say
        self._stations: list[Station] = []
        self._used = 0
        self._folder = folder
        self._agent: Agent | None = None

    async def measure(self, row: str) -> dict[str, Any]:
        return dict(await getattr(self, f"_{row}")())

    async def _some(self, count: int) -> list[Station]:
        """Return stations that nobody has used yet."""
        if not self._stations:
            most = {
                "bytes": 1, "ingest": self._size.ingest_stations, "snapshot": 1, "offline": 1, "rest": 1,
                "reconnect": self._size.returning,
            }  # fmt: skip
            wanted = sum(most[row] for row in ROWS if not self._options.only or row in self._options.only)
            self._say(f"enrolling {wanted:,} stations …")
            self._stations = await enrolled(self._hub, wanted, codes=self._options.codes)
        some = self._stations[self._used : self._used + count]
        self._used += count
        return some

    async def _bytes(self) -> dict[str, Any]:
        size = self._size
        saved = steady.stock(max(size.pushed, size.compared))
        (station,) = await self._some(1)
        told: dict[str, Any] = await steady.measure(self._hub, station, saved, size.pushed)
        self._say("PouchDB …")
        try:
            told["pouchdb"] = await pouch.measure(steady.first(saved, size.compared), batch=BATCH)
        except pouch.NoPouch as reason:
            told["pouchdb"] = {"left_out": str(reason)}
        return told

    async def _ingest(self) -> dict[str, Any]:
        size = self._size
        stations = await self._some(size.ingest_stations)
        told = await ingest.measure(self._hub, stations, batches=size.ingest_batches, say=self._say)
        if self._hub.database is not None:
            told["floor_resources_per_second"] = await floor.copied(self._hub.database)
        return told

    async def _snapshot(self) -> dict[str, Any]:
        (station,) = await self._some(1)
        told = await snapshot.measure(
            self._hub, station, self._folder, people=self._size.people, say=self._say
        )
        self._agent = Agent(self._folder, self._hub.url)
        return told

    async def _offline(self) -> dict[str, Any]:
        (station,) = await self._some(1)
        size = self._size
        return await agents.restored(
            self._hub, station.site, records=size.offline, runs=size.offline_runs, say=self._say
        )

    async def _reconnect(self) -> dict[str, Any]:
        size = self._size
        stations = await self._some(size.returning)
        return await reconnect.measure(
            self._hub, stations, records=size.returning_records, away_s=size.away_s, say=self._say
        )

    async def _rest(self) -> dict[str, Any]:
        (station,) = await self._some(1)
        told = await agents.at_rest(self._hub, self._agent, station.site, seconds=self._size.rest_s)
        return told | {"holds_a_commune": self._agent is not None}


TARGETS: tuple[tuple[str, str, str, float], ...] = (
    ("bytes", "bytes_per_record", "at most", 90),
    ("ingest", "durable_resources_per_second", "at least", 4000),
    ("snapshot", "megabytes", "at most", 10),
    ("snapshot", "applied_s", "at most", 60),
    ("offline", "p95_s", "at most", 60),
    ("reconnect", "lost", "at most", 0),
    ("reconnect", "urgent_p95_s", "at most", 30),
    ("reconnect", "hub_memory_mib", "at most", 2048),
    ("rest", "memory_mib", "at most", 120),
    ("rest", "cpu_percent", "at most", 1),
)
"""Row, figure, and what is asked for."""
POUCH_SHARE = 0.2
"""Of the bytes that PouchDB needs for the same records, at most."""


def judged(figures: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each figure that has a target, with what it reaches."""
    for row, name, sense, bound in TARGETS:
        reached = figures.get(row, {}).get(name)
        if reached is not None:
            good = reached <= bound if sense == "at most" else reached >= bound
            yield {
                "row": row,
                "figure": name,
                "reached": reached,
                "asked": f"{sense} {bound:g}",
                "good": good,
            }
    ours = figures.get("bytes", {})
    theirs = ours.get("pouchdb", {}).get("steady push")
    if theirs is not None:
        reached = round(ours["bytes_per_record"] / theirs["bytes_per_record"], 3)
        yield {
            "row": "bytes", "figure": "share of PouchDB's", "reached": reached, "asked": f"at most {POUCH_SHARE:g}",
            "good": reached <= POUCH_SHARE,
        }  # fmt: skip


def table(told: dict[str, Any]) -> str:
    """Return the figures as a page of text."""
    lines = []
    for row, figures in told["figures"].items():
        lines.append(row)
        lines += [f"  {name}: {value}" for name, value in figures.items()]
    lines.append("")
    for row in told["judged"]:
        said = "reached" if row["good"] else "MISSED"
        lines.append(f"{row['row']}, {row['figure']}: {row['reached']} of {row['asked']}: {said}")
    return "\n".join(lines)
