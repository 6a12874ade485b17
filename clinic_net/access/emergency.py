"""Breaking the glass: a clinician opens one patient's record without a relation of care, in front of witnesses.

Reading only, for four hours, after proving anew who they are, for a coded reason and in words. The province's
supervisors see it at once and must close its review within seven days; the patient sees it too. It opens what is
specially protected only where the reason is to treat an emergency (purpose ETREAT).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import attempts, care, emergency_store, passwords, store
from clinic_net.access.attempts import Tried
from clinic_net.access.errors import (
    NotFresh,
    ReasonRequired,
    RoleNotAllowed,
    UnknownEmergency,
    WrongCredentials,
)
from clinic_net.access.model import Emergency
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.access.proof.rules import FRESH_FOR
from clinic_net.access.reach import EMERGENCY, SAVING
from clinic_net.directory import service as directory
from clinic_net.kernel.db import Sessions
from clinic_net.kernel.errors import Refusal
from clinic_net.kernel.ids import new_id

log = structlog.get_logger()

OPEN_FOR = timedelta(hours=4)
REVIEW_WITHIN = timedelta(days=7)
MANY_A_DAY = 3
"""Ours, all four: as long as an emergency lasts, as short as nobody else sits at the desk; more a day is a pattern."""

REASONS: Mapping[str, str] = MappingProxyType(
    {"life-threat": SAVING, "unconscious": SAVING, "handover": "BTG", "follow-up": "BTG"}
)
"""Coded reasons, and the purpose (HL7 v3 PurposeOfUse) that each stands for."""
OUTCOMES = ("justified", "explained", "misuse")
"""How a review is closed."""

WORDS_LONGEST = 2000
_BROKEN = Counter("clinic_net_emergency_access_total", "Records opened by breaking the glass", ["purpose"])
_MANY = Counter("clinic_net_emergency_access_many_total", "Openings beyond three by one person within a day")


@dataclass(frozen=True)
class Ask:
    """What a clinician says on the page."""

    reason: str
    words: str


@dataclass(frozen=True)
class EmergencyView:
    """One opening. ``many``: the person had opened more than ``MANY_A_DAY`` within a day."""

    id: UUID
    patient: str
    person: UUID
    name: str
    facility: str
    reason: str
    words: str
    purpose: str
    at: datetime
    until: datetime
    review_due: datetime
    many: bool
    reviewed_at: datetime | None
    reviewed_by: str | None
    outcome: str | None

    def is_open(self, now: datetime) -> bool:
        return now < self.until

    def is_overdue(self, now: datetime) -> bool:
        return self.reviewed_at is None and self.review_due <= now


def is_fresh(person: UserPrincipal, now: datetime) -> bool:
    """Whether somebody proved within the last five minutes to be there."""
    return person.verified_at is not None and now - person.verified_at <= FRESH_FOR


async def prove(
    sessions: Sessions, person: UserPrincipal, password: str, *, tried: Tried, now: datetime
) -> None:
    """Check a signed-in person's password, in transactions of its own. Call it outside any transaction.

    Raises:
        WrongCredentials: it is wrong. TooMany: too many wrong ones. SignInBusy: too many people at once.
    """
    ids = await attempts.begin(sessions, tried, now=now)
    async with sessions() as session, session.begin():
        hashed = await emergency_store.password_of(session, person.id)
    try:
        if not await passwords.check(password, hashed):
            raise WrongCredentials
    except Refusal as refusal:
        await attempts.refused(sessions, tried, refusal, now=now)
        raise
    async with sessions() as session, session.begin():
        await store.forget_tries(session, ids)


async def break_glass(
    session: AsyncSession,
    patient: str,
    ask: Ask,
    *,
    by: UserPrincipal,
    proved: datetime | None,
    now: datetime,
) -> EmergencyView:
    """Open one patient's record (FHIR id of the Patient) to a clinician.

    ``proved`` is when they proved anew to be there, None where only their sign-in says so. Opening what is open
    already gives the same opening.

    Raises:
        RoleNotAllowed: only doctors and nurses. NotFresh: it is too long ago that they proved to be there.
        ReasonRequired: no coded reason, or no words.
    """
    if by.role not in (Role.DOCTOR, Role.NURSE):
        raise RoleNotAllowed
    if not is_fresh(by, now) and (proved is None or now - proved > FRESH_FOR):
        raise NotFresh
    words = ask.words.strip()[:WORDS_LONGEST]
    if ask.reason not in REASONS or not words:
        raise ReasonRequired
    await store.lock(session, by.id.bytes)
    purpose = REASONS[ask.reason]
    day = await emergency_store.emergencies_of(session, by.id, since=now - timedelta(days=1))
    for row in day:
        if row.patient == patient and row.purpose == purpose and now < row.until:
            return _view(row)
    place = await directory.facility(session, by.facility)
    row = Emergency(
        id=new_id(now),
        patient=patient,
        person=by.id,
        name=by.name,
        facility=place.code,
        province=place.province_code,
        reason=ask.reason,
        words=words,
        purpose=purpose,
        at=now,
        until=now + OPEN_FOR,
        review_due=now + REVIEW_WITHIN,
        many=len(day) >= MANY_A_DAY,
    )
    session.add(row)
    await session.flush()
    await care.grant_care(
        session,
        patient=patient,
        grantee=by.address,
        basis=EMERGENCY,
        purpose=purpose,
        since=now,
        until=row.until,
        source=f"emergency:{row.id}",
    )
    _BROKEN.labels(purpose).inc()
    if row.many:
        _MANY.inc()
        log.warning("emergency_access_many", facility=place.code, count=len(day) + 1)
    return _view(row)


async def emergency(session: AsyncSession, opening: UUID, *, by: UserPrincipal) -> EmergencyView:
    """Return one's own opening.

    Raises:
        UnknownEmergency: there is none, or it is somebody else's.
    """
    row = await emergency_store.emergency(session, opening)
    if row is None or row.person != by.id:
        raise UnknownEmergency
    return _view(row)


async def own_emergencies(session: AsyncSession, by: UserPrincipal, *, now: datetime) -> list[EmergencyView]:
    """Return the openings of a person that are still open, the newest first."""
    rows = await emergency_store.emergencies_of(session, by.id, since=now - OPEN_FOR)
    return [_view(row) for row in rows if now < row.until]


async def emergencies_about(session: AsyncSession, patient: str) -> list[EmergencyView]:
    """Return the openings of a patient's record, the newest first: what the patient is shown."""
    return [_view(row) for row in await emergency_store.emergencies_about(session, patient)]


async def to_review(session: AsyncSession, by: UserPrincipal) -> list[EmergencyView]:
    """Return the openings in a supervisor's province: those without review first, by when it is due.

    Raises:
        RoleNotAllowed: only provincial administrators and auditors supervise.
    """
    return [_view(row) for row in await emergency_store.emergencies_in(session, await _province(session, by))]


async def waiting_reviews(session: AsyncSession, by: UserPrincipal) -> int:
    """Return how many openings in a supervisor's province nobody has looked into.

    Raises:
        RoleNotAllowed: only provincial administrators and auditors supervise.
    """
    return await emergency_store.unreviewed(session, await _province(session, by))


async def close_review(
    session: AsyncSession, opening: UUID, *, outcome: str, words: str, by: UserPrincipal, now: datetime
) -> EmergencyView:
    """Close the review of an opening in one's province; closing it again changes nothing. Misuse ends the opening.

    Raises:
        RoleNotAllowed: only provincial administrators and auditors supervise.
        UnknownEmergency: there is none in the province. ReasonRequired: not a known outcome, or no words.
    """
    row = await emergency_store.hold_emergency(session, opening)
    if row is None or row.province != await _province(session, by):
        raise UnknownEmergency
    if outcome not in OUTCOMES or not words.strip():
        raise ReasonRequired
    if row.reviewed_at is not None:
        return _view(row)
    row.reviewed_at, row.reviewed_by = now, by.address
    row.outcome, row.review_words = outcome, words.strip()[:WORDS_LONGEST]
    await session.flush()
    subject = f"Patient/{row.patient}"
    await audit.record(
        session, actor=by.address, action="emergency.review", subject=subject, at=now, purpose="HOPERAT"
    )
    if outcome == "misuse":
        await care.end_care_from(session, f"emergency:{row.id}", bases=[EMERGENCY], at=now)
    return _view(row)


async def _province(session: AsyncSession, by: UserPrincipal) -> str:
    if by.role not in (Role.OPERATOR, Role.AUDITOR):
        raise RoleNotAllowed
    return (await directory.facility(session, by.facility)).province_code


def _view(row: Emergency) -> EmergencyView:
    return EmergencyView(**{name: getattr(row, name) for name in EmergencyView.__dataclass_fields__})
