"""Breaking the glass: a clinician opens one record in an emergency, and supervisors look at why."""

import re
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import http, service
from clinic_net.access.errors import NotFresh, ReasonRequired, RoleNotAllowed, WrongCredentials
from clinic_net.access.policy import hub_scope
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.console.access_words import EMERGENCY_OUTCOMES, EMERGENCY_REASONS
from clinic_net.console.charts import chart_of, places_of, plots_of
from clinic_net.console.pages import render
from clinic_net.fhir import parse_search
from clinic_net.kernel.db import Sessions
from clinic_net.kernel.errors import TooMany
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork
from clinic_net.records import service as records
from clinic_net.records.errors import UnknownPatient

router = APIRouter()

Clinician = Annotated[UserPrincipal, Depends(http.require(Role.DOCTOR, Role.NURSE))]
Supervisor = Annotated[UserPrincipal, Depends(http.require(Role.OPERATOR, Role.AUDITOR))]

_NUMBER = re.compile(r"[0-9A-Za-z-]{6,20}", re.ASCII)
"""What a card of identity or of insurance has on it."""


@router.get("/emergency")
async def form(request: Request, user: Clinician, session: UnitOfWork, now: Now) -> Response:
    opened = await service.own_emergencies(session, user, now=now)
    return _form(request, user, opened=opened, now=now)


def _form(
    request: Request,
    user: UserPrincipal,
    *,
    now: datetime,
    opened: list[service.EmergencyView] | None = None,
    problem: str | None = None,
    status: int = 200,
) -> Response:
    return render(
        request,
        "emergency.html",
        user=user,
        status=status,
        opened=opened or [],
        problem=problem,
        fresh=service.is_fresh(user, now),
        reasons=tuple(EMERGENCY_REASONS),
    )


@router.post("/emergency")
async def open_record(
    request: Request,
    hub: CurrentHub,
    now: Now,
    number: Annotated[str, Form(max_length=40)],
    reason: Annotated[str, Form(max_length=20)],
    words: Annotated[str, Form(max_length=service.WORDS_LONGEST)],
    password: Annotated[str, Form(max_length=256)] = "",
) -> Response:
    """Open one patient's record. No transaction is held while a password is checked."""
    async with hub.sessions() as session, session.begin():
        user = await http.principal_of(request, session, hub.settings, now=now)
    if not isinstance(user, UserPrincipal) or user.role not in (Role.DOCTOR, Role.NURSE):
        raise RoleNotAllowed
    proved = now if service.is_fresh(user, now) else None
    try:
        if proved is None:
            remote = http.remote_address(request)
            tried = service.trying_to_sign_in(user.login, remote, hub.settings.token_key)
            await service.prove(hub.sessions, user, password, tried=tried, now=now)
            proved = now
        opened = await _open(hub.sessions, user, number, service.Ask(reason, words), proved=proved, now=now)
    except (WrongCredentials, NotFresh):
        return _form(request, user, now=now, problem="wrong", status=422)
    except UnknownPatient:
        return _form(request, user, now=now, problem="unknown", status=422)
    except ReasonRequired:
        return _form(request, user, now=now, problem="reason", status=422)
    except TooMany as refusal:
        page = _form(request, user, now=now, problem="slow", status=429)
        page.headers["Retry-After"] = str(refusal.retry_after)
        return page
    return RedirectResponse(f"/emergency/{opened.id}", 303)


async def _open(
    sessions: Sessions, user: UserPrincipal, number: str, ask: service.Ask, *, proved: datetime, now: datetime
) -> service.EmergencyView:
    """Find whose number it is, exactly, and open that one record; wrong numbers are counted."""

    async def work(session: AsyncSession) -> service.EmergencyView:
        wanted = number.strip()
        if not _NUMBER.fullmatch(wanted):
            raise UnknownPatient("nobody here has this number")
        search = parse_search("Patient", [("identifier", wanted), ("_count", "1")])
        found = await records.search(session, search, scope=hub_scope(), now=now)
        if not found.entries:
            raise UnknownPatient("nobody here has this number")
        return await service.break_glass(session, found.entries[0].fid, ask, by=user, proved=proved, now=now)

    return await service.attempted(sessions, service.trying_to_find(user.address), work, now=now)


@router.get("/emergency/{opening}")
async def record_page(
    request: Request, opening: UUID, user: Clinician, session: UnitOfWork, now: Now
) -> Response:
    opened = await service.emergency(session, opening, by=user)
    chart = await chart_of(session, opened.patient, by=user, now=now) if opened.is_open(now) else None
    plots = plots_of(chart) if chart else []
    return render(
        request, "emergency_record.html", user=user, opened=opened, chart=chart, plots=plots, now=now
    )


@router.get("/emergencies")
async def reviews(request: Request, user: Supervisor, session: UnitOfWork, now: Now) -> Response:
    found = await service.to_review(session, user)
    return render(
        request,
        "emergencies.html",
        user=user,
        now=now,
        found=found,
        places=await places_of(session, {one.facility for one in found}),
        overdue=sum(1 for one in found if one.is_overdue(now)),
        outcomes=tuple(EMERGENCY_OUTCOMES),
    )


@router.get("/emergencies/waiting")
async def waiting(request: Request, user: Supervisor, session: UnitOfWork) -> Response:
    """Say beside the link to the reviews, on every page of a supervisor, how many wait for one."""
    count = await service.waiting_reviews(session, user)
    return render(request, "_waiting_reviews.html", user=user, count=count)


@router.post("/emergencies/{opening}/review")
async def close_review(
    opening: UUID,
    user: Supervisor,
    session: UnitOfWork,
    now: Now,
    outcome: Annotated[str, Form(max_length=10)],
    words: Annotated[str, Form(max_length=service.WORDS_LONGEST)],
) -> Response:
    await service.close_review(session, opening, outcome=outcome, words=words, by=user, now=now)
    return RedirectResponse("/emergencies", 303)
