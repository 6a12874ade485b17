"""A small network of real processes, and the people at it: what every fault test starts from."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx

from station_agent import keys
from station_agent.store import cipher
from tools.demo import staff
from tools.demo.network import DemoNetwork
from tools.demo.programs import BIN
from tools.demo.staff import NURSES

T = TypeVar("T")

PATIENCE_S = 45.0
"""What a process may take on a busy machine of two cores before a test calls it lost."""

URGENT = {
    "respiratory_rate": "26", "spo2": "90", "pulse": "132", "temperature": "38.6", "systolic": "92",
    "diastolic": "60", "consciousness": "A", "oxygen": "no", "signs_looked": "1",
}  # fmt: skip
"""A patient whom every chart calls urgent."""


def free_ports(count: int) -> tuple[int, ...]:
    """Return free ports below the range from which other programs' connections are served."""
    found: list[int] = []
    start = 22_000 + os.getpid() * 97 % 9_000  # far from another test process's, whose number is the next one
    for port in range(start, 32_000):
        with closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
        if len(found) == count:
            return tuple(found)
    raise AssertionError("no free ports")


def until(what: str, look: Callable[[], T | None], *, seconds: float = PATIENCE_S, every: float = 0.05) -> T:
    """Look again and again until something is seen, and return it."""
    end = time.monotonic() + seconds
    while True:
        if seen := look():
            return seen
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(every)


@dataclass(frozen=True)
class Told:
    """What a program said before it ended."""

    code: int
    out: str
    err: str


def call(program: str, *arguments: str) -> Told:
    """Run one of the two programs to its end, as a technician would, whatever comes of it."""
    done = subprocess.run(
        (str(BIN / program), *arguments), capture_output=True, text=True, timeout=120, check=False
    )
    return Told(done.returncode, done.stdout, done.stderr)


class Nurse:
    """A nurse at a station's pages, without a browser."""

    def __init__(self, url: str) -> None:
        self.web = httpx.Client(
            base_url=url, headers={"Origin": url}, follow_redirects=True, timeout=15, trust_env=False
        )

    def close(self) -> None:
        self.web.close()

    def sign_in(self) -> None:
        """Sign in as one of the station's nurses."""
        given = {"login": NURSES[0].login, "pin": NURSES[0].pin}
        self.web.post("/sign-in", data=given).raise_for_status()

    def register(self, name: str, **fields: str) -> str:
        """Register a patient and return the id; when this returns, the page has said that it is saved."""
        rid = str(uuid4())
        form = {"id": rid, "name": name, "sex": "female", "birth_year": "1985", "confirmed": "1", **fields}
        answer = self.web.post("/patients", data=form)
        assert (answer.status_code, answer.url.path) == (200, f"/patients/{rid}"), answer.status_code
        return rid

    def ask_for_doctor(self, patient: str, specialty: str) -> str:
        """Open a visit, enter urgent vital signs and press the one button; return the case's id."""
        visit, case = str(uuid4()), str(uuid4())
        self.web.post(
            f"/patients/{patient}/visits", data={"id": visit, "reason": "Đau ngực"}
        ).raise_for_status()
        form = {
            **URGENT,
            "set_id": str(uuid4()),
            "request_id": case,
            "specialty": specialty,
            "reason": "Xem giúp",
        }
        answer = self.web.post(f"/visits/{visit}/ask", data=form)
        assert (answer.status_code, answer.url.path) == (200, f"/cases/{case}"), answer.status_code
        return case

    def status(self) -> dict[str, Any]:
        return dict(self.web.get("/api/status").raise_for_status().json())

    def waiting(self) -> int:
        return int(self.status()["waiting_total"])

    def link(self) -> str:
        return str(self.status()["link"])


@dataclass
class Site:
    """A station of the network: its folder, its agent, its nurse."""

    network: DemoNetwork
    index: int
    code: str
    enrolment: str
    folder: Path | None = None
    """Another folder than the network's, for a second computer at the same station."""
    _nurse: Nurse | None = None

    @property
    def data(self) -> Path:
        return self.folder or self.network.station_data(self.index)

    @property
    def store(self) -> Path:
        return self.data / "station.sqlite3"

    def enrol(self, code: str | None = None) -> Told:
        return call(
            "station-agent", "enrol", "--hub", self.network.hub_url, "--code", code or self.enrolment,
            "--data", str(self.data),
        )  # fmt: skip

    def start(self) -> Nurse:
        """Enrol unless that was done, start the agent unless it runs, and go to its pages."""
        if not (self.data / keys.FILE_NAME).exists():
            told = self.enrol()
            assert told.code == 0, told.err
            staff.add_now(self.data)
        if not self.network.agents[self.index].is_running():
            self.network.start_agent(self.index)
        nurse = self._nurse = self._nurse or Nurse(self.network.station_url(self.index))
        until("the station is online", lambda: nurse.link() == "online")
        nurse.sign_in()
        return nurse

    def stop(self) -> None:
        self.network.agents[self.index].stop()
        if self._nurse is not None:
            self._nurse.close()
            self._nurse = None

    def query(self, statement: str, *given: object) -> list[tuple[Any, ...]]:
        """Ask or change the station's database from outside, as nothing but a fault would."""
        key = cipher.key_of(self.data, records=True)
        with closing(cipher.connect(self.store, key)) as database:
            database.execute("pragma busy_timeout = 10000")
            return database.execute(statement, given).fetchall()

    def acknowledged(self) -> dict[tuple[str, str], int]:
        """Return what the station saw taken: (type, id) and the hub's version as the station knows it."""
        rows = self.query(
            """select distinct o.rtype, o.id, r.hub_version from outbox o join resource r using (rtype, id)
               where o.leg = 'applied' and r.state = 'synced'"""
        )
        return {(rtype, rid): int(version) for rtype, rid, version in rows}


@dataclass
class Network:
    """The hub with its people and stations, as processes. Whoever kills something sees that it is whole again."""

    demo: DemoNetwork
    sites: list[Site]
    people: dict[str, str]
    client: tuple[str, str]
    _token: tuple[str, float] = field(default=("", 0.0))

    @property
    def url(self) -> str:
        return self.demo.hub_url

    def web(self, *, token: str | None = None, timeout: float = 15) -> httpx.Client:
        """Return a client of the hub; with ``token`` it speaks FHIR as a system."""
        headers = (
            {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"} if token else {}
        )
        return httpx.Client(base_url=self.url, headers=headers, timeout=timeout, trust_env=False)

    def token(self) -> str:
        """Return a system client's access token that is good for some minutes."""
        text, ends = self._token
        if time.monotonic() > ends:
            form = {"grant_type": "client_credentials", "scope": "system/*.cruds"}
            with self.web() as web:
                answer = web.post("/oauth/token", data=form, auth=self.client).raise_for_status()
            text = str(answer.json()["access_token"])
            self._token = (text, time.monotonic() + 120)
        return text

    def signed_in(self, login: str) -> httpx.Client:
        """Return a browser in which this person has signed in."""
        web = self.web()
        web.headers["Origin"] = self.url
        form = {"login": login, "password": self.people[login]}
        web.post("/access/v1/session", data=form).raise_for_status()
        return web

    def read(self, rtype: str, rid: str) -> int:
        """Return the status of reading a record as a system."""
        with self.web(token=self.token()) as fhir:
            return fhir.get(f"/fhir/{rtype}/{rid}").status_code

    def missing(self, acknowledged: dict[tuple[str, str], int]) -> list[str]:
        """Compare what a station saw taken with the hub; return what is not there, once, in the right version."""
        wanted = list(acknowledged.items())
        wrong = []
        with self.web(token=self.token(), timeout=30) as fhir:
            for start in range(0, len(wanted), 100):
                some = wanted[start : start + 100]
                reads = [{"request": {"method": "GET", "url": f"{rtype}/{rid}"}} for (rtype, rid), _ in some]
                batch = {"resourceType": "Bundle", "type": "batch", "entry": reads}
                entries = fhir.post("/fhir", json=batch).raise_for_status().json()["entry"]
                assert len(entries) == len(some)
                for ((rtype, rid), version), entry in zip(some, entries, strict=True):
                    found = entry.get("resource", {}).get("meta", {}).get("versionId")
                    if found != str(version):
                        wrong.append(f"{rtype}/{rid}: version {version} at the station, {found} at the hub")
        return wrong

    def figure(self, name: str) -> float:
        """Return one of the hub's figures for Prometheus."""
        with self.web() as web:
            text = web.get("/metrics").raise_for_status().text
        found = re.search(rf"^{name} (\S+)$", text, re.M)
        assert found, name
        return float(found[1])

    def kill_server(self, name: str) -> bool:
        """End PostgreSQL's or Valkey's first process with SIGKILL; False when it is already away."""
        file = {"postgres": "postgres/postmaster.pid", "valkey": "valkey/valkey.pid"}[name]
        try:
            os.kill(int((self.demo.hub_data / file).read_text().split("\n", 1)[0]), signal.SIGKILL)
        except (OSError, ValueError):
            return False
        return True

    def restart_hub(self) -> None:
        """A power cut for the hub's process, and the service manager's answer."""
        self.demo.hub.kill()
        self.demo.start_hub()


def json_of(told: Told) -> dict[str, Any]:
    return dict(json.loads(told.out))
