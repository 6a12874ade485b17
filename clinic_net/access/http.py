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
from starlette.responses import JSONResponse, Response
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
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork, hub_of
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


async def sign_in(connection: HTTPConnection, response: Response, login: str, password: str) -> UserPrincipal:
    """Check login and password and put the session's cookie on ``response``. Call it outside any transaction.

    Raises:
        WrongCredentials, TooMany, SignInBusy: see :func:`service.sign_in`.
        CrossSite: a page of another site sent the form.
    """
    hub = hub_of(connection)
    settings, remote = hub.settings, remote_address(connection)
    says_where = {"origin", "sec-fetch-site"} & set(connection.headers.keys())
    if says_where and not comes_from_here(connection, settings.public_url):
        raise CrossSite
    credentials = service.Credentials(login, password, remote, former=connection.cookies.get(COOKIE))
    tried = service.trying_to_sign_in(login.strip().lower(), remote, settings.token_key)
    signed_in = await service.sign_in(
        hub.sessions, credentials, tried=tried, lifetime=settings.session_lifetime, now=hub.now()
    )
    response.set_cookie(
        COOKIE,
        signed_in.token,
        max_age=int(settings.session_lifetime.total_seconds()),
        path="/",
        secure=settings.public_url.startswith("https:"),
        httponly=True,
        samesite="lax",
    )
    return signed_in.user


async def sign_out(
    connection: HTTPConnection, response: Response, session: AsyncSession, *, now: datetime
) -> None:
    """End the session of the browser's cookie, if it is open, and take the cookie away."""
    token = connection.cookies.get(COOKIE)
    if token is not None:
        await service.sign_out(session, token, now=now)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")


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
    client = service.client_of_token(token, issuer=issuer_of(hub.settings), now=hub.now())
    return None if client is None else _acting(client)


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
    return _acting(await service.signed_in(session, cookie, now=now))


def _acting(principal: _Known) -> _Known:
    """Let the audit trail say of the rest of this request for what, and from where, its caller acts."""
    audit.acting(principal.address, purpose=purpose_of(principal), place=place_of(principal))
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
