"""What a socket's hello and requests lead to: transactions, and an answer that is given once."""

import structlog
from prometheus_client import Counter
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.http import principal_of_token
from clinic_net.kernel.errors import Refusal
from clinic_net.kernel.hub import Hub
from clinic_net.protocol.signalling import CloseCode, Envelope, ErrorCode, decode
from clinic_net.protocol.signalling.messages import Hello, Welcome
from clinic_net.signalling import requests, service, store, wire
from clinic_net.signalling.connection import Connection
from clinic_net.signalling.errors import TRY_AGAIN_MS, NotARequest, on_the_wire
from clinic_net.signalling.requests import Asking
from clinic_net.signalling.service import Opened

log = structlog.get_logger()

PASSING = (SQLAlchemyError, OSError, TimeoutError)
"""The database is away or too busy: the same may succeed in a second."""

_REPEATABLE = frozenset({"call.join", "ice.get"})
"""Doing them again is the same as doing them once, and their answers hold secrets that need not be kept."""

_REQUESTS = Counter("clinic_net_signal_requests", "Signalling requests", ["type", "outcome"])


async def greet(hub: Hub, connection: Connection, hello: Hello, *, node: str) -> Opened | None:
    """Resume or begin the session of a socket and welcome it; None when it must try again later."""
    try:
        opened = await _open(hub, connection.principal.address, hello, node=node)
        snapshot = None
        if not opened.resumed:
            # Read after the session is there: whatever changes from now on comes as mail.
            async with hub.sessions() as session, session.begin():
                snapshot = await service.snapshot(session, connection.principal)
    except PASSING as failure:
        log.warning("signal_hello_failed", error=type(failure).__name__)
        connection.half.close(CloseCode.TRY_AGAIN, "unavailable")
        return None
    connection.sid, connection.fence = opened.sid, opened.fence
    connection.half.welcome(
        Welcome(
            sid=opened.sid,
            resumed=opened.resumed,
            resume_ttl_s=int(hub.settings.signal_resume_within.total_seconds()),
            server_time=hub.now().isoformat(timespec="milliseconds"),
            snapshot=snapshot,
        ),
        acked=opened.last_seq,
    )
    return opened


async def _open(hub: Hub, address: str, hello: Hello, *, node: str) -> Opened:
    ttl = hub.settings.signal_resume_within
    async with hub.sessions() as session, session.begin():
        now = hub.now()
        opened = None
        if hello.sid is not None:
            opened = await service.resume(
                session, hello.sid, hello.last_seq, address=address, node=node, now=now, ttl=ttl
            )
        return opened or await service.begin(session, address, node=node, expires_at=now + ttl)


async def answer(hub: Hub, connection: Connection, request: Envelope) -> wire.Hint | None:
    """Answer a request on its socket. Returns whom to wake, when it sent something."""
    outcome, hint = "ok", None
    try:
        if request.t == "auth.refresh":
            await _refresh(hub, connection, request)
            connection.half.answer(request)
        else:
            given, hint = await _answer_once(hub, connection, request)
            outcome = str(given.d.get("code", "ok")) if given.t == "err" else "ok"
            connection.half.reply(given)
    except Refusal as refusal:
        code, retry_ms, by = on_the_wire(refusal)
        outcome = code.value
        connection.half.refuse(request, code, retry_ms=retry_ms, by=by)
    except PASSING as failure:
        log.warning("signal_request_failed", error=type(failure).__name__)
        outcome = ErrorCode.UNAVAILABLE.value
        connection.half.refuse(request, ErrorCode.UNAVAILABLE, retry_ms=TRY_AGAIN_MS)
    _REQUESTS.labels(request.t if request.t in requests.TYPES else "other", outcome).inc()
    return hint


async def _answer_once(
    hub: Hub, connection: Connection, request: Envelope
) -> tuple[Envelope, wire.Hint | None]:
    """Return the answer of now or of the first time, whichever node and session that was."""
    assert request.id is not None
    assert connection.sid is not None
    address = connection.principal.address
    asking = Asking(request, connection.principal, connection.sid, hub.now(), hub.settings)
    async with hub.sessions() as session:
        async with session.begin():
            if request.t in _REPEATABLE:
                given = Envelope(t="ok", re=request.id, d=await requests.answer(session, asking))
            elif await store.claim(session, address, request.id, now=asking.now):
                given = await _attempt(session, asking)
                await store.remember(session, address, request.id, given.encode())
            else:
                given = decode(await store.answer_to(session, address, request.id) or "")
        return given, wire.wake(session)


async def _attempt(session: AsyncSession, asking: Asking) -> Envelope:
    """Do what is asked; a refusal that stands is an answer too, and undoes what was done."""
    request = asking.envelope.id
    try:
        async with session.begin_nested():
            return Envelope(t="ok", re=request, d=await requests.answer(session, asking))
    except Refusal as refusal:
        code, retry_ms, by = on_the_wire(refusal)
        if retry_ms is not None:
            raise
        d: requests.Answer = {"code": code.value}
        return Envelope(t="err", re=request, d=d if by is None else {**d, "by": by})


async def _refresh(hub: Hub, connection: Connection, request: Envelope) -> None:
    token = request.d.get("token")
    if not isinstance(token, str):
        raise NotARequest
    fresh = await principal_of_token(token, hub)
    if fresh.address != connection.principal.address:
        raise NotARequest
    connection.principal = fresh
