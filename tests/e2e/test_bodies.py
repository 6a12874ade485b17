"""Bodies that are too large, and bodies that never end, from many at once."""

import asyncio
import re
import time
from contextlib import closing, suppress
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from fastapi.routing import iter_route_contexts

from clinic_net.access.http import COOKIE
from clinic_net.app import create_app
from clinic_net.kernel.settings import HubSettings
from tests.e2e.support import Network

pytestmark = pytest.mark.processes

HUGE = 20 * 1024 * 1024
QUICKLY_S = 5.0
FORM = "application/x-www-form-urlencoded"
MEMORY = "process_resident_memory_bytes"
MIB = 1024 * 1024
SLOW = 40
"""More than the hub has connections to its database."""


def post_routes() -> list[str]:
    """Return an address for each route that takes POST."""
    app = create_app(
        HubSettings(
            database="postgresql+psycopg://h/d",
            redis="redis://h",
            token_key="t" * 32,
            identifier_key="i" * 32,
            turn_secret="t" * 16,
        )
    )
    paths = {str(route.path) for route in iter_route_contexts(app.routes) if "POST" in (route.methods or ())}
    assert len(paths) > 20, "this found the routers"
    filled = {"rtype": "Patient", "site": "00004-01", "path": "Patient/1/$nothing"}
    return sorted(
        re.sub(r"\{(\w+)(:\w+)?\}", lambda found: filled.get(found[1], str(uuid4())), path) for path in paths
    )


class Line:
    """A connection to the hub on which a request is written by hand."""

    def __init__(self, network: Network, path: str, headers: dict[str, str]) -> None:
        self._place = urlsplit(network.url)
        lines = [f"POST {path} HTTP/1.1", f"Host: {self._place.netloc}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._head = "\r\n".join((*lines, "", "")).encode()

    async def open(self) -> None:
        host, port = self._place.hostname, self._place.port
        self.reader, self.writer = await asyncio.open_connection(host, port)
        self.writer.write(self._head)

    async def pour(self, count: int, *, chunked: bool) -> None:
        """Write ``count`` bytes until the hub hangs up."""
        piece = b"a" * 65_536
        with suppress(OSError):
            for _ in range(count // len(piece)):
                self.writer.write(b"10000\r\n" + piece + b"\r\n" if chunked else piece)
                await self.writer.drain()

    async def status(self) -> int:
        line = await self.reader.readline()
        return int(line.split()[1]) if line else 0

    def close(self) -> None:
        self.writer.transport.abort()


async def poured(line: Line, *, chunked: bool) -> tuple[int, float]:
    """Send 20 MiB; return the status that came back, and after how long."""
    began = time.monotonic()
    await line.open()
    pouring = asyncio.create_task(line.pour(HUGE, chunked=chunked))
    try:
        async with asyncio.timeout(30):
            return await line.status(), time.monotonic() - began
    finally:
        pouring.cancel()
        with suppress(asyncio.CancelledError):
            await pouring
        line.close()


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
async def test_a_body_of_20_mib_is_refused_at_every_address_at_once(network: Network, chunked: bool) -> None:
    length = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(HUGE)}
    before = network.figure(MEMORY)
    answers = {}
    for path in post_routes():
        for kind in ("application/fhir+json", "application/json", FORM):
            headers = {"Content-Type": kind, "Authorization": f"Bearer {network.token()}", **length}
            answers[path, kind] = await poured(Line(network, path, headers), chunked=chunked)
    # Who is not welcome anyway may be told so before anything of a body of unknown length is read.
    # 303: signing out reads no body. 400: a form's field has a limit of its own, far below the body's.
    right = {413, 303, 400, 401, 403, 404, 415, 422} if chunked else {413}
    assert {key: answer for key, answer in answers.items() if answer[0] not in right} == {}
    malformed = {path for (path, kind), (status, _) in answers.items() if status == 400 and kind != FORM}
    forms = {"/oauth/token", "/oauth/introspect", "/oauth/revoke"}
    assert malformed <= forms, "they take forms only, and say so before they read (RFC 6749 §5.2)"
    assert max(seconds for _, seconds in answers.values()) < QUICKLY_S
    assert answers["/fhir/Patient", "application/fhir+json"][0] == 413
    assert answers["/fleet/v1/enrol", "application/json"][0] == 413
    assert network.figure(MEMORY) - before < 80 * MIB


async def test_many_huge_bodies_at_once_cost_little_memory(network: Network) -> None:
    before = network.figure(MEMORY)
    headers = {"Content-Type": "application/fhir+json", "Authorization": f"Bearer {network.token()}"}
    headers["Transfer-Encoding"] = "chunked"
    lines = [Line(network, "/fhir/Patient", headers) for _ in range(12)]
    answers = await asyncio.gather(*(poured(line, chunked=True) for line in lines))
    assert {status for status, _ in answers} == {413}
    assert network.figure(MEMORY) - before < 12 * 15 * MIB


@pytest.mark.parametrize(
    "path", ["/fhir/Patient", "/fhir", "/fhir/Patient/_search", "/sync/v1/push", "/sign-in", "/doctor/duty"]
)
async def test_bodies_that_never_end_keep_nobody_else_waiting(network: Network, path: str) -> None:
    with closing(network.signed_in("first")) as doctor:
        cookie = doctor.cookies[COOKIE]
    who = {"Authorization": f"Bearer {network.token()}"} if path.startswith(("/fhir", "/sync")) else {
        "Cookie": f"{COOKIE}={cookie}", "Origin": network.url,
    }  # fmt: skip
    kind = "application/fhir+json" if path.startswith("/fhir") else FORM
    kind = FORM if path.endswith("_search") else kind
    lines = [
        Line(network, path, {**who, "Content-Type": kind, "Content-Length": "1000"}) for _ in range(SLOW)
    ]
    for line in lines:
        await line.open()
        line.writer.write(b'{"resourceType"')
    await asyncio.sleep(0.5)
    try:
        began = time.monotonic()
        with network.web(token=network.token(), timeout=20) as web:
            for _ in range(3):
                answer = web.post("/fhir/Patient", json={"resourceType": "Patient", "active": True})
                assert answer.status_code == 201
                assert web.get("/readyz").status_code == 200
        assert time.monotonic() - began < QUICKLY_S
    finally:
        for line in lines:
            line.close()
