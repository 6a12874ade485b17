"""Every query of breaking the glass: who opened what and what became of its review; no record of a patient."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.model import Emergency, User

_SHOWN = 200


async def password_of(session: AsyncSession, user: UUID) -> str | None:
    """Return the stored hash of an open account's password."""
    statement = select(col(User.password)).where(col(User.id) == user, col(User.disabled_at).is_(None))
    return (await session.exec(statement)).one_or_none()


async def emergency(session: AsyncSession, opening: UUID) -> Emergency | None:
    return await session.get(Emergency, opening)


async def hold_emergency(session: AsyncSession, opening: UUID) -> Emergency | None:
    """Return an opening and keep others from changing it until this transaction ends."""
    statement = select(Emergency).where(col(Emergency.id) == opening).with_for_update()
    return (await session.exec(statement.execution_options(populate_existing=True))).one_or_none()


async def emergencies_of(session: AsyncSession, person: UUID, *, since: datetime) -> Sequence[Emergency]:
    """Return what a person opened after ``since``, the newest first."""
    statement = select(Emergency).where(col(Emergency.person) == person, col(Emergency.at) > since)
    return (await session.exec(statement.order_by(col(Emergency.at).desc()))).all()


async def emergencies_about(session: AsyncSession, patient: str) -> Sequence[Emergency]:
    """Return who opened a patient's record, the newest first."""
    statement = select(Emergency).where(col(Emergency.patient) == patient)
    return (await session.exec(statement.order_by(col(Emergency.at).desc()).limit(_SHOWN))).all()


async def emergencies_in(session: AsyncSession, province: str) -> Sequence[Emergency]:
    """Return the openings in a province: those without review first, by when it is due; then the newest."""
    statement = select(Emergency).where(col(Emergency.province) == province)
    order = (
        col(Emergency.reviewed_at).is_not(None),
        col(Emergency.reviewed_at).desc(),
        col(Emergency.review_due),
    )
    return (await session.exec(statement.order_by(*order).limit(_SHOWN))).all()


async def unreviewed(session: AsyncSession, province: str) -> int:
    """Return how many openings in a province have no review."""
    statement = select(func.count()).where(
        col(Emergency.province) == province, col(Emergency.reviewed_at).is_(None)
    )
    return (await session.exec(statement)).one()
