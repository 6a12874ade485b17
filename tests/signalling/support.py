"""A hub's signalling edge on a real loopback socket, and peers that drive ``PeerHalf`` over real WebSockets."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID, uuid4

import uvicorn
import websockets
from fastapi import FastAPI
from sqlalchemy import text
from websockets.asyncio.client import ClientConnection
from websockets.typing import Origin, Subprotocol

from clinic_net.access import service as access
from clinic_net.access.http import COOKIE, issuer_of
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.access.service import Credentials
from clinic_net.consultations import service as consultations
from clinic_net.consultations.requests import ConsultRequest
from clinic_net.kernel.hub import Hub, open_hub
from clinic_net.kernel.settings import HubSettings
from clinic_net.protocol.signalling import Answered, Delivered, Envelope, PeerHalf, Welcomed
from clinic_net.signalling import edge
from clinic_net.signalling.node import Node
from tests.access.support import Device, app_of, browser, code_for
from tests.consultations.support import CENTRE, SITE

SUBPROTOCOL = Subprotocol("clinicnet.signal.v1")
ORIGIN = Origin("http://hub.test")


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Server:
    """One hub process's worth: an open hub, its worker, its node, an HTTP server."""

    hub: Hub
    app: FastAPI
    node: Node
    url: str
    _server: uvicorn.Server

    async def kill(self) -> None:
        """End every socket without a word, as when the process dies."""
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


@asynccontextmanager
async def serving(settings: HubSettings, *, worker: bool = True) -> AsyncIterator[Server]:
    async with open_hub(settings) as hub:
        app = FastAPI()
        app.state.hub = hub
        edge.mount(app)
        config = uvicorn.Config(
            app, port=0, log_level="error", ws="websockets-sansio", ws_max_size=64 * 1024, lifespan="off"
        )
        server = uvicorn.Server(config)
        async with edge.running(app) as node:
            running = asyncio.create_task(server.serve())
            working = asyncio.create_task(hub.jobs.run()) if worker else None
            while not server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            try:
                yield Server(hub, app, node, f"ws://127.0.0.1:{port}/signal", server)
            finally:
                server.should_exit = server.force_exit = True
                await running
                if working is not None:
                    working.cancel()
                    with suppress(asyncio.CancelledError):
                        await working


class Reachable(Protocol):
    """Whatever serves ``/signal``, in this process or in another."""

    @property
    def url(self) -> str: ...


@dataclass
class Peer:
    """A page or a station: ``PeerHalf`` and a WebSocket. Reconnects only when the test says so."""

    headers: dict[str, str]
    origin: Origin | None = None
    half: PeerHalf = field(default_factory=lambda: PeerHalf(uuid4))
    heard: list[Envelope] = field(default_factory=list)
    welcomes: list[Welcomed] = field(default_factory=list)
    _answers: dict[UUID, Answered] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    socket: ClientConnection | None = None
    _reading: asyncio.Task[None] | None = None
    closed_with: int | None = None

    async def connect(self, server: Reachable, *, hello: bool = True) -> None:
        self.socket = await websockets.connect(
            server.url,
            subprotocols=[SUBPROTOCOL],
            additional_headers=self.headers,
            origin=self.origin,
            proxy=None,
            max_queue=None,
        )
        self.closed_with = None
        self.half.opened(now=time.monotonic())
        self._reading = asyncio.create_task(self._read(self.socket))
        if hello:
            await self.flush()

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for frame in socket:
                for event in self.half.receive(frame, now=time.monotonic()):
                    match event:
                        case Welcomed():
                            self.welcomes.append(event)
                        case Delivered(envelope):
                            self.heard.append(envelope)
                        case Answered():
                            self._answers[event.id] = event
                self._changed.set()
                await self.flush()
        except websockets.ConnectionClosed:
            pass
        finally:
            self.closed_with = socket.close_code
            self.half.closed(socket.close_code, now=time.monotonic())
            self._changed.set()

    async def flush(self) -> None:
        if self.socket is not None:
            with suppress(websockets.ConnectionClosed):
                for frame in self.half.take(now=time.monotonic()):
                    await self.socket.send(frame)

    async def lose(self) -> None:
        """Cut the socket without a closing handshake."""
        assert self.socket is not None
        assert self._reading is not None
        self.socket.transport.abort()
        await self._reading

    async def close(self) -> None:
        if self.socket is not None and self._reading is not None:
            await self.socket.close()
            await self._reading

    async def until(self, what: Any, within: float = 5.0) -> Any:
        """Return what ``what()`` gives once it gives something."""
        async with asyncio.timeout(within):
            while not (found := what()):
                self._changed.clear()
                await self._changed.wait()
        return found

    async def ask(
        self,
        t: str,
        d: dict[str, Any] | None = None,
        *,
        call: UUID | None = None,
        ep: int | None = None,
        within: float = 5.0,
    ) -> Answered:
        request = self.half.request(t, d, call=call, ep=ep)
        await self.flush()
        answer = await self.until(lambda: self._answers.get(request), within)
        assert isinstance(answer, Answered)
        return answer

    async def hears(self, t: str, within: float = 5.0, **wanted: Any) -> Envelope:
        """Return the first message of a type, with these values in its content, taking it off the list."""

        def find() -> Envelope | None:
            for message in self.heard:
                if message.t == t and wanted.items() <= message.d.items():
                    return message
            return None

        message = await self.until(find, within)
        assert isinstance(message, Envelope)
        self.heard.remove(message)
        return message

    async def is_closed(self, within: float = 10.0) -> int | None:
        assert self._reading is not None
        await asyncio.wait_for(asyncio.shield(self._reading), within)
        return self.closed_with


async def sign_in(
    hub: Hub, role: Role = Role.DOCTOR, *, facility: str = CENTRE, name: str = "BS. Lò Thị Ánh"
) -> tuple[Peer, UserPrincipal, str]:
    """Make a person and return a page of theirs, who they are and their cookie's value."""
    login = f"{role}-{uuid4().hex[:8]}"
    async with hub.sessions() as session, session.begin():
        password = await access.add_user(
            session,
            login=login,
            role=role,
            facility=facility,
            name=name,
            specialties=("cardiology",) if role is Role.DOCTOR else (),
            now=now(),
        )
    signed_in = await access.sign_in(
        hub.sessions,
        Credentials(login, password, "127.0.0.1"),
        tried=access.trying_to_sign_in(login, "127.0.0.1", hub.settings.token_key),
        lifetime=hub.settings.session_lifetime,
        now=now(),
    )
    return page(signed_in.token), signed_in.user, signed_in.token


def page(token: str, origin: str = "http://hub.test") -> Peer:
    return Peer({"Cookie": f"{COOKIE}={token}"}, Origin(origin))


async def enrol(hub: Hub, site: str = SITE) -> tuple[Peer, Device, str]:
    """Enrol a station's device and return its peer, its key and its access token."""
    device = Device.fresh()
    async with browser(app_of(hub, now)) as web:  # type: ignore[arg-type]
        answer = await device.enrol(web, await code_for(hub, site, now=now()))
        assert answer.status_code == 200, answer.text
    token = await token_of(hub, device)
    return Peer({"Authorization": f"Bearer {token}"}), device, token


async def token_of(hub: Hub, device: Device) -> str:
    async with hub.sessions() as session, session.begin():
        minted = await access.grant_to_station(
            session, device.assertion(now()), issuer=issuer_of(hub.settings), now=now()
        )
    return minted.token


async def on_duty(hub: Hub, doctor: UserPrincipal, *, on: bool = True) -> None:
    async with hub.sessions() as session, session.begin():
        await consultations.set_duty(session, doctor, on=on, now=now())


async def call_for_help(hub: Hub, site: str = SITE) -> UUID:
    asked = ConsultRequest(
        id=uuid4(),
        site=site,
        tenant=site,
        patient="p1",
        encounter=None,
        specialty="cardiology",
        urgency="red",
        requested_at=now(),
    )
    async with hub.sessions() as session, session.begin():
        await consultations.request(session, asked, now())
    return asked.id


async def count(hub: Hub, table: str) -> int:
    async with hub.sessions() as session:
        found = await (await session.connection()).execute(text(f"select count(*) from {table}"))
    return int(found.scalar_one())
