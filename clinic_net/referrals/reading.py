"""What people and stations may know of referrals."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import refuse_watchers
from clinic_net.access.principals import Principal, Role, StationPrincipal, UserPrincipal
from clinic_net.directory import service as directory
from clinic_net.referrals import store
from clinic_net.referrals.model import ReferralCase
from clinic_net.referrals.store import Reader


@dataclass(frozen=True)
class ReferralRow:
    """A referral on a list. ``time_left`` until the answer is owed, negative when it is overdue."""

    id: UUID
    consultation: UUID
    patient: str
    site: str
    specialty: str
    urgency: str
    state: str
    from_facility: str
    to_facility: str
    to_facility_name: str
    requester_name: str
    sent_at: datetime
    due_at: datetime | None
    time_left: timedelta | None
    overdue: int
    hops: int
    answered_at: datetime | None
    answered_by: str | None
    duplicate_of: UUID | None


async def open_referrals(session: AsyncSession, by: Principal, *, now: datetime) -> list[ReferralRow]:
    """Return the caller's open referrals by urgency, then time left."""
    found = await store.open_of(session, reader=await reader_of(session, by))
    return [row(referral, now) for referral in found]


@dataclass(frozen=True)
class TimelineEntry:
    """Something that happened to a referral. ``seconds`` count from when it was sent."""

    step: str
    at: datetime
    actor: str
    facility: str
    reason: str | None
    seconds: float


async def timeline(session: AsyncSession, referral: UUID, *, by: Principal) -> list[TimelineEntry]:
    """Return what happened to a referral, oldest first.

    Raises:
        UnknownReferral: there is none, or it is not the caller's.
    """
    found = await store.find(session, referral, reader=await reader_of(session, by))
    return [
        TimelineEntry(
            step=event.step,
            at=event.at,
            actor=event.actor,
            facility=event.facility,
            reason=event.reason,
            seconds=(event.at - found.sent_at).total_seconds(),
        )
        for event in await store.events(session, referral)
    ]


async def reader_of(session: AsyncSession, by: Principal) -> Reader:
    match by:
        case StationPrincipal(site=site):
            return Reader(site=site)
        case UserPrincipal(role=Role.COORDINATOR | Role.OPERATOR, facility=code):
            facility = await directory.facility(session, code)
            return Reader(user=by.id, facility=code, province=facility.province_code)
        case UserPrincipal(role=Role.DOCTOR, facility=code):
            return Reader(user=by.id, facility=code)
        case _:
            return Reader()


async def actor_of(session: AsyncSession, by: Principal) -> Reader:
    """Return whose referrals a caller may change, as far as the use case lets them.

    Raises:
        RoleNotAllowed: an operator watches and changes nothing.
    """
    refuse_watchers(by)
    return await reader_of(session, by)


def row(referral: ReferralCase, now: datetime) -> ReferralRow:
    return ReferralRow(
        id=referral.id,
        consultation=referral.consultation,
        patient=referral.patient,
        site=referral.site,
        specialty=referral.specialty,
        urgency=referral.urgency,
        state=referral.state,
        from_facility=referral.from_facility,
        to_facility=referral.to_facility,
        to_facility_name=referral.to_facility_name,
        requester_name=referral.requester_name,
        sent_at=referral.sent_at,
        due_at=referral.due_at,
        time_left=None if referral.due_at is None else referral.due_at - now,
        overdue=referral.overdue,
        hops=referral.hops,
        answered_at=referral.answered_at,
        answered_by=referral.answered_by,
        duplicate_of=referral.duplicate_of,
    )
