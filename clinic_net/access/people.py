"""People: their accounts."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import passwords, rules, store
from clinic_net.access.administration.errors import LastAdministrator
from clinic_net.access.errors import LoginMalformed, LoginTaken, PasswordWeak, RoleNotAllowed, UnknownUser
from clinic_net.access.model import User
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.access.proof.errors import PasswordGuessable, PatientMalformed
from clinic_net.access.proof.rules import guessable
from clinic_net.access.proof.service import forget_factors
from clinic_net.access.proof.store import forget_pending
from clinic_net.access.sessions import end_sessions, principal_of
from clinic_net.directory import service as directory
from clinic_net.kernel.db import Sessions
from clinic_net.kernel.ids import new_id


@dataclass(frozen=True)
class NewUser:
    """An account to make. Without a ``password`` a random one is made, which ``must_change`` makes good for once.

    ``patient`` is the FHIR id of a citizen's own Patient. Of a citizen, ``facility`` is who vouched for them.
    """

    login: str
    role: Role
    facility: str
    name: str = ""
    specialties: tuple[str, ...] = ()
    password: str | None = None
    practitioner: UUID | None = None
    language: str = "vi"
    patient: str | None = None
    must_change: bool = False


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
    patient: str | None = None,
) -> str:
    """Make an account from a terminal and return its password; see :func:`add_account`."""
    new = NewUser(login, role, facility, name, tuple(specialties), password, patient=patient)
    return await add_account(session, new, by="operator:terminal", now=now)


async def add_account(session: AsyncSession, new: NewUser, *, by: str, now: datetime) -> str:
    """Make an account and return its password, which is stored only as a hash.

    Raises:
        LoginMalformed, LoginTaken, PasswordWeak, PasswordGuessable, PatientMalformed: as they say.
        UnknownFacility: the facility is not in the directory.
    """
    login = rules.normal_login(new.login)
    if login is None:
        raise LoginMalformed
    if (new.role is Role.CITIZEN) != (new.patient is not None) or not rules.is_fhir_id(new.patient or "x"):
        raise PatientMalformed
    await directory.facility(session, new.facility)
    password = rules.random_password(secrets.choice) if new.password is None else new.password
    if new.password is not None:
        await _demand_good(session, password, login=login, name=new.name, facility=new.facility)
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
        must_change=new.must_change,
        patient=new.patient,
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
        LastAdministrator: it is the last national administrator's.
    """
    await one_administrator_at_a_time(session)
    user = await store.user_of_login(session, login)
    if user is None:
        raise UnknownUser
    await demand_not_last(session, user)
    user.disabled_at = user.disabled_at or now
    await end_sessions(session, user.id, by=by, now=now)
    await audit.record(session, actor=by, action="user.disable", subject=f"user:{user.id}", at=now)


async def one_administrator_at_a_time(session: AsyncSession) -> None:
    """Wait until nobody else changes accounts, before any of them is locked: two could wait for each other."""
    await store.lock(session, b"accounts")


async def demand_not_last(session: AsyncSession, user: User) -> None:
    """Refuse to take the last national administrator away. Call :func:`one_administrator_at_a_time` first.

    Raises:
        LastAdministrator: nobody else is one.
    """
    if user.role != Role.NATIONAL or user.disabled_at is not None:
        return
    if {each.id for each in await store.open_users_for_change(session, Role.NATIONAL)} <= {user.id}:
        raise LastAdministrator


async def change_password(
    sessions: Sessions, who: UserPrincipal, new: str, *, now: datetime, but: str | None = None
) -> None:
    """Give a person the password they chose; their other sessions end. Who they are was proved before.

    ``but`` names the session that goes on; without one it is the half sign-in of the first time that does.
    It takes transactions of its own: no connection waits for a hash.

    Raises:
        PasswordWeak, PasswordGuessable: as they say. SignInBusy: too many people at once.
    """
    async with sessions() as session, session.begin():
        await _demand_good(session, new, login=who.login, name=who.name, facility=who.facility)
    hashed = await passwords.hash_of(new)
    async with sessions() as session, session.begin():
        user = await store.user_for_change(session, who.id)
        if user is None or user.disabled_at is not None:
            raise UnknownUser
        user.password, user.must_change = hashed, False
        session.add(user)
        if but is not None:
            await forget_pending(session, user.id)  # begun with the old password, perhaps by somebody else
        await end_sessions(session, user.id, by=who.address, now=now, but=but)
        await audit.record(
            session,
            actor=who.address,
            action="user.password",
            subject=who.address,
            at=now,
            purpose=who.purpose,
        )


async def reset_user(session: AsyncSession, login: str, *, by: str, now: datetime) -> str:
    """Forget somebody's second factors and give them a password that is good for one sign-in; their sessions end.

    For a shell on the hub, where nobody can be asked to approve: when every administrator has lost their telephone.

    Raises:
        UnknownUser: there is none with this login.
    """
    await one_administrator_at_a_time(session)
    found = await store.user_of_login(session, login)
    if found is None:
        raise UnknownUser
    password = await replace_password(session, found)
    await forget_factors(session, found.id, by=by, now=now)
    await end_sessions(session, found.id, by=by, now=now)
    await audit.record(session, actor=by, action="user.password.reset", subject=f"user:{found.id}", at=now)
    return password


async def replace_password(session: AsyncSession, user: User) -> str:
    """Give an account a random password that is good for one sign-in, and return it. The caller ends its sessions."""
    password = rules.random_password(secrets.choice)
    user.password, user.must_change = await passwords.hash_of(password), True
    session.add(user)
    await forget_pending(session, user.id)
    return password


async def _demand_good(session: AsyncSession, password: str, *, login: str, name: str, facility: str) -> None:
    if not rules.PASSWORD_SHORTEST <= len(password) <= rules.PASSWORD_LONGEST:
        raise PasswordWeak(rules.PASSWORD_SHORTEST, rules.PASSWORD_LONGEST)
    place = await directory.facility(session, facility)
    if guessable(password, about=(login, name, place.name, place.code)):
        raise PasswordGuessable


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


async def province_of(session: AsyncSession, administrator: UserPrincipal) -> str | None:
    """Return the province in which somebody administers: their facility's; None means every province.

    Raises:
        RoleNotAllowed: they administer nothing.
    """
    if administrator.role is Role.NATIONAL:
        return None
    if administrator.role is not Role.OPERATOR:
        raise RoleNotAllowed
    return (await directory.facility(session, administrator.facility)).province_code
