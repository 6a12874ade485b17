"""Programs that act for people: opened from a patient's record, looked over, and taken back."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from clinic_net.access import http as access
from clinic_net.access.http import CurrentUser
from clinic_net.access.oauth import asking
from clinic_net.console import permission
from clinic_net.console.doctor import Doctor
from clinic_net.console.pages import render
from clinic_net.consultations import service as consultations
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork

router = APIRouter()


@router.get("/programs")
async def programs(request: Request, user: CurrentUser, session: UnitOfWork, now: Now) -> Response:
    """Show a person what they allow programs."""
    grants = await asking.grants_of(session, user, now=now)
    allowed = [(grant, permission.lines_of(grant.scope)) for grant in grants]
    return render(request, "programs.html", user=user, allowed=allowed)


@router.post("/programs/{grant}/end")
async def end(grant: UUID, user: CurrentUser, session: UnitOfWork, now: Now) -> Response:
    """Take back what a person allowed a program."""
    await asking.end_grant(session, grant, user=user, now=now)
    return RedirectResponse("/programs", 303)


@router.post("/programs/{client}/open")
async def open_program(
    client: str,
    user: Doctor,
    session: UnitOfWork,
    hub: CurrentHub,
    now: Now,
    consultation: Annotated[UUID, Form()],
) -> Response:
    """Open a program for the patient of a consultation that the doctor holds (SMART's EHR launch)."""
    case = await consultations.taken_by(session, consultation, by=user)
    issuer = access.issuer_of(hub.settings)
    address = await asking.launch(session, client, patient=case.patient, user=user, issuer=issuer, now=now)
    return RedirectResponse(address, 303)
