"""Systems and stations at the token endpoint, and whom an access token still speaks for."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

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
    UnauthorizedClient,
)
from clinic_net.access.model import Client, Device, UsedJti
from clinic_net.access.oauth import acting, clients
from clinic_net.access.oauth.issuer import Issuer
from clinic_net.access.principals import ClientPrincipal, Principal, StationPrincipal, UserPrincipal
from clinic_net.access.sessions import keep_in_use
from clinic_net.kernel.links import Database

STATION_SCOPE = "clinic-net/station"
"""What every station's token may do; there is nothing to choose."""


async def add_client(
    session: AsyncSession, name: str, scope: str, *, now: datetime, by: str = "hub"
) -> tuple[str, str]:
    """Register a system client; return its id and its secret, which is stored only as a digest.

    Raises:
        ScopeMalformed: see :func:`scopes.parse`; an empty scope is refused too.
    """
    client_id, secret = await clients.register(session, clients.NewClient(name, scope), now=now, by=by)
    assert secret is not None
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
    """Return an access token for a client that knows its secret; see :func:`grant_to_system`.

    Raises:
        InvalidClient: unknown, disabled or wrong secret, alike.
    """
    given = clients.Credentials(client_id, secret)
    client = await clients.authenticated(session, given, audiences=issuer.audiences, now=now)
    return grant_to_system(client, asked=asked, issuer=issuer, now=now)


def grant_to_system(
    client: Client, *, asked: str, issuer: Issuer, now: datetime, jkt: str | None = None
) -> tokens.Minted:
    """Return an access token for an authenticated system, with what of ``asked`` it was registered for.

    ``jkt`` is the key that the token is bound to (RFC 9449).

    Raises:
        UnauthorizedClient: it is a program that acts for people, and for nobody else.
        InvalidScope: malformed, or nothing of it can be granted.
    """
    if client.redirect_uris:
        raise UnauthorizedClient
    registered = scopes.parse(client.scope)
    try:
        granted = scopes.reduce(scopes.parse(asked), registered) if asked else registered
    except ScopeMalformed:
        raise InvalidScope from None
    if not granted:
        raise InvalidScope
    scope = scopes.render(granted)
    claims = tokens.AccessClaims("client", client.id, now + issuer.lifetime, scope=scope, jkt=jkt or "")
    return _minted(claims, issuer, now)


async def grant_to_station(
    session: AsyncSession, assertion: str, *, issuer: Issuer, now: datetime, jkt: str | None = None
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
        "station", str(device.id), now + issuer.lifetime, STATION_SCOPE,
        site=device.site, epoch=device.epoch, jkt=jkt or "",
    )  # fmt: skip
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
    lasts = int(issuer.lifetime.total_seconds())
    return tokens.Minted(issuer.mint(claims, now), lasts, claims.scope, "DPoP" if claims.jkt else "Bearer")


def names_a_device(assertion: str) -> bool:
    """Whether an assertion says that it is from a station's device: those are named by UUIDs, clients are not.

    Raises:
        InvalidClient: it is not a JWT.
    """
    try:
        UUID(tokens.claimed_issuer(assertion))
    except ValueError:
        return False
    return True


async def bearer(
    session: AsyncSession, token: str, *, issuer: Issuer, now: datetime, jkt: str | None = None
) -> Principal:
    """Return who an access token speaks for, now: the device, client or grant behind it is looked up every time.

    ``jkt`` is the key that the caller proved to hold (RFC 9449); None for a plain bearer.

    Raises:
        InvalidToken: not a token of this hub, ended, or bound to another key.
        CredentialRevoked: its device was revoked or replaced, its client disabled, what a person allowed is over.
    """
    claims = issuer.read(token, now)
    if claims.jkt != (jkt or ""):
        raise InvalidToken
    if claims.kind == "app":
        return await acting.person(session, claims, now=now)
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
    """Return the client that a valid token was made for, see :func:`still_valid`; None for any other token, and for
    one that is bound to a key, which must be proven first.

    Raises:
        InvalidToken: not a token of this hub, or ended.
    """
    known = _clients.get((token, issuer))
    if known is not None and known.expires is not None and now < known.expires:
        return known
    claims = issuer.read(token, now)
    if claims.kind != "client" or claims.jkt:
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

    A person's open socket is use of their session, except an administrator's: a doctor who waits for a call, or talks
    in one, is not idle. The end of a short access token is not a revocation: compare ``principal.expires`` yourself.
    """
    people = {p: bytes.fromhex(p.session) for p in principals if isinstance(p, UserPrincipal)}
    stations = {p: (p.device, p.epoch) for p in principals if isinstance(p, StationPrincipal)}
    clients = [p for p in principals if isinstance(p, ClientPrincipal)]
    valid: set[Principal] = set()
    if people:
        used = await store.open_sessions(session, people.values(), now)
        valid |= {p for p, name in people.items() if name in used}
        await keep_in_use(session, {p: used[name] for p, name in people.items() if name in used}, now=now)
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
