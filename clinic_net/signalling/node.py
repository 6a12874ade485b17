"""One hub process's part in signalling: its sockets, the mail that goes to them, and what ends them.

Nothing here is needed again when the process dies: sessions, mail and answers are in PostgreSQL, and the peer
comes back to whichever node.
"""

import asyncio
import json
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import structlog
from prometheus_client import Gauge
from starlette.websockets import WebSocket

from clinic_net.access import service as access
from clinic_net.access.principals import Principal, Role, StationPrincipal, UserPrincipal
from clinic_net.kernel import clock
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.redis import listen
from clinic_net.protocol.signalling import Acked, Asked, CloseCode, Envelope, Greeted, HubEvent, decode
from clinic_net.protocol.signalling.messages import Hello
from clinic_net.signalling import answering, parties, service, store, wire
from clinic_net.signalling.answering import PASSING
from clinic_net.signalling.connection import Connection
from clinic_net.signalling.service import Opened

log = structlog.get_logger()

LOOK_EVERY_S = 1.0
"""How late mail may be when Redis is away."""
_JANITOR_EVERY_S = 5.0
_GONE_FOR_GOOD = timedelta(seconds=15)
"""A page that closed its socket itself comes back as a new one (a reload) or not at all."""
_CLEAN = frozenset({1000, 1001})
_SPREAD_MS = 5000
"""A drained node's peers come back over this long, not all at once."""
_FLUSH_WITHIN_S = 2.0

_SOCKETS = Gauge("clinic_net_signal_sockets", "Open signalling sockets of this process")


class Node:
    """The sockets of one process. ``running`` keeps it going; ``serve`` is called for each socket."""

    def __init__(self, hub: Hub) -> None:
        self.name = secrets.token_hex(8)
        self._hub = hub
        self._connections: set[Connection] = set()
        self._by_sid: dict[str, Connection] = {}
        self._acked: dict[str, int] = {}
        self._dirty: set[str] = set()
        self._stirred = asyncio.Event()
        self._draining = False
        self._serving: set[asyncio.Task[None]] = set()
        self._errands: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver, listen, check and tidy until the body ends; then let the peers go."""
        settings = self._hub.settings
        check = settings.revocation_check_every.total_seconds()
        keep = settings.signal_resume_within.total_seconds() / 3
        loops = [
            asyncio.create_task(self._deliver_mail(), name="signal-mail"),
            asyncio.create_task(self._listen(), name="signal-hints"),
            asyncio.create_task(self._every(1.0, self._tick), name="signal-tick"),
            asyncio.create_task(self._every(check, self._check_everybody), name="signal-check"),
            asyncio.create_task(self._every(keep, self._keep_sessions), name="signal-keep"),
            asyncio.create_task(self._every(_JANITOR_EVERY_S, self._tidy), name="signal-tidy"),
        ]
        try:
            yield
        finally:
            await self.drain()
            for task in (*loops, *self._errands):
                task.cancel()
            await asyncio.gather(*loops, *self._errands, return_exceptions=True)

    async def drain(self) -> None:
        """Take no more sockets, and ask every peer to come back elsewhere, spread over a while."""
        self._draining = True
        for connection in self._connections:
            connection.half.bye(reason="drain", delay_ms=random.randrange(_SPREAD_MS))  # noqa: S311 -- jitter
            connection.stir()
        if self._serving:
            await asyncio.wait(self._serving, timeout=_FLUSH_WITHIN_S)

    # -- a socket

    async def serve(self, websocket: WebSocket, principal: Principal) -> None:
        """Carry an accepted socket until it ends."""
        connection = Connection(websocket, principal)
        if self._draining:
            connection.half.close(CloseCode.TRY_AGAIN, "draining")
        self._connections.add(connection)
        _SOCKETS.inc()
        reader = asyncio.create_task(self._read_all(connection))
        writer = asyncio.create_task(connection.write_all())
        self._serving.add(writer)
        try:
            await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and (fault := reader.exception()) is not None:
                log.error("signal_socket_failed", error=type(fault).__name__)
                connection.half.close(CloseCode.TRY_AGAIN, "fault")
            connection.stir()
            if not writer.done() and connection.half.closing is not None:
                await asyncio.wait((writer,), timeout=_FLUSH_WITHIN_S)
        finally:
            for task in (reader, writer):
                task.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)
            _SOCKETS.dec()
            self._serving.discard(writer)
            self._connections.discard(connection)
            await self._left(connection)

    async def _read_all(self, connection: Connection) -> None:
        while connection.half.closing is None:
            events = await connection.read()
            if events is None:
                return
            for event in events:
                await self._handle(connection, event)
            connection.stir()

    async def _handle(self, connection: Connection, event: HubEvent) -> None:
        match event:
            case Greeted(hello):
                await self._greet(connection, hello)
            case Asked(request):
                hint = await answering.answer(self._hub, connection, request)
                if hint is not None:
                    self._take(hint)
                    self._later(wire.tell(self._hub, hint))
            case Acked(seq):
                if connection.sid is not None:
                    self._acked[connection.sid] = seq

    async def _greet(self, connection: Connection, hello: Hello) -> None:
        opened = await answering.greet(self._hub, connection, hello, node=self.name)
        if opened is None:
            return
        former = self._by_sid.get(opened.sid)
        self._by_sid[opened.sid] = connection
        if former is not None:
            former.half.close(CloseCode.SUPERSEDED, "opened elsewhere")
            former.stir()
        self._wake([opened.sid])
        self._later(self._arrived(connection, opened))

    async def _arrived(self, connection: Connection, opened: Opened) -> None:
        async with self._hub.sessions() as session, session.begin():
            await service.say_presence(session, connection.principal.address, now=self._hub.now())
        if opened.resumed:
            await self._tell_other_party(connection, "peer.back")

    async def _left(self, connection: Connection) -> None:
        sid = connection.sid
        if sid is None:
            return
        if self._by_sid.get(sid) is connection:
            del self._by_sid[sid]
        clean = connection.closed_with in _CLEAN and connection.half.closing is None
        stays = _GONE_FOR_GOOD if clean else self._hub.settings.signal_resume_within
        stays = min(stays, self._hub.settings.signal_resume_within)
        with suppress(*PASSING):  # else the session simply runs out
            async with self._hub.sessions() as session, session.begin():
                released = await store.release(
                    session, sid, fence=connection.fence, expires_at=self._hub.now() + stays
                )
            if released:
                await self._tell_other_party(connection, "peer.lost")

    async def _tell_other_party(self, connection: Connection, t: str) -> None:
        assert connection.sid is not None
        async with self._hub.sessions() as session, session.begin():
            news = await parties.news_for_others(session, connection.principal, connection.sid, t)
        for sid, envelope in news:
            await wire.tell(self._hub, wire.push(envelope, sid=sid))

    # -- mail

    def _wake(self, sids: Iterable[str]) -> None:
        here = self._by_sid.keys() & set(sids)
        if here:
            self._dirty |= here
            self._stirred.set()

    async def _deliver_mail(self) -> None:
        look_at = 0.0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, look_at - clock.monotonic())):
                    await self._stirred.wait()
            self._stirred.clear()
            dirty, self._dirty = self._dirty, set()
            look = clock.monotonic() >= look_at
            try:
                await self._deliver(None if look else dirty)
            except Exception as failure:  # noqa: BLE001 -- mail must flow again, whatever stopped it
                log.warning("signal_mail_failed", error=type(failure).__name__)
                await asyncio.sleep(LOOK_EVERY_S)
            if look:
                look_at = clock.monotonic() + LOOK_EVERY_S

    async def _deliver(self, sids: set[str] | None) -> None:
        """Hand over the mail of these sessions, or of all that have their socket here."""
        if not self._by_sid:
            return
        acked, self._acked = self._acked, {}
        async with self._hub.sessions() as session, session.begin():
            if acked:
                await store.drop_mail(session, acked)
            letters = await (
                store.mail_at(session, self.name) if sids is None else store.mail_of(session, sids)
            )
        stirred: set[Connection] = set()
        for letter in letters:
            connection = self._by_sid.get(letter.sid)
            if connection is None or not connection.half.open or letter.seq <= connection.half.sent:
                continue
            if connection.half.room == 0:
                continue
            if letter.seq != connection.half.sent + 1:
                log.error("signal_gap", session=letter.sid)
                connection.half.close(CloseCode.PROTOCOL_ERROR, "gap")
            else:
                connection.half.deliver(service.numbered(letter))
            stirred.add(connection)
        for connection in stirred:
            connection.stir()

    # -- hints of other nodes

    async def _listen(self) -> None:
        async for text in listen(self._hub.redis, wire.CHANNEL):
            self._take(json.loads(text))

    def _take(self, hint: wire.Hint) -> None:
        match hint:
            case {"wake": sids}:
                self._wake(sids)
            case {"push": sid, "frame": frame}:
                if (connection := self._by_sid.get(sid)) is not None:
                    connection.half.push(decode(frame))
                    connection.stir()
            case {"poke": what, "address": address}:
                self._poke(what, lambda principal: principal.address == address)
            case {"poke": what}:
                self._poke(what, _watches_the_board)
            case {"check": address}:
                self._later(self._check(lambda principal: principal.address == address))

    def _poke(self, what: str, wanted: Callable[[Principal], bool]) -> None:
        for connection in self._connections:
            if wanted(connection.principal):
                connection.half.push(Envelope(t="poke", d={"what": what}))
                connection.stir()

    # -- time

    async def _every(self, seconds: float, do: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await do()
            except Exception as failure:  # noqa: BLE001 -- a chore that stops for ever is worse than any fault
                log.warning("signal_chore_failed", error=type(failure).__name__)

    async def _tick(self) -> None:
        now = clock.monotonic()
        for connection in self._connections:
            connection.half.tick(now=now)
            connection.stir()

    async def _check_everybody(self) -> None:
        await self._check(lambda _: True)
        held = {sid: connection.fence for sid, connection in self._by_sid.items()}
        if not held:
            return
        async with self._hub.sessions() as session, session.begin():
            newest = await store.fences(session, held.keys())
        for sid, fence in held.items():
            connection = self._by_sid.get(sid)
            if connection is None or newest.get(sid) == fence or connection.fence != fence:
                continue
            gone = sid not in newest
            code = CloseCode.SLOW_CONSUMER if gone else CloseCode.SUPERSEDED
            connection.half.close(code, "session ended" if gone else "opened elsewhere")
            connection.stir()

    async def _check(self, wanted: Callable[[Principal], bool]) -> None:
        """Close the sockets of those whose right to speak has ended: promised within ten seconds."""
        held = [connection for connection in self._connections if wanted(connection.principal)]
        if not held:
            return
        now = self._hub.now()
        async with self._hub.sessions() as session, session.begin():
            valid = await access.still_valid(session, {c.principal for c in held}, now=now)
        for connection in held:
            principal = connection.principal
            if principal not in valid:
                code = (
                    CloseCode.REVOKED
                    if isinstance(principal, StationPrincipal)
                    else CloseCode.UNAUTHENTICATED
                )
                connection.half.close(code, "revoked")
            elif isinstance(principal, StationPrincipal) and principal.expires and principal.expires <= now:
                connection.half.close(CloseCode.UNAUTHENTICATED, "token ended")
            else:
                continue
            connection.stir()

    async def _keep_sessions(self) -> None:
        if self._by_sid:
            async with self._hub.sessions() as session, session.begin():
                ends = self._hub.now() + self._hub.settings.signal_resume_within
                await store.keep(session, list(self._by_sid), expires_at=ends)

    async def _tidy(self) -> None:
        now = self._hub.now()
        async with self._hub.sessions() as session, session.begin():
            ended = await store.remove_ended(session, now=now)
            await store.forget_answers(session, before=now - service.ANSWERS_KEPT)
        for address in set(ended):
            async with self._hub.sessions() as session, session.begin():
                await service.say_presence(session, address, now=now)

    def _later(self, errand: Awaitable[None]) -> None:
        task = asyncio.ensure_future(_forgiving(errand))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)


async def _forgiving(errand: Awaitable[None]) -> None:
    try:
        await errand
    except Exception as failure:  # noqa: BLE001 -- hints and presence: said again at the next occasion
        log.warning("signal_errand_failed", error=type(failure).__name__)


def _watches_the_board(principal: Principal) -> bool:
    return isinstance(principal, UserPrincipal) and principal.role in (
        Role.COORDINATOR,
        Role.DOCTOR,
        Role.OPERATOR,
    )
