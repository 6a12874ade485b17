"""Every query of proofs. Nothing here is about patients, so nothing here takes a scope."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, exists, func, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.proof.model import Passkey, PendingSignIn, RecoveryCode, Totp


async def totp(session: AsyncSession, user: UUID) -> Totp | None:
    """Return a person's authenticator app, kept from being used twice at once until this transaction ends."""
    statement = select(Totp).where(col(Totp.user_id) == user).with_for_update()
    return (await session.exec(statement.execution_options(populate_existing=True))).one_or_none()


async def remove_totp(session: AsyncSession, user: UUID) -> None:
    await session.exec(delete(Totp).where(col(Totp.user_id) == user))


async def has_factor(session: AsyncSession, user: UUID) -> bool:
    """Whether a person has a second factor that works: a confirmed app or a passkey."""
    statement = select(
        or_(
            exists().where(col(Totp.user_id) == user, col(Totp.confirmed_at).is_not(None)),
            exists().where(col(Passkey.user_id) == user),
        )
    )
    return bool((await session.exec(statement)).one())


async def remove_recovery_codes(session: AsyncSession, user: UUID) -> None:
    await session.exec(delete(RecoveryCode).where(col(RecoveryCode.user_id) == user))


async def recovery_codes_left(session: AsyncSession, user: UUID) -> int:
    statement = select(func.count()).where(
        col(RecoveryCode.user_id) == user, col(RecoveryCode.used_at).is_(None)
    )
    return (await session.exec(statement)).one()


async def use_recovery_code(session: AsyncSession, user: UUID, digest: bytes, now: datetime) -> bool:
    """Use a code up. False when there is no such code of this person, or it was used."""
    statement = (
        update(RecoveryCode)
        .where(
            col(RecoveryCode.digest) == digest,
            col(RecoveryCode.user_id) == user,
            col(RecoveryCode.used_at).is_(None),
        )
        .values(used_at=now)
        .returning(col(RecoveryCode.digest))
    )
    return (await session.exec(statement)).scalar_one_or_none() is not None


async def passkeys(session: AsyncSession, user: UUID) -> Sequence[Passkey]:
    statement = select(Passkey).where(col(Passkey.user_id) == user).order_by(col(Passkey.created_at))
    return (await session.exec(statement)).all()


async def passkey(session: AsyncSession, credential: bytes) -> Passkey | None:
    """Return a passkey, kept from being used twice at once until this transaction ends."""
    statement = select(Passkey).where(col(Passkey.id) == credential).with_for_update()
    return (await session.exec(statement)).one_or_none()


async def remove_passkeys(session: AsyncSession, user: UUID, credential: bytes | None = None) -> int:
    statement = delete(Passkey).where(col(Passkey.user_id) == user)
    if credential is not None:
        statement = statement.where(col(Passkey.id) == credential)
    return (await session.exec(statement)).rowcount


async def pending(session: AsyncSession, token: bytes, now: datetime) -> PendingSignIn | None:
    """Return half a sign-in that may still be finished, kept from being finished twice."""
    statement = (
        select(PendingSignIn)
        .where(col(PendingSignIn.token) == token, col(PendingSignIn.expires_at) > now)
        .with_for_update()
    )
    return (await session.exec(statement)).one_or_none()


async def forget_pending(session: AsyncSession, user: UUID) -> None:
    await session.exec(delete(PendingSignIn).where(col(PendingSignIn.user_id) == user))


async def purge_pending(session: AsyncSession, now: datetime) -> None:
    await session.exec(delete(PendingSignIn).where(col(PendingSignIn.expires_at) <= now))
