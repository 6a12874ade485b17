"""The coordinator's board: what is open, how long it may still wait, who could take it, which stations are silent.

An operator sees the same board and changes nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import service as access
from clinic_net.access.errors import UnknownUser
from clinic_net.access.http import require
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.clinical.dates import InvalidDate, PartialDate, age_range
from clinic_net.console import words
from clinic_net.console.pages import render
from clinic_net.consultations import service as consultations
from clinic_net.consultations.service import CaseRow, DutyView, TimelineEntry
from clinic_net.directory import service as directory
from clinic_net.directory.errors import UnknownAdminUnit, UnknownFacility
from clinic_net.fleet import service as fleet
from clinic_net.fleet.service import StationState
from clinic_net.kernel.http import Now, UnitOfWork
from clinic_net.referrals import service as referrals

router = APIRouter()

Watcher = Annotated[UserPrincipal, Depends(require(Role.COORDINATOR, Role.OPERATOR))]
Coordinator = Annotated[UserPrincipal, Depends(require(Role.COORDINATOR))]

WAITING = frozenset({"requested", "queued", "ringing", "unanswered"})
"""Nobody has taken the case: a coordinator may ring somebody."""

SILENT_AFTER = timedelta(minutes=15)
"""Ours: a station that is up speaks to the hub every minute; this long without a word is worth a telephone call."""

COPIED_SHOWN, CLOCK_SHOWN = timedelta(days=30), timedelta(days=1)
"""Ours: for how long a copied database, and a clock that is off, is shown after it was last noticed."""

STATIONS_SHOWN = 40
"""The longest silent of a province; the rest is counted."""


@dataclass(frozen=True)
class Colleague:
    """Somebody on duty, with the name of where they work. ``rings``: this case rings at their page now."""

    user: UUID
    name: str
    place: str
    specialties: tuple[str, ...]
    online: bool
    busy: bool
    rings: bool = False


@dataclass(frozen=True)
class Colleagues:
    """Who is on duty in one province; ``name`` is the province's."""

    name: str
    people: list[Colleague]


@dataclass(frozen=True)
class Station:
    """A station as last heard of. ``waiting`` counts what it has not handed over yet, ``refused`` what stayed out."""

    site: str
    name: str
    last_contact_at: datetime
    silence: timedelta
    waiting: int
    refused: int
    oldest_waiting: timedelta | None
    is_copied: bool = False
    """Whether a copy of its database was found out lately: a person must look at that computer."""
    clock_is_off: bool = False

    @property
    def is_silent(self) -> bool:
        return self.silence >= SILENT_AFTER


@dataclass(frozen=True)
class Step:
    """An entry of a timeline with the name of who did it, where that is a person or place known here."""

    entry: TimelineEntry
    who: str

    @property
    def after(self) -> timedelta:
        """How long after the station's request."""
        return timedelta(seconds=self.entry.seconds)


@router.get("/board")
async def board(request: Request, user: Watcher, session: UnitOfWork, now: Now) -> Response:
    return render(request, "board.html", user=user, **await _board_facts(session, user, now))


@router.get("/board/live")
async def board_live(request: Request, user: Watcher, session: UnitOfWork, now: Now) -> Response:
    return render(request, "_board.html", user=user, **await _board_facts(session, user, now))


@router.get("/cases/{case}")
async def case_page(
    request: Request, case: UUID, user: Coordinator, session: UnitOfWork, now: Now
) -> Response:
    """Open a case: the coordinator may see its patient's record for a while, and the trail says so."""
    row = await consultations.case(session, case, by=user, now=now)
    facts = await _case_facts(session, case, user, now)
    ringing = frozenset(rung.user for rung in facts["rung"] if rung.answer is None)
    own, elsewhere = await _nation(session, await _province(session, user), ringing=ringing, on=now.date())
    return render(
        request,
        "case.html",
        user=user,
        case=row,
        age=_age(row, now.date()),
        colleagues=own,
        elsewhere=elsewhere,
        waiting=row.state in WAITING,
        outcomes=tuple(words.OUTCOMES) if _may_close(row) else (),
        **facts,
    )


@router.get("/cases/{case}/live")
async def case_live(
    request: Request, case: UUID, user: Coordinator, session: UnitOfWork, now: Now
) -> Response:
    return render(request, "_case_live.html", user=user, **await _case_facts(session, case, user, now))


@router.post("/cases/{case}/ring")
async def ring(
    case: UUID, user: Coordinator, session: UnitOfWork, now: Now, person: Annotated[UUID, Form()]
) -> Response:
    await consultations.coordinator_ring(session, case, user=person, by=user, now=now)
    return RedirectResponse(f"/cases/{case}", 303)


@router.post("/cases/{case}/close")
async def close(
    case: UUID, user: Coordinator, session: UnitOfWork, now: Now, outcome: Annotated[str, Form()]
) -> Response:
    await consultations.decide(session, case, by=user, outcome=outcome, now=now)
    return RedirectResponse("/board", 303)


async def _province(session: AsyncSession, user: UserPrincipal) -> str:
    return (await directory.facility(session, user.facility)).province_code


async def _board_facts(session: AsyncSession, user: UserPrincipal, now: datetime) -> dict[str, Any]:
    province = await _province(session, user)
    found = [_station(state, now) for state in await fleet.stations(session, province=province)]
    cases = await consultations.open_cases(session, user, now=now)
    return {
        "now": now,
        "cases": cases,
        "owed": sum(1 for case in cases if case.owner == "coordinator"),
        "colleagues": await _colleagues(session, await consultations.on_duty(session, province=province)),
        "referrals": await referrals.open_referrals(session, user, now=now),
        "stations": found[:STATIONS_SHOWN],
        "stations_known": len(found),
        "stations_silent": sum(1 for station in found if station.is_silent),
    }


async def _case_facts(
    session: AsyncSession, case: UUID, user: UserPrincipal, now: datetime
) -> dict[str, Any]:
    """Return what changes while a case is looked at; it opens no record."""
    view = await consultations.view(session, case, by=user)
    entries = await consultations.timeline(session, case, by=user)
    due = datetime.fromisoformat(view.next_step_at) if view.next_step_at else None
    rows = await consultations.open_cases(session, user, now=now)
    row = next((row for row in rows if row.id == case), None)
    return {
        "now": now,
        "view": view,
        "row": row,
        "time_left": None if due is None else due - now,
        "steps": await _steps(session, entries),
        "rung": await consultations.rung(session, case, by=user),
    }


async def _steps(session: AsyncSession, entries: list[TimelineEntry]) -> list[Step]:
    names: dict[str, str] = {}
    for address in {entry.actor for entry in entries if entry.actor.startswith("user:")}:
        try:
            names[address] = (await access.user(session, UUID(address.removeprefix("user:")))).name
        except UnknownUser:
            names[address] = ""
    return [Step(entry, names.get(entry.actor, "")) for entry in entries]


async def _nation(
    session: AsyncSession, province: str, *, ringing: Collection[UUID], on: date
) -> tuple[list[Colleague], list[Colleagues]]:
    """Return who is on duty in a province, and elsewhere by province, whose names are those of the day."""
    by_province: dict[str, list[DutyView]] = defaultdict(list)
    for duty in await consultations.on_duty(session):
        by_province[duty.province].append(duty)
    own = await _colleagues(session, by_province.pop(province, []), ringing=ringing)
    elsewhere = [
        Colleagues(await _unit(session, code, on), await _colleagues(session, duties, ringing=ringing))
        for code, duties in by_province.items()
    ]
    return own, sorted(elsewhere, key=lambda group: group.name)


async def _unit(session: AsyncSession, code: str, on: date) -> str:
    try:
        return (await directory.current_unit(session, code, on)).name
    except UnknownAdminUnit:
        return code


async def _colleagues(
    session: AsyncSession, duties: Iterable[DutyView], *, ringing: Collection[UUID] = ()
) -> list[Colleague]:
    """Return people on duty with their places' names; ``ringing`` are those whom a case rings now."""
    places: dict[str, str] = {}
    found = []
    for duty in duties:
        if duty.facility not in places:
            places[duty.facility] = await _place(session, duty.facility)
        found.append(
            Colleague(
                user=duty.user,
                name=duty.name,
                place=places[duty.facility],
                specialties=tuple(sorted(duty.specialties)),
                online=duty.online,
                busy=duty.busy,
                rings=duty.user in ringing,
            )
        )
    return found


async def _place(session: AsyncSession, facility: str) -> str:
    try:
        return (await directory.facility(session, facility)).name
    except UnknownFacility:
        return facility


def _station(state: StationState, now: datetime) -> Station:
    oldest = state.oldest_waiting_at
    return Station(
        site=state.site,
        name=state.name,
        last_contact_at=state.last_contact_at,
        silence=now - state.last_contact_at,
        waiting=sum(state.waiting.values()),
        refused=state.refused,
        oldest_waiting=None if oldest is None else now - oldest,
        is_copied=_lately(state.copied_at, now, COPIED_SHOWN),
        clock_is_off=_lately(state.clock_off_at, now, CLOCK_SHOWN),
    )


def _lately(at: datetime | None, now: datetime, within: timedelta) -> bool:
    return at is not None and now - at < within


def _may_close(row: CaseRow) -> bool:
    return row.state == "ended" and row.accepted_by is not None and row.outcome is None


def _age(row: CaseRow, on: date) -> str:
    """Return the patient's age in whole years as written, ``"43"`` or ``"42–43"``; empty when it is unknown."""
    try:
        ages = age_range(PartialDate.parse(row.birth_date or ""), on)
    except InvalidDate:
        return ""
    return str(ages.min_years) if ages.min_years == ages.max_years else f"{ages.min_years}–{ages.max_years}"
