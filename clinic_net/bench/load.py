"""Many clients of one HTTP server, each asking again as soon as it is answered; cheap enough to share its machine.

A client is a connection that stays open (HTTP/1.1, parsed by ``httptools``): about 30 µs of processor a request, a
tenth of a general client library, so that what is measured is the server.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import httptools

from clinic_net.kernel import clock


@dataclass(frozen=True, slots=True)
class Request:
    """What one client asks: ``body`` None sends none."""

    method: str
    path: str
    body: bytes | None = None
    weight: int = 1
    """Resources in it, for figures in resources per second."""
    content_type: str = "application/fhir+json"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and what came with it."""

    status: int
    headers: dict[str, str]
    body: bytes


class Unanswered(Exception):
    """The server closed the connection, or answered what this work does not expect."""


class _Connection(asyncio.Protocol):
    """One client's connection: asks one thing at a time."""

    def __init__(self) -> None:
        self._waiting: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has the methods, not the type

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Unanswered("the server closed the connection"))

    def on_message_begin(self) -> None:
        self._headers, self._parts = {}, []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("ascii").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        assert self._waiting is not None
        answer = Answer(self._parser.get_status_code(), self._headers, b"".join(self._parts))
        # A parser reads one message after another; only the future is new.
        if not self._waiting.done():
            self._waiting.set_result(answer)

    async def ask(self, head: bytes, body: bytes) -> Answer:
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(head + body)
        return await self._waiting

    @property
    def closed(self) -> bool:
        """Whether the server has closed it, as it does with one that is idle."""
        return self._transport is None or self._transport.is_closing()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


@dataclass
class Client:
    """A client of one server. ``headers`` are sent with every request."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    _connection: _Connection | None = None

    async def ask(self, request: Request) -> Answer:
        """Send a request and return its answer.

        Raises:
            Unanswered: the connection was closed.
        """
        if self._connection is None or self._connection.closed:
            address = urlsplit(self.url)
            _, self._connection = await asyncio.get_running_loop().create_connection(
                _Connection, address.hostname or "127.0.0.1", address.port or 80
            )
        return await self._connection.ask(self._head(request), request.body or b"")

    def _head(self, request: Request) -> bytes:
        lines = [f"{request.method} {request.path} HTTP/1.1", f"host: {urlsplit(self.url).netloc}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if request.body is not None:
            lines += [f"content-type: {request.content_type}", f"content-length: {len(request.body)}"]
        return "\r\n".join([*lines, "", ""]).encode()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@dataclass(frozen=True)
class Load:
    """What a number of clients got in a time: ``latencies`` in seconds, sorted."""

    seconds: float
    latencies: list[float]
    resources: int

    def quantile(self, share: float) -> float:
        """Return the latency, in seconds, that this share of requests did not exceed."""
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * share))]


async def press(
    clients: list[Client], requests: Iterator[Request], *, seconds: float, good: Callable[[Answer], bool]
) -> Load:
    """Let every client ask what ``requests`` gives for so long, and return what they got.

    Raises:
        Unanswered: an answer was not ``good``.
    """
    latencies: list[float] = []
    resources = 0
    began = clock.monotonic()
    until = began + seconds

    async def one(client: Client) -> None:
        nonlocal resources
        while True:
            sent = clock.monotonic()
            if sent >= until:
                return
            request = next(requests, None)
            if request is None:
                return
            answer = await client.ask(request)
            latencies.append(clock.monotonic() - sent)
            resources += request.weight
            if not good(answer):
                raise Unanswered(f"{request.method} answered {answer.status}: {answer.body[:300]!r}")

    await asyncio.gather(*map(one, clients))
    return Load(clock.monotonic() - began, sorted(latencies), resources)
