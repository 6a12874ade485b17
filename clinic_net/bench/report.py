"""A whole run: fill, measure, the floor, grow, measure again; told as JSON or as a table."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from clinic_net.bench import machine
from clinic_net.bench.floor import Floor, share
from clinic_net.bench.hub import MeasuredHub, running
from clinic_net.bench.records import COUNTS, Records, Say

TARGETS: dict[str, tuple[str, float, float | None]] = {
    "create": ("per_second", 1200, 2500),
    "update": ("per_second", 1000, 2000),
    "read": ("per_second", 3000, 6000),
    "search patient + code, newest 20": ("per_second", 1200, 2500),
    "transaction of 20": ("resources_per_second", 2500, 6000),
    "transaction of 300": ("resources_per_second", 4000, None),
}
"""At least, and aim, of 32 clients on two cores with the database beside the hub; a transaction of 300 aims at half of
the floor."""
MOST_LOST_BY_GROWTH = 0.15
"""No figure with a target falls further when the store grows tenfold."""

METHOD = (
    "Clients, hub and PostgreSQL on one machine, over loopback HTTP/1.1 with connections kept open. Each client asks "
    "again as soon as it is answered. Requests are made before the clock starts; each work is pressed a while before "
    "it is counted, and begins when hub and database have finished what they do behind the writes. A token per client, "
    "checked with every request. Durable commits (fsync). The floor sends the hub's own statements, their parameters "
    "made before, over as many connections of the database driver."
)


@dataclass(frozen=True)
class Options:
    """What to run. ``url`` and ``client`` name a running hub; otherwise one is started."""

    resources: int = 50_000
    seconds: float = 5.0
    growth: int = 10
    processes: int = 2
    url: str | None = None
    client: tuple[str, str] | None = None


async def records(options: Options, say: Say) -> dict[str, Any]:
    """Measure the records' side and return everything that was measured, with its method.

    Raises:
        NoHub: the hub does not start, or gives no token.
        Unanswered: it answered a request as it should not.
    """
    async with running(options.url, options.client, processes=options.processes) as hub:
        works = Records(hub)
        told: dict[str, Any] = {
            "machine": machine.described(),
            "method": METHOD,
            "processes": options.processes,
            "fill": await _fill(works, hub, options.resources, say),
        }
        told["figures"] = await _measure(works, hub, options, COUNTS, say)
        await hub.settled()
        told["reads beside transactions of 300"] = await works.measure_beside_bundles(seconds=options.seconds)
        if hub.database is not None:
            say("the floor …")
            await hub.settled()
            floor = Floor(hub.database, works.stock)
            told["floor"] = await floor.measure(clients=COUNTS[-1], seconds=options.seconds)
        if options.growth > 1:
            resources = options.resources * options.growth
            told["fill to grow"] = await _fill(works, hub, resources, say)
            told["grown"] = await _measure(works, hub, options, COUNTS[-1:], say)
        told["judged"] = list(judged(told))
        return told


async def _fill(works: Records, hub: MeasuredHub, resources: int, say: Say) -> dict[str, Any]:
    (journal, disk), stock = hub.written(), works.stock.resources
    load = await works.fill(resources, say)
    told: dict[str, Any] = {"resources_per_second": round(load.resources / load.seconds, 1)}
    stored = works.stock.resources - stock
    if hub.database is not None and stored:
        await hub.settled()
        told["wal_bytes_per_resource"] = round((hub.written()[0] - journal) / stored)
        told["disk_bytes_per_resource"] = round((hub.written()[1] - disk) / stored)
    return {"resources": works.stock.resources, **told}


async def _measure(
    works: Records, hub: MeasuredHub, options: Options, counts: Iterable[int], say: Say
) -> list[dict[str, Any]]:
    found = []
    for name in works.works():
        for clients in counts:
            await hub.settled()
            figures = await works.measure(name, clients, seconds=options.seconds)
            say(f"{name}, {clients} clients: {figures}")
            found.append({"work": name, **figures})
    return found


def judged(told: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Yield each figure that has a target with what it reaches, its share of the floor, and what growth took."""
    clients = COUNTS[-1]
    figures = {row["work"]: row for row in told["figures"] if row["clients"] == clients}
    grown = {row["work"]: row for row in told.get("grown", ())}
    floor = told.get("floor", {})
    for work, (unit, least, aim) in TARGETS.items():
        reached = figures[work][unit]
        row = {
            "work": work,
            "unit": unit,
            "reached": reached,
            "least": least,
            "aim": aim,
            "good": reached >= least,
        }
        if work in floor:
            row["of the floor"] = share(figures[work], floor[work])
        if work in grown:
            row["after growth"] = grown[work][unit]
            row["good"] = row["good"] and grown[work][unit] >= reached * (1 - MOST_LOST_BY_GROWTH)
        yield row


def table(told: dict[str, Any]) -> str:
    """Return the figures as a page of text."""
    lines = [
        f"{'work':36} {'clients':>7} {'/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'hub µs':>8} {'db µs':>8} {'WAL':>8}"
    ]
    for row in [*told["figures"], *told.get("grown", ())]:
        rate = row.get("resources_per_second", row["per_second"])
        cells = [
            row.get(name, "") for name in ("p50_ms", "p99_ms", "hub_cpu_us", "database_cpu_us", "wal_bytes")
        ]
        lines.append(
            f"{row['work']:36} {row['clients']:>7} {rate:>9} " + " ".join(f"{cell:>8}" for cell in cells)
        )
    lines.append("")
    for row in told["judged"]:
        said = "reached" if row["good"] else "MISSED"
        floor = f", {row['of the floor']:.0%} of the floor" if "of the floor" in row else ""
        after = f", {row['after growth']} after growth" if "after growth" in row else ""
        lines.append(f"{row['work']}: {row['reached']} of at least {row['least']}{floor}{after}: {said}")
    return "\n".join(lines)
