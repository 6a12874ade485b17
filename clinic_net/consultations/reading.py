"""What people and stations may know of cases: call views, invites, lists, the case card, the timeline."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import service as access
from clinic_net.access.policy import refuse_watchers, scope_of
from clinic_net.access.principals import Principal, Role, StationPrincipal, UserPrincipal
from clinic_net.consultations import rules, store
from clinic_net.consultations.model import Consultation, ConsultationRing
from clinic_net.consultations.store import Reader
from clinic_net.directory import service as directory
from clinic_net.directory.errors import UnknownAdminUnit, UnknownFacility
from clinic_net.protocol.signalling.messages import CallView, Invite
from clinic_net.records import service as records
from clinic_net.records.errors import ResourceDeleted, UnknownResource

_COORDINATION_FOR = timedelta(minutes=30)
"""Ours: a coordinator who opens a case sees its patient's record this long (HL7 v3 PurposeOfUse COC)."""


@dataclass(frozen=True)
class TimelineEntry:
    """Something that happened to a case. ``seconds`` count from the station's request."""

    step: str
    at: datetime
    actor: str
    tier: int
    detail: str | None
    seconds: float


@dataclass(frozen=True)
class Rung:
    """Somebody whom a case rang. ``answer`` is a code, None while it rings; ``at`` is when it came."""

    user: UUID
    name: str
    facility: str
    tier: int
    rung_at: datetime
    answer: str | None
    at: datetime | None


@dataclass(frozen=True)
class CaseRow:
    """A case on a list or a card.

    ``waiting`` counts from the station's request until a doctor took it; ``time_left`` until the next step is
    due, negative when it is overdue. The last four are filled by :func:`case`, as far as the caller may read them.
    """

    id: UUID
    site: str
    site_name: str
    commune: str
    urgency: str
    state: str
    kind: str
    specialty: str
    tier: int
    patient: str
    encounter: str | None
    triage_score: int | None
    triage_chart: str | None
    requested_at: datetime
    waiting: timedelta
    next_step: str | None
    next_step_at: datetime | None
    time_left: timedelta | None
    owner: str | None
    accepted_by: UUID | None
    accepted_name: str | None
    facility_name: str | None
    seen_at: datetime | None
    media_at: datetime | None
    end_reason: str | None
    outcome: str | None
    patient_name: str | None = None
    birth_date: str | None = None
    sex: str | None = None
    reason: str | None = None


async def reader_of(session: AsyncSession, principal: Principal) -> Reader:
    """Return whose cases a principal may know of; a system client's are none."""
    match principal:
        case StationPrincipal(site=site):
            return Reader(site=site)
        case UserPrincipal(role=Role.COORDINATOR | Role.OPERATOR, facility=code):
            facility = await directory.facility(session, code)
            return Reader(user=principal.id, province=facility.province_code)
        case UserPrincipal(role=Role.DOCTOR):
            return Reader(user=principal.id)
        case _:
            return Reader()


async def actor_of(session: AsyncSession, principal: Principal) -> Reader:
    """Return whose cases a principal may change, as far as the use case lets them.

    Raises:
        RoleNotAllowed: an operator watches and changes nothing.
    """
    refuse_watchers(principal)
    return await reader_of(session, principal)


async def view(session: AsyncSession, consultation: UUID, *, by: Principal | None = None) -> CallView:
    """Return a call as its parties may know it; without ``by`` for the hub's own messages to them.

    Raises:
        UnknownConsultation: there is none, or it is not the caller's.
    """
    reader = None if by is None else await reader_of(session, by)
    return _call_view(await store.find(session, consultation, reader=reader))


async def calls_of(session: AsyncSession, address: str) -> list[CallView]:
    """Return the calls that have not ended of a station, or of the doctor who took them."""
    kind, _, identifier = address.partition(":")
    match kind:
        case "station":
            reader = Reader(site=identifier)
        case "user":
            reader = Reader(user=UUID(identifier))
        case _:
            return []
    return [_call_view(case) for case in await store.running_of(session, reader=reader)]


async def invites_for(session: AsyncSession, user: UserPrincipal) -> list[Invite]:
    """Return what rings for a person now, most urgent first."""
    return [_invite(ring, case) for ring, case in await store.rings_of(session, user.id)]


async def invite(session: AsyncSession, consultation: UUID, *, user: UUID) -> Invite | None:
    """Return the invite of one person to one case; None when it no longer rings for them."""
    for ring, case in await store.rings_of(session, user):
        if case.id == consultation:
            return _invite(ring, case)
    return None


async def rung(session: AsyncSession, consultation: UUID, *, by: Principal) -> list[Rung]:
    """Return who has been rung for a case, the latest first, with what came of it.

    Raises:
        UnknownConsultation: there is none, or it is not the caller's.
    """
    await store.find(session, consultation, reader=await reader_of(session, by))
    places: dict[str, str] = {}
    found = []
    for ring, name, facility in await store.rung(session, consultation):
        if facility not in places:
            places[facility] = await _place(session, facility)
        found.append(
            Rung(ring.user_id, name, places[facility], ring.tier, ring.rung_at, ring.answer, ring.answered_at)
        )
    return found


async def _place(session: AsyncSession, code: str) -> str:
    try:
        return (await directory.facility(session, code)).name
    except UnknownFacility:
        return code


async def timeline(
    session: AsyncSession, consultation: UUID, *, by: Principal | None = None
) -> list[TimelineEntry]:
    """Return what happened to a case, oldest first; without ``by`` for the hub's own reports.

    Raises:
        UnknownConsultation: there is none, or it is not the caller's.
    """
    reader = None if by is None else await reader_of(session, by)
    found = await store.find(session, consultation, reader=reader)
    return [
        TimelineEntry(
            step=event.step,
            at=event.at,
            actor=event.actor,
            tier=event.tier,
            detail=event.detail,
            seconds=(event.at - found.requested_at).total_seconds(),
        )
        for event in await store.events(session, consultation)
    ]


async def open_cases(session: AsyncSession, by: Principal, *, now: datetime) -> list[CaseRow]:
    """Return the caller's cases that somebody still owes something, by urgency, then time left.

    A doctor's are those rung for or taken, a coordinator's and an operator's those of the province, a station's
    its own.
    """
    communes: dict[str, str] = {}
    found = await store.open_of(session, reader=await reader_of(session, by))
    return [await _row(session, case, now, communes) for case in found]


async def case(session: AsyncSession, consultation: UUID, *, by: Principal, now: datetime) -> CaseRow:
    """Return a case's card, with what the caller may read of patient and request.

    A coordinator who opens an open case is given sight of its patient's record for half an hour, on the trail.

    Raises:
        UnknownConsultation: there is none, or it is not the caller's.
    """
    found = await store.find(session, consultation, reader=await reader_of(session, by))
    if isinstance(by, UserPrincipal) and by.role is Role.COORDINATOR and rules.is_open(found):
        await access.grant_care(
            session,
            patient=found.patient,
            grantee=by.address,
            basis="coordination",
            purpose="COC",
            since=now,
            until=now + _COORDINATION_FOR,
        )
    patient = await _resource(session, "Patient", found.patient, by, now)
    request = await _resource(session, "ServiceRequest", str(found.id), by, now)
    return replace(
        await _row(session, found, now, {}),
        patient_name=_name(patient),
        birth_date=patient.get("birthDate"),
        sex=patient.get("gender"),
        reason=next((reason["text"] for reason in request.get("reasonCode", []) if "text" in reason), None),
    )


async def _resource(
    session: AsyncSession, rtype: str, fid: str, by: Principal, now: datetime
) -> dict[str, Any]:
    try:
        stored = await records.read(session, rtype, fid, scope=scope_of(by), now=now)
    except (UnknownResource, ResourceDeleted):
        return {}
    resource = json.loads(stored.text)
    assert isinstance(resource, dict)
    return resource


def _name(patient: dict[str, Any]) -> str | None:
    for name in patient.get("name", []):
        if "text" in name:
            return str(name["text"])
        return " ".join([name.get("family", ""), *name.get("given", [])]).strip() or None
    return None


async def _row(session: AsyncSession, case: Consultation, now: datetime, communes: dict[str, str]) -> CaseRow:
    code = case.commune
    if code not in communes:
        try:
            communes[code] = (await directory.current_unit(session, code, now.date())).name
        except UnknownAdminUnit:
            communes[code] = ""
    return CaseRow(
        id=case.id,
        site=case.site,
        site_name=case.site_name,
        commune=communes[code],
        urgency=case.urgency,
        state=case.state,
        kind=case.kind,
        specialty=case.specialty,
        tier=case.tier,
        patient=case.patient,
        encounter=case.encounter,
        triage_score=case.triage_score,
        triage_chart=case.triage_chart,
        requested_at=case.requested_at,
        waiting=(case.accepted_at or case.ended_at or now) - case.requested_at,
        next_step=case.next_step,
        next_step_at=case.next_step_at,
        time_left=None if case.next_step_at is None else case.next_step_at - now,
        owner=case.owner,
        accepted_by=case.accepted_by,
        accepted_name=case.accepted_name,
        facility_name=case.accepted_facility_name,
        seen_at=case.seen_at,
        media_at=case.media_at,
        end_reason=case.end_reason,
        outcome=case.outcome,
    )


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _call_view(case: Consultation) -> CallView:
    return CallView(
        call=case.id,
        state=case.state,
        rev=case.rev,
        tier=case.tier,
        ep=case.epoch,
        urgency=case.urgency,
        specialty=case.specialty,
        accepted_by=case.accepted_name,
        facility=case.accepted_facility_name,
        next_step_at=None if case.next_step_at is None else _iso(case.next_step_at),
        end_reason=case.end_reason,
    )


def _invite(ring: ConsultationRing, case: Consultation) -> Invite:
    return Invite(
        call=case.id,
        kind=case.kind,
        urgency=case.urgency,
        specialty=case.specialty,
        station=case.site_name,
        tier=ring.tier,
        requested_at=_iso(case.requested_at),
        expires_at=_iso(ring.expires_at),
    )
