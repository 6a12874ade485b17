"""What the trail does around every request: it knows where the request comes from, and writes down what is denied."""

import re
import time

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clinic_net.audit.errors import AuditUnavailable
from clinic_net.audit.origin import Origin, arrived, here
from clinic_net.audit.service import record
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.ids import new_id
from clinic_net.kernel.settings import HubSettings

log = structlog.get_logger()

DENIED_A_MINUTE = 300
"""Denials that one process writes down in a minute: whoever only knocks must not fill the disk. The log counts on."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_DENIED = {401: "unauthenticated", 403: "forbidden"}


class FromRequest:
    """Give every request an origin with an id: the client's own (``X-Request-Id``; FHIR R4 http), or one made here.

    The client's is taken, and told back, if it is 1 to 64 letters, digits, dots, hyphens and underscores. An answer of
    403, or of 401 to somebody who came with a credential, is an event: who, if they were recognised, and the route.
    """

    def __init__(self, app: ASGIApp, *, settings: HubSettings) -> None:
        self._app = app
        self._addresses = settings.audit_addresses
        self._minute, self._written = 0.0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        hub: Hub = scope["app"].state.hub
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        theirs = bool(_REQUEST_ID.fullmatch(given))
        request = given if theirs else str(new_id(hub.now()))
        client = scope.get("client")
        arrived(Origin(request, client[0][:60] if client and self._addresses else None))

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                if theirs:
                    MutableHeaders(scope=message)["X-Request-Id"] = request
                status = message["status"]
                if status == 403 or (status == 401 and "authorization" in headers):
                    await self._write_down(hub, scope, _DENIED[status])
            await send(message)

        await self._app(scope, receive, told)

    async def _write_down(self, hub: Hub, scope: Scope, outcome: str) -> None:
        if not self._may_write():
            log.warning("audit_denial_not_written", code=outcome)
            return
        route = getattr(scope.get("route"), "path", "unmatched")  # a template: no id is in it
        subject = f"{scope['method']} {route}"[:160]
        actor = here().actor or "unknown"
        try:
            async with hub.sessions() as session, session.begin():
                await record(
                    session,
                    actor=actor,
                    action="access.denied",
                    subject=subject,
                    outcome=outcome,
                    at=hub.now(),
                )
        except (AuditUnavailable, SQLAlchemyError) as failure:
            log.warning("audit_denial_not_written", code=outcome, error=type(failure).__name__)

    def _may_write(self) -> bool:
        minute = time.monotonic() // 60
        if minute != self._minute:
            self._minute, self._written = minute, 0
        self._written += 1
        return self._written <= DENIED_A_MINUTE
