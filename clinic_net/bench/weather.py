"""A link between stations and a hub that can be as bad as real ones, in user space: slow, far, silent, cut, lying.

It relays HTTP/1.1 over loopback, counts every byte at the socket in both directions, and is told what to do while it
runs. What is up is read request by request, so that a request can be repeated or held back; what is down passes as it
comes. A connection that is upgraded (WebSocket) is relayed as bytes from then on.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto

import httptools

from clinic_net.kernel import clock

_PORTAL = b"<html><title>Wi-Fi</title><body>Please sign in to the network.</body></html>"
_PIECE = 1024
"""Bytes that a slow link carries at a time, so that connections share it."""


class Fault(Enum):
    """What happens to one request. ``Mishap.after`` says at which byte, where that matters."""

    CUT_REQUEST = auto()
    """The connection breaks when so many bytes of it are up."""
    CUT_ANSWER = auto()
    """The connection breaks when so many bytes of the answer are down."""
    SHORT_ANSWER = auto()
    """The answer ends after so many bytes, in good order as far as TCP knows."""
    TWICE = auto()
    """It arrives twice; the first answer is the one that counts."""
    LATE = auto()
    """The sender sees a broken connection; it arrives after the next one has."""
    SILENCE = auto()
    """It arrives, and nothing ever comes back: a connection that is half open."""
    PORTAL = auto()
    """Somebody else answers: a page to sign in to a network, with status 200."""


@dataclass(frozen=True)
class Mishap:
    """One fault, for the next request."""

    fault: Fault
    after: int = 0


class _Broken(Exception):
    """This connection ends now."""


@dataclass
class _Lane:
    """One direction of the link: everything in it takes its turn."""

    count: int = 0
    free_at: float = 0.0

    async def carry(self, data: bytes, writer: asyncio.StreamWriter, weather: "Weather") -> None:
        rate = weather.rate
        step = len(data) if rate is None else _PIECE
        for start in range(0, len(data), max(step, 1)):
            piece = data[start : start + step]
            await weather.blowing.wait()
            if rate is not None:
                self.free_at = max(clock.monotonic(), self.free_at) + len(piece) / rate
                await asyncio.sleep(self.free_at - clock.monotonic())
            self.count += len(piece)
            writer.write(piece)
        await writer.drain()


@dataclass
class Weather:
    """The link's state, and what waits to happen. ``rate`` is bytes a second in each direction, shared by all that
    is connected; ``delay`` seconds one way, once for every piece read."""

    rate: float | None = None
    delay: float = 0.0
    down: bool = False
    """Whoever connects is cut off at once."""
    portal: bool = False
    mishaps: deque[Mishap] = field(default_factory=deque)
    blowing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while anything passes at all."""

    def __post_init__(self) -> None:
        self.blowing.set()

    def stall(self) -> None:
        """Let nothing pass, without a word to anybody, until ``resume``."""
        self.blowing.clear()

    def resume(self) -> None:
        """Let everything pass again, what was held first."""
        self.blowing.set()


class BadLink:
    """The relay. ``up`` and ``down`` are bytes carried to the hub and back; ``requests`` how many were read."""

    def __init__(self, host: str, port: int, weather: Weather | None = None) -> None:
        self._hub = (host, port)
        self.weather = weather or Weather()
        self._up, self._down = _Lane(), _Lane()
        self.requests = 0
        self._late: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""

    @property
    def up(self) -> int:
        return self._up.count

    @property
    def down(self) -> int:
        return self._down.count

    @asynccontextmanager
    async def open(self) -> AsyncIterator["BadLink"]:
        """Listen on a port of loopback while the block runs; ``url`` is where."""
        server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, backlog=4096)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            self.cut()
            self.weather.resume()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Break every connection that is open now."""
        for writer in list(self._writers):
            writer.transport.abort()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        hub: asyncio.StreamWriter | None = None
        try:
            if self.weather.down:
                return
            hub_reader, hub = await asyncio.open_connection(*self._hub)
            self._writers.add(hub)
            await _Connection(self, reader, writer, hub_reader, hub).run()
        except (OSError, _Broken, httptools.HttpParserError):
            pass
        finally:
            for each in (writer, hub):
                if each is not None:
                    self._writers.discard(each)
                    each.transport.abort()

    async def elsewhere(self, request: bytes) -> None:
        """Carry a request to the hub over a connection of its own, and read its answer for nobody."""
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(*self._hub)
            try:
                await self._up.carry(request, writer, self.weather)
                answer = _Whole(httptools.HttpResponseParser)
                while not answer.done and (data := await reader.read(65536)):
                    answer.feed(data)
            finally:
                writer.transport.abort()

    async def deliver_late(self) -> None:
        """Let everything arrive that was held back."""
        held, self._late = self._late, []
        for request in held:
            await self.elsewhere(request)


class _Whole:
    """Notices the end of an HTTP message."""

    def __init__(self, parser: type) -> None:
        self._parser = parser(self)
        self.done = False

    def on_message_complete(self) -> None:
        self.done = True

    def feed(self, data: bytes) -> None:
        with suppress(httptools.HttpParserUpgrade):
            self._parser.feed_data(data)


class _Connection:
    def __init__(
        self,
        link: BadLink,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        hub_reader: asyncio.StreamReader,
        hub_writer: asyncio.StreamWriter,
    ) -> None:
        self._link = link
        self._reader, self._writer = reader, writer
        self._hub_reader, self._hub = hub_reader, hub_writer
        self._left: int | None = None  # bytes of the answer until it breaks (or ends, if _politely)
        self._politely = False
        self._mute = False

    async def run(self) -> None:
        down = asyncio.create_task(self._down())
        try:
            await self._up()
        finally:
            down.cancel()
            await asyncio.gather(down, return_exceptions=True)

    async def _up(self) -> None:
        weather = self._link.weather
        while True:
            request, upgraded = await self._request()
            if request is None:
                return
            self._link.requests += 1
            await asyncio.sleep(weather.delay)
            mishap = weather.mishaps.popleft() if weather.mishaps else None
            await self._carry(request, mishap)
            if self._link._late and (mishap is None or mishap.fault is not Fault.LATE):
                await self._link.deliver_late()
            while upgraded and (data := await self._reader.read(65536)):
                await self._link._up.carry(data, self._hub, weather)

    async def _request(self) -> tuple[bytes | None, bool]:
        whole, parts = _Whole(httptools.HttpRequestParser), []
        while not whole.done:
            data = await self._reader.read(65536)
            if not data:
                return None, False
            parts.append(data)
            whole.feed(data)
        request = b"".join(parts)
        return request, b"\r\nupgrade:" in request[:8192].lower()

    async def _carry(self, request: bytes, mishap: Mishap | None) -> None:
        weather, up = self._link.weather, self._link._up
        fault = Fault.PORTAL if weather.portal else mishap.fault if mishap else None
        after = mishap.after if mishap else 0
        if fault is Fault.PORTAL:
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n" % len(_PORTAL)
            await self._link._down.carry(head + _PORTAL, self._writer, weather)
            return
        if fault is Fault.CUT_REQUEST:
            await up.carry(request[:after], self._hub, weather)
            raise _Broken
        if fault is Fault.LATE:
            self._link._late.append(request)
            raise _Broken
        self._left = after if fault in (Fault.CUT_ANSWER, Fault.SHORT_ANSWER) else None
        self._politely = fault is Fault.SHORT_ANSWER
        self._mute = fault is Fault.SILENCE
        if fault is Fault.TWICE:
            await self._link.elsewhere(request)
        await up.carry(request, self._hub, weather)

    async def _down(self) -> None:
        weather, lane = self._link.weather, self._link._down
        while data := await self._hub_reader.read(65536):
            if self._mute:
                continue
            await asyncio.sleep(weather.delay)
            if self._left is not None:
                if len(data) >= self._left:
                    await lane.carry(data[: self._left], self._writer, weather)
                    break
                self._left -= len(data)
            await lane.carry(data, self._writer, weather)
        if self._left is not None and not self._politely:
            self._writer.transport.abort()
        else:
            self._writer.close()
