"""Use cases up to the moment a doctor takes the case: request, ring, answer, assign."""

from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import service as access
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.consultations import ladder, rules, store
from clinic_net.consultations.cases import changing, note, set_timer, tell
from clinic_net.consultations.errors import (
    AnsweredElsewhere,
    NotInThisState,
    UnknownColleague,
    UnknownConsultation,
)
from clinic_net.consultations.ladder import Person
from clinic_net.consultations.model import Consultation, ConsultationRing
from clinic_net.consultations.reading import actor_of
from clinic_net.consultations.requests import ConsultRequest
from clinic_net.consultations.rings import ring_people, stop_ringing, tiers_of, unring
from clinic_net.consultations.rules import State
from clinic_net.consultations.steps import climb, climb_if_silent
from clinic_net.directory import service as directory

_KIND = {"red": "emergency", "orange": "urgent", "yellow": "urgent", "green": "routine"}


async def request(session: AsyncSession, asked: ConsultRequest, now: datetime) -> Consultation:
    """Take in a call for help and ring at once. The same request again changes nothing.

    Raises:
        UnknownSite: the station is not in the directory.
    """
    site = await directory.site(session, asked.site, now.date())
    new = Consultation(
        id=asked.id,
        site=site.code,
        site_name=site.name,
        commune=site.commune_code,
        facility=site.facility_code,
        province=site.province_code,
        tenant=asked.tenant,
        patient=asked.patient,
        encounter=asked.encounter,
        kind=_KIND[asked.urgency],
        specialty=asked.specialty,
        urgency=asked.urgency,
        triage_score=asked.triage_score,
        triage_chart=asked.triage_chart,
        state=State.REQUESTED.value,
        ring_after=asked.ring_after,
        requested_at=rules.requested_instant(asked.requested_at, now),
        received_at=now,
    )
    rules.plan(new, now)
    fresh = await store.insert_new(session, new)
    case = await store.lock(session, asked.id)
    if not fresh:
        return case
    note(session, case, "requested", at=case.requested_at, actor=f"station:{case.site}")
    note(session, case, "received", at=now, actor=rules.WORKER)
    await climb(session, case, now)
    await session.flush()
    await tell(session, case)
    await set_timer(session, case)
    return case


async def ringing(session: AsyncSession, consultation: UUID, *, by: UserPrincipal, now: datetime) -> None:
    """Note that a page rings aloud.

    Raises:
        UnknownConsultation: this person was not rung for it.
    """
    ring = await _ring_of(session, consultation, by)
    ring.ringing_at = ring.ringing_at or now


async def seen(session: AsyncSession, consultation: UUID, *, by: UserPrincipal, now: datetime) -> None:
    """Note that the case is on a doctor's screen: the instant that the network is judged by.

    Raises:
        UnknownConsultation: this person was not rung for it.
    """
    async with changing(session, consultation) as case:
        ring = await _ring_of(session, consultation, by)
        if ring.seen_at is not None:
            return
        ring.seen_at = now
        case.seen_at = case.seen_at or now
        case.rev += 1
        note(session, case, "seen", at=now, actor=by.address)


async def accept(
    session: AsyncSession, consultation: UUID, *, by: UserPrincipal, now: datetime
) -> Consultation:
    """Give the case to the doctor who is first. The same doctor again gets the same answer.

    Who was rung in an earlier round or tier may still accept: a late answer is better than none.

    Raises:
        UnknownConsultation: this person was not rung for it.
        AnsweredElsewhere: somebody was faster; ``by`` is their name.
        NotInThisState: it is over.
    """
    facility = await directory.facility(session, by.facility)
    async with changing(session, consultation) as case:
        ring = await _ring_of(session, consultation, by)
        if case.accepted_by is not None and case.accepted_by != by.id:
            raise AnsweredElsewhere(case.accepted_name or "")
        if case.accepted_by == by.id and case.state != State.ENDED:
            return case
        rules.accept(case, by.id, now)
        case.accepted_name = by.name
        case.accepted_facility = facility.code
        case.accepted_facility_name = facility.name
        if ring.seen_at is None:
            ring.seen_at = now
            case.seen_at = case.seen_at or now
            note(session, case, "seen", at=now, actor=by.address)
        ring.answer, ring.answered_at = "accepted", now
        note(session, case, "accepted", at=now, actor=by.address)
        await session.flush()
        await stop_ringing(session, case, reason="answered_elsewhere", by=by.name, now=now)
        await access.grant_care(
            session,
            patient=case.patient,
            grantee=by.address,
            basis="open_consult",
            purpose="TREAT",
            since=now,
            until=None,
        )
    return case


async def reject(
    session: AsyncSession, consultation: UUID, *, by: UserPrincipal, reason: str, now: datetime
) -> None:
    """Note that a doctor declines; when everybody rung has, the next tier is rung at once.

    ``reason``: ``busy``, ``not_my_specialty``, ``no_equipment`` or ``other``.

    Raises:
        UnknownConsultation: this person was not rung for it.
    """
    async with changing(session, consultation) as case:
        ring = await _ring_of(session, consultation, by)
        if ring.answer is not None:
            return
        ring.answer, ring.answered_at = reason, now
        note(session, case, "declined", at=now, actor=by.address, detail=reason)
        await session.flush()
        await unring(session, case, [by.id], reason="withdrawn", now=now)
        await climb_if_silent(session, case, now)


async def coordinator_ring(
    session: AsyncSession, consultation: UUID, *, user: UUID, by: UserPrincipal, now: datetime
) -> None:
    """Ring a person whom a coordinator chose, whatever they answered before, on duty or not.

    Raises:
        UnknownConsultation: it is not of this coordinator's province.
        UnknownColleague: that person has never been on duty.
        NotInThisState: somebody has taken the case, or it is over.
    """
    await store.find(session, consultation, reader=await actor_of(session, by))
    if by.role is not Role.COORDINATOR:
        raise UnknownConsultation(consultation)
    chosen = await store.duty(session, user)
    if chosen is None:
        raise UnknownColleague(user)
    person = Person(user, chosen.name, chosen.facility, chosen.province, frozenset(chosen.specialties))
    async with changing(session, consultation) as case:
        if State(case.state) not in rules.WAITING:
            raise NotInThisState(case.state, State.RINGING)
        tiers = await tiers_of(session, case, now)
        if case.state in (State.REQUESTED, State.QUEUED):
            rules.ring(case, max(ladder.tier_of(tiers, person), 1), now)
        else:
            case.rev += 1
        note(session, case, "assigned", at=now, actor=by.address)
        subject = f"ServiceRequest/{case.id}"
        await audit.record(
            session,
            actor=by.address,
            action="consultation.assign",
            subject=subject,
            at=now,
            purpose=by.purpose,
        )
        await ring_people(session, case, [person], len(tiers), now)


async def _ring_of(session: AsyncSession, consultation: UUID, by: UserPrincipal) -> ConsultationRing:
    for ring in await store.rings(session, consultation):
        if ring.user_id == by.id:
            return ring
    raise UnknownConsultation(consultation)
