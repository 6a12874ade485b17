"""``clinic-net bench audit``: what the audit trail takes from the writes, measured against a hub that leaves it out."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
import uvloop

from clinic_net.bench import machine
from clinic_net.bench.floor import Floor
from clinic_net.bench.hub import MeasuredHub, NoHub, answers, free_port, made_client
from clinic_net.bench.load import Unanswered
from clinic_net.bench.records import Records, Say
from clinic_net.kernel.embedded import EmbeddedServices
from clinic_net.kernel.migrations import migrate

WORKS = {
    "create": "per_second",
    "update": "per_second",
    "transaction of 20": "resources_per_second",
}
CLIENTS = 32
MOST = 0.15
"""The share of write throughput that the trail may cost."""

METHOD = (
    "Two hubs over one PostgreSQL, each with two processes, on one machine with the clients; one writes the trail, the "
    "other leaves out the events of its writes and nothing else. They are pressed in turns, the order changing from "
    "round to round, over loopback HTTP/1.1 with durable commits; a turn begins when what is done behind the writes is "
    "done. The sealer works beside the audited one. The cost is 1 minus the middle of the rounds' ratios."
)


@dataclass(frozen=True)
class Options:
    """``resources`` are stored first; each work is pressed ``seconds`` long in each of ``rounds``."""

    resources: int = 6_000
    rounds: int = 3
    seconds: float = 2.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what can be asked for."""
    parser.add_argument("--resources", type=int, default=6_000, help="how many the store holds at first")
    parser.add_argument(
        "--rounds", type=int, default=3, help="how often each work is measured with and without"
    )
    parser.add_argument("--seconds", type=float, default=2.5, help="how long each work is counted")


def run(arguments: argparse.Namespace) -> int:
    """Measure what the audit trail takes from the writes, against a hub that leaves it out; some three minutes."""
    options = Options(arguments.resources, arguments.rounds, arguments.seconds)

    def say(words: str) -> None:
        print(words, file=sys.stderr, flush=True)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            told = runner.run(measure(options, say))
    except (NoHub, Unanswered) as failure:
        print(str(failure), file=sys.stderr)
        return 1
    print(json.dumps(told, ensure_ascii=False, indent=2) if arguments.json else table(told))
    return 0


async def measure(options: Options, say: Say) -> dict[str, Any]:
    """Measure each work with and without the trail, and the floor; return everything with its method.

    Raises:
        NoHub, Unanswered: a hub does not start, or answers as it should not.
    """
    with tempfile.TemporaryDirectory(prefix="clinic-net-bench-", ignore_cleanup_errors=True) as folder:
        async with _pair(Path(folder) / "data") as (audited, unaudited):
            works = {"with": Records(audited), "without": Records(unaudited, seed=2)}
            await works["with"].fill(options.resources, say)
            works["without"].stock = works["with"].stock
            figures = [await _compare(name, works, audited, options, say) for name in WORKS]
            await audited.settled()
            assert audited.database is not None
            say("the floor …")
            floor = await Floor(audited.database, works["with"].stock).measure(clients=CLIENTS, seconds=1.5)
            return {
                "machine": machine.described(),
                "method": METHOD,
                "options": vars(options),
                "figures": figures,
                "floor": {name: floor[name] for name in WORKS if name in floor},
                "events": _events(audited.database),
                "most": MOST,
                "good": all(row["cost"] <= MOST for row in figures),
            }


async def _compare(
    name: str, works: dict[str, Records], hub: MeasuredHub, options: Options, say: Say
) -> dict[str, Any]:
    rounds: list[dict[str, dict[str, Any]]] = []
    for number in range(options.rounds):
        order = ("with", "without") if number % 2 else ("without", "with")
        turn: dict[str, dict[str, Any]] = {}
        for which in order:
            await hub.settled()
            turn[which] = await works[which].measure(name, CLIENTS, seconds=options.seconds)
            say(f"{name}, {which} the trail: {turn[which]}")
        rounds.append(turn)
    unit = WORKS[name]
    ratios = [turn["with"][unit] / turn["without"][unit] for turn in rounds]
    return {
        "work": name,
        "clients": CLIENTS,
        "unit": unit,
        "with": median(turn["with"][unit] for turn in rounds),
        "without": median(turn["without"][unit] for turn in rounds),
        "cost": round(1 - median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "wal_bytes": [median(turn[which]["wal_bytes"] for turn in rounds) for which in ("with", "without")],
        "p99_ms": [median(turn[which]["p99_ms"] for turn in rounds) for which in ("with", "without")],
    }


def _events(database: str) -> dict[str, int]:
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "select (select count(*) from audit_event), (select count(*) from audit_seal),"
            " (select sum(pg_total_relation_size(relid)) from pg_partition_tree('audit_event'))"
            " + pg_total_relation_size('audit_seal')"
        ).fetchone()
    assert row is not None
    return {
        "written": int(row[0]),
        "sealed": int(row[1]),
        "disk_bytes_each": round(int(row[2]) / max(1, int(row[0]))),
    }


@asynccontextmanager
async def _pair(data: Path) -> AsyncIterator[tuple[MeasuredHub, MeasuredHub]]:
    """Start two hubs over one database: one with the trail and a worker, one without either."""
    lifeline, held = os.pipe()
    started: list[subprocess.Popen[bytes]] = []
    with EmbeddedServices(data) as services:
        migrate(services.database_url)
        database = services.database_url.replace("postgresql+psycopg://", "postgresql://")
        postmaster = int((data / "postgres" / "postmaster.pid").read_text().split()[0])

        def start(module: str, port: int, *more: str) -> None:
            command = [sys.executable, "-m", module, "serve", "--port", str(port), "--data", str(data)]
            with (data / "bench.log").open("ab") as log:
                started.append(
                    subprocess.Popen(  # noqa: S603 -- our own program
                        [*command, *more, "--lifeline", str(lifeline)],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=log,
                        pass_fds=[lifeline],
                    )
                )

        try:
            ports = free_port(), free_port()
            start("clinic_net.cli", ports[0])
            for module, port in (
                ("clinic_net.cli", ports[0]),
                *[("clinic_net.bench.unaudited", ports[1])] * 2,
            ):
                start(module, port, "--no-worker")
            known = made_client(data)
            one, other = (
                MeasuredHub(f"http://127.0.0.1:{port}", *known, database, started[0].pid, postmaster)
                for port in ports
            )
            for hub in (one, other):
                await answers(hub)
            yield one, other
        finally:
            os.close(held)
            for process in started:
                process.terminate()
            for process in started:
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            os.close(lifeline)


def table(told: dict[str, Any]) -> str:
    """Return the figures as a page of text."""
    lines = [f"{'work':24} {'with/s':>9} {'without/s':>10} {'cost':>7}  rounds"]
    for row in told["figures"]:
        ratios = " ".join(f"{ratio:.2f}" for ratio in row["ratios"])
        lines.append(f"{row['work']:24} {row['with']:>9} {row['without']:>10} {row['cost']:>7.1%}  {ratios}")
    lines.append(f"at most {told['most']:.0%}: {'reached' if told['good'] else 'MISSED'}")
    return "\n".join(lines)
