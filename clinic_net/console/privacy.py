"""The privacy page: what people asked for and by when it is owed, legal holds, breaches with their 72 hours.

An operator decides here about records without being shown any: people are named by the id of their record. Because an
operator sees no record, what is done to one is the hub's own work.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from clinic_net.access.http import require
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.console.pages import render
from clinic_net.kernel.http import CurrentHub, HubsWork, Now
from clinic_net.privacy import breaches, rules, service
from clinic_net.privacy.breaches import Found, Step
from clinic_net.privacy.calendar import VIET_NAM
from clinic_net.privacy.errors import UnusableEntry
from clinic_net.privacy.rules import Ground, Kind

router = APIRouter()

Operator = Annotated[UserPrincipal, Depends(require(Role.OPERATOR, Role.NATIONAL))]
"""Who keeps the register: the administrators of a province, or of all."""
_Id = Annotated[str, Form(pattern=r"^[A-Za-z0-9\-.]{1,64}$")]
_Words = Annotated[str, Form(max_length=4000)]
_BACK = "/privacy"


@router.get("/privacy")
async def page(request: Request, user: Operator, session: HubsWork, now: Now) -> Response:
    return render(
        request,
        "privacy.html",
        user=user,
        now=now,
        asked=await service.open_requests(session),
        decided=await service.decided_requests(session, limit=20),
        holds=await service.holds(session),
        breaches=await breaches.register(session),
        kinds=list(Kind),
        grounds=list(Ground),
        rules=rules,
    )


class _Asked(BaseModel):
    patient: str = Field(pattern=r"^[A-Za-z0-9\-.]{1,64}$")
    kind: Kind
    ground: Ground = Ground.ASKED
    processors: bool = False


class _Noticed(BaseModel):
    kind: str
    people: int
    words: str = Field(max_length=4000)
    noticed: datetime
    data: list[str] = []


@router.post("/privacy/requests")
async def receive(
    user: Operator, session: HubsWork, hub: CurrentHub, now: Now, form: Annotated[_Asked, Form()]
) -> Response:
    asked = service.Asked(form.kind, form.patient, form.processors, form.ground)
    await service.receive(session, asked, by=user.address, now=now, off=hub.settings.holidays)
    return RedirectResponse(_BACK, 303)


@router.post("/privacy/requests/{request_id}/{step}")
async def decide(
    request_id: UUID,
    step: str,
    user: Operator,
    session: HubsWork,
    hub: CurrentHub,
    now: Now,
    reason: Annotated[str, Form()] = "",
) -> Response:
    by = user.address
    match step:
        case "answer":
            await service.answer(session, request_id, by=by, now=now)
        case "extend":
            await service.extend(session, request_id, by=by, now=now)
        case "refuse":
            await service.refuse(session, request_id, reason=reason, by=by, now=now)
        case "done":
            keep = hub.settings.record_retention
            await service.carry_out(session, request_id, by=by, now=now, keep=keep)
        case "lift":
            await service.lift_restriction(session, request_id, by=by, now=now)
        case _:
            raise UnusableEntry("there is no such step")
    return RedirectResponse(_BACK, 303)


@router.post("/privacy/holds")
async def hold(
    user: Operator, session: HubsWork, now: Now, patient: _Id, reason: Annotated[str, Form()]
) -> Response:
    await service.place_hold(session, patient, reason=reason, by=user.address, now=now)
    return RedirectResponse(_BACK, 303)


@router.post("/privacy/holds/{hold_id}/lift")
async def lift_hold(hold_id: UUID, user: Operator, session: HubsWork, now: Now) -> Response:
    await service.lift_hold(session, hold_id, by=user.address, now=now)
    return RedirectResponse(_BACK, 303)


@router.post("/privacy/breaches")
async def enter(user: Operator, session: HubsWork, now: Now, form: Annotated[_Noticed, Form()]) -> Response:
    at = form.noticed if form.noticed.tzinfo else form.noticed.replace(tzinfo=VIET_NAM)
    found = Found(form.kind, form.data, form.people, form.words, at)
    await breaches.enter(session, found, by=user.address, now=now)
    return RedirectResponse(_BACK, 303)


@router.post("/privacy/breaches/{breach}/steps")
async def take(
    breach: UUID, user: Operator, session: HubsWork, now: Now, step: Annotated[Step, Form()], words: _Words
) -> Response:
    await breaches.take(session, breach, step, words, by=user.address, now=now)
    return RedirectResponse(_BACK, 303)


@router.get("/privacy/breaches/{breach}/evidence")
async def evidence(breach: UUID, user: Operator, session: HubsWork, now: Now) -> Response:
    facts = await breaches.evidence(session, breach, by=user.address, now=now)
    name = f"breach-{breach}.json"
    return JSONResponse(facts, headers={"Content-Disposition": f'attachment; filename="{name}"'})
