"""Use cases of referrals: send a patient on, answer, redirect, and tell the station what became of it."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.consultations import service as consultations
from clinic_net.directory import service as directory
from clinic_net.kernel.ids import new_id
from clinic_net.referrals import resources, rules, store
from clinic_net.referrals.errors import NotACoordinator, NotTheReceiver, SamePlace, UnknownUrgency
from clinic_net.referrals.model import ReferralCase
from clinic_net.referrals.reading import ReferralRow, actor_of, open_referrals, row, timeline
from clinic_net.referrals.resources import Order, Place
from clinic_net.referrals.rules import State
from clinic_net.referrals.writing import answered, end_review, let_see, move_task, note, put, tell

__all__ = [
    "ReferralRow",
    "accept",
    "counter_refer",
    "open_referral",
    "open_referrals",
    "redirect",
    "refer",
    "reject",
    "remind_when_due",
    "sweep",
    "timeline",
]

_REVIEW_FOR = timedelta(minutes=30)
"""Ours: who opens a referral addressed to them sees the patient's record this long, on the trail."""
_CARE_FOR = timedelta(days=30)
"""Ours: who has accepted a patient sees the record this long."""
_FOLLOW_UP_WITHIN = timedelta(days=7)
"""Ours: when the station should have seen the patient who came home."""


async def refer(
    session: AsyncSession,
    consultation: UUID,
    *,
    by: UserPrincipal,
    to_facility: str,
    urgency: str,
    reason: str,
    now: datetime,
) -> ReferralRow:
    """Send a patient on from a consultation: the order, a Task for the receiver, and a promise to answer.

    It also decides the consultation (``transfer``). An open referral of the same patient and specialty within
    72 h is linked, never dropped.

    Raises:
        UnknownConsultation, NotTheDoctor: this doctor has not taken it.
        UnknownFacility: the receiver is not in the directory. SamePlace: it is where the patient is.
        UnknownUrgency: not one of the four colours. ReasonMissing: no reason was given.
    """
    if urgency not in rules.RANK:
        raise UnknownUrgency
    rules.demand_words(reason)
    case = await consultations.taken_by(session, consultation, by=by)
    to = await directory.facility(session, to_facility)
    if to.code == case.facility:
        raise SamePlace
    duplicate = await store.earlier(session, case.patient, case.specialty, now=now)
    referral = ReferralCase(
        id=new_id(now),
        task=new_id(now),
        consultation=case.id,
        patient=case.patient,
        tenant=case.tenant,
        site=case.site,
        specialty=case.specialty,
        urgency=urgency,
        state=State.SENT.value,
        from_facility=case.facility,
        from_province=case.province,
        to_facility=to.code,
        to_facility_name=to.name,
        to_province=to.province_code,
        requested_by=by.id,
        requester_name=by.name,
        duplicate_of=None if duplicate is None else duplicate.id,
        sent_at=now,
    )
    rules.promise(referral, now)
    assert referral.due_at is not None
    session.add(referral)
    order = Order(
        id=referral.id,
        consultation=case.id,
        patient=case.patient,
        encounter=case.encounter,
        specialty=case.specialty,
        urgency=urgency,
        reason=reason.strip(),
        requester=_requester(by),
    )
    place = Place(to.code, to.name)
    await put(session, referral, resources.service_request(order, place, now), by=by, now=now)
    negotiation = resources.task(referral.task, order, place, due=referral.due_at, now=now)
    await put(session, referral, negotiation, by=by, now=now)
    note(session, referral, "sent", by=by.address, now=now)
    await consultations.decide(session, consultation, by=by, outcome="transfer", now=now)
    await consultations.record_step(session, consultation, step="referred", actor=by.address, now=now)
    await tell(session, referral)
    return row(referral, now)


async def open_referral(
    session: AsyncSession, referral: UUID, *, by: UserPrincipal, now: datetime
) -> ReferralRow:
    """Return one referral, and let a clinician to whom it is addressed see the patient's record for a while.

    Raises:
        UnknownReferral: there is none, or it is not the caller's.
        RoleNotAllowed: an operator sees lists, and no record.
    """
    found = await store.find(session, referral, reader=await actor_of(session, by))
    if found.due_at is not None:
        await let_see(session, found, by, basis="referral_review", now=now, until=now + _REVIEW_FOR)
    return row(found, now)


async def accept(session: AsyncSession, referral: UUID, *, by: UserPrincipal, now: datetime) -> ReferralRow:
    """Take the patient, for the receiving facility. The same facility again gets the same answer.

    Raises:
        UnknownReferral: it is not the caller's.
        NotTheReceiver: the caller does not work at the receiving facility.
        ReferralNotInThisState: it was rejected, withdrawn or is closed.
    """
    held = await store.lock(session, referral, reader=await actor_of(session, by))
    _demand_receiver(held, by)
    if held.state == State.ACCEPTED:
        return row(held, now)
    rules.enter(held, State.ACCEPTED, now)
    held.answered_at, held.answered_by = now, by.name
    await let_see(session, held, by, basis="referral_accepted", now=now, until=now + _CARE_FOR)
    await move_task(session, held, "accepted", "accepted", by=by, now=now)
    await answered(session, held, "accepted", by=by, now=now)
    return row(held, now)


async def reject(
    session: AsyncSession, referral: UUID, *, by: UserPrincipal, reason: str, words: str, now: datetime
) -> ReferralRow:
    """Refuse the patient with a coded reason; the referral waits for a coordinator to send it elsewhere.

    Raises:
        ReasonMissing: no coded reason, or no words.
        UnknownReferral, NotTheReceiver, ReferralNotInThisState: as in :func:`accept`.
        EmergencyMustNotBeRejected: it is red.
    """
    rules.demand_reason(reason, words)
    held = await store.lock(session, referral, reader=await actor_of(session, by))
    _demand_receiver(held, by)
    rules.reject(held, now)
    held.answered_at, held.answered_by = now, by.name
    await let_see(session, held, by, basis="referral_review", now=now, until=now + _REVIEW_FOR)
    await move_task(session, held, "rejected", "rejected", by=by, now=now, reason=(reason, words.strip()))
    await answered(session, held, "rejected", by=by, now=now, reason=reason)
    await end_review(session, held, now=now)
    return row(held, now)


async def redirect(
    session: AsyncSession,
    referral: UUID,
    *,
    by: UserPrincipal,
    to_facility: str,
    reason: str,
    words: str,
    now: datetime,
) -> ReferralRow:
    """Send a referral to another place: the present Task is closed, a new one opened on the same order.

    Raises:
        ReasonMissing: no coded reason, or no words.
        NotACoordinator: only coordinators redirect. UnknownReferral: it is not of their provinces.
        UnknownFacility, SamePlace: the new receiver cannot be.
        ReferralNotInThisState: it was accepted, or is closed.
    """
    rules.demand_reason(reason, words)
    if by.role is not Role.COORDINATOR:
        raise NotACoordinator
    held = await store.lock(session, referral, reader=await actor_of(session, by))
    to = await directory.facility(session, to_facility)
    if to.code in (held.to_facility, held.from_facility):
        raise SamePlace
    rules.enter(held, State.SENT, now)
    assert held.due_at is not None
    await end_review(session, held, now=now)
    await let_see(session, held, by, basis="referral_review", now=now, until=now + _REVIEW_FOR)
    former = await move_task(
        session, held, "rejected", "referred-onward", by=by, now=now, reason=(reason, words.strip())
    )
    held.task = new_id(now)
    held.hops += 1
    held.to_facility, held.to_facility_name, held.to_province = to.code, to.name, to.province_code
    held.answered_at = held.answered_by = None
    onward = resources.onward(former, held.task, Place(to.code, to.name), due=held.due_at, now=now)
    await put(session, held, onward, by=by, now=now)
    await answered(session, held, "redirected", by=by, now=now, reason=reason)
    return row(held, now)


async def counter_refer(
    session: AsyncSession, referral: UUID, *, by: UserPrincipal, plan: str, now: datetime
) -> ReferralRow:
    """Send the patient home: the Task is completed, and the station gets a task with the plan.

    Raises:
        ReasonMissing: the plan is empty.
        UnknownReferral, NotTheReceiver, ReferralNotInThisState: as in :func:`accept`.
    """
    rules.demand_words(plan)
    held = await store.lock(session, referral, reader=await actor_of(session, by))
    _demand_receiver(held, by)
    rules.enter(held, State.COUNTER_REFERRED, now)
    held.closed_at = now
    await let_see(session, held, by, basis="referral_review", now=now, until=now + _REVIEW_FOR)
    await move_task(session, held, "completed", "counter-referred", by=by, now=now)
    station = await directory.facility(session, held.from_facility)
    home = resources.follow_up(
        new_id(now),
        held.id,
        held.patient,
        station=Place(station.code, station.name),
        plan=plan.strip(),
        due=now + _FOLLOW_UP_WITHIN,
        now=now,
    )
    await put(session, held, home, by=by, now=now)
    await answered(session, held, "counter-referred", by=by, now=now)
    return row(held, now)


async def remind(session: AsyncSession, referral: ReferralCase, now: datetime) -> None:
    """Note that a promise was broken and make the next one; the worklist shows how often."""
    referral.overdue += 1
    referral.rev += 1
    rules.promise(referral, now)
    note(session, referral, "overdue", by="worker", now=now)
    await tell(session, referral)


async def remind_when_due(session: AsyncSession, referral: UUID, *, due: datetime, now: datetime) -> None:
    """Fire a timer that was set for ``due``; a referral that has moved on since has another."""
    held = await store.lock(session, referral, reader=None)
    if held.due_at == due:
        await remind(session, held, max(now, due))


async def sweep(session: AsyncSession, now: datetime, *, limit: int = 50) -> int:
    """Note broken promises whose timer was lost. Returns how many there were."""
    overdue = await store.due(session, now - timedelta(seconds=3), limit=limit)
    for referral in overdue:
        await remind(session, referral, now)
    return len(overdue)


def _demand_receiver(referral: ReferralCase, by: UserPrincipal) -> None:
    if by.facility != referral.to_facility:
        raise NotTheReceiver


def _requester(by: UserPrincipal) -> dict[str, Any]:
    reference = {} if by.practitioner is None else {"reference": f"Practitioner/{by.practitioner}"}
    return {**reference, "display": by.name}
