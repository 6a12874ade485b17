"""PostgreSQL and Valkey die under a hub that is at work."""

import threading
import time
from collections import Counter
from collections.abc import Callable

import httpx
import pytest

from tests.e2e.support import Network, until
from tests.e2e.work import Busy

pytestmark = pytest.mark.processes

LONGEST_S = 12.0
"""Nobody waits longer for an answer, whatever is away."""


class Knocking:
    """Systems that write and doctors' pages that load, over and over, and how the hub answered."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._enough = threading.Event()
        self._threads = [
            threading.Thread(target=self._knock, args=(ask,))
            for ask in (self._write, self._write, self._page, self._sign_in)
        ]
        self._fhir = network.web(token=network.token(), timeout=30)
        self._doctor = network.signed_in("first")
        self._doctor.headers["Accept"] = "text/html"
        self.statuses: Counter[int] = Counter()
        self.seen: Counter[int] = Counter()
        self.without_retry_after = 0
        self.broken: list[str] = []
        self.slowest = 0.0
        self.written: list[str] = []

    def forget(self) -> None:
        """Count anew in ``statuses``."""
        self.statuses.clear()

    def __enter__(self) -> "Knocking":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()
        self._fhir.close()
        self._doctor.close()

    def _write(self) -> httpx.Response:
        answer = self._fhir.post("/fhir/Patient", json={"resourceType": "Patient", "active": True})
        if answer.status_code == 201:
            self.written.append(str(answer.json()["id"]))
        return answer

    def _page(self) -> httpx.Response:
        return self._doctor.get("/doctor")

    def _sign_in(self) -> httpx.Response:
        form = {"grant_type": "client_credentials", "scope": "system/*.rs"}
        with self._network.web(timeout=30) as web:
            return web.post("/oauth/token", data=form, auth=self._network.client)

    def _knock(self, ask: Callable[[], httpx.Response]) -> None:
        while not self._enough.wait(0.02):
            began = time.monotonic()
            try:
                answer = ask()
            except httpx.HTTPError as failure:
                self.broken.append(type(failure).__name__)
                continue
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.statuses[answer.status_code] += 1
            self.seen[answer.status_code] += 1
            if answer.status_code == 503 and "retry-after" not in answer.headers:
                self.without_retry_after += 1


def test_a_killed_database_is_answered_with_503_until_it_is_back_and_nothing_is_lost(
    network: Network,
) -> None:
    site = network.sites[0]
    nurse = site.start()
    parts: set[tuple[bool, bool, bool]] = set()
    with Busy(nurse) as busy, Knocking(network) as knocking, network.web() as web:
        for _ in range(3):
            knocking.forget()
            until("records are written", lambda: knocking.statuses[201] > 5, seconds=15)
            assert network.kill_server("postgres")
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                assert web.get("/healthz").status_code == 200, "the process is alive whatever it lacks"
                ready = web.get("/readyz").json()
                parts.add((ready["ready"], ready["database"], ready["redis"]))
                time.sleep(0.02)
            until("the hub is ready by itself", lambda: web.get("/readyz").status_code == 200, seconds=20)
        knocking.forget()
        until("records are written again", lambda: knocking.statuses[201] > 5, seconds=15)
    assert (False, False, True) in parts, "readiness says that it is the database"
    assert parts <= {(True, True, True), (False, False, True)}
    assert set(knocking.seen) <= {200, 201, 503}, knocking.seen
    assert knocking.seen[503] > 0
    assert knocking.without_retry_after == 0
    assert knocking.broken == []
    assert knocking.slowest < LONGEST_S
    busy.everything_arrives(network, site)
    assert network.missing({("Patient", rid): 1 for rid in knocking.written}) == []


def test_without_valkey_records_flow_on_and_readiness_says_what_is_away(network: Network) -> None:
    site = network.sites[0]
    nurse = site.start()
    parts: set[tuple[bool, bool, bool]] = set()
    with Busy(nurse) as busy, Knocking(network) as knocking, network.web() as web:
        for _ in range(3):
            knocking.forget()
            until("records are written", lambda: knocking.statuses[201] > 5)
            assert network.kill_server("valkey")
            end = time.monotonic() + 1
            while time.monotonic() < end:
                assert web.get("/healthz").status_code == 200
                ready = web.get("/readyz").json()
                parts.add((ready["ready"], ready["database"], ready["redis"]))
            until("the hub is ready by itself", lambda: web.get("/readyz").status_code == 200, seconds=20)
    assert (False, True, False) in parts, "readiness says that it is Valkey"
    assert parts <= {(True, True, True), (False, True, False)}
    assert set(knocking.seen) <= {200, 201}, "nothing of this needs Valkey"
    assert knocking.broken == []
    assert knocking.slowest < LONGEST_S
    busy.everything_arrives(network, site)
