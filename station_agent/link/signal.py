"""The station's session with the hub: a socket around ``PeerHalf``, reconnected for ever."""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID

import httpx
import structlog
from pydantic import JsonValue
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from clinic_net.protocol.signalling.messages import MAX_FRAME_BYTES, SUBPROTOCOL, CloseCode, Envelope
from clinic_net.protocol.signalling.peer_half import Answered, Delivered, PeerHalf, Phase, Welcomed
from station_agent import clock
from station_agent.errors import LinkError
from station_agent.ids import new_id
from station_agent.link.tokens import Tokens

log = structlog.get_logger()

REVOKED_EVERY_S = 60.0
"""A revoked or outdated station asks this often whether it is welcome again."""

Welcome = Callable[[Welcomed], Awaitable[None]]
Message = Callable[[Envelope], Awaitable[None]]


class HubSignal:
    """One session. ``welcomed`` and ``delivered`` are told in order, ``lost`` when an open socket ends; ``request``
    waits for the hub's answer."""

    def __init__(
        self,
        tokens: Tokens,
        *,
        hub: str,
        welcomed: Welcome,
        delivered: Message,
        lost: Callable[[], None],
        stopped: Callable[[int], None],
        now: Callable[[], datetime],
    ) -> None:
        self._tokens = tokens
        self._url = f"{hub.replace('http', 'ws', 1)}/signal"
        self._welcomed = welcomed
        self._delivered = delivered
        self._lost = lost
        self._stopped = stopped
        self._now = now
        self._half = self._new_half()
        self._answers: dict[UUID, asyncio.Future[Answered]] = {}
        self._kick = asyncio.Event()
        self._refresh_at: datetime | None = None

    def _new_half(self) -> PeerHalf:
        return PeerHalf(lambda: UUID(new_id(self._now())))

    @property
    def open(self) -> bool:
        """Whether the hub hears us now."""
        return self._half.phase is Phase.OPEN

    async def request(
        self,
        t: str,
        d: dict[str, JsonValue] | None = None,
        *,
        call: UUID | None = None,
        ep: int | None = None,
    ) -> Answered:
        """Ask the hub; repeated with the same id over every reconnection until it answers."""
        number = self._half.request(t, d, call=call, ep=ep)
        answer: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        self._kick.set()
        try:
            return await answer
        finally:
            self._answers.pop(number, None)
            self._half.forget(number)

    def reconnect(self) -> None:
        """Try at once: the link seems to be back."""
        self._kick.set()

    async def run(self, client: httpx.AsyncClient, *, proxy: bool) -> None:
        """Keep a socket for ever. Only cancellation ends it."""
        while True:
            code: int | None = None
            try:
                code = await self._one_socket(client, proxy=proxy)
            except (OSError, TimeoutError, WebSocketException, httpx.HTTPError, LinkError) as error:
                log.info("signal_failed", reason=type(error).__name__)
                if isinstance(error, InvalidStatus) and error.response.status_code in (401, 403):
                    self._tokens.forget()
            except Exception:
                # A surprise in one message must not leave the station deaf for the rest of the day.
                log.exception("signal_failed")
            await self._pause(code)

    async def _pause(self, code: int | None) -> None:
        was_open = self.open
        self._half.closed(code, now=clock.monotonic())
        if was_open:
            self._lost()
        if code == CloseCode.UNAUTHENTICATED:
            self._tokens.forget()
        wait = self._half.retry_after(secrets.SystemRandom().random)
        if wait is None:
            self._stopped(code or 0)
            self._tokens.forget()
            wait = 0.5 if code == CloseCode.SUPERSEDED else REVOKED_EVERY_S
            self._half = self._new_half()
        self._kick.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._kick.wait(), wait)

    async def _one_socket(self, client: httpx.AsyncClient, *, proxy: bool) -> int | None:
        token = await self._tokens.get(client)
        self._refresh_at = token.ends - timedelta(seconds=90)
        async with connect(
            self._url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            additional_headers={"Authorization": f"Bearer {token.text}"},
            compression=None, open_timeout=10, close_timeout=2, ping_interval=None,
            max_size=MAX_FRAME_BYTES, proxy=True if proxy else None,
        ) as socket:  # fmt: skip
            self._half.opened(now=clock.monotonic())
            reader = asyncio.create_task(self._read(socket))
            try:
                await self._write(client, socket, reader)
            finally:
                reader.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                    await reader
            return socket.close_code

    async def _read(self, socket: ClientConnection) -> None:
        async for frame in socket:
            for event in self._half.receive(frame, now=clock.monotonic()):
                match event:
                    case Welcomed():
                        await self._welcomed(event)
                    case Delivered(envelope):
                        await self._delivered(envelope)
                    case Answered():
                        waiting = self._answers.get(event.id)
                        if waiting is not None and not waiting.done():
                            waiting.set_result(event)
            self._kick.set()

    async def _write(
        self, client: httpx.AsyncClient, socket: ClientConnection, reader: asyncio.Task[None]
    ) -> None:
        reader.add_done_callback(lambda _: self._kick.set())
        while not reader.done() and self._half.hang_up is None:
            self._kick.clear()
            self._half.tick(now=clock.monotonic())
            for frame in self._half.take(now=clock.monotonic()):
                await socket.send(frame)
            await self._refresh(client)
            due = self._half.due
            wait = min(30.0, max(0.05, due - clock.monotonic())) if due is not None else 30.0
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._kick.wait(), wait)
        error = reader.exception() if reader.done() and not reader.cancelled() else None
        if error is not None and not isinstance(error, ConnectionClosed):
            raise error

    async def _refresh(self, client: httpx.AsyncClient) -> None:
        """Hand in a fresh token before the old one ends; the answer needs no waiting for."""
        if not self.open or self._refresh_at is None or self._now() < self._refresh_at:
            return
        self._tokens.forget()
        token = await self._tokens.get(client)
        self._refresh_at = token.ends - timedelta(seconds=90)
        self._half.request("auth.refresh", {"token": token.text})
        self._kick.set()
