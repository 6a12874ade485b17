"""Records of which two versions wait for a decision: side by side, with what differs marked, and the decision."""

from typing import Annotated, Any
from urllib.parse import quote, urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.datastructures import FormData

from clinic_net.access import service as access
from clinic_net.access.http import require
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.console.conflict_words import FIELDS, said
from clinic_net.console.pages import render
from clinic_net.console.permission import KINDS
from clinic_net.console.record import name_of
from clinic_net.kernel.errors import NotFound
from clinic_net.kernel.http import Now, UnitOfWork
from clinic_net.protocol.sync.merge import Side
from clinic_net.records.errors import VersionConflict
from clinic_net.sync import reviewing
from clinic_net.sync.errors import Undecided
from clinic_net.sync.reviewing import Decision

router = APIRouter()

Clinician = Annotated[UserPrincipal, Depends(require(Role.DOCTOR, Role.NURSE, Role.COORDINATOR))]

PAGE = "/conflicts/{task}"
"""``task`` is the id of the Task; it says nothing about the patient."""

_ANSWERS = 200
"""Questions that a form can answer."""


@router.get("/conflicts")
async def waiting(request: Request, user: Clinician, session: UnitOfWork, now: Now) -> Response:
    reviews = await reviewing.open_reviews(session, by=user, now=now)
    names = await reviewing.named(session, reviews, by=user, now=now)
    return render(request, "conflicts.html", user=user, reviews=reviews, kinds=KINDS, names=_shown(names))


def _shown(patients: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {fid: name_of(patient) for fid, patient in patients.items()}


async def _author(session: AsyncSession, address: str) -> str:
    """Return who wrote a version, as people know them."""
    kind, _, name = address.partition(":")
    if kind != "user":
        return name or address
    try:
        return (await access.user(session, UUID(name))).name
    except (ValueError, NotFound):
        return name


@router.get(PAGE)
async def page(
    request: Request, task: str, user: Clinician, session: UnitOfWork, now: Now,
    version: str | None = None, problem: str = "",
) -> Response:  # fmt: skip
    looked = await reviewing.look(session, task, version, by=user, now=now)
    names = await reviewing.named(session, [looked.review], by=user, now=now)
    return render(
        request, "conflict.html", user=user, looked=looked, kinds=KINDS, fields=FIELDS, said=said, problem=problem,
        author=await _author(session, looked.current.author),
        name=_shown(names).get(looked.review.patient or "", ""),
    )  # fmt: skip


@router.post(PAGE)
async def decide(request: Request, task: str, user: Clinician, session: UnitOfWork, now: Now) -> Response:
    """Write a decision. One that cannot be taken leads back to the page, which says why: a refusal tells nothing of
    the patient, and the page does."""
    form = await request.form(max_files=0, max_fields=_ANSWERS + 10)
    decision = decision_of(task, form)
    back = f"/conflicts/{quote(task, safe='')}"
    try:
        async with session.begin_nested():
            after = await reviewing.decide_review(session, decision, by=user, now=now)
    except Undecided:
        again = {"problem": "undecided", **({"version": decision.sibling} if decision.sibling else {})}
        return RedirectResponse(f"{back}?{urlencode(again)}", 303)
    except VersionConflict:
        return RedirectResponse(f"{back}?problem=changed", 303)
    return RedirectResponse(back if after.open else "/conflicts", 303)


def decision_of(task: str, form: FormData) -> Decision:
    """Return what a form decides; what it does not say is left open."""
    sides = {each.value: each for each in Side}
    answers = {
        number: sides[chosen]
        for number in range(_ANSWERS)
        if (chosen := form.get(f"q{number}")) in sides and isinstance(chosen, str)
    }
    return Decision(
        task,
        str(form["version"]) if form.get("version") else None,
        str(form.get("seen", "")),
        whole=sides.get(str(form.get("whole", ""))),
        answers=answers,
    )
