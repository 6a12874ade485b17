"""What the worker does with a held case: up the ladder, a new round, a late call, the end."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import service as access
from clinic_net.consultations import ladder, rules, store
from clinic_net.consultations.cases import changing, note, telling
from clinic_net.consultations.ladder import Need, Person, Rung
from clinic_net.consultations.model import Consultation
from clinic_net.consultations.rings import ring_people, stop_ringing, tiers_of, unring
from clinic_net.consultations.rules import Late, State
from clinic_net.kernel import jobs

_TIMER_GRACE = timedelta(seconds=3)
"""Timers fire within a second; the sweep takes only what they missed."""

_FOLLOW_UP_FOR = timedelta(days=30)
"""Ours: how long the doctor who was consulted still sees the patient's record."""

_NOT_THIS_CASE = frozenset({"not_my_specialty", "no_equipment", "other"})
"""Refusals that stand, unless a coordinator rings the person all the same."""
_NOT_NOW = frozenset({"busy", "no_show"})
"""Refusals that hold for the ladder, not for the rounds after it."""

_KEEPS_RINGING = frozenset({"red", "orange"})
"""What rings on without a pause when the ladder is through; the others ring again at the next round."""


async def step(session: AsyncSession, case: Consultation, now: datetime) -> None:
    """Carry on a held case whose deadline has passed."""
    match State(case.state):
        case State.REQUESTED | State.QUEUED | State.RINGING:
            await climb(session, case, now)
        case State.UNANSWERED:
            case.rev += 1
            rules.plan(case, now)
            note(session, case, "overdue", at=now, actor=rules.WORKER)
            await _ring_everybody(session, case, now)
        case _:
            await _late(session, case, now)


async def step_when_due(session: AsyncSession, consultation: UUID, *, due: datetime, now: datetime) -> None:
    """Fire a timer that was set for ``due``; a case that has moved on since has another, and this does nothing.

    The queue's clock may be a little ahead of ours, so the deadline itself is the earliest time this sees.
    """
    async with changing(session, consultation) as case:
        if case.next_step_at == due:
            await step(session, case, max(now, due))


async def sweep(session: AsyncSession, now: datetime, *, limit: int = 50) -> int:
    """Carry on the cases that are overdue although a timer should have fired. Returns how many there were."""
    overdue = await store.due(session, now - _TIMER_GRACE, limit=limit)
    for case in overdue:
        async with telling(session, case):
            await step(session, case, now)
    return len(overdue)


async def climb(session: AsyncSession, case: Consultation, now: datetime) -> None:
    """Ring the next tier that has somebody; without one, queue for who is busy or call the coordinator."""
    tiers = await tiers_of(session, case, now)
    rings = await store.rings(session, case.id)
    found = ladder.next_ring(
        Need(case.specialty, case.urgency, after=case.tier),
        tiers=tiers,
        people=await store.ready(session, specialty=case.specialty),
        refused={ring.user_id for ring in rings if ring.answer in (_NOT_THIS_CASE | _NOT_NOW | {None})},
    )
    if isinstance(found, Rung):
        rules.ring(case, found.tier, now)
        await ring_people(session, case, found.people, len(tiers), now)
    elif found.busy and case.state == State.REQUESTED:
        rules.enter(case, State.QUEUED, now)
        note(session, case, "queued", at=now, actor=rules.WORKER)
    else:
        rules.enter(case, State.UNANSWERED, now)
        note(session, case, "unanswered", at=now, actor=rules.WORKER)
        if case.urgency in _KEEPS_RINGING:
            await _ring_everybody(session, case, now)
        else:
            await stop_ringing(session, case, reason="timeout", now=now)


async def climb_if_silent(session: AsyncSession, case: Consultation, now: datetime) -> None:
    """Ring the next tier at once when nobody of the present ones is left to answer."""
    if case.state != State.RINGING:
        return
    await session.flush()
    if all(ring.answer is not None for ring in await store.rings(session, case.id)):
        await climb(session, case, now)


async def _ring_everybody(session: AsyncSession, case: Consultation, now: datetime) -> None:
    """Begin a round of an unanswered case: all tiers at once, whoever has not refused it for good."""
    tiers = await tiers_of(session, case, now)
    refused = {ring.user_id for ring in await store.rings(session, case.id) if ring.answer in _NOT_THIS_CASE}
    reachable = [
        person
        for person in await store.ready(session, specialty=case.specialty)
        if not person.busy and person.user not in refused and ladder.tier_of(tiers, person)
    ]
    people = ladder.suited(case.specialty, case.urgency, reachable)
    rung = {person.user for person in people}
    open_rings = {ring.user_id for ring in await store.rings(session, case.id) if ring.answer is None}
    silent = await store.close_rings(session, case.id, answer="timeout", now=now, only=open_rings - rung)
    await unring(session, case, silent, reason="timeout", now=now)
    if people:
        await ring_people(session, case, people, len(tiers), now)


async def offer(session: AsyncSession, user: UUID, consultation: UUID, now: datetime) -> None:
    """Ring a person who has come on duty, back online or out of a call, if this case waits for such a one."""
    reachable = await store.ready(session, user=user)
    if not reachable or reachable[0].busy:
        return
    person = reachable[0]
    async with changing(session, consultation) as case:
        if not await _wanted(session, case, person, now):
            return
        tiers = await tiers_of(session, case, now)
        if case.state in (State.REQUESTED, State.QUEUED):
            rules.ring(case, ladder.tier_of(tiers, person), now)
        else:
            case.rev += 1
        await ring_people(session, case, [person], len(tiers), now)


async def _wanted(session: AsyncSession, case: Consultation, person: Person, now: datetime) -> bool:
    if State(case.state) not in rules.WAITING:
        return False
    tier = ladder.tier_of(await tiers_of(session, case, now), person)
    if tier == 0 or (case.state == State.RINGING and tier > case.tier):
        return False
    if not ladder.suited(case.specialty, case.urgency, [person]):
        return False
    return all(
        ring.user_id != person.user or ring.answer not in (_NOT_THIS_CASE | {None})
        for ring in await store.rings(session, case.id)
    )


async def withdraw(session: AsyncSession, user: UUID, consultation: UUID, now: datetime) -> None:
    """Stop ringing a person who has gone off duty or out of reach; ring others if nobody else was rung."""
    if await store.ready(session, user=user):
        return
    async with changing(session, consultation) as case:
        gone = await store.close_rings(session, case.id, answer="gone", now=now, only=[user])
        await unring(session, case, gone, reason="withdrawn", now=now)
        await climb_if_silent(session, case, now)


async def finish(session: AsyncSession, case: Consultation, *, actor: str, now: datetime) -> None:
    """Write down that a call has just ended, stop what still rings, and turn care into follow-up."""
    note(session, case, "ended", at=now, actor=actor, detail=case.end_reason)
    await stop_ringing(session, case, reason="withdrawn" if case.accepted_by is None else "ended", now=now)
    if case.accepted_by is None:
        return
    doctor = f"user:{case.accepted_by}"
    await access.end_care(session, patient=case.patient, grantee=doctor, basis="open_consult", at=now)
    await access.grant_care(
        session,
        patient=case.patient,
        grantee=doctor,
        basis="consult_followup",
        purpose="TREAT",
        since=now,
        until=now + _FOLLOW_UP_FOR,
    )
    await say_availability(session, case.accepted_by)


async def say_availability(session: AsyncSession, user: UUID) -> None:
    """Announce that a person may have become free, or gone: cases are offered to them or taken back."""
    await jobs.announce(session, "consultation.availability", {"user": str(user)})


async def media_reset(session: AsyncSession, case: Consultation, why: str) -> None:
    """Announce that a new epoch has begun: the offerer makes an offer."""
    payload = {"consultation": str(case.id), "epoch": case.epoch, "why": why}
    await jobs.announce(session, "consultation.media_reset", payload)


async def _late(session: AsyncSession, case: Consultation, now: datetime) -> None:
    doctor = case.accepted_by
    match rules.deadline_passed(case, now):
        case Late.RELEASED:
            assert doctor is not None
            case.accepted_name = case.accepted_facility = case.accepted_facility_name = None
            note(session, case, "released", at=now, actor=f"user:{doctor}", detail="no_show")
            await store.mark_no_show(session, case.id, doctor, now=now)
            await access.end_care(
                session, patient=case.patient, grantee=f"user:{doctor}", basis="open_consult", at=now
            )
            await climb(session, case, now)
        case Late.RENEGOTIATED:
            await media_reset(session, case, "not_connected")
        case Late.ENDED:
            await finish(session, case, actor=rules.WORKER, now=now)
        case Late.REMINDED:
            note(session, case, "overdue", at=now, actor=rules.WORKER)
        case Late.WAITED:
            pass
