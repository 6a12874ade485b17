"""Throttled tries: counted first, in a transaction of their own, so that a refusal cannot undo the count.

A try that succeeds is forgotten; one that is refused stays counted and is audited. All of it is in PostgreSQL:
an emptied Redis gives nobody more guesses.
"""

import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TypeVar
from uuid import UUID

import structlog
from pydantic import SecretStr
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import store
from clinic_net.access.keys import Use, keyed_digest
from clinic_net.access.model import Attempt
from clinic_net.kernel.db import Sessions
from clinic_net.kernel.errors import Refusal, TooMany
from clinic_net.kernel.ids import new_id

log = structlog.get_logger()

T = TypeVar("T")


@dataclass(frozen=True)
class Limit:
    """At most ``most`` failed tries under one key within a time.

    With ``first``, the next try only has to wait after the last one, twice as long each time, up to ``longest``.
    """

    key: bytes
    most: int
    within: timedelta
    first: timedelta | None = None
    longest: timedelta = timedelta(minutes=15)

    def wait(self, seen: store.Tries, now: datetime) -> timedelta:
        """Return how long the next try must wait; nothing or less: not at all."""
        if seen.count < self.most or seen.oldest is None or seen.newest is None:
            return timedelta(0)
        if self.first is None:
            return seen.oldest + self.within - now
        doubled = min(seen.count - self.most, _DOUBLED_AT_MOST)
        return seen.newest + min(self.longest, self.first * (1 << doubled)) - now


@dataclass(frozen=True)
class Tried:
    """What is tried, by whom: ``action`` and ``actor`` for the trail, ``subject`` when it is refused."""

    action: str
    actor: str
    subject: str
    limits: tuple[Limit, ...]
    cleared: tuple[bytes, ...] = ()
    """Under these keys every try is forgotten when one succeeds: what only this person's tries are counted under."""
    known: bool = False
    """Whether it comes from a browser in which this person signed in before."""


_DOUBLED_AT_MOST = 12
_SIGN_IN_WINDOW = timedelta(minutes=15)
_SIGN_IN_PAIR, _SIGN_IN_LOGIN, _SIGN_IN_NETWORK = 5, 30, 60
"""A person mistypes; a hospital shares one address; a stranger elsewhere must not lock a doctor out at once."""
_REMEMBERED = timedelta(hours=6)
_FIRST_WAIT = timedelta(seconds=30)
_CODE_TRIES = 5
"""With a million codes, three of which count, and a try each 15 minutes from then on: one in 3,500 a day."""

_ENROL_WINDOW = timedelta(hours=1)
_ENROL_PREFIX, _ENROL_ADDRESS = 5, 20


def network_of(remote: str) -> str:
    """Return the network an address counts as: itself, or the /64 that one subscriber has in IPv6 (RFC 6177)."""
    try:
        address = ipaddress.ip_address(remote)
    except ValueError:
        return remote
    if address.version == 4:
        return remote
    return str(ipaddress.ip_network((address, 64), strict=False))


def trying_to_sign_in(login: str, remote: str, key: SecretStr, *, browser: str | None = None) -> Tried:
    """Describe a try to sign in: limited per login and network together, per login, and per network.

    ``browser`` names a browser in which this person has signed in before, proved by its mark: it is limited by
    itself, so that strangers who hammer on the account or share the network keep nobody out (device cookies, OWASP).
    """
    named = keyed_digest(key, Use.ATTEMPT, f"login {login}")
    network = network_of(remote)
    subject = f"login:{named.hex()[:16]}"
    if browser is not None:
        own = keyed_digest(key, Use.ATTEMPT, f"browser {browser} {login}")
        limits: tuple[Limit, ...] = (Limit(own, _SIGN_IN_PAIR, _REMEMBERED, _FIRST_WAIT),)
        return Tried("user.sign_in", f"address:{remote}", subject, limits, (own,), known=True)
    pair = keyed_digest(key, Use.ATTEMPT, f"pair {login} {network}")
    limits = (
        Limit(pair, _SIGN_IN_PAIR, _REMEMBERED, _FIRST_WAIT),
        Limit(named, _SIGN_IN_LOGIN, _REMEMBERED, _FIRST_WAIT),
        Limit(_signing_in_from(network, key), _SIGN_IN_NETWORK, _SIGN_IN_WINDOW),
    )
    return Tried("user.sign_in", f"address:{remote}", subject, limits, (pair,))


def trying_a_passkey(remote: str, key: SecretStr) -> Tried:
    """Describe a try to sign in with a passkey, which nobody guesses: limited per network only."""
    limits = (Limit(_signing_in_from(network_of(remote), key), _SIGN_IN_NETWORK, _SIGN_IN_WINDOW),)
    return Tried("user.sign_in", f"address:{remote}", "login:passkey", limits)


def trying_to_verify(user: UUID, key: SecretStr, *, browser: str | None = None) -> Tried:
    """Describe a try of a person who is half signed in, or signed in, to prove more: a code, or the password again.

    Whoever comes here knew the password. A known browser is limited by itself, as in :func:`trying_to_sign_in`.
    """
    own = keyed_digest(key, Use.ATTEMPT, f"verify {user} {browser or 'elsewhere'}")
    limits = (Limit(own, _CODE_TRIES, _REMEMBERED, _FIRST_WAIT),)
    return Tried("user.verify", f"user:{user}", f"user:{user}", limits, (own,), known=browser is not None)


def _signing_in_from(network: str, key: SecretStr) -> bytes:
    return keyed_digest(key, Use.ATTEMPT, f"sign-in from {network}")


def trying_to_enrol(prefix: str, remote: str, key: SecretStr) -> Tried:
    """Describe a try to enrol: limited per beginning of the code, and per address."""
    named = keyed_digest(key, Use.ATTEMPT, f"code {prefix}")
    limits = (
        Limit(named, _ENROL_PREFIX, _ENROL_WINDOW),
        Limit(keyed_digest(key, Use.ATTEMPT, f"enrol from {remote}"), _ENROL_ADDRESS, _ENROL_WINDOW),
    )
    return Tried("device.enrol", f"address:{remote}", f"code:{named.hex()[:16]}", limits)


_FIND_WINDOW = timedelta(hours=1)
_FIND_PERSON = 10
"""Ours: numbers are mistyped in a hurry; ten wrong ones an hour are a search."""


def trying_to_find(address: str) -> Tried:
    """Describe a try to find a patient by a card's number: limited per person who looks."""
    key = sha256(f"find {address}".encode()).digest()
    return Tried("emergency.search", address, address, (Limit(key, _FIND_PERSON, _FIND_WINDOW),))


async def begin(sessions: Sessions, tried: Tried, *, now: datetime) -> tuple[UUID, ...]:
    """Count a try, and commit that. Returns what :func:`store.forget_tries` needs if it succeeds.

    Raises:
        TooMany: a limit is reached; nothing more is counted.
    """
    async with sessions() as session, session.begin():
        for limit in sorted(tried.limits, key=lambda limit: limit.key):
            await store.lock(session, limit.key)
        for limit in tried.limits:
            seen = await store.tries(session, limit.key, now - limit.within)
            wait = limit.wait(seen, now)
            if wait > timedelta(0):
                log.warning("tries_throttled", kind=tried.action)
                raise TooMany("too many tries; wait", retry_after=max(1, int(wait.total_seconds()) + 1))
        rows = [Attempt(id=new_id(now), key=limit.key, at=now) for limit in tried.limits]
        session.add_all(rows)
        await store.purge_tries(session, now)
    return tuple(row.id for row in rows)


async def refused(sessions: Sessions, tried: Tried, refusal: Refusal, *, now: datetime) -> None:
    """Write a refused try down, in a transaction of its own."""
    async with sessions() as session, session.begin():
        await audit.record(
            session,
            actor=tried.actor,
            action=tried.action,
            subject=tried.subject,
            outcome=refusal.code,
            at=now,
        )


async def attempted(
    sessions: Sessions, tried: Tried, work: Callable[[AsyncSession], Awaitable[T]], *, now: datetime
) -> T:
    """Run ``work`` in a transaction as a counted try; on success the try is forgotten in that transaction.

    Never call it while holding a transaction: it takes connections of its own, one at a time.

    Raises:
        TooMany: too many tries; ``work`` was not run.
    """
    ids = await begin(sessions, tried, now=now)
    try:
        async with sessions() as session, session.begin():
            result = await work(session)
            await store.forget_tries(session, ids, tried.cleared)
    except Refusal as refusal:
        await refused(sessions, tried, refusal, now=now)
        raise
    return result
