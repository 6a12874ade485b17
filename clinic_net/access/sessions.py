"""Sessions of people: opened, named, listed, renewed by a fresh proof, ended."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import store
from clinic_net.access.errors import NotSignedIn
from clinic_net.access.keys import digest
from clinic_net.access.model import Session, User
from clinic_net.access.principals import PRIVILEGED, PURPOSES, Role, UserPrincipal
from clinic_net.access.proof.errors import PurposeNotAllowed, VerificationNeeded
from clinic_net.access.proof.rules import FRESH_FOR
from clinic_net.kernel.jobs import announce

USE_COUNTS_EVERY = timedelta(minutes=1)
"""How often the use of a session is written down: lists show it coarse, and a page that polls costs no more."""


@dataclass(frozen=True)
class Policy:
    """Who must have a second factor, and how long sessions last, ``idle`` ones too (None: as long as others).

    ``admin_*`` are for operators, national administrators and auditors.
    """

    must: frozenset[Role] = frozenset()
    idle: timedelta | None = None
    admin_lifetime: timedelta | None = None
    admin_idle: timedelta | None = None

    def lifetime_of(self, role: Role, lifetime: timedelta) -> timedelta:
        if role in PRIVILEGED and self.admin_lifetime is not None:
            return min(lifetime, self.admin_lifetime)
        return lifetime

    def idle_of(self, role: Role) -> timedelta | None:
        return self.admin_idle if role in PRIVILEGED else self.idle


@dataclass(frozen=True)
class SignedIn:
    """A fresh session: ``token`` is the cookie's value, told once."""

    user: UserPrincipal
    token: str
    expires: datetime


@dataclass(frozen=True)
class SessionSeen:
    """A session as its owner's list shows it. ``name`` opens nothing."""

    name: str
    browser: str
    assurance: str
    since: datetime
    last_used: datetime
    expires: datetime


def principal_of(user: User, row: Session | None = None) -> UserPrincipal:
    """Return an account as a principal; of a session when there is one."""
    role = Role(user.role)
    purpose = PURPOSES[role][0] if row is None or row.purpose is None else row.purpose
    return UserPrincipal(
        id=user.id,
        login=user.login,
        name=user.name,
        role=role,
        facility=user.facility,
        practitioner=user.practitioner,
        specialties=frozenset(user.specialties),
        language=user.language,
        session=(row.name or row.token).hex() if row is not None else "",
        verified_at=row.verified_at if row is not None else None,
        assurance=row.assurance if row is not None else "password",
        purpose=purpose,
        patient=user.patient,
    )


async def open_session(
    session: AsyncSession,
    user: User,
    *,
    assurance: str,
    browser: str,
    lifetime: timedelta,
    policy: Policy,
    now: datetime,
) -> SignedIn:
    """Open a session of somebody who has proved enough."""
    await store.purge_sessions(session, user.id, now)
    token, role = secrets.token_urlsafe(32), Role(user.role)
    idle = policy.idle_of(role)
    row = Session(
        token=digest(token),
        name=digest(token),
        user_id=user.id,
        assurance=assurance,
        browser=browser,
        created_at=now,
        verified_at=now,
        last_used_at=now,
        idle_seconds=None if idle is None else int(idle.total_seconds()),
        expires_at=now + policy.lifetime_of(role, lifetime),
    )
    session.add(row)
    principal = principal_of(user, row)
    await audit.record(
        session,
        actor=principal.address,
        action="user.sign_in",
        subject=principal.address,
        at=now,
        purpose=principal.purpose,
    )
    return SignedIn(principal, token, row.expires_at)


async def signed_in(
    session: AsyncSession, token: str, *, now: datetime, polling: bool = False
) -> UserPrincipal:
    """Return who holds this cookie. ``polling`` says that a page asked by itself: of an administrator's session
    that is no use, so that a forgotten screen ends.

    Raises:
        NotSignedIn: the session is unknown, over, or its user disabled.
    """
    found = await store.user_of_session(session, digest(token), now)
    if found is None:
        raise NotSignedIn
    user, row = found
    used = row.last_used_at or row.created_at
    if now - used >= USE_COUNTS_EVERY and not (polling and Role(user.role) in PRIVILEGED):
        await store.touch_sessions(session, [row.name or row.token], now)
    return principal_of(user, row)


async def keep_in_use(
    session: AsyncSession, used: Mapping[UserPrincipal, datetime], *, now: datetime
) -> None:
    """Note the use of sessions that hold something open, by when each was last noted; administrators' are not."""
    stale = [
        bytes.fromhex(principal.session)
        for principal, at in used.items()
        if now - at >= USE_COUNTS_EVERY and principal.role not in PRIVILEGED
    ]
    if stale:
        await store.touch_sessions(session, stale, now)


def fresh(principal: UserPrincipal, now: datetime, *, within: timedelta = FRESH_FOR) -> None:
    """Demand that the person proved to be there a moment ago: before breaking the glass, or administering anybody.

    Raises:
        VerificationNeeded: pages lead to ``/verify`` and back; an interface gets 403 and this code.
    """
    if principal.verified_at is None or now - principal.verified_at > within:
        raise VerificationNeeded


async def renew(session: AsyncSession, principal: UserPrincipal, *, assurance: str, now: datetime) -> str:
    """Note a fresh proof, and give the session's cookie a new value, which is returned. Its name stays.

    Raises:
        NotSignedIn: the session has ended meanwhile.
    """
    token = secrets.token_urlsafe(32)
    best = assurance if assurance != "password" else principal.assurance
    if not await store.renew_session(
        session, bytes.fromhex(principal.session), token=digest(token), assurance=best, now=now
    ):
        raise NotSignedIn
    await audit.record(
        session,
        actor=principal.address,
        action="user.verify",
        subject=principal.address,
        at=now,
        purpose=principal.purpose,
    )
    return token


async def choose_purpose(
    session: AsyncSession, principal: UserPrincipal, purpose: str, *, now: datetime
) -> None:
    """Say for what one works from now on in this session.

    Raises:
        PurposeNotAllowed: the role does not work for it.
    """
    if purpose not in PURPOSES[principal.role]:
        raise PurposeNotAllowed
    await store.set_purpose(session, bytes.fromhex(principal.session), purpose)
    await audit.record(
        session,
        actor=principal.address,
        action="user.purpose",
        subject=principal.address,
        at=now,
        purpose=purpose,
    )


async def sessions_of(session: AsyncSession, user: UUID, *, now: datetime) -> tuple[SessionSeen, ...]:
    """Return a person's open sessions, the one used last first."""
    rows = await store.sessions_of(session, user, now)
    seen = [
        SessionSeen(
            name=(row.name or row.token).hex(),
            browser=row.browser,
            assurance=row.assurance,
            since=row.created_at,
            last_used=row.last_used_at or row.created_at,
            expires=row.expires_at,
        )
        for row in rows
    ]
    return tuple(sorted(seen, key=lambda each: each.last_used, reverse=True))


async def end_own_session(
    session: AsyncSession, principal: UserPrincipal, name: str, *, now: datetime
) -> None:
    """End one of one's own sessions; nothing happens when it is not open, or somebody else's."""
    try:
        key = bytes.fromhex(name)
    except ValueError:
        return
    if await store.end_session_named(session, principal.id, key, now):
        await _told(session, principal.id, by=principal.address, action="user.session.end", now=now)


async def end_sessions(
    session: AsyncSession, user: UUID, *, by: str, now: datetime, but: str | None = None
) -> None:
    """End every session of a person, except the one named ``but``; their sockets close within seconds."""
    await store.end_sessions_of(session, user, now, but=bytes.fromhex(but) if but else None)
    await _told(session, user, by=by, action="user.sessions.end", now=now)


async def _told(session: AsyncSession, user: UUID, *, by: str, action: str, now: datetime) -> None:
    await announce(session, "credential.revoked", {"address": f"user:{user}"})
    await audit.record(session, actor=by, action=action, subject=f"user:{user}", at=now)


async def sign_out(session: AsyncSession, token: str, *, now: datetime) -> None:
    """End the session of this cookie; nothing happens when it is not open."""
    user = await store.end_session(session, digest(token), now)
    if user is not None:
        await audit.record(
            session, actor=f"user:{user}", action="user.sign_out", subject=f"user:{user}", at=now
        )
