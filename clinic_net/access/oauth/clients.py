"""Programs and systems: how they are registered, and how they prove who they are."""

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import scopes, store, tokens
from clinic_net.access.errors import (
    AssertionReplayed,
    ClientMalformed,
    InvalidClient,
    ScopeMalformed,
)
from clinic_net.access.keys import digest
from clinic_net.access.model import Client, UsedJti

SECRET, KEY, NONE = "client_secret", "private_key_jwt", "none"
"""How a client proves who it is: ``Client.auth``."""

_LONGEST_URI = 500
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9]*(\.[a-z0-9-]+)+")
"""RFC 8252 §7.1: a native program's own scheme is a domain name backwards; ``javascript`` has no dot."""
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class NewClient:
    """A registration. With ``redirect_uris`` it is a program that people let act for them, without them a system."""

    name: str
    scope: str
    redirect_uris: tuple[str, ...] = ()
    launch_uri: str | None = None
    jwks: Mapping[str, Any] | None = None
    public: bool = False
    dpop: bool = False


@dataclass(frozen=True)
class Credentials:
    """What came with a request to prove who its client is; ``assertion`` is a ``client_assertion`` (RFC 7523)."""

    client_id: str
    secret: str | None = None
    assertion: str | None = None


async def register(
    session: AsyncSession, new: NewClient, *, now: datetime, by: str = "hub"
) -> tuple[str, str | None]:
    """Register a client; return its id, and its secret if it has one, which is stored only as a digest.

    Raises:
        ScopeMalformed: the scope is empty, not in the grammar, or not for this kind of client.
        ClientMalformed: an address cannot be used, or the parts do not go together.
        ClientKeysUnusable: see :func:`tokens.client_keys`.
    """
    scope = str(scopes.parse_app(new.scope)) if new.redirect_uris else scopes.render(scopes.parse(new.scope))
    if not scope:
        raise ScopeMalformed(1)
    _check_parts(new)
    keys = None if new.jwks is None else {"keys": tokens.client_keys(new.jwks)}
    client_id, secret = f"client-{secrets.token_hex(8)}", secrets.token_urlsafe(32)
    row = Client(
        id=client_id,
        name=new.name,
        secret=digest(secret),
        scope=scope,
        created_at=now,
        auth=NONE if new.public else SECRET if keys is None else KEY,
        redirect_uris=list(new.redirect_uris),
        launch_uri=new.launch_uri,
        jwks=keys,
        dpop=new.dpop,
    )
    session.add(row)
    await audit.record(session, actor=by, action="client.add", subject=f"client:{client_id}", at=now)
    return client_id, secret if row.auth == SECRET else None


def _check_parts(new: NewClient) -> None:
    if not new.redirect_uris and (new.public or new.launch_uri):
        raise ClientMalformed("a public client, or one that is opened from a record, needs a redirect URI")
    if new.public and new.jwks is not None:
        raise ClientMalformed("a client is public or has keys, not both")
    for uri in (*new.redirect_uris, *([new.launch_uri] if new.launch_uri else [])):
        if not usable_uri(uri):
            raise ClientMalformed(
                "an address must be https, http on this computer, or a program's own scheme (com.example.app:/),"
                " without a fragment"
            )


def usable_uri(uri: str) -> bool:
    """Whether browsers may be sent to an address with a code (OAuth 2.1 §2.3, RFC 8252 §7)."""
    if len(uri) > _LONGEST_URI or not _PRINTABLE.fullmatch(uri) or "#" in uri:
        return False
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        return False
    if parts.scheme in ("https", "http"):
        named = bool(host) and "@" not in parts.netloc
        return named and (parts.scheme == "https" or host in _LOOPBACK)
    return _PRIVATE_SCHEME.fullmatch(parts.scheme) is not None


async def authenticated(
    session: AsyncSession, given: Credentials, *, audiences: list[str], now: datetime
) -> Client:
    """Return the client that a request is from.

    Raises:
        InvalidClient: unknown, disabled, or not proven in the way that it is registered for, alike.
        AssertionOutOfTime, AssertionReplayed: see :func:`tokens.read_assertion`.
    """
    if given.assertion is not None:
        return await _by_assertion(session, given, audiences=audiences, now=now)
    client = await store.client(session, given.client_id) if given.client_id.isprintable() else None
    expected = client.secret if client is not None else bytes(32)
    right = hmac.compare_digest(expected, digest(given.secret or ""))
    if client is None or client.disabled_at is not None:
        raise InvalidClient
    if client.auth == NONE and given.secret is None:
        return client
    if client.auth != SECRET or not right:
        raise InvalidClient
    return client


async def _by_assertion(
    session: AsyncSession, given: Credentials, *, audiences: list[str], now: datetime
) -> Client:
    assertion = given.assertion or ""
    named = tokens.claimed_issuer(assertion)
    client = await store.client(session, named) if named.isprintable() else None
    if client is None or client.jwks is None or client.disabled_at is not None:
        raise InvalidClient
    if given.client_id not in ("", client.id):
        raise InvalidClient
    algorithm, key = tokens.client_key(assertion, client.jwks)
    said = tokens.read_assertion(assertion, key=key, algorithm=algorithm, audiences=audiences, now=now)
    used = UsedJti(issuer=said.issuer, jti=said.jti, expires_at=said.expires)
    if not await store.use_jti(session, used, now):
        raise AssertionReplayed
    return client
