"""Every query of referrals. What is read for somebody takes a ``Reader``, compiled into the query."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, case, false, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.referrals.errors import UnknownReferral
from clinic_net.referrals.model import ReferralCase, ReferralEvent
from clinic_net.referrals.rules import RANK

_DUPLICATE_WITHIN = timedelta(hours=72)
"""Domain §3.3."""


@dataclass(frozen=True)
class Reader:
    """Whose referrals: who asked for it, who receives it, the coordinators of both provinces, the station."""

    user: UUID | None = None
    facility: str | None = None
    province: str | None = None
    site: str | None = None


def _theirs(reader: Reader) -> ColumnElement[bool]:
    rights: list[ColumnElement[bool]] = [false()]
    if reader.user is not None:
        rights.append(col(ReferralCase.requested_by) == reader.user)
    if reader.facility is not None:
        rights.append(col(ReferralCase.to_facility) == reader.facility)
    if reader.province is not None:
        rights.append(col(ReferralCase.to_province) == reader.province)
        rights.append(col(ReferralCase.from_province) == reader.province)
    if reader.site is not None:
        rights.append(col(ReferralCase.site) == reader.site)
    return or_(*rights)


async def find(session: AsyncSession, referral: UUID, *, reader: Reader) -> ReferralCase:
    """Return a referral that is the reader's.

    Raises:
        UnknownReferral: there is none, or it is not.
    """
    statement = select(ReferralCase).where(ReferralCase.id == referral, _theirs(reader))
    found = (await session.exec(statement)).one_or_none()
    if found is None:
        raise UnknownReferral(referral)
    return found


async def lock(session: AsyncSession, referral: UUID, *, reader: Reader | None) -> ReferralCase:
    """Return a referral and hold its row; the hub itself (``reader`` None) may hold any.

    Two may answer at once; the second waits here and then sees the first one's answer.

    Raises:
        UnknownReferral: there is none, or it is not the reader's.
    """
    statement = select(ReferralCase).where(ReferralCase.id == referral)
    if reader is not None:
        statement = statement.where(_theirs(reader))
    statement = statement.with_for_update().execution_options(populate_existing=True)
    found = (await session.exec(statement)).one_or_none()
    if found is None:
        raise UnknownReferral(referral)
    return found


async def open_of(session: AsyncSession, *, reader: Reader) -> Sequence[ReferralCase]:
    """Return the reader's open referrals, most urgent first, then least time left."""
    statement = (
        select(ReferralCase)
        .where(col(ReferralCase.due_at).is_not(None), _theirs(reader))
        .order_by(case(dict(RANK), value=col(ReferralCase.urgency)), col(ReferralCase.due_at))
    )
    return (await session.exec(statement)).all()


async def due(session: AsyncSession, now: datetime, *, limit: int) -> Sequence[ReferralCase]:
    """Return and lock referrals whose answer is overdue."""
    statement = (
        select(ReferralCase)
        .where(col(ReferralCase.due_at) <= now)
        .order_by(col(ReferralCase.due_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return (await session.exec(statement)).all()


async def earlier(
    session: AsyncSession, patient: str, specialty: str, *, now: datetime
) -> ReferralCase | None:
    """Return an open referral of the same patient and specialty of the last 72 h."""
    statement = (
        select(ReferralCase)
        .where(ReferralCase.patient == patient, ReferralCase.specialty == specialty)
        .where(col(ReferralCase.due_at).is_not(None), col(ReferralCase.sent_at) > now - _DUPLICATE_WITHIN)
        .order_by(col(ReferralCase.sent_at))
    )
    return (await session.exec(statement)).first()


async def events(session: AsyncSession, referral: UUID) -> Sequence[ReferralEvent]:
    statement = (
        select(ReferralEvent).where(ReferralEvent.referral == referral).order_by(col(ReferralEvent.id))
    )
    return (await session.exec(statement)).all()
