"""Use cases from the accepted case to the decision: join, media, end, decide."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.principals import Principal, Role, UserPrincipal
from clinic_net.consultations import rules, store
from clinic_net.consultations.cases import changing, note
from clinic_net.consultations.errors import NotTheDoctor, UnknownConsultation, UnknownOutcome
from clinic_net.consultations.model import Consultation
from clinic_net.consultations.reading import actor_of
from clinic_net.consultations.rules import State
from clinic_net.consultations.steps import finish, media_reset

PartyName = Literal["doctor", "station"]


@dataclass(frozen=True)
class Party:
    """Who speaks for a side, and through which signalling session; ``sid`` None has not come in yet."""

    address: str
    sid: str | None


@dataclass(frozen=True)
class Joined:
    """A party's part in the call: one side offers for good, so offers cannot collide."""

    role: Literal["offerer", "answerer"]
    epoch: int


def party_address(case: Consultation, party: PartyName) -> str | None:
    """Return whose address may speak for a side; None while there is nobody."""
    if party == "station":
        return f"station:{case.site}"
    return None if case.accepted_by is None else f"user:{case.accepted_by}"


async def parties(session: AsyncSession, consultation: UUID) -> dict[PartyName, Party | None]:
    """Return both sides of a call; for the hub's own routing, not for a caller.

    Raises:
        UnknownConsultation: there is none.
    """
    case = await store.find(session, consultation, reader=None)
    doctor = party_address(case, "doctor")
    return {
        "doctor": None if doctor is None else Party(doctor, case.doctor_sid),
        "station": Party(f"station:{case.site}", case.station_sid),
    }


async def join(
    session: AsyncSession,
    consultation: UUID,
    *,
    party: PartyName,
    address: str,
    sid: str,
    now: datetime,
) -> Joined:
    """Bring a party into the call; its media goes through signalling session ``sid`` from now on.

    A station may come before anybody has accepted. When both are there, or one comes back with another
    session, the epoch rises and the offerer is asked for an offer.

    Raises:
        UnknownConsultation: this address is not that party.
        NotInThisState: the call is over.
    """
    async with changing(session, consultation) as case:
        if address != party_address(case, party):
            raise UnknownConsultation(consultation)
        before = case.doctor_sid if party == "doctor" else case.station_sid
        rebuilt = rules.join(case, party, sid, now)
        if sid != before:
            note(session, case, "joined", at=now, actor=address)
        if rebuilt:
            await media_reset(session, case, "joined" if before is None else "rejoined")
    return Joined("offerer" if party == "doctor" else "answerer", case.epoch)


async def media(
    session: AsyncSession,
    consultation: UUID,
    *,
    party: PartyName,
    flowing: bool,
    audio: bool = False,
    video: bool = False,
    now: datetime,
) -> None:
    """Note what decoded media a party receives; both receiving makes the call active.

    Raises:
        UnknownConsultation: there is none.
    """
    async with changing(session, consultation) as case:
        led_to = rules.media(case, party, flowing, now)
        if led_to is None:
            return
        step = "media" if led_to is State.ACTIVE else "reconnecting"
        received = "+".join(name for name, there in (("audio", audio), ("video", video)) if there)
        note(session, case, step, at=now, actor=party_address(case, party) or party, detail=received or None)


async def need_offer(
    session: AsyncSession, consultation: UUID, *, party: PartyName, why: str, now: datetime
) -> int:
    """Begin a new media session because a party cannot go on with this one; return the new epoch.

    Raises:
        UnknownConsultation: there is none.
        NotInThisState: nothing is connecting or connected.
    """
    async with changing(session, consultation) as case:
        rules.rebuild(case)
        note(session, case, "rebuilt", at=now, actor=party_address(case, party) or party, detail=why[:60])
        await media_reset(session, case, why)
    return case.epoch


async def end(
    session: AsyncSession, consultation: UUID, *, by: Principal, reason: str, now: datetime
) -> None:
    """End the call. The station, the doctor who took it and a coordinator may; again changes nothing.

    ``reason``: ``completed``, ``cancelled`` or ``media_failed``.

    Raises:
        UnknownConsultation: it is not the caller's.
        NotTheDoctor: the caller was only rung for it.
    """
    await store.find(session, consultation, reader=await actor_of(session, by))
    async with changing(session, consultation) as case:
        if isinstance(by, UserPrincipal) and by.role is not Role.COORDINATOR and case.accepted_by != by.id:
            raise NotTheDoctor
        if case.state == State.ENDED:
            return
        rules.end(case, reason, now)
        await finish(session, case, actor=by.address, now=now)


async def withdraw_request(session: AsyncSession, consultation: UUID, *, site: str, now: datetime) -> None:
    """End a call that its station has taken back by revoking the ServiceRequest.

    Raises:
        UnknownConsultation: there is none of this site.
    """
    async with changing(session, consultation) as case:
        if case.site != site:
            raise UnknownConsultation(consultation)
        if case.state == State.ENDED:
            return
        rules.end(case, "cancelled", now)
        await finish(session, case, actor=f"station:{site}", now=now)


async def decide(
    session: AsyncSession, consultation: UUID, *, by: UserPrincipal, outcome: str, now: datetime
) -> None:
    """Write the decision: ``managed_locally``, ``transfer``, ``advice`` or ``follow_up``.

    During the call or after it; a coordinator may close a call that failed.

    Raises:
        UnknownConsultation: it is not the caller's.
        UnknownOutcome: it is not one of the four.
        NotTheDoctor: another doctor took it.
        NotInThisState: nobody has taken it.
    """
    if outcome not in rules.OUTCOMES:
        raise UnknownOutcome
    await store.find(session, consultation, reader=await actor_of(session, by))
    async with changing(session, consultation) as case:
        if case.accepted_by != by.id and by.role is not Role.COORDINATOR:
            raise NotTheDoctor
        if rules.decide(case, outcome, now):
            note(session, case, "decided", at=now, actor=by.address, detail=outcome)


async def record_step(
    session: AsyncSession,
    consultation: UUID,
    *,
    step: str,
    actor: str,
    now: datetime,
    detail: str | None = None,
) -> None:
    """Add to a case's timeline what a higher capability did, as ``referred``.

    Raises:
        UnknownConsultation: there is none.
    """
    note(
        session,
        await store.find(session, consultation, reader=None),
        step,
        at=now,
        actor=actor,
        detail=detail,
    )


async def taken_by(session: AsyncSession, consultation: UUID, *, by: UserPrincipal) -> Consultation:
    """Return a case if this doctor has taken it, whether or not the call goes on.

    Raises:
        UnknownConsultation: it is not the caller's.
        NotTheDoctor: another doctor took it, or nobody has.
    """
    case = await store.find(session, consultation, reader=await actor_of(session, by))
    if case.accepted_by != by.id:
        raise NotTheDoctor
    return case
