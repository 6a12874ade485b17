"""Every query of access. None reads records of patients, so none takes a scope; care relations hold ids only."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, not_, or_, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.model import (
    Attempt,
    Client,
    Device,
    EnrolmentCode,
    Session,
    UsedJti,
    User,
)
from clinic_net.kernel.links import Database, fetch

_ATTEMPTS_KEPT = timedelta(hours=24)
_SESSIONS_KEPT = timedelta(days=7)


@dataclass(frozen=True)
class Tries:
    """Failed tries under one key within a window, and when the oldest and the newest of them were."""

    count: int
    oldest: datetime | None
    newest: datetime | None


async def lock(session: AsyncSession, name: bytes) -> None:
    """Wait until no other transaction holds this name, and hold it until this one ends."""
    number = int.from_bytes(name[:8], "big", signed=True)
    await session.exec(select(func.pg_advisory_xact_lock(number)))


async def tries(session: AsyncSession, key: bytes, since: datetime) -> Tries:
    statement = select(func.count(), func.min(col(Attempt.at)), func.max(col(Attempt.at))).where(
        col(Attempt.key) == key, col(Attempt.at) > since
    )
    count, oldest, newest = (await session.exec(statement)).one()
    return Tries(count, oldest, newest)


async def forget_tries(session: AsyncSession, ids: Collection[UUID], keys: Collection[bytes] = ()) -> None:
    """Forget these tries, and every try under these keys."""
    await session.exec(
        delete(Attempt).where(or_(col(Attempt.id).in_(ids), col(Attempt.key) == func.any(list(keys))))
    )


async def purge_tries(session: AsyncSession, now: datetime) -> None:
    await session.exec(delete(Attempt).where(col(Attempt.at) < now - _ATTEMPTS_KEPT))


async def user_of_login(session: AsyncSession, login: str) -> User | None:
    return (await session.exec(select(User).where(col(User.login) == login))).one_or_none()


async def user_for_sign_in(session: AsyncSession, user_id: UUID) -> User | None:
    """Return a user as of now, kept from being disabled until this transaction ends."""
    statement = select(User).where(col(User.id) == user_id).with_for_update(read=True)
    return (await session.exec(statement.execution_options(populate_existing=True))).one_or_none()


async def user_for_change(session: AsyncSession, user_id: UUID) -> User | None:
    """Return a user as of now, kept from being changed by others until this transaction ends."""
    statement = select(User).where(col(User.id) == user_id).with_for_update()
    return (await session.exec(statement.execution_options(populate_existing=True))).one_or_none()


async def open_users_for_change(session: AsyncSession, role: str) -> Sequence[User]:
    """Return the open accounts of a role, kept from being changed by others until this transaction ends."""
    statement = (
        select(User)
        .where(col(User.role) == role, col(User.disabled_at).is_(None))
        .order_by(col(User.id))
        .with_for_update()
    )
    return (await session.exec(statement)).all()


async def user_of_session(session: AsyncSession, token: bytes, now: datetime) -> tuple[User, Session] | None:
    """Return whose cookie this is the digest of, with the session."""
    return await _user_and_session(session, col(Session.token) == token, now)


async def user_of_named_session(
    session: AsyncSession, name: bytes, now: datetime
) -> tuple[User, Session] | None:
    """Return whose session has this name, with the session."""
    return await _user_and_session(session, _named([name]), now)


async def _user_and_session(
    session: AsyncSession, which: ColumnElement[bool], now: datetime
) -> tuple[User, Session] | None:
    statement = (
        select(User, Session)
        .join(Session, col(Session.user_id) == col(User.id))
        .where(which, *open_now(now))
        .execution_options(populate_existing=True)
    )
    row = (await session.exec(statement)).one_or_none()
    return None if row is None else (row[0], row[1])


def _named(names: Collection[bytes]) -> ColumnElement[bool]:
    """Sessions by name; those that a node of the release before opened are named by their token."""
    wanted = list(names)
    return or_(
        col(Session.name) == func.any(wanted),
        and_(col(Session.name).is_(None), col(Session.token) == func.any(wanted)),
    )


def open_now(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """The conditions under which a session is open: not ended, over or idle too long, and its person still here."""
    used = func.coalesce(col(Session.last_used_at), col(Session.created_at))
    idle = func.make_interval(0, 0, 0, 0, 0, 0, col(Session.idle_seconds))
    return (
        col(Session.ended_at).is_(None),
        col(Session.expires_at) > now,
        or_(col(Session.idle_seconds).is_(None), used + idle > now),
        col(User.disabled_at).is_(None),
    )


async def open_sessions(
    session: AsyncSession, names: Collection[bytes], now: datetime
) -> dict[bytes, datetime]:
    """Return which of these sessions are open, by name, and when each was last used."""
    used = func.coalesce(col(Session.last_used_at), col(Session.created_at))
    statement = (
        select(func.coalesce(col(Session.name), col(Session.token)), used)
        .join(User, col(Session.user_id) == col(User.id))
        .where(_named(names), *open_now(now))
    )
    return {bytes(name): at for name, at in await session.exec(statement)}


async def touch_sessions(session: AsyncSession, names: Collection[bytes], now: datetime) -> None:
    """Note that sessions are used; one that somebody else is writing is theirs to note."""
    held = select(col(Session.token)).where(_named(names)).with_for_update(skip_locked=True)
    await session.exec(update(Session).where(col(Session.token).in_(held)).values(last_used_at=now))


async def renew_session(
    session: AsyncSession, name: bytes, *, token: bytes, assurance: str, now: datetime
) -> bool:
    """Give an open session a new token; its name stays. False when it has ended."""
    statement = (
        update(Session)
        .where(_named([name]), col(Session.ended_at).is_(None), col(Session.expires_at) > now)
        .values(token=token, name=name, assurance=assurance, verified_at=now, last_used_at=now)
        .returning(col(Session.user_id))
    )
    return (await session.exec(statement)).scalar_one_or_none() is not None


async def set_purpose(session: AsyncSession, name: bytes, purpose: str) -> None:
    await session.exec(update(Session).where(_named([name])).values(purpose=purpose))


async def sessions_of(session: AsyncSession, user_id: UUID, now: datetime) -> Sequence[Session]:
    statement = (
        select(Session)
        .join(User, col(Session.user_id) == col(User.id))
        .where(col(Session.user_id) == user_id, *open_now(now))
    )
    return (await session.exec(statement)).all()


async def end_session(session: AsyncSession, token: bytes, now: datetime) -> UUID | None:
    """End a session and return whose it was; None when it was not open."""
    statement = (
        update(Session)
        .where(col(Session.token) == token, col(Session.ended_at).is_(None))
        .values(ended_at=now)
        .returning(col(Session.user_id))
    )
    return (await session.exec(statement)).scalar_one_or_none()


async def end_session_named(session: AsyncSession, user_id: UUID, name: bytes, now: datetime) -> bool:
    """End a person's session of this name. False when it is not open, or not theirs."""
    statement = (
        update(Session)
        .where(col(Session.user_id) == user_id, _named([name]), col(Session.ended_at).is_(None))
        .values(ended_at=now)
        .returning(col(Session.user_id))
    )
    return (await session.exec(statement)).scalar_one_or_none() is not None


async def end_sessions_of(
    session: AsyncSession, user_id: UUID, now: datetime, *, but: bytes | None = None
) -> None:
    statement = update(Session).where(col(Session.user_id) == user_id, col(Session.ended_at).is_(None))
    if but is not None:
        statement = statement.where(not_(_named([but])))
    await session.exec(statement.values(ended_at=now))


async def purge_sessions(session: AsyncSession, user_id: UUID, now: datetime) -> None:
    """Forget a person's sessions that ended long ago; the audit trail remembers them."""
    await session.exec(
        delete(Session).where(col(Session.user_id) == user_id, col(Session.expires_at) < now - _SESSIONS_KEPT)
    )


async def users(
    session: AsyncSession,
    *,
    facility: str | None = None,
    role: str | None = None,
    facilities: Collection[str] | None = None,
) -> Sequence[User]:
    statement = select(User).order_by(col(User.login))
    if facility is not None:
        statement = statement.where(col(User.facility) == facility)
    if facilities is not None:
        statement = statement.where(col(User.facility) == func.any(list(facilities)))
    if role is not None:
        statement = statement.where(col(User.role) == role)
    return (await session.exec(statement)).all()


async def replace_codes(session: AsyncSession, site: str, now: datetime) -> None:
    """Make the site's codes that nobody used yet useless."""
    await session.exec(
        update(EnrolmentCode)
        .where(
            col(EnrolmentCode.site) == site,
            col(EnrolmentCode.used_at).is_(None),
            col(EnrolmentCode.replaced_at).is_(None),
        )
        .values(replaced_at=now)
    )


async def code_for_use(session: AsyncSession, digest: bytes) -> EnrolmentCode | None:
    """Return a code, and keep every other transaction from using it until this one ends."""
    statement = select(EnrolmentCode).where(col(EnrolmentCode.digest) == digest).with_for_update()
    return (await session.exec(statement)).one_or_none()


async def device(session: AsyncSession, device_id: UUID) -> Device | None:
    return await session.get(Device, device_id)


async def device_of_key(session: AsyncSession, thumbprint: str) -> Device | None:
    return (await session.exec(select(Device).where(col(Device.thumbprint) == thumbprint))).one_or_none()


async def devices_of(session: AsyncSession, site: str) -> Sequence[Device]:
    """Return a site's devices, newest first."""
    statement = select(Device).where(col(Device.site) == site).order_by(col(Device.epoch).desc())
    return (await session.exec(statement)).all()


async def active_devices(session: AsyncSession, sites: Collection[str] | None = None) -> Sequence[Device]:
    statement = select(Device).where(col(Device.status) == "active")
    if sites is not None:
        statement = statement.where(col(Device.site) == func.any(list(sites)))
    return (await session.exec(statement)).all()


async def active_among(session: AsyncSession, devices: Collection[tuple[UUID, int]]) -> set[tuple[UUID, int]]:
    """Return which of these devices are active in that epoch."""
    statement = select(col(Device.id), col(Device.epoch)).where(
        col(Device.status) == "active", col(Device.id) == func.any([device_id for device_id, _ in devices])
    )
    return {(row[0], row[1]) for row in await session.exec(statement)} & set(devices)


_ENABLED = text("select id from access_client where id = any(:ids) and disabled_at is null")
"""As text, because every request of a system client asks it."""


async def enabled_clients(session: Database, ids: Collection[str]) -> set[str]:
    return {row[0] for row in await fetch(session, _ENABLED, {"ids": list(ids)})}


async def client(session: AsyncSession, client_id: str) -> Client | None:
    return await session.get(Client, client_id)


async def use_jti(session: AsyncSession, used: UsedJti, now: datetime) -> bool:
    """Mark an assertion as used. False when it was used before; two at once: one waits, and gets False."""
    await session.exec(
        delete(UsedJti).where(
            col(UsedJti.issuer) == used.issuer, col(UsedJti.expires_at) < now - timedelta(minutes=5)
        )
    )
    statement = insert(UsedJti).values(used.model_dump()).on_conflict_do_nothing().returning(col(UsedJti.jti))
    return (await session.exec(statement)).scalar_one_or_none() is not None


async def users_of_practitioner(session: AsyncSession, practitioner: UUID) -> Sequence[UUID]:
    """Return the accounts of a practitioner."""
    return (await session.exec(select(col(User.id)).where(col(User.practitioner) == practitioner))).all()
