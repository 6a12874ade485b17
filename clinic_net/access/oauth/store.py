"""Every query of the authorization server. None reads records of patients."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, exists, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.model import Client, Session, User
from clinic_net.access.oauth.model import Code, Grant, Launch, OutsideIdentity, RefreshToken
from clinic_net.access.store import open_now

_KEPT = timedelta(days=7)


def _called(name: Any) -> ColumnElement[bool]:
    """The condition for the sign-in of a name: its token changes when the person proves anew to be there."""
    return or_(col(Session.name) == name, and_(col(Session.name).is_(None), col(Session.token) == name))


async def code_for_use(session: AsyncSession, digest: bytes) -> Code | None:
    """Return a code, and keep every other transaction from using it until this one ends."""
    return (
        await session.exec(select(Code).where(col(Code.digest) == digest).with_for_update())
    ).one_or_none()


async def refresh_token_for_use(session: AsyncSession, digest: bytes) -> RefreshToken | None:
    """Return a refresh token, and keep every other transaction from using it until this one ends."""
    statement = select(RefreshToken).where(col(RefreshToken.digest) == digest).with_for_update()
    return (await session.exec(statement)).one_or_none()


async def launch_for_use(session: AsyncSession, digest: bytes) -> Launch | None:
    """Return a launch, and keep every other transaction from using it until this one ends."""
    statement = select(Launch).where(col(Launch.digest) == digest).with_for_update()
    return (await session.exec(statement)).one_or_none()


async def grant(session: AsyncSession, grant_id: UUID) -> Grant | None:
    return await session.get(Grant, grant_id)


async def standing(session: AsyncSession, grant_id: UUID, now: datetime) -> tuple[Grant, User] | None:
    """Return a grant that holds, and whose it is: not revoked or over, program and person still here, and the
    person still signed in where it depends on that."""
    signed_in = exists().where(and_(_called(col(Grant.session)), *open_now(now)))
    statement = (
        select(Grant, User)
        .join(User, col(User.id) == col(Grant.user_id))
        .join(Client, col(Client.id) == col(Grant.client_id))
        .where(
            col(Grant.id) == grant_id,
            col(Grant.revoked_at).is_(None),
            col(Grant.expires_at) > now,
            col(User.disabled_at).is_(None),
            col(Client.disabled_at).is_(None),
            or_(col(Grant.session).is_(None), signed_in),
        )
    )
    found = (await session.exec(statement)).one_or_none()
    return None if found is None else (found[0], found[1])


async def revoke(session: AsyncSession, grant_id: UUID, now: datetime) -> bool:
    """End a grant; False when it had ended."""
    statement = (
        update(Grant)
        .where(col(Grant.id) == grant_id, col(Grant.revoked_at).is_(None))
        .values(revoked_at=now)
        .returning(col(Grant.id))
    )
    return (await session.exec(statement)).scalar_one_or_none() is not None


async def grants_of(session: AsyncSession, user_id: UUID, now: datetime) -> Sequence[tuple[Grant, Client]]:
    """Return what a person allows programs now, newest first."""
    statement = (
        select(Grant, Client)
        .join(Client, col(Client.id) == col(Grant.client_id))
        .where(col(Grant.user_id) == user_id, col(Grant.revoked_at).is_(None), col(Grant.expires_at) > now)
        .order_by(col(Grant.created_at).desc())
    )
    return [(row[0], row[1]) for row in await session.exec(statement)]


async def purge(session: AsyncSession, user_id: UUID, now: datetime) -> None:
    """Forget what a person's programs were allowed long ago, and launches that nobody used."""
    await session.exec(
        delete(Grant).where(col(Grant.user_id) == user_id, col(Grant.expires_at) < now - _KEPT)
    )
    await session.exec(delete(Launch).where(col(Launch.expires_at) < now - _KEPT))


async def launchable(session: AsyncSession) -> Sequence[Client]:
    """Return the programs that can be opened from a record, by name."""
    statement = (
        select(Client)
        .where(col(Client.launch_uri).is_not(None), col(Client.disabled_at).is_(None))
        .order_by(col(Client.name))
    )
    return (await session.exec(statement)).all()


async def session_of(session: AsyncSession, name: bytes) -> Session | None:
    """Return a sign-in by its name, which stays when its cookie gets a new value."""
    return (await session.exec(select(Session).where(_called(name)))).one_or_none()


async def linked(session: AsyncSession, issuer: str, subject: str) -> OutsideIdentity | None:
    return await session.get(OutsideIdentity, (issuer, subject))


async def unlink(session: AsyncSession, user_id: UUID) -> int:
    """Forget whom outside providers call this person; return how many names there were."""
    statement = delete(OutsideIdentity).where(col(OutsideIdentity.user_id) == user_id)
    return (await session.exec(statement)).rowcount
