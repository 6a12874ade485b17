"""How fast a station's pages are with a whole commune in its store, and what its agent needs at rest; as JSON.

``python -m tools.station_speed`` makes a store of invented people, asks for each page again and again on one core
through the program's own routes, and then runs ``station-agent`` as a process that nobody touches.
"""

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from clinic_net.protocol.sync import Lane
from station_agent import keys
from station_agent.agent import Agent, Options
from station_agent.store import Database, checking, outbox, records, settings
from station_agent.store.database import FILE_NAME, Tx
from station_agent.web.app import create_app
from tools.demo import staff
from tools.demo.programs import BIN

FAMILIES = ("Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Vàng", "Lò", "Sùng", "Giàng", "Quàng", "Lường", "Cà")
MIDDLES = ("Thị", "Văn", "Thị Thu", "Đức", "Minh", "A", "Ngọc", "Thị Kim")
GIVENS = (
    "Hoa",
    "Hoà",
    "Hùng",
    "Lan",
    "Mỷ",
    "Páo",
    "Tuấn",
    "Thuỷ",
    "Yến",
    "Khánh",
    "Linh",
    "Dung",
    "Dũng",
    "Sơn",
)
MEASURES = (
    ("8867-4", "/min", 60, 110),
    ("8480-6", "mm[Hg]", 95, 175),
    ("59408-5", "%", 90, 100),
    ("8310-5", "Cel", 36, 39),
)
VISITS_TODAY, WAITING = 80, 500
ROUNDS = 15


def fill(directory: Path, people: int, now: datetime) -> dict[str, Any]:
    """Make a station's store with ``people`` and about thirteen further resources each; return ids to look at."""
    directory.mkdir(parents=True)
    keys.make(directory)
    keys.keep_made(directory)
    database = Database(directory / FILE_NAME, now)
    chance = random.Random(5)  # noqa: S311 -- invented people, the same at each run
    enrolled = {
        "station": "03325-01", "device": "d", "name": "Trạm y tế", "facility": "03325", "facility_name": "Trạm y tế",
        "hub": "http://127.0.0.1:9", "token_endpoint": "/oauth/token", "audience": "http://127.0.0.1:9/oauth/token",
    }  # fmt: skip
    seen: dict[str, Any] = {"resources": 0}
    with database.transaction() as tx:
        settings.put_enrolment(tx, enrolled)
    for start in range(0, people, 500):
        with database.transaction() as tx:
            for number in range(start, min(people, start + 500)):
                seen["resources"] += _person(tx, number, chance, now, seen)
    with database.transaction() as tx:
        for op in range(WAITING):
            text = json.dumps({"resourceType": "Patient", "id": str(UUID(int=op))})
            draft = outbox.Draft(
                op, Lane.CARE, "Patient", str(UUID(int=op)), 1, now.isoformat(), "nurse:lan", text
            )
            outbox.queue(tx, draft)
    database.close()
    staff.add_now(directory)
    return seen


def _person(tx: Tx, number: int, chance: random.Random, now: datetime, seen: dict[str, Any]) -> int:
    rid = str(UUID(int=number))
    name = " ".join(chance.choice(part) for part in (FAMILIES, MIDDLES, GIVENS))
    made: list[dict[str, Any]] = [
        {
            "resourceType": "Patient", "id": rid, "name": [{"text": name, "use": "official"}],
            "gender": chance.choice(("male", "female")), "birthDate": str(chance.randint(1930, 2026)),
            "identifier": [{"system": "http://fhir.hl7.org.vn/core/sid/cccd", "value": f"{number:012d}"}],
            "telecom": [{"system": "phone", "value": f"+8491{number:07d}"}],
            "address": [{"text": f"Bản {number % 40}"}],
        }
    ]  # fmt: skip
    about = {"subject": {"reference": f"Patient/{rid}"}}
    for visit in range(2):
        vid, today = str(UUID(int=(number + 1) << 20 | visit)), visit == 1 and number < VISITS_TODAY
        at = now - timedelta(minutes=number % 60) if today else now - timedelta(days=chance.randint(1, 700))
        encounter = {"encounter": {"reference": f"Encounter/{vid}"}}
        made.append({"resourceType": "Encounter", "id": vid, "status": "finished", **about,
                     "class": {"code": "AMB"}, "period": {"start": at.strftime("%Y-%m-%dT%H:%M:%SZ")},
                     "reasonCode": [{"text": "Khám định kỳ"}]})  # fmt: skip
        if today:
            seen["patient"], seen["visit"] = rid, vid
        for place, (code, unit, low, high) in enumerate(MEASURES):
            made.append(
                {
                    "resourceType": "Observation", "id": str(UUID(int=(number + 1) << 24 | visit << 8 | place)),
                    "status": "final", **about, **encounter, "effectiveDateTime": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
                    "valueQuantity": {"value": chance.randint(low, high), "unit": unit, "code": unit,
                                      "system": "http://unitsofmeasure.org"},
                }
            )  # fmt: skip
    for place, rtype in enumerate(("AllergyIntolerance", "Condition", "MedicationStatement")[: number % 4]):
        about_them = {"patient": about["subject"]} if rtype == "AllergyIntolerance" else about
        made.append({"resourceType": rtype, "id": str(UUID(int=(number + 1) << 24 | 1 << 16 | place)),
                     **about_them, "code": {"text": "Penicillin"}})  # fmt: skip
    for resource in made:
        text = json.dumps(resource, ensure_ascii=False, separators=(",", ":"))
        records.keep(tx, resource, text, hub_version=1, state="synced")
    return len(made)


async def pages(directory: Path, seen: dict[str, Any]) -> dict[str, Any]:
    """Ask for the pages; return milliseconds by what was asked for."""
    agent = Agent(Options(directory))
    app, origin = create_app(agent, with_link=False), "http://localhost:8090"
    figures: dict[str, Any] = {}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=origin, headers={"Origin": origin}
    ) as browser:
        signed = await browser.post(
            "/sign-in", data={"login": staff.NURSES[0].login, "pin": staff.NURSES[0].pin}
        )
        assert signed.status_code == 303, signed.status_code

        async def time_of(name: str, ask: Callable[[], Awaitable[httpx.Response]]) -> None:
            times = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                answer = await ask()
                times.append((time.perf_counter() - began) * 1000)
                assert answer.status_code == 200, (name, answer.status_code)
            figures[name] = {
                "median_ms": round(statistics.median(times), 1),
                "worst_ms": round(max(times), 1),
            }

        for name, path in (
            ("today, 80 visits", "/"), ("patient", f"/patients/{seen['patient']}"),
            ("visit", f"/visits/{seen['visit']}"),
            ("link, 500 waiting", "/waiting"), ("status bar", "/status-bar"), ("status for programs", "/api/status"),
        ):  # fmt: skip
            await time_of(name, lambda path=path: browser.get(path))  # type: ignore[misc]
        for query in (
            "n",
            "nguyen",
            "Nguyễn Thị Hoà",
            "thi",
            "hoa 1956",
            "0912",
            "000000001234",
            "zzzz",
            "a b c d",
        ):
            await time_of(
                f"search {query!r}",
                lambda query=query: browser.post("/patients/search", data={"query": query}),  # type: ignore[misc]
            )
    agent.close()
    return figures


def at_rest(directory: Path, seconds: float) -> dict[str, Any]:
    """Run the agent as a process without a hub in reach; return its memory and its share of a core."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = (str(BIN / "station-agent"), "run", "--data", str(directory), "--port", str(port))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://localhost:{port}", headers={"Origin": f"http://localhost:{port}"},
                          follow_redirects=True, trust_env=False) as browser:  # fmt: skip
            began = time.monotonic()
            while True:
                try:
                    browser.get("/healthz")
                    break
                except httpx.HTTPError:
                    time.sleep(0.05)
            started = time.monotonic() - began
            fresh = _memory(process.pid)
            browser.post("/sign-in", data={"login": staff.NURSES[0].login, "pin": staff.NURSES[0].pin})
            for path in ("/", "/patients", "/waiting"):
                browser.get(path).raise_for_status()
        time.sleep(3)
        before, since = _cpu(process.pid), time.monotonic()
        time.sleep(seconds)
        used, passed = _cpu(process.pid) - before, time.monotonic() - since
        return {
            "answers_after_s": round(started, 2), "resident_mb_fresh": fresh, "resident_mb_used": _memory(process.pid),
            "core_percent": round(100 * used / passed, 2), "watched_s": round(passed),
        }  # fmt: skip
    finally:
        process.terminate()
        process.wait()


def _memory(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return round(int(found[1]) / 1024, 1)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Print the figures. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long the agent at rest is watched")
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    folder = Path(tempfile.mkdtemp(prefix="station-speed-"))
    directory, now = folder / "station", datetime.now(UTC)
    try:
        began = time.perf_counter()
        seen = fill(directory, given.people, now)
        filled = time.perf_counter() - began
        check = checking.look(directory / FILE_NAME, now, thorough=False)
        deep = checking.look(directory / FILE_NAME, now)
        found = {
            "people": given.people, "resources": seen["resources"], "cores": 1, "python": sys.version.split()[0],
            "store_mb": round((directory / FILE_NAME).stat().st_size / 1e6, 1), "filled_s": round(filled, 1),
            "pages_proven_s": check.seconds, "proven_thoroughly_s": deep.seconds,
            "pages": asyncio.run(pages(directory, seen)), "at_rest": at_rest(directory, given.seconds),
        }  # fmt: skip
        print(json.dumps(found, ensure_ascii=False, indent=1))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
