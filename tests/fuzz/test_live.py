"""A running hub fed with changed input at every door at once: no 5xx, nothing else is served worse, no growth."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote

import httpx
import pytest
import websockets
from fastapi import FastAPI

from clinic_net.kernel.hub import Hub
from clinic_net.kernel.settings import HubSettings
from tests.app.callers import Callers, callers_of
from tests.app.process import Process, serving
from tests.attacks.raw import resident
from tests.console.support import app_of
from tests.consultations.support import CENTRE, make_district
from tests.fuzz import corpus
from tests.fuzz.mutating import rounds

GROWTH = 40 * 2**20
"""Bytes between the middle and the end of a run: PostgreSQL's statements and the caches of codes still fill."""
FHIR = "application/fhir+json"


@pytest.fixture(scope="module")
async def district(hub: Hub) -> Hub:
    await make_district(hub)
    return hub


@pytest.fixture(scope="module")
async def callers(district: Hub) -> Callers:
    app: FastAPI = app_of(district)
    return await callers_of(district, app, facility=CENTRE)


@pytest.fixture(scope="module")
def served(district: Hub, settings: HubSettings) -> Iterator[Process]:
    with serving(settings, "--no-worker") as process:
        yield process


class Feeding:
    """What is fed for how long, and what came back."""

    def __init__(self, served: Process, callers: Callers, seconds: float, seed: int) -> None:
        self._served, self._callers = served, callers
        self._seconds, self._seed = seconds, seed
        self.statuses: Counter[int] = Counter()

    def _answered(self, answer: httpx.Response, data: bytes) -> None:
        self.statuses[answer.status_code] += 1
        assert answer.status_code < 500, (answer.status_code, answer.text[:300], data[:300])

    async def fhir(self, kind: str, inputs: list[bytes], seed: int) -> None:
        headers = {**await self._callers.headers_of("client"), "Content-Type": kind}
        async with httpx.AsyncClient(base_url=self._served.url, headers=headers, timeout=30) as client:
            for one in rounds(inputs, seed=self._seed + seed, seconds=self._seconds, least=20):
                path = ("/fhir", "/fhir/Patient", "/fhir/Observation/$validate", "/fhir/Observation")[
                    one.number % 4
                ]
                self._answered(await client.post(path, content=one.data), one.data)

    async def searches(self) -> None:
        headers = {**await self._callers.headers_of("client"), "Accept": FHIR}
        async with httpx.AsyncClient(base_url=self._served.url, headers=headers, timeout=30) as client:
            for one in rounds(corpus.QUERIES, seed=self._seed + 2, seconds=self._seconds, least=20):
                address = f"/fhir/Patient?{quote(one.data, safe='=&:|,%_-.')}"[:20_000]
                self._answered(await client.get(address), one.data)

    async def pushes(self) -> None:
        headers = {**await self._callers.headers_of("station"), "Content-Type": "application/json"}
        async with httpx.AsyncClient(base_url=self._served.url, headers=headers, timeout=30) as client:
            for one in rounds(corpus.PUSHES, seed=self._seed + 3, seconds=self._seconds, least=20):
                path = "/sync/v1/push" if one.number % 2 else "/sync/v1/pull"
                self._answered(await client.post(path, content=one.data), one.data)

    async def sockets(self) -> None:
        headers = await self._callers.headers_of("station")
        for one in rounds(corpus.FRAMES, seed=self._seed + 4, seconds=self._seconds, least=20):
            with suppress(websockets.ConnectionClosed):
                socket = await self._served.open(headers)
                await socket.send(corpus.FRAMES[0].decode())
                for part in (one.data, one.data[::2]):
                    await socket.send(part if one.number % 3 == 0 else part.decode("utf-8", "replace"))
                await socket.close()
            self.statuses[101] += 1

    async def all(self) -> None:
        await asyncio.gather(
            self.fhir(FHIR, corpus.resources(), 0),
            self.fhir("application/fhir+xml", corpus.in_xml(), 1),
            self.searches(),
            self.pushes(),
            self.sockets(),
        )


async def test_a_hub_that_is_fed_nonsense_stays_as_it_is(
    served: Process, callers: Callers, pytestconfig: pytest.Config
) -> None:
    seconds, seed = pytestconfig.getoption("fuzz_seconds"), pytestconfig.getoption("fuzz_seed")
    first = Feeding(served, callers, seconds, seed)
    await first.all()
    middle = resident(served)
    second = Feeding(served, callers, seconds, seed + 100)
    await second.all()
    assert resident(served) - middle < GROWTH
    assert second.statuses[101] >= 20
    assert sum(count for status, count in second.statuses.items() if 400 <= status < 500) > 50
    began = time.monotonic()
    async with httpx.AsyncClient(base_url=served.url) as client:
        assert (await client.get("/readyz")).status_code == 200
    assert time.monotonic() - began < 2
    assert served.running.poll() is None
