"""The pages' WebSocket: ``/signal`` on loopback."""

import asyncio
import contextlib
from collections.abc import Callable

from starlette.websockets import WebSocket, WebSocketDisconnect

from clinic_net.protocol.signalling.hub_half import Acked, Asked, Greeted, HubHalf
from clinic_net.protocol.signalling.messages import SUBPROTOCOL, CloseCode, Envelope, Hello, Welcome
from station_agent import clock
from station_agent.relay.relay import Relay
from station_agent.relay.sessions import RESUME_TTL_S, Session

TICK_S = 5.0


class Endpoint:
    """Serves one page after the other; ``trusted`` says whether a handshake comes from the station's own pages."""

    def __init__(self, relay: Relay, *, trusted: Callable[[WebSocket], bool]) -> None:
        self._relay = relay
        self._trusted = trusted

    async def serve(self, socket: WebSocket) -> None:
        """Hold one page's socket until it goes."""
        if not self._trusted(socket) or SUBPROTOCOL not in socket.scope.get("subprotocols", ()):
            await socket.close(CloseCode.UNAUTHENTICATED)
            return
        await socket.accept(subprotocol=SUBPROTOCOL)
        await _Conversation(self._relay, socket).hold()


class _Conversation:
    def __init__(self, relay: Relay, socket: WebSocket) -> None:
        self._relay = relay
        self._socket = socket
        self._half = HubHalf(now=clock.monotonic())
        self._session: Session | None = None
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def hold(self) -> None:
        reader = asyncio.create_task(self._read())
        reader.add_done_callback(lambda _: self._wake.set())
        try:
            while not reader.done():
                await self._write()
                if self._half.closing is not None:
                    await self._socket.close(self._half.closing.code, self._half.closing.reason)
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), TICK_S)
                self._wake.clear()
        except (WebSocketDisconnect, RuntimeError):
            return  # Starlette says RuntimeError when the page went away while we were writing
        finally:
            await self._leave(reader)

    async def _leave(self, reader: asyncio.Task[None]) -> None:
        for task in (reader, *self._tasks):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect):
            await reader
        if self._session is not None and self._session.half is self._half:
            self._session.half = None
            self._session.unused_since = clock.monotonic()

    async def _read(self) -> None:
        while True:
            frame = await self._socket.receive_text()
            for event in self._half.receive(frame, now=clock.monotonic()):
                match event:
                    case Greeted(hello):
                        await self._greet(hello)
                    case Acked(seq) if self._session is not None:
                        self._session.mailbox.ack(seq)
                    case Asked(request) if self._session is not None:
                        self._answer(self._session, request)
            self._wake.set()

    def _answer(self, session: Session, request: Envelope) -> None:
        """Answer beside reading: the hub may take its time, and the page's next message must not wait for it."""
        task = asyncio.create_task(self._relay.asked(session, self._half, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _greet(self, hello: Hello) -> None:
        sessions = self._relay.sessions
        session = sessions.resume(hello.sid, hello.last_seq)
        resumed = session is not None
        session = session or sessions.start(now=clock.monotonic())
        if session.half is not None and session.half is not self._half:
            session.half.close(CloseCode.SUPERSEDED, "opened elsewhere")
            session.wake.set()
        self._session, session.half, session.wake = session, self._half, self._wake
        snapshot = None if resumed else await self._relay.snapshot()
        welcome = Welcome(sid=session.sid, resumed=resumed, resume_ttl_s=int(RESUME_TTL_S), snapshot=snapshot)
        self._half.welcome(welcome, acked=hello.last_seq)

    async def _write(self) -> None:
        self._half.tick(now=clock.monotonic())
        if self._session is not None and self._session.half is self._half:
            for envelope in self._session.mailbox.after(self._half.sent):
                if not self._half.deliver(envelope):
                    break
        for frame in self._half.take(now=clock.monotonic()):
            await self._socket.send_text(frame)
