"""Signing in: the password, then what more is owed: a second factor, a password of one's own, setting a factor up.

Between the steps a person holds half a sign-in, which opens nothing. Every try is counted first
(:mod:`clinic_net.access.attempts`), in transactions of its own.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import SecretStr
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import attempts, passwords, rules, sessions, store
from clinic_net.access.errors import WrongCredentials
from clinic_net.access.keys import digest
from clinic_net.access.model import User
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.access.proof import passkeys, totp
from clinic_net.access.proof import store as proofs
from clinic_net.access.proof.errors import PasskeyRefused, SignInExpired, SignInUnfinished
from clinic_net.access.proof.model import PendingSignIn
from clinic_net.access.proof.passkeys import Relying
from clinic_net.access.proof.rules import PENDING_FOR
from clinic_net.access.sessions import Policy, SignedIn
from clinic_net.kernel.db import Sessions


@dataclass(frozen=True)
class Credentials:
    """What somebody typed, and from where. ``former`` is the cookie the browser still held, ``browser`` its kind."""

    login: str
    password: str = field(repr=False)
    remote: str
    former: str | None = field(default=None, repr=False)
    browser: str = ""


@dataclass(frozen=True)
class Arrival:
    """How somebody comes to finish signing in: ``former`` and ``browser`` as above, and how long sessions last."""

    lifetime: timedelta
    policy: Policy = field(default_factory=Policy)
    former: str | None = field(default=None, repr=False)
    browser: str = ""


@dataclass(frozen=True)
class Half:
    """Half a sign-in: whose, and what is owed next (``factor``, ``password``, ``set-up``), None when nothing is."""

    user: UserPrincipal
    step: str | None


async def sign_in(
    sessions_of_hub: Sessions,
    credentials: Credentials,
    *,
    tried: attempts.Tried,
    lifetime: timedelta,
    now: datetime,
    policy: Policy | None = None,
) -> SignedIn:
    """Check a password and open a session; a session that the browser held before ends.

    It takes transactions of its own, because no connection may be held while a password is checked.

    Raises:
        WrongCredentials: unknown login, disabled account or wrong password, alike.
        SignInUnfinished: the password was right, and more is owed; nothing is open yet.
        TooMany: too many failed tries. SignInBusy: too many people at once.
    """
    arrival = Arrival(lifetime, policy or Policy(), credentials.former, credentials.browser)
    ids = await attempts.begin(sessions_of_hub, tried, now=now)
    login = rules.normal_login(credentials.login)
    async with sessions_of_hub() as session, session.begin():
        found = await store.user_of_login(session, login) if login is not None else None
    hashed = found.password if found is not None else None
    typed = credentials.password[: rules.PASSWORD_LONGEST + 1]
    right = await passwords.check(typed, hashed, known=tried.known)
    try:
        if found is None or not right:
            raise WrongCredentials
        async with sessions_of_hub() as session, session.begin():
            user = await _still(session, found.id)
            if user.password != found.password:
                raise WrongCredentials
            passed = await _passed(session, user, arrival, now=now)
            await store.forget_tries(session, ids, tried.cleared)
    except WrongCredentials as refusal:
        await attempts.refused(sessions_of_hub, tried, refusal, now=now)
        raise
    if isinstance(passed, SignInUnfinished):
        raise passed
    return passed


async def _still(session: AsyncSession, user_id: UUID) -> User:
    user = await store.user_for_sign_in(session, user_id)
    if user is None or user.disabled_at is not None:
        raise WrongCredentials
    return user


async def _passed(
    session: AsyncSession, user: User, arrival: Arrival, *, now: datetime
) -> SignedIn | SignInUnfinished:
    """Open a session for whoever owes nothing more than the password; else keep what is done so far."""
    step = await _owed(session, user, "password", arrival.policy)
    if step is None:
        return await _open(session, user, "password", arrival, now=now)
    await proofs.purge_pending(session, now)
    token = secrets.token_urlsafe(32)
    session.add(PendingSignIn(token=digest(token), user_id=user.id, expires_at=now + PENDING_FOR))
    return SignInUnfinished(token, step)


async def vouched_for(
    session: AsyncSession, user: User, assurance: str, arrival: Arrival, *, now: datetime
) -> SignedIn | SignInUnfinished:
    """Open a session for whom an outside provider vouches; with less than two factors there, as after a password."""
    if assurance == "password":
        return await _passed(session, user, arrival, now=now)
    return await _open(session, user, assurance, arrival, now=now)


async def _owed(session: AsyncSession, user: User, assurance: str, policy: Policy) -> str | None:
    has_factor = await proofs.has_factor(session, user.id)
    if has_factor and assurance == "password":
        return "factor"
    if user.must_change:
        return "password"
    return "set-up" if not has_factor and Role(user.role) in policy.must else None


async def _open(
    session: AsyncSession, user: User, assurance: str, arrival: Arrival, *, now: datetime
) -> SignedIn:
    if arrival.former:
        await store.end_session(session, digest(arrival.former), now)
    return await sessions.open_session(
        session,
        user,
        assurance=assurance,
        browser=arrival.browser,
        lifetime=arrival.lifetime,
        policy=arrival.policy,
        now=now,
    )


async def _pending(session: AsyncSession, token: str, now: datetime) -> tuple[PendingSignIn, User]:
    row = await proofs.pending(session, digest(token), now)
    user = await store.user_for_sign_in(session, row.user_id) if row is not None else None
    if row is None or user is None or user.disabled_at is not None:
        raise SignInExpired
    return row, user


async def half_of(session: AsyncSession, token: str, *, policy: Policy, now: datetime) -> Half:
    """Return whose half sign-in this is and what is owed next.

    Raises:
        SignInExpired: it is unknown, too old or finished, or the account was closed.
    """
    row, user = await _pending(session, token, now)
    return Half(sessions.principal_of(user), await _owed(session, user, row.assurance, policy))


async def show_factor(
    sessions_of_hub: Sessions,
    token: str,
    show: Callable[[AsyncSession, UUID], Awaitable[None]],
    *,
    tried: attempts.Tried,
    now: datetime,
) -> None:
    """Take the second factor of half a sign-in: ``show`` proves it or refuses. A counted try.

    Raises:
        SignInExpired: see :func:`half_of`. WrongCode, PasskeyRefused: the factor. TooMany: too many tries.
    """

    async def work(session: AsyncSession) -> None:
        row, user = await _pending(session, token, now)
        await show(session, user.id)
        row.assurance = "mfa"
        session.add(row)

    await attempts.attempted(sessions_of_hub, tried, work, now=now)


async def finish(session: AsyncSession, token: str, arrival: Arrival, *, now: datetime) -> SignedIn | str:
    """Open the session of a half sign-in that owes nothing more; else return what is owed next.

    Raises:
        SignInExpired: see :func:`half_of`.
    """
    row, user = await _pending(session, token, now)
    step = await _owed(session, user, row.assurance, arrival.policy)
    if step is not None:
        return step
    await session.delete(row)
    return await _open(session, user, row.assurance, arrival, now=now)


async def set_up_done(session: AsyncSession, token: str, *, now: datetime) -> None:
    """Note that the factor which was just set up was shown too. Call it after a right code or a registered passkey.

    Raises:
        SignInExpired: see :func:`half_of`.
    """
    row, _ = await _pending(session, token, now)
    row.assurance = "mfa"
    session.add(row)


async def sign_in_with_passkey(
    sessions_of_hub: Sessions,
    credential: dict[str, Any],
    arrival: Arrival,
    *,
    relying: Relying,
    tried: attempts.Tried,
    now: datetime,
) -> SignedIn:
    """Sign in with a passkey alone: it is something held, and its owner's device verified the person.

    Raises:
        PasskeyRefused: see :func:`passkeys.prove`; a closed account looks alike.
        TooMany: too many failed tries from this network.
    """

    async def work(session: AsyncSession) -> SignedIn:
        user_id = await passkeys.prove(session, credential, relying=relying, bound="", now=now)
        try:
            user = await _still(session, user_id)
        except WrongCredentials:
            raise PasskeyRefused from None
        return await _open(session, user, "passkey", arrival, now=now)

    return await attempts.attempted(sessions_of_hub, tried, work, now=now)


async def verify(
    sessions_of_hub: Sessions,
    principal: UserPrincipal,
    *,
    typed: str,
    key: SecretStr,
    tried: attempts.Tried,
    now: datetime,
) -> str:
    """Prove anew to be there: a code of the app or a recovery code; the password, of who has no second factor.

    Returns the new value of the session's cookie.

    Raises:
        WrongCode, WrongCredentials: not right. TooMany, SignInBusy: try again later.
    """
    async with sessions_of_hub() as session, session.begin():
        has_factor = await proofs.has_factor(session, principal.id)
        user = await store.user_for_sign_in(session, principal.id)
    if has_factor:

        async def by_code(session: AsyncSession) -> str:
            await totp.check_code(session, principal.id, typed, key=key, now=now)
            return await sessions.renew(session, principal, assurance="mfa", now=now)

        return await attempts.attempted(sessions_of_hub, tried, by_code, now=now)
    ids = await attempts.begin(sessions_of_hub, tried, now=now)
    hashed = user.password if user is not None and user.disabled_at is None else None
    if not await passwords.check(typed[: rules.PASSWORD_LONGEST + 1], hashed, known=tried.known):
        refusal = WrongCredentials()
        await attempts.refused(sessions_of_hub, tried, refusal, now=now)
        raise refusal
    async with sessions_of_hub() as session, session.begin():
        await store.forget_tries(session, ids, tried.cleared)
        return await sessions.renew(session, principal, assurance="password", now=now)


async def verify_with_passkey(
    sessions_of_hub: Sessions,
    principal: UserPrincipal,
    credential: dict[str, Any],
    *,
    relying: Relying,
    tried: attempts.Tried,
    now: datetime,
) -> str:
    """Prove anew to be there with a passkey. Returns the new value of the session's cookie.

    Raises:
        PasskeyRefused: see :func:`passkeys.prove`; somebody else's passkey too.
    """

    async def work(session: AsyncSession) -> str:
        bound = principal.session
        if await passkeys.prove(session, credential, relying=relying, bound=bound, now=now) != principal.id:
            raise PasskeyRefused
        return await sessions.renew(session, principal, assurance="passkey", now=now)

    return await attempts.attempted(sessions_of_hub, tried, work, now=now)
