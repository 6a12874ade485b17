"""Every query of administration. Nothing here is about patients, so nothing here takes a scope."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.administration.model import Approval
from clinic_net.access.model import User

MOST_SHOWN = 200
NATIONAL_ONLY = "*"
"""In place of a province: national administrators only."""


async def people(session: AsyncSession, *, facilities: Collection[str] | None, search: str) -> Sequence[User]:
    """Return accounts whose login or name holds ``search``, of these facilities (None: of all), open ones first."""
    statement = select(User).order_by(col(User.disabled_at).is_not(None), col(User.login)).limit(MOST_SHOWN)
    if facilities is not None:
        statement = statement.where(col(User.facility) == func.any(list(facilities)))
        statement = statement.where(col(User.role) != "national")
    if search:
        wanted = func.lower(search)
        statement = statement.where(
            or_(
                func.strpos(func.lower(col(User.login)), wanted) > 0,
                func.strpos(func.lower(col(User.name)), wanted) > 0,
            )
        )
    return (await session.exec(statement)).all()


async def approvals(
    session: AsyncSession, provinces: Collection[str] | None, now: datetime
) -> Sequence[Approval]:
    """Return requests that are neither carried out, rejected nor too old, of these provinces (None: of all)."""
    statement = (
        select(Approval)
        .where(
            col(Approval.expires_at) > now,
            col(Approval.done_at).is_(None),
            or_(col(Approval.decided_at).is_(None), col(Approval.approved)),
        )
        .order_by(col(Approval.asked_at))
        .limit(MOST_SHOWN)
    )
    if provinces is not None:
        statement = statement.where(col(Approval.province) == func.any(list(provinces)))
    return (await session.exec(statement)).all()


async def approval(session: AsyncSession, approval_id: UUID) -> Approval | None:
    """Return a request, kept from being decided twice until this transaction ends."""
    statement = select(Approval).where(col(Approval.id) == approval_id).with_for_update()
    return (await session.exec(statement)).one_or_none()


async def names(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, str]:
    rows = await session.exec(select(User.id, User.name).where(col(User.id) == func.any(list(ids))))
    return {row[0]: row[1] for row in rows}
