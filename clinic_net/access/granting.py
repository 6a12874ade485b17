"""System clients, the token endpoint's two ways in, and what a bearer token still stands for."""

import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import SecretStr
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import scopes, store, tokens
from clinic_net.access.errors import (
    AssertionReplayed,
    CredentialRevoked,
    DeviceRevoked,
    InvalidClient,
    InvalidScope,
    InvalidToken,
    ScopeMalformed,
)
from clinic_net.access.keys import Use, derive, digest
from clinic_net.access.model import Client, Device, UsedJti
from clinic_net.access.principals import ClientPrincipal, Principal, StationPrincipal, UserPrincipal
from clinic_net.kernel.ids import new_id
from clinic_net.kernel.links import Database

TOKEN_PATH = "/oauth/token"  # noqa: S105 -- a path
STATION_SCOPE = "clinic-net/station"
"""What every station's token may do; there is nothing to choose."""


@dataclass(frozen=True)
class Issuer:
    """The hub as an authorisation server: its public address, its key, how long its tokens last."""

    url: str
    key: SecretStr
    lifetime: timedelta
    before: SecretStr | None = None
    """The key that ``key`` took the place of; what it signed still counts."""

    @property
    def audiences(self) -> list[str]:
        """What a client assertion may be addressed to. Never taken from a request: a stolen one could be replayed."""
        return [self.url + TOKEN_PATH, self.url, self.url + "/"]


async def add_client(
    session: AsyncSession, name: str, scope: str, *, now: datetime, by: str = "hub"
) -> tuple[str, str]:
    """Register a system client; return its id and its secret, which is stored only as a digest.

    Raises:
        ScopeMalformed: see :func:`scopes.parse`; an empty scope is refused too.
    """
    granted = scopes.parse(scope)
    if not granted:
        raise ScopeMalformed(1)
    client_id, secret = f"client-{secrets.token_hex(8)}", secrets.token_urlsafe(32)
    session.add(
        Client(id=client_id, name=name, secret=digest(secret), scope=scopes.render(granted), created_at=now)
    )
    await audit.record(session, actor=by, action="client.add", subject=f"client:{client_id}", at=now)
    return client_id, secret


async def disable_client(session: AsyncSession, client_id: str, *, by: str, now: datetime) -> None:
    """Close a client: its tokens stop at once.

    Raises:
        InvalidClient: there is none.
    """
    client = await store.client(session, client_id)
    if client is None:
        raise InvalidClient
    client.disabled_at = client.disabled_at or now
    await audit.record(session, actor=by, action="client.disable", subject=f"client:{client_id}", at=now)


async def grant_to_client(
    session: AsyncSession, client_id: str, secret: str, *, asked: str, issuer: Issuer, now: datetime
) -> tokens.Minted:
    """Return an access token for a client that knows its secret, with what of ``asked`` it was registered for.

    Raises:
        InvalidClient: unknown, disabled or wrong secret, alike.
        InvalidScope: malformed, or nothing of it can be granted.
    """
    client = await store.client(session, client_id) if client_id.isprintable() else None
    expected = client.secret if client is not None else bytes(32)
    right = hmac.compare_digest(expected, digest(secret))
    if client is None or client.disabled_at is not None or not right:
        raise InvalidClient
    registered = scopes.parse(client.scope)
    try:
        granted = scopes.reduce(scopes.parse(asked), registered) if asked else registered
    except ScopeMalformed:
        raise InvalidScope from None
    if not granted:
        raise InvalidScope
    claims = tokens.AccessClaims("client", client.id, now + issuer.lifetime, scope=scopes.render(granted))
    return _minted(claims, issuer, now)


async def grant_to_station(
    session: AsyncSession, assertion: str, *, issuer: Issuer, now: datetime
) -> tokens.Minted:
    """Return an access token for the device that signed this assertion (RFC 7523, ES256).

    Raises:
        InvalidClient: unknown device, wrong signature or claims.
        AssertionOutOfTime: it has expired, or lasts longer than five minutes. AssertionReplayed: used before.
        DeviceRevoked: the device may no longer speak.
    """
    device = await _device_named(session, tokens.claimed_issuer(assertion))
    key = tokens.public_key(device.jwk)
    said = tokens.read_assertion(assertion, key=key, audiences=issuer.audiences, now=now)
    if device.status != "active":
        raise DeviceRevoked
    if not await store.use_jti(
        session, UsedJti(issuer=said.issuer, jti=said.jti, expires_at=said.expires), now
    ):
        raise AssertionReplayed
    claims = tokens.AccessClaims(
        "station", str(device.id), now + issuer.lifetime, STATION_SCOPE, site=device.site, epoch=device.epoch
    )
    return _minted(claims, issuer, now)


async def _device_named(session: AsyncSession, name: str) -> Device:
    try:
        device = await store.device(session, UUID(name))
    except ValueError:
        device = None
    if device is None:
        raise InvalidClient
    return device


def _minted(claims: tokens.AccessClaims, issuer: Issuer, now: datetime) -> tokens.Minted:
    key = derive(issuer.key, Use.ACCESS_TOKEN)
    token = tokens.mint(claims, key=key, issuer=issuer.url, jti=new_id(now), now=now)
    return tokens.Minted(token, int(issuer.lifetime.total_seconds()), claims.scope)


def _claims(token: str, issuer: Issuer, now: datetime) -> tokens.AccessClaims:
    """Read a token that one of the hub's keys signed.

    Raises:
        InvalidToken: none did, or it has ended.
    """
    try:
        return tokens.read(token, key=derive(issuer.key, Use.ACCESS_TOKEN), issuer=issuer.url, now=now)
    except InvalidToken:
        if issuer.before is None:
            raise
        return tokens.read(token, key=derive(issuer.before, Use.ACCESS_TOKEN), issuer=issuer.url, now=now)


async def bearer(
    session: AsyncSession, token: str, *, issuer: Issuer, now: datetime
) -> StationPrincipal | ClientPrincipal:
    """Return who a bearer token speaks for, now: the device or client behind it is looked up every time.

    Raises:
        InvalidToken: not a token of this hub, or ended.
        CredentialRevoked: its device was revoked or replaced, its client disabled.
    """
    claims = _claims(token, issuer, now)
    if claims.kind == "client":
        if not await store.enabled_clients(session, [claims.subject]):
            raise CredentialRevoked
        return ClientPrincipal(claims.subject, scopes.parse(claims.scope), claims.expires)
    try:
        device = await store.device(session, UUID(claims.subject))
    except ValueError:
        raise InvalidToken from None
    if (
        device is None
        or device.status != "active"
        or (device.epoch, device.site) != (claims.epoch, claims.site)
    ):
        raise CredentialRevoked
    return StationPrincipal(device.site, device.id, device.epoch, claims.expires)


_REMEMBERED = 10_000
_clients: dict[tuple[str, Issuer], ClientPrincipal] = {}
"""Tokens whose signature was right: looking at it again costs more than reading a record."""


def client_of_token(token: str, *, issuer: Issuer, now: datetime) -> ClientPrincipal | None:
    """Return the client that a valid token was made for, or None for a station's; see :func:`still_valid`.

    Raises:
        InvalidToken: not a token of this hub, or ended.
    """
    known = _clients.get((token, issuer))
    if known is not None and known.expires is not None and now < known.expires:
        return known
    claims = _claims(token, issuer, now)
    if claims.kind != "client":
        return None
    if len(_clients) >= _REMEMBERED:
        _clients.clear()
    client = ClientPrincipal(claims.subject, scopes.parse(claims.scope), claims.expires)
    _clients[token, issuer] = client
    return client


async def still_valid(
    session: AsyncSession, principals: Collection[Principal], *, now: datetime
) -> frozenset[Principal]:
    """Return those whose credential still stands: session open and account enabled, device active in its
    epoch, client enabled. Whoever is missing from the answer was revoked: close their sockets.

    The end of a short access token is not a revocation: compare ``principal.expires`` yourself.
    """
    people = {p: bytes.fromhex(p.session) for p in principals if isinstance(p, UserPrincipal)}
    stations = {p: (p.device, p.epoch) for p in principals if isinstance(p, StationPrincipal)}
    clients = [p for p in principals if isinstance(p, ClientPrincipal)]
    valid: set[Principal] = set()
    if people:
        tokens_open = await store.open_sessions(session, people.values(), now)
        valid |= {p for p, token in people.items() if token in tokens_open}
    if stations:
        active = await store.active_among(session, stations.values())
        valid |= {p for p, device in stations.items() if device in active}
    return frozenset(valid) | await clients_still_valid(session, clients)


async def clients_still_valid(
    s: Database, clients: Collection[ClientPrincipal]
) -> frozenset[ClientPrincipal]:
    """Return those that are still enabled; see :func:`still_valid`."""
    if not clients:
        return frozenset()
    enabled = await store.enabled_clients(s, {client.client_id for client in clients})
    return frozenset(client for client in clients if client.client_id in enabled)


def smart_configuration(public_url: str) -> dict[str, object]:
    """Return the content of ``/.well-known/smart-configuration`` (SMART App Launch 2.2): what works here, no more."""
    return {
        "token_endpoint": public_url.rstrip("/") + TOKEN_PATH,
        "token_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt",
        ],
        "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": ["system/*.cruds", "system/*.rs", "system/*.read", "system/*.write"],
        "code_challenge_methods_supported": ["S256"],
        "capabilities": ["client-confidential-symmetric", "permission-v1", "permission-v2"],
    }
