"""The consultation: the call on one side, the patient's record on the other, and what the doctor writes.

A form answers with itself: saved, or with what is missing marked (422). The event ``written`` makes the page
fetch record and timeline again.
"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.datastructures import FormData

from clinic_net.access.oauth import asking
from clinic_net.access.principals import UserPrincipal
from clinic_net.console import writing
from clinic_net.console.authorize import origin_of
from clinic_net.console.charts import chart_of, plots_of
from clinic_net.console.doctor import WAITING, Doctor
from clinic_net.console.i18n import local_day
from clinic_net.console.pages import render
from clinic_net.consultations import documents
from clinic_net.consultations import service as consultations
from clinic_net.consultations.errors import EmptyDocument, PrescriptionIncomplete
from clinic_net.consultations.service import CaseRow
from clinic_net.directory import service as directory
from clinic_net.directory.errors import UnknownFacility
from clinic_net.kernel.asgi import lets_forms_lead_to
from clinic_net.kernel.http import Now, UnitOfWork
from clinic_net.referrals import service as referrals
from clinic_net.referrals.errors import ReasonMissing, SamePlace, UnknownUrgency

router = APIRouter()

PAGE = "/consultations/{consultation}"

NOTE = ("findings", "assessment", "plan", "advice")
"""The sections that the form shows; what brought the patient is in the request already."""


async def _form(request: Request) -> FormData:
    return await request.form(max_files=0, max_fields=200)


Written = Annotated[FormData, Depends(_form)]


@router.get(PAGE)
async def page(request: Request, consultation: UUID, user: Doctor, session: UnitOfWork, now: Now) -> Response:
    case = await consultations.case(session, consultation, by=user, now=now)
    if case.accepted_by != user.id and case.state not in WAITING:
        return render(request, "gone.html", user=user, taken_by=case.accepted_name)
    chart = await chart_of(session, case.patient, by=user, now=now)
    if case.accepted_by != user.id:
        return render(request, "offer.html", user=user, case=case, chart=chart)
    facts = await _referral_facts(session, case, by=user, now=now)
    facts |= {"chart": chart, "plots": plots_of(chart) if chart else [], "sections": NOTE, "note": {}}
    facts["timeline"] = await consultations.timeline(session, consultation, by=user)
    facts |= {"sheet": writing.BLANK, "referral": writing.Transfer(), "missing": frozenset(), "saved": False}
    facts["programs"] = await asking.launchable(session)
    lets_forms_lead_to(request, *(origin_of(each.launch_uri) for each in facts["programs"]))
    return render(request, "consultation.html", **facts)


@router.get(PAGE + "/record")
async def record(
    request: Request, consultation: UUID, user: Doctor, session: UnitOfWork, now: Now
) -> Response:
    case = await consultations.taken_by(session, consultation, by=user)
    chart = await chart_of(session, case.patient, by=user, now=now)
    plots = plots_of(chart) if chart else []
    return render(request, "_record.html", user=user, chart=chart, plots=plots)


@router.get(PAGE + "/timeline")
async def timeline(request: Request, consultation: UUID, user: Doctor, session: UnitOfWork) -> Response:
    found = await consultations.timeline(session, consultation, by=user)
    return render(request, "_timeline.html", user=user, timeline=found)


@router.post(PAGE + "/note")
async def write_note(
    request: Request, consultation: UUID, user: Doctor, session: UnitOfWork, now: Now, form: Written
) -> Response:
    sections = writing.note_of(form)
    facts: dict[str, Any] = {"user": user, "case": {"id": consultation}, "sections": NOTE}
    try:
        await documents.write_note(session, consultation, by=user, sections=sections, now=now)
    except EmptyDocument:
        return render(
            request, "_note.html", note=sections, saved=False, missing={"sections"}, status=422, **facts
        )
    return _written(render(request, "_note.html", note={}, saved=True, missing=frozenset(), **facts))


@router.post(PAGE + "/prescription")
async def prescribe(
    request: Request, consultation: UUID, user: Doctor, session: UnitOfWork, now: Now, form: Written
) -> Response:
    sheet = writing.prescription_of(form)
    case = await consultations.case(session, consultation, by=user, now=now)
    chart = await chart_of(session, case.patient, by=user, now=now)
    facts: dict[str, Any] = {"user": user, "case": case, "chart": chart}
    items, child = sheet.items, sheet.child
    try:
        await documents.prescribe(session, consultation, by=user, items=items, child=child, now=now)
    except PrescriptionIncomplete as refused:
        facts |= {"sheet": sheet, "missing": {place.path for place in refused.places}, "saved": False}
        return render(request, "_prescription.html", status=422, **facts)
    facts |= {"sheet": writing.BLANK, "missing": frozenset(), "saved": True}
    return _written(render(request, "_prescription.html", **facts))


@router.post(PAGE + "/referral")
async def refer(
    request: Request, consultation: UUID, user: Doctor, session: UnitOfWork, now: Now, form: Written
) -> Response:
    typed = writing.transfer_of(form)
    problem, shown = False, writing.Transfer()
    try:
        await referrals.refer(
            session, consultation, by=user, to_facility=typed.to_facility, urgency=typed.urgency,
            reason=typed.reason, now=now,
        )  # fmt: skip
    except (ReasonMissing, SamePlace, UnknownFacility, UnknownUrgency):
        problem, shown = True, typed
    case = await consultations.case(session, consultation, by=user, now=now)
    facts = await _referral_facts(session, case, by=user, now=now)
    facts |= {"referral": shown, "missing": {"referral"} if problem else frozenset(), "saved": not problem}
    answer = render(request, "_referral.html", status=422 if problem else 200, **facts)
    return answer if problem else _written(answer)


@router.get(PAGE + "/decision")
async def decided(
    request: Request, consultation: UUID, user: Doctor, session: UnitOfWork, now: Now
) -> Response:
    case = await consultations.case(session, consultation, by=user, now=now)
    return render(request, "_decision.html", user=user, case=case)


@router.post(PAGE + "/decision")
async def decide(
    request: Request, consultation: UUID, user: Doctor, session: UnitOfWork, now: Now,
    outcome: Annotated[str, Form()],
) -> Response:  # fmt: skip
    await consultations.decide(session, consultation, by=user, outcome=outcome, now=now)
    case = await consultations.case(session, consultation, by=user, now=now)
    return _written(render(request, "_decision.html", user=user, case=case))


@router.post(PAGE + "/end")
async def end(consultation: UUID, user: Doctor, session: UnitOfWork, now: Now) -> Response:
    await consultations.end(session, consultation, by=user, reason="completed", now=now)
    return RedirectResponse(f"/consultations/{consultation}", 303)


def _written(response: Response) -> Response:
    response.headers["HX-Trigger"] = "written"
    return response


async def _referral_facts(
    session: AsyncSession, case: CaseRow, *, by: UserPrincipal, now: datetime
) -> dict[str, Any]:
    """Return what the referral's form shows: this case's referrals, and where a patient can be sent."""
    sent = [
        row for row in await referrals.open_referrals(session, by, now=now) if row.consultation == case.id
    ]
    places = await _places(session, case, by=by, now=now)
    return {"user": by, "case": case, "referrals": sent, "places": places}


async def _places(
    session: AsyncSession, case: CaseRow, *, by: UserPrincipal, now: datetime
) -> list[tuple[str, str]]:
    """Return facilities as (code, name): the doctor's own, the station's chain of support, the province's others."""
    own = await directory.facility(session, by.facility)
    chain = await directory.support_chain(session, case.site, local_day(now))
    others = await directory.hospitals(session, own.province_code)
    return list({facility.code: facility.name for facility in (own, *chain, *others)}.items())
