"""How HTTP requests and sockets become principals: the session cookie of a person, the bearer token of a device.

A cookie only counts in an unsafe request that comes from a page of this hub: :class:`SameOriginOnly` sees to it
for every request, signing in included.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from fastapi import Depends
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from clinic_net import audit
from clinic_net.access import service
from clinic_net.access.errors import CrossSite, InvalidToken, NotSignedIn, RoleNotAllowed
from clinic_net.access.principals import (
    ClientPrincipal,
    Principal,
    Role,
    StationPrincipal,
    UserPrincipal,
    place_of,
    purpose_of,
)
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.settings import HubSettings

_Known = TypeVar("_Known", bound=Principal)

COOKIE = "clinic_net_session"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def issuer_of(settings: HubSettings) -> service.Issuer:
    """Return the hub as the authorisation server that its settings describe."""
    return service.Issuer(settings.public_url.rstrip("/"), settings.token_key, settings.access_token_lifetime)


def remote_address(connection: HTTPConnection) -> str:
    """Return where the connection comes from, as the server in front reports it."""
    return connection.client.host[:60] if connection.client is not None else "unknown"


def comes_from_here(connection: HTTPConnection, public_url: str) -> bool:
    """Whether a browser says that a page of this hub made the request.

    ``Origin`` must be the hub's public origin or the host that was asked; without ``Origin``,
    ``Sec-Fetch-Site`` must say ``same-origin``. Neither header can be set by a script.
    """
    origin = connection.headers.get("origin")
    if origin is None:
        return connection.headers.get("sec-fetch-site") == "same-origin"
    public = urlsplit(public_url)
    asked = urlsplit(origin)
    if (asked.scheme, asked.netloc.lower()) == (public.scheme, public.netloc.lower()):
        return True
    return (
        asked.scheme in ("http", "https")
        and asked.netloc.lower() == connection.headers.get("host", "").lower()
    )


class SameOriginOnly:
    """Refuse an unsafe request that carries the session cookie but does not come from a page of this hub."""

    def __init__(self, app: ASGIApp, *, public_url: str) -> None:
        self._app = app
        self._public_url = public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _SAFE_METHODS:
            connection = HTTPConnection(scope)
            if COOKIE in connection.cookies and not comes_from_here(connection, self._public_url):
                refusal = CrossSite()
                body = {
                    "code": refusal.code,
                    "message": refusal.message,
                    "retry": refusal.retry,
                    "places": [],
                }
                await JSONResponse(body, 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _bearer(connection: HTTPConnection) -> str | None:
    header = connection.headers.get("authorization")
    if header is None:
        return None
    kind, _, token = header.partition(" ")
    if kind.lower() != "bearer" or not token:
        raise InvalidToken
    return token.strip()


def claimed_by_token(connection: HTTPConnection, hub: Hub) -> ClientPrincipal | None:
    """Return the client whose valid token came with a request, without looking whether it was disabled since.

    For requests that share a transaction: whoever carries them asks ``service.still_valid`` for all of them at once.
    None for every other caller: ask ``principal_of``.

    Raises:
        InvalidToken: it is not a token of this hub, or has ended.
    """
    token = _bearer(connection)
    if token is None:
        return None
    return service.client_of_token(token, issuer=issuer_of(hub.settings), now=hub.now())


async def principal_of(
    connection: HTTPConnection, session: AsyncSession, settings: HubSettings, *, now: datetime
) -> Principal:
    """Return who speaks: the bearer token's owner if there is a token, else the cookie's.

    Raises:
        NotSignedIn, InvalidToken, CredentialRevoked: nobody, or nobody any more.
    """
    token = _bearer(connection)
    if token is not None:
        return _acting(await service.bearer(session, token, issuer=issuer_of(settings), now=now))
    cookie = connection.cookies.get(COOKIE)
    if not cookie:
        raise NotSignedIn
    polling = connection.headers.get("hx-request") == "true" and connection.scope.get("method") == "GET"
    return _acting(await service.signed_in(session, cookie, now=now, polling=polling))


def _acting(principal: _Known) -> _Known:
    """Let the audit trail say of the rest of this request for what, and from where, its caller acts."""
    audit.acting(purpose=purpose_of(principal), place=place_of(principal))
    return principal


async def _caller(connection: HTTPConnection, session: UnitOfWork, hub: CurrentHub, now: Now) -> Principal:
    return await principal_of(connection, session, hub.settings, now=now)


Caller = Annotated[Principal, Depends(_caller)]
"""Anybody with a credential: a person, a station or a system client."""


async def _current_user(caller: Caller) -> UserPrincipal:
    if not isinstance(caller, UserPrincipal):
        raise RoleNotAllowed
    return caller


async def _current_station(caller: Caller) -> StationPrincipal:
    if not isinstance(caller, StationPrincipal):
        raise RoleNotAllowed
    return caller


async def _current_client(caller: Caller) -> ClientPrincipal:
    if not isinstance(caller, ClientPrincipal):
        raise RoleNotAllowed
    return caller


CurrentUser = Annotated[UserPrincipal, Depends(_current_user)]
CurrentStation = Annotated[StationPrincipal, Depends(_current_station)]
CurrentClient = Annotated[ClientPrincipal, Depends(_current_client)]


def require(*roles: Role) -> Callable[[UserPrincipal], Awaitable[UserPrincipal]]:
    """Return a dependency that gives the signed-in person if they have one of these roles.

    Use: ``user: Annotated[UserPrincipal, Depends(require(Role.OPERATOR))]``.
    """

    async def has_role(user: CurrentUser) -> UserPrincipal:
        if user.role not in roles:
            raise RoleNotAllowed
        return user

    return has_role


async def _fresh_user(user: CurrentUser, now: Now) -> UserPrincipal:
    service.fresh(user, now)
    return user


FreshUser = Annotated[UserPrincipal, Depends(_fresh_user)]
"""A person who proved a moment ago to be there (:func:`service.fresh`); others are led to ``/verify`` and back."""


def require_fresh(*roles: Role) -> Callable[[UserPrincipal, datetime], Awaitable[UserPrincipal]]:
    """Return a dependency as :func:`require`, of somebody who proved a moment ago to be there."""
    has_role = require(*roles)

    async def is_fresh(user: CurrentUser, now: Now) -> UserPrincipal:
        service.fresh(await has_role(user), now)
        return user

    return is_fresh


async def principal_of_socket(websocket: WebSocket, hub: Hub) -> Principal:
    """Return who opens a socket, before it is accepted. A cookie counts only from a page of this hub.

    Raises:
        NotSignedIn, InvalidToken, CredentialRevoked: nobody, or nobody any more.
        CrossSite: the cookie came with a page of another site, or without an ``Origin``.
    """
    if "authorization" not in websocket.headers:
        if COOKIE not in websocket.cookies:
            raise NotSignedIn
        if not comes_from_here(websocket, hub.settings.public_url):
            raise CrossSite
    async with hub.sessions() as session, session.begin():
        return await principal_of(websocket, session, hub.settings, now=hub.now())


async def principal_of_token(token: str, hub: Hub) -> StationPrincipal | ClientPrincipal:
    """Return who a fresh token speaks for: what a station sends as ``auth.refresh``.

    Raises:
        InvalidToken, CredentialRevoked: see :func:`service.bearer`.
    """
    async with hub.sessions() as session, session.begin():
        return await service.bearer(session, token, issuer=issuer_of(hub.settings), now=hub.now())
