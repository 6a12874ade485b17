"""Throttled tries: counted first, in a transaction of their own, so that a refusal cannot undo the count.

A try that succeeds is forgotten; one that is refused stays counted and is audited. All of it is in PostgreSQL:
an emptied Redis gives nobody more guesses.
"""

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
    """At most ``most`` failed tries under one key within a time."""

    key: bytes
    most: int
    within: timedelta


@dataclass(frozen=True)
class Tried:
    """What is tried, by whom: ``action`` and ``actor`` for the trail, ``subject`` when it is refused."""

    action: str
    actor: str
    subject: str
    limits: tuple[Limit, ...]


_SIGN_IN_WINDOW = timedelta(minutes=15)
_SIGN_IN_PAIR, _SIGN_IN_LOGIN, _SIGN_IN_ADDRESS = 5, 30, 60
"""A person mistypes; a hospital shares one address; a stranger elsewhere must not lock a doctor out at once."""

_ENROL_WINDOW = timedelta(hours=1)
_ENROL_PREFIX, _ENROL_ADDRESS = 5, 20


def trying_to_sign_in(login: str, remote: str, key: SecretStr) -> Tried:
    """Describe a try to sign in: limited per login and address together, per login, and per address."""
    named = keyed_digest(key, Use.ATTEMPT, f"login {login}")
    limits = (
        Limit(keyed_digest(key, Use.ATTEMPT, f"pair {login} {remote}"), _SIGN_IN_PAIR, _SIGN_IN_WINDOW),
        Limit(named, _SIGN_IN_LOGIN, _SIGN_IN_WINDOW),
        Limit(keyed_digest(key, Use.ATTEMPT, f"sign-in from {remote}"), _SIGN_IN_ADDRESS, _SIGN_IN_WINDOW),
    )
    return Tried("user.sign_in", f"address:{remote}", f"login:{named.hex()[:16]}", limits)


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
            if seen.count >= limit.most and seen.oldest is not None:
                wait = seen.oldest + limit.within - now
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
            await store.forget_tries(session, ids)
    except Refusal as refusal:
        await refused(sessions, tried, refusal, now=now)
        raise
    return result
