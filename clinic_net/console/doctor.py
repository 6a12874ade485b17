"""A doctor's own page: on duty or not, what rings, what is still owed; and the answers to a call."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.http import require
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.console.charts import chart_of
from clinic_net.console.pages import is_fragment, render
from clinic_net.consultations import service as consultations
from clinic_net.consultations.errors import AnsweredElsewhere, NotInThisState
from clinic_net.kernel.http import Now, UnitOfWork
from clinic_net.referrals import service as referrals

router = APIRouter()

Doctor = Annotated[UserPrincipal, Depends(require(Role.DOCTOR))]

WAITING = frozenset({"requested", "queued", "ringing", "unanswered"})
"""States in which nobody has taken a case."""


@router.get("/doctor")
async def own_page(
    request: Request,
    user: Annotated[UserPrincipal, Depends(require(Role.DOCTOR, Role.NURSE))],
    session: UnitOfWork,
    now: Now,
) -> Response:
    on_duty = await consultations.is_on_duty(session, user)
    return render(request, "doctor.html", user=user, on_duty=on_duty, **await _lists(session, user, now))


@router.post("/doctor/duty")
async def switch_duty(
    request: Request, user: Doctor, session: UnitOfWork, now: Now, on: Annotated[bool, Form()]
) -> Response:
    await consultations.set_duty(session, user, on=on, now=now)
    if is_fragment(request):
        return render(request, "_duty.html", user=user, on_duty=on)
    return RedirectResponse("/doctor", 303)


@router.get("/doctor/cases")
async def own_cases(request: Request, user: Doctor, session: UnitOfWork, now: Now) -> Response:
    return render(request, "_cases.html", user=user, **await _lists(session, user, now))


@router.get("/consultations/{consultation}/card")
async def card(request: Request, consultation: UUID, user: Doctor, session: UnitOfWork, now: Now) -> Response:
    case = await consultations.case(session, consultation, by=user, now=now)
    chart = await chart_of(session, case.patient, by=user, now=now)
    return render(request, "_card.html", user=user, case=case, chart=chart)


@router.post("/consultations/{consultation}/accept")
async def accept(
    request: Request, consultation: UUID, user: Doctor, session: UnitOfWork, now: Now
) -> Response:
    try:
        await consultations.accept(session, consultation, by=user, now=now)
    except AnsweredElsewhere as refused:
        return render(request, "gone.html", user=user, status=409, taken_by=refused.by)
    except NotInThisState:
        return render(request, "gone.html", user=user, status=409, taken_by=None)
    return RedirectResponse(f"/consultations/{consultation}", 303)


@router.post("/consultations/{consultation}/decline")
async def decline(
    consultation: UUID, user: Doctor, session: UnitOfWork, now: Now, reason: Annotated[str, Form()]
) -> Response:
    known = reason if reason in ("busy", "not_my_specialty", "no_equipment") else "other"
    await consultations.reject(session, consultation, by=user, reason=known, now=now)
    return RedirectResponse("/doctor", 303)


async def _lists(session: AsyncSession, user: UserPrincipal, now: datetime) -> dict[str, Any]:
    """Return the cases that wait for an answer or that this doctor has taken (not those that others have taken),
    and the referrals that this doctor's hospital owes an answer or a plan."""
    cases = [
        case
        for case in await consultations.open_cases(session, user, now=now)
        if case.state in WAITING or case.accepted_by == user.id
    ]
    inbox = [
        row
        for row in await referrals.open_referrals(session, user, now=now)
        if row.to_facility == user.facility and row.state in ("sent", "accepted")
    ]
    return {"cases": cases, "inbox": inbox}
