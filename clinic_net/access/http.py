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
from clinic_net.access.errors import CrossSite, InvalidProof, InvalidToken, NotSignedIn, RoleNotAllowed
from clinic_net.access.limits import charge
from clinic_net.access.lines import narrow
from clinic_net.access.oauth.proofs import Shown, proven_key
from clinic_net.access.policy import scope_of
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
from clinic_net.kernel.proxies import own_address
from clinic_net.kernel.settings import HubSettings

_Known = TypeVar("_Known", bound=Principal)

COOKIE = "clinic_net_session"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def issuer_of(settings: HubSettings) -> service.Issuer:
    """Return the hub as the authorisation server that its settings describe."""
    return service.Issuer(
        settings.public_url.rstrip("/"),
        settings.token_key,
        settings.access_token_lifetime,
        settings.token_key_before,
    )


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


def _token_of(connection: HTTPConnection) -> tuple[str, bool] | None:
    """Return the access token that came, and whether it comes with a proof of its key (RFC 9449 §7.1)."""
    header = connection.headers.get("authorization")
    if header is None:
        return None
    kind, _, token = header.partition(" ")
    if kind.lower() not in ("bearer", "dpop") or not token:
        raise InvalidToken
    return token.strip(), kind.lower() == "dpop"


def shown_proof(connection: HTTPConnection, settings: HubSettings) -> Shown | None:
    """Return the proof of possession that came with a request.

    Raises:
        InvalidProof: there are several.
    """
    proofs = connection.headers.getlist("dpop")
    if not proofs:
        return None
    if len(proofs) > 1:
        raise InvalidProof
    url = own_address(connection, settings) + connection.url.path
    return Shown(proofs[0], connection.scope.get("method", "GET"), url)


def claimed_by_token(connection: HTTPConnection, hub: Hub) -> ClientPrincipal | None:
    """Return the client whose valid token came with a request, without looking whether it was disabled since.

    For requests that share a transaction: whoever carries them asks ``service.still_valid`` for all of them at once.
    None for every other caller: ask ``principal_of``.

    Raises:
        InvalidToken: it is not a token of this hub, or has ended.
    """
    found = _token_of(connection)
    if found is None or found[1]:
        return None
    client = service.client_of_token(found[0], issuer=issuer_of(hub.settings), now=hub.now())
    return None if client is None else _acting(client)


async def principal_of(
    connection: HTTPConnection, session: AsyncSession, settings: HubSettings, *, now: datetime
) -> Principal:
    """Return who speaks: the bearer token's owner if there is a token, else the cookie's.

    The rest of the session's transaction is kept to what they can reach.

    Raises:
        NotSignedIn, InvalidToken, CredentialRevoked: nobody, or nobody any more.
        InvalidProof: the token's key is not proven.
    """
    caller = await _known(connection, session, settings, now=now)
    await narrow(session, scope_of(caller), now=now, caller=caller)
    return caller


async def _known(
    connection: HTTPConnection, session: AsyncSession, settings: HubSettings, *, now: datetime
) -> Principal:
    found = _token_of(connection)
    if found is not None:
        (token, proves), issuer, jkt = found, issuer_of(settings), None
        if proves:
            shown = shown_proof(connection, settings)
            if shown is None:
                raise InvalidProof
            jkt = await proven_key(session, shown, issuer=issuer, now=now, token=token)
        return _acting(await service.bearer(session, token, issuer=issuer, now=now, jkt=jkt))
    cookie = connection.cookies.get(COOKIE)
    if not cookie:
        raise NotSignedIn
    polling = connection.headers.get("hx-request") == "true" and connection.scope.get("method") == "GET"
    return _acting(await service.signed_in(session, cookie, now=now, polling=polling))


def _acting(principal: _Known) -> _Known:
    """Let the audit trail say of the rest of this request for what, and from where, its caller acts."""
    program = principal.program if isinstance(principal, UserPrincipal) else None
    audit.acting(principal.address, purpose=purpose_of(principal), place=place_of(principal), program=program)
    return principal


async def _caller(connection: HTTPConnection, session: UnitOfWork, hub: CurrentHub, now: Now) -> Principal:
    caller = await principal_of(connection, session, hub.settings, now=now)
    if not isinstance(caller, StationPrincipal):  # its push says in the body whether it is urgent
        await charge(connection, hub, caller)
    return caller


Caller = Annotated[Principal, Depends(_caller)]
"""Anybody with a credential: a person, a program that acts for one, a station or a system client."""


async def _current_user(caller: Caller) -> UserPrincipal:
    """Return the person who is signed in; a program that acts for one is kept to the records."""
    if not isinstance(caller, UserPrincipal) or caller.scopes is not None:
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
        RoleNotAllowed: a program that acts for a person; it is kept to the records.
    """
    if "authorization" not in websocket.headers:
        if COOKIE not in websocket.cookies:
            raise NotSignedIn
        if not comes_from_here(websocket, hub.settings.public_url):
            raise CrossSite
    async with hub.sessions() as session, session.begin():
        principal = await principal_of(websocket, session, hub.settings, now=hub.now())
    if isinstance(principal, UserPrincipal) and principal.scopes is not None:
        raise RoleNotAllowed
    return principal


async def principal_of_token(token: str, hub: Hub) -> StationPrincipal | ClientPrincipal:
    """Return who a fresh token speaks for: what a station sends as ``auth.refresh``.

    Raises:
        InvalidToken, CredentialRevoked: see :func:`service.bearer`.
    """
    async with hub.sessions() as session, session.begin():
        principal = await service.bearer(session, token, issuer=issuer_of(hub.settings), now=hub.now())
    if isinstance(principal, UserPrincipal):
        raise InvalidToken
    return principal
