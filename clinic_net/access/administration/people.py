"""What one administrator may do alone: an operator with the people of their province, a national one with all."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import people, rules, sessions
from clinic_net.access import store as access
from clinic_net.access.administration import store
from clinic_net.access.administration.errors import OwnAccount, SecondPersonNeeded
from clinic_net.access.errors import RoleNotAllowed, UnknownUser
from clinic_net.access.model import User
from clinic_net.access.principals import PRIVILEGED, Role, UserPrincipal
from clinic_net.access.proof import service as proofs
from clinic_net.directory import service as directory
from clinic_net.directory.errors import UnknownFacility
from clinic_net.kernel.jobs import announce

BY_ONE = (Role.DOCTOR, Role.NURSE, Role.COORDINATOR)
"""Roles that one administrator gives alone."""


@dataclass(frozen=True)
class Person:
    """An account as administrators see it."""

    id: UUID
    login: str
    name: str
    role: Role
    facility: str
    facility_name: str
    disabled_at: datetime | None


async def _facilities(session: AsyncSession, by: UserPrincipal) -> dict[str, str]:
    """Return the names of the facilities, by code, whose people somebody administers."""
    province = await people.province_of(session, by)
    return {each.code: each.name for each in await directory.facilities(session, province)}


async def people_of(session: AsyncSession, by: UserPrincipal, *, search: str = "") -> tuple[Person, ...]:
    """Return the people whom somebody administers; see :data:`store.MOST_SHOWN`.

    Raises:
        RoleNotAllowed: they administer nobody.
    """
    known = await _facilities(session, by)
    facilities = None if by.role is Role.NATIONAL else known.keys()
    return tuple(
        _person(user, known) for user in await store.people(session, facilities=facilities, search=search)
    )


def _person(user: User, facilities: dict[str, str]) -> Person:
    return Person(
        id=user.id,
        login=user.login,
        name=user.name,
        role=Role(user.role),
        facility=user.facility,
        facility_name=facilities.get(user.facility, user.facility),
        disabled_at=user.disabled_at,
    )


async def facilities_of(session: AsyncSession, by: UserPrincipal) -> tuple[tuple[str, str], ...]:
    """Return code and name of each facility at which somebody may add people, by name."""
    return tuple(sorted((await _facilities(session, by)).items(), key=lambda each: each[1]))


async def reached(session: AsyncSession, person: UUID, *, by: UserPrincipal) -> User:
    """Return an account that somebody administers, kept from being changed by others.

    Raises:
        UnknownUser: there is none, or it is another province's or a national administrator's.
        RoleNotAllowed: they administer nobody.
    """
    province = await people.province_of(session, by)
    user = await access.user_for_change(session, person)
    if user is None:
        raise UnknownUser
    if province is None:
        return user
    if user.role == Role.NATIONAL or await province_of_facility(session, user.facility) != province:
        raise UnknownUser
    return user


async def province_of_facility(session: AsyncSession, code: str) -> str:
    try:
        return (await directory.facility(session, code)).province_code
    except UnknownFacility:
        return ""


async def other(session: AsyncSession, person: UUID, *, by: UserPrincipal) -> User:
    """Return an account as :func:`reached`, unless it is one's own; administrators change accounts one at a time.

    Raises:
        OwnAccount: nobody administers themselves. UnknownUser, RoleNotAllowed: see :func:`reached`.
    """
    await people.one_administrator_at_a_time(session)
    user = await reached(session, person, by=by)
    if user.id == by.id:
        raise OwnAccount
    return user


async def person(session: AsyncSession, person: UUID, *, by: UserPrincipal) -> Person:
    """Return one of the people whom somebody administers.

    Raises:
        UnknownUser, RoleNotAllowed: see :func:`reached`.
    """
    user = await reached(session, person, by=by)
    return _person(user, await _facilities(session, by))


async def add(session: AsyncSession, new: people.NewUser, *, by: UserPrincipal, now: datetime) -> str:
    """Make an account and return a password that is good for one sign-in.

    Raises:
        SecondPersonNeeded: of an administrator or auditor; RoleNotAllowed: of a citizen, or by somebody who may not.
        UnknownFacility: not in the directory, or another province's. LoginMalformed, LoginTaken: as they say.
    """
    if new.role in PRIVILEGED:
        raise SecondPersonNeeded
    if new.role not in BY_ONE:
        raise RoleNotAllowed
    if new.facility not in await _facilities(session, by):
        raise UnknownFacility(new.facility)
    return await people.add_account(session, new, by=by.address, now=now)


async def disable(session: AsyncSession, person: UUID, *, by: UserPrincipal, now: datetime) -> None:
    """Close an account: its sessions end now, its open sockets within seconds.

    Raises:
        OwnAccount, UnknownUser, RoleNotAllowed: see :func:`other`. LastAdministrator: see :func:`people.disable_user`.
    """
    user = await other(session, person, by=by)
    await people.disable_user(session, user.login, by=by.address, now=now)


async def sign_out(session: AsyncSession, person: UUID, *, by: UserPrincipal, now: datetime) -> None:
    """End every session of somebody.

    Raises:
        OwnAccount, UnknownUser, RoleNotAllowed: see :func:`other`.
    """
    user = await other(session, person, by=by)
    await sessions.end_sessions(session, user.id, by=by.address, now=now)


async def new_password(session: AsyncSession, person: UUID, *, by: UserPrincipal, now: datetime) -> str:
    """Give somebody who forgot theirs a password that is good for one sign-in; their sessions end.

    Raises:
        SecondPersonNeeded: of an administrator or auditor: somebody with a shell on the hub makes another account.
        OwnAccount, UnknownUser, RoleNotAllowed: see :func:`other`.
    """
    user = await other(session, person, by=by)
    if Role(user.role) in PRIVILEGED:
        raise SecondPersonNeeded
    password = await people.replace_password(session, user)
    await sessions.end_sessions(session, user.id, by=by.address, now=now)
    await audit.record(
        session, actor=by.address, action="user.password.reset", subject=f"user:{user.id}", at=now
    )
    return password


async def reset_factors(session: AsyncSession, person: UUID, *, by: UserPrincipal, now: datetime) -> None:
    """Forget the second factors of somebody who lost them; their sessions end.

    Raises:
        SecondPersonNeeded: of an administrator or auditor. OwnAccount, UnknownUser, RoleNotAllowed: see :func:`other`.
    """
    user = await other(session, person, by=by)
    if Role(user.role) in PRIVILEGED:
        raise SecondPersonNeeded
    await factors_forgotten(session, user, by=by.address, now=now)


async def factors_forgotten(session: AsyncSession, user: User, *, by: str, now: datetime) -> None:
    """Forget somebody's second factors, whoever may say so, and end their sessions."""
    await proofs.forget_factors(session, user.id, by=by, now=now)
    await sessions.end_sessions(session, user.id, by=by, now=now)


async def set_role(
    session: AsyncSession, person: UUID, role: Role, *, by: UserPrincipal, now: datetime
) -> None:
    """Give somebody another role; their sessions end.

    Raises:
        SecondPersonNeeded: to or from administrator or auditor.
        OwnAccount, UnknownUser, RoleNotAllowed: see :func:`other`; nobody becomes or stops being a citizen.
    """
    user = await other(session, person, by=by)
    if role in PRIVILEGED or Role(user.role) in PRIVILEGED:
        raise SecondPersonNeeded
    await role_given(session, user, role, by=by.address, now=now)


async def role_given(session: AsyncSession, user: User, role: Role, *, by: str, now: datetime) -> None:
    """Give somebody a role, whoever may say so, and end their sessions.

    Raises:
        RoleNotAllowed: from or to citizen. LastAdministrator: nobody else would be national administrator.
    """
    if Role.CITIZEN in (role, Role(user.role)):
        raise RoleNotAllowed
    await people.demand_not_last(session, user)
    user.role = role
    session.add(user)
    await sessions.end_sessions(session, user.id, by=by, now=now)
    await announce(session, "credential.revoked", {"address": f"user:{user.id}"})
    await audit.record(session, actor=by, action=f"user.role.{role}", subject=f"user:{user.id}", at=now)


def normal_name(typed: str) -> str:
    """Return a person's name as it is kept."""
    return rules.printable(" ".join(typed.split()), 120)
