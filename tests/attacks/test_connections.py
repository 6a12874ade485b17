"""Connections that are never quite a request: attacks 40 and 41 of the checklist."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest

from clinic_net.kernel.listening import GRACE_S, HEAD_WITHIN_S, LOOK_EVERY_S, MAX_FIELDS, MAX_HEAD_BYTES
from tests.app.callers import Callers
from tests.app.process import Process
from tests.attacks.raw import exchange, resident, status

PATIENCE_S = 45.0
UNREAD = 300
"""Answers of some 50 KB each: far more than the buffers between two programs hold."""
HOST = b"Host: hub.test\r\n"
POST = b"POST /sign-in HTTP/1.1\r\n" + HOST


async def _drip(process: Process, head: bytes, drop: bytes, every: float) -> float:
    """Send ``head``, then ``drop`` again and again. Return after how many seconds the hub closed."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port)

    async def send() -> None:
        with suppress(ConnectionError):
            writer.write(head)
            while True:
                await writer.drain()
                await asyncio.sleep(every)
                writer.write(drop)

    sending = asyncio.create_task(send())
    try:
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionError):
                while await reader.read(65536):
                    pass
    finally:
        sending.cancel()
        await _close(writer)
    return time.monotonic() - began


async def _never_read(process: Process, credential: str) -> int:
    """Ask for many answers and read none of them for a while. Return how many are still to be had then."""
    ask = f"GET /fhir/metadata HTTP/1.1\r\nHost: hub.test\r\nAuthorization: {credential}\r\n\r\n".encode()
    heard = b""
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", process.port))
        deaf.sendall(ask * UNREAD)
        await asyncio.sleep(GRACE_S + 3 * LOOK_EVERY_S)
        deaf.settimeout(5)
        with suppress(ConnectionError, TimeoutError):
            while chunk := await asyncio.to_thread(deaf.recv, 1 << 20):
                heard += chunk
    return heard.count(b"HTTP/1.1 200")


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(ConnectionError):
        await writer.wait_closed()


@pytest.fixture
def idle(served: Process) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", served.port))) for _ in range(800)]


async def test_who_only_holds_a_connection_open_is_let_go_and_others_do_not_notice(
    served: Process, callers: Callers, idle: list[socket.socket]
) -> None:
    """Attack 40: slow heads, slow bodies, callers who never read, many idle sockets from one address."""
    token = callers.bearers["client"]
    body = (
        b"POST /fhir/Patient HTTP/1.1\r\nHost: hub.test\r\nContent-Type: application/fhir+json\r\n"
        b"Authorization: Bearer " + token.encode() + b"\r\nContent-Length: 100000\r\n\r\n"
    )
    before = resident(served)
    began = time.monotonic()
    slow = asyncio.gather(
        _drip(served, b"GET /healthz HTTP/1.1\r\nX-", b"a", 1.0),
        _drip(served, b"G", b"", 60.0),
        _drip(served, body, b" ", 1.0),
        _drip(
            served, body.replace(b"Content-Length: 100000", b"Transfer-Encoding: chunked"), b"1\r\n \r\n", 1.0
        ),
        _never_read(served, f"Bearer {token}"),
    )
    answered = []
    async with httpx.AsyncClient(base_url=served.url) as client:
        while not slow.done() and time.monotonic() - began < 5:
            at = time.monotonic()
            assert (await client.get("/readyz")).status_code == 200
            answered.append(time.monotonic() - at)
    assert sorted(answered)[len(answered) // 2] < 0.5, "others are served meanwhile"

    drip_head, one_letter, drip_body, drip_chunks, unread = await slow
    assert drip_head < HEAD_WITHIN_S + 3
    assert one_letter < HEAD_WITHIN_S + 3
    assert drip_body < 35
    assert drip_chunks < 35
    assert 0 < unread < UNREAD, "the rest was never made"
    ended = 0
    for one in idle:
        one.settimeout(0)
        with suppress(BlockingIOError, ConnectionError):
            ended += one.recv(1) == b""
    assert ended == len(idle), "idle sockets are closed too"
    assert resident(served) - before < 100 * 2**20


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
        (POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd", {400}),
        (POST + b"Content-Length: -1\r\n\r\n", {400}),
        (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", {400}),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", {400, 0}),
        (b"GET /healthz HTTP/1.1\nHost: hub.test\n\n", {400, 200}),
        (b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n", {400}),
        (b"GET /healthz HTTP/1.1\r\n" + HOST + b"X : a\r\n\r\n", {400}),
        (b"GET /healthz HTTP/1.1\r\n" + HOST + b" folded: a\r\n\r\n", {400}),
        (b"GET /healthz HTTP/9.9\r\n" + HOST + b"\r\n", {400}),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", {400}),
        (b"GET http://elsewhere.test/healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", {200}),
        (b"GET /healthz HTTP/1.0\r\n\r\n", {200}),
        (b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 100_000 + b"\r\n\r\n", {431}),
        (b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 1000 + b"\r\n", {431}),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", {431}),
        (b"GET /healthz HTTP/1.1\r\n" + b"X: y" * 40_000, {431}),
    ],
    ids=lambda value: value[:60].decode("latin-1").replace("\r\n", "|") if isinstance(value, bytes) else "",
)  # fmt: skip
async def test_a_head_that_is_none(served: Process, sent: bytes, expected: set[int]) -> None:
    """Attack 41: two lengths, length and chunks, bare line feeds, heads without end: 400 or 431, and no second one."""
    answer = await exchange(served, sent, within=4)
    assert status(answer) in expected, answer[:200]
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert b"aaaa" not in answer


async def test_a_request_hidden_behind_another_is_not_heard(served: Process) -> None:
    """Attack 41: what a front would count as the body of the first never becomes a request of its own."""
    hidden = b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n"
    outer = (
        b"POST /sign-in HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )
    answer = await exchange(served, outer % (len(hidden) + 5) + hidden, within=4)
    assert status(answer) == 400
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_a_head_just_within_the_bounds_is_served(served: Process) -> None:
    fields = b"".join(b"X-%d: %s\r\n" % (n, b"a" * 400) for n in range(MAX_FIELDS - 3))
    assert len(fields) < MAX_HEAD_BYTES
    sent = b"GET /healthz HTTP/1.1\r\n" + HOST + fields + b"Connection: close\r\n\r\n"
    assert status(await exchange(served, sent)) == 200


@pytest.mark.parametrize(
    "name", ["X-User-Id", "X-Remote-User", "X-Forwarded-User", "X-Original-URL", "X-Rewrite-URL"]
)
async def test_a_header_makes_nobody_of_a_stranger(served: Process, callers: Callers, name: str) -> None:
    """Attack 41: identity comes from a credential only, whatever a caller's headers say of itself."""
    doctor = str(callers.people["doctor"].user.id)
    async with httpx.AsyncClient(base_url=served.url) as client:
        for value in (doctor, callers.people["doctor"].login, "/healthz"):
            answer = await client.get("/access/v1/session", headers={name: value})
            assert answer.status_code == 401
