"""A station's link to the hub: a relay on loopback that can be cut, restored and made slow."""

import asyncio
import threading
from contextlib import suppress


class Link:
    """Relays TCP from ``port`` (0: any that is free) to the hub's, until it is cut. Runs in a thread of its own.

    ``speed`` is what goes through each connection in each direction, in bytes a second; None: all there is.
    """

    def __init__(self, hub_port: int, port: int = 0) -> None:
        self._hub_port = hub_port
        self.speed: int | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="link", daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = port

    @property
    def is_up(self) -> bool:
        return self._server is not None

    def start(self) -> None:
        """Open the link; ``port`` is where the station reaches the hub from now on."""
        self._thread.start()
        self._do(self._listen())

    def cut(self) -> None:
        """Cut it: what is connected breaks, what tries to connect is refused."""
        self._do(self._close())

    def restore(self) -> None:
        """Let it work again, on the same port."""
        self._do(self._listen())

    def stop(self) -> None:
        """Close it for good."""
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: "asyncio.Future[None] | object") -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            hub_reader, hub_writer = await asyncio.open_connection("127.0.0.1", self._hub_port)
        except OSError:  # the hub is down: the station sees a broken connection
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(hub_writer)
        try:
            await asyncio.gather(self._pump(reader, hub_writer), self._pump(hub_reader, writer))
        finally:
            for each in (writer, hub_writer):
                self._writers.discard(each)
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536 if self.speed is None else 1024):
                if self.speed is not None:
                    await asyncio.sleep(len(data) / self.speed)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()  # either side's end is the end of both: nothing here uses half-open streams
