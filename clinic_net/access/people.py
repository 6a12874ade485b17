"""People: accounts, signing in and out."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import attempts, passwords, rules, store
from clinic_net.access.errors import (
    LoginMalformed,
    LoginTaken,
    NotSignedIn,
    PasswordWeak,
    UnknownUser,
    WrongCredentials,
)
from clinic_net.access.keys import digest
from clinic_net.access.model import Session, User
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.directory import service as directory
from clinic_net.kernel.db import Sessions
from clinic_net.kernel.ids import new_id
from clinic_net.kernel.jobs import announce


@dataclass(frozen=True)
class NewUser:
    """An account to make. Without a ``password`` a random one is made."""

    login: str
    role: Role
    facility: str
    name: str = ""
    specialties: tuple[str, ...] = ()
    password: str | None = None
    practitioner: UUID | None = None
    language: str = "vi"


@dataclass(frozen=True)
class Credentials:
    """What somebody typed, and from where. ``former`` is the cookie that the browser still held."""

    login: str
    password: str
    remote: str
    former: str | None = None


@dataclass(frozen=True)
class SignedIn:
    """A fresh session: ``token`` is the cookie's value, told once."""

    user: UserPrincipal
    token: str
    expires: datetime


async def add_user(  # noqa: PLR0913 -- what the command line asks for, one by one
    session: AsyncSession,
    *,
    login: str,
    role: Role,
    facility: str,
    now: datetime,
    name: str = "",
    specialties: Iterable[str] = (),
    password: str | None = None,
) -> str:
    """Make an account from a terminal and return its password; see :func:`add_account`."""
    new = NewUser(login, role, facility, name, tuple(specialties), password)
    return await add_account(session, new, by="operator:terminal", now=now)


async def add_account(session: AsyncSession, new: NewUser, *, by: str, now: datetime) -> str:
    """Make an account and return its password, which is stored only as a hash.

    Raises:
        LoginMalformed, LoginTaken, PasswordWeak: as they say.
        UnknownFacility: the facility is not in the directory.
    """
    login = rules.normal_login(new.login)
    if login is None:
        raise LoginMalformed
    password = rules.random_password(secrets.choice) if new.password is None else new.password
    if not rules.PASSWORD_SHORTEST <= len(password) <= rules.PASSWORD_LONGEST:
        raise PasswordWeak(rules.PASSWORD_SHORTEST, rules.PASSWORD_LONGEST)
    await directory.facility(session, new.facility)
    if await store.user_of_login(session, login) is not None:
        raise LoginTaken
    user = User(
        id=new_id(now),
        login=login,
        name=new.name or login,
        role=new.role,
        facility=new.facility,
        practitioner=new.practitioner,
        specialties=sorted(new.specialties),
        language=new.language,
        password=await passwords.hash_of(password),
        created_at=now,
    )
    session.add(user)
    await session.flush()
    await audit.record(session, actor=by, action="user.add", subject=f"user:{user.id}", at=now)
    return password


async def disable_user(session: AsyncSession, login: str, *, by: str, now: datetime) -> None:
    """Close an account: its sessions end now, its open sockets within seconds.

    Raises:
        UnknownUser: there is none with this login.
    """
    user = await store.user_of_login(session, login)
    if user is None:
        raise UnknownUser
    user.disabled_at = user.disabled_at or now
    await store.end_sessions_of(session, user.id, now)
    await announce(session, "credential.revoked", {"address": f"user:{user.id}"})
    await audit.record(session, actor=by, action="user.disable", subject=f"user:{user.id}", at=now)


async def sign_in(
    sessions: Sessions, credentials: Credentials, *, tried: attempts.Tried, lifetime: timedelta, now: datetime
) -> SignedIn:
    """Check a password and open a session; a session that the browser held before ends.

    It takes transactions of its own, because no connection may be held while a password is checked.

    Raises:
        WrongCredentials: unknown login, disabled account or wrong password, alike.
        TooMany: too many failed tries. SignInBusy: too many people at once.
    """
    ids = await attempts.begin(sessions, tried, now=now)
    login = rules.normal_login(credentials.login)
    async with sessions() as session, session.begin():
        found = await store.user_of_login(session, login) if login is not None else None
    hashed = found.password if found is not None else None
    right = await passwords.check(credentials.password[: rules.PASSWORD_LONGEST + 1], hashed)
    try:
        if found is None or not right:
            raise WrongCredentials
        async with sessions() as session, session.begin():
            signed_in = await _open_session(session, found, credentials, lifetime=lifetime, now=now)
            await store.forget_tries(session, ids)
    except WrongCredentials as refusal:
        await attempts.refused(sessions, tried, refusal, now=now)
        raise
    return signed_in


async def _open_session(
    session: AsyncSession, found: User, credentials: Credentials, *, lifetime: timedelta, now: datetime
) -> SignedIn:
    user = await store.user_for_sign_in(session, found.id)
    if user is None or user.disabled_at is not None or user.password != found.password:
        raise WrongCredentials
    if credentials.former:
        await store.end_session(session, digest(credentials.former), now)
    await store.purge_sessions(session, user.id, now)
    token = secrets.token_urlsafe(32)
    row = Session(token=digest(token), user_id=user.id, created_at=now, expires_at=now + lifetime)
    session.add(row)
    await audit.record(
        session, actor=f"user:{user.id}", action="user.sign_in", subject=f"user:{user.id}", at=now
    )
    return SignedIn(principal_of(user, row.token), token, row.expires_at)


async def sign_out(session: AsyncSession, token: str, *, now: datetime) -> None:
    """End the session of this cookie; nothing happens when it is not open."""
    user = await store.end_session(session, digest(token), now)
    if user is not None:
        await audit.record(
            session, actor=f"user:{user}", action="user.sign_out", subject=f"user:{user}", at=now
        )


async def signed_in(session: AsyncSession, token: str, *, now: datetime) -> UserPrincipal:
    """Return who holds this cookie.

    Raises:
        NotSignedIn: the session is unknown, over, or its user disabled.
    """
    key = digest(token)
    user = await store.user_of_session(session, key, now)
    if user is None:
        raise NotSignedIn
    return principal_of(user, key)


async def user(session: AsyncSession, user_id: UUID) -> UserPrincipal:
    """Return a person's account as it is, signed in or not.

    Raises:
        UnknownUser: there is none.
    """
    found = await session.get(User, user_id)
    if found is None:
        raise UnknownUser
    return principal_of(found)


async def people(
    session: AsyncSession, *, facility: str | None = None, role: Role | None = None
) -> tuple[UserPrincipal, ...]:
    """Return the accounts that are open, by login."""
    found = await store.users(session, facility=facility, role=role)
    return tuple(principal_of(user) for user in found if user.disabled_at is None)


def principal_of(user: User, session: bytes = b"") -> UserPrincipal:
    return UserPrincipal(
        id=user.id,
        login=user.login,
        name=user.name,
        role=Role(user.role),
        facility=user.facility,
        practitioner=user.practitioner,
        specialties=frozenset(user.specialties),
        language=user.language,
        session=session.hex(),
        patient=user.patient,
    )
