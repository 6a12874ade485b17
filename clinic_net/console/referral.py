"""A referral at the hospital it was sent to: see the patient's record, take the patient, refuse, send home."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from clinic_net.console.charts import chart_of, plots_of
from clinic_net.console.doctor import Doctor
from clinic_net.console.pages import render
from clinic_net.console.words import REFERRAL_REASONS
from clinic_net.kernel.http import Now, UnitOfWork
from clinic_net.referrals import service as referrals
from clinic_net.referrals.errors import NotTheReceiver

router = APIRouter()

PAGE = "/referrals/{referral}"

REFUSALS = tuple(code for code in REFERRAL_REASONS if code not in ("no-answer", "better-place"))
"""Why a hospital refuses; the other two are a coordinator's."""

_Words = Annotated[str, Form(max_length=4000)]


@router.get(PAGE)
async def page(request: Request, referral: UUID, user: Doctor, session: UnitOfWork, now: Now) -> Response:
    row = await referrals.open_referral(session, referral, by=user, now=now)
    if row.to_facility != user.facility:
        raise NotTheReceiver
    chart = await chart_of(session, row.patient, by=user, now=now)
    plots = plots_of(chart) if chart else []
    return render(request, "referral.html", user=user, row=row, chart=chart, plots=plots, reasons=REFUSALS)


@router.post(PAGE + "/accept")
async def accept(referral: UUID, user: Doctor, session: UnitOfWork, now: Now) -> Response:
    await referrals.accept(session, referral, by=user, now=now)
    return RedirectResponse(f"/referrals/{referral}", 303)


@router.post(PAGE + "/reject")
async def reject(
    referral: UUID, user: Doctor, session: UnitOfWork, now: Now, reason: Annotated[str, Form()], words: _Words
) -> Response:
    await referrals.reject(session, referral, by=user, reason=reason, words=words, now=now)
    return RedirectResponse("/doctor", 303)


@router.post(PAGE + "/home")
async def send_home(referral: UUID, user: Doctor, session: UnitOfWork, now: Now, plan: _Words) -> Response:
    await referrals.counter_refer(session, referral, by=user, plan=plan, now=now)
    return RedirectResponse("/doctor", 303)
