"""Where a deed comes from: the request, the network address, the purpose and the place of whoever acts.

It accompanies a request's task, so that every event written in it says the same. What runs for several callers in one
task (a convoy) takes ``here()`` from each of them and gives it to the event.
"""

import re
from contextvars import ContextVar
from dataclasses import dataclass, replace

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clinic_net.kernel.ids import new_id
from clinic_net.kernel.settings import HubSettings

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Origin:
    """``request`` is the request's id, ``address`` the client's, ``purpose`` a code of HL7 v3 PurposeOfUse, ``place``
    the code of the facility or site for which the actor works."""

    request: str | None = None
    address: str | None = None
    purpose: str | None = None
    place: str | None = None


NOWHERE = Origin()
"""The hub's own work, and a terminal on it."""

_here: ContextVar[Origin] = ContextVar("audit_origin", default=NOWHERE)


def here() -> Origin:
    """Return where what runs now comes from."""
    return _here.get()


def acting(*, purpose: str | None, place: str | None) -> None:
    """Say for what, and from which place, whoever was recognised acts in the rest of this task."""
    _here.set(replace(_here.get(), purpose=purpose, place=place))


class FromRequest:
    """Give every request an origin with an id: the client's own (``X-Request-Id``; FHIR R4 http), or one made here.

    The client's is taken, and told back, if it is 1 to 64 letters, digits, dots, hyphens and underscores.
    """

    def __init__(self, app: ASGIApp, *, settings: HubSettings) -> None:
        self._app = app
        self._addresses = settings.audit_addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        theirs = bool(_REQUEST_ID.fullmatch(given))
        request = given if theirs else str(new_id(scope["app"].state.hub.now()))
        client = scope.get("client")
        _here.set(Origin(request, client[0][:60] if client and self._addresses else None))

        async def told(message: Message) -> None:
            if theirs and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-Id"] = request
            await send(message)

        await self._app(scope, receive, told)
