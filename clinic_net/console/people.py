"""Administering people, for operators and national administrators; and what needs two of them."""

import re
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from clinic_net.access.administration import service as administration
from clinic_net.access.administration.errors import SecondPersonNeeded
from clinic_net.access.errors import LoginMalformed, LoginTaken
from clinic_net.access.http import require, require_fresh
from clinic_net.access.people import NewUser
from clinic_net.access.principals import ADMINISTRATORS, PRIVILEGED, Role, UserPrincipal
from clinic_net.console.pages import render
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork

router = APIRouter()

Administrator = Annotated[UserPrincipal, Depends(require(*ADMINISTRATORS))]
FreshAdministrator = Annotated[UserPrincipal, Depends(require_fresh(*ADMINISTRATORS))]

ROLES = (*administration.BY_ONE, Role.AUDITOR, Role.OPERATOR, Role.NATIONAL)
"""What a person can be made; a citizen's account is made where their identity is checked."""


@router.get("/people")
async def people(
    request: Request,
    user: Administrator,
    session: UnitOfWork,
    now: Now,
    q: Annotated[str, Query(max_length=60)] = "",
) -> Response:
    found = await administration.people_of(session, user, search=q.strip())
    waiting = await administration.open_requests(session, user, now=now)
    return render(request, "people.html", user=user, people=found, search=q, waiting=len(waiting))


@router.get("/people/new")
async def new_form(request: Request, user: FreshAdministrator, session: UnitOfWork) -> Response:
    facilities = await administration.facilities_of(session, user)
    return render(
        request,
        "person_new.html",
        user=user,
        facilities=facilities,
        roles=administration.BY_ONE,
        problem=None,
        typed={"login": "", "name": "", "role": "", "facility": user.facility},
    )


@router.post("/people/new")
async def new(
    request: Request,
    user: FreshAdministrator,
    hub: CurrentHub,
    login: Annotated[str, Form(max_length=80)],
    name: Annotated[str, Form(max_length=200)],
    role: Annotated[Role, Form()],
    facility: Annotated[str, Form(max_length=5)],
) -> Response:
    wanted = NewUser(login, role, facility, administration.normal_name(name), must_change=True)
    try:
        async with hub.sessions() as session, session.begin():
            password = await administration.add(session, wanted, by=user, now=hub.now())
    except (LoginMalformed, LoginTaken) as refusal:
        async with hub.sessions() as session, session.begin():
            facilities = await administration.facilities_of(session, user)
        return render(
            request,
            "person_new.html",
            user=user,
            status=422,
            facilities=facilities,
            roles=administration.BY_ONE,
            problem=refusal.code,
            typed={"login": login, "name": name, "role": role, "facility": facility},
        )
    return render(request, "person_password.html", user=user, login=login.strip().lower(), password=password)


@router.get("/people/{person}")
async def person(request: Request, person: UUID, user: FreshAdministrator, session: UnitOfWork) -> Response:
    found = await administration.person(session, person, by=user)
    offered = [role for role in ROLES if role is not Role.NATIONAL or user.role is Role.NATIONAL]
    return render(request, "person.html", user=user, person=found, roles=offered, privileged=PRIVILEGED)


@router.post("/people/{person}/disable")
async def disable(person: UUID, user: FreshAdministrator, session: UnitOfWork, now: Now) -> Response:
    await administration.disable(session, person, by=user, now=now)
    return RedirectResponse(f"/people/{person}", 303)


@router.post("/people/{person}/sign-out")
async def sign_out(person: UUID, user: FreshAdministrator, session: UnitOfWork, now: Now) -> Response:
    await administration.sign_out(session, person, by=user, now=now)
    return RedirectResponse(f"/people/{person}", 303)


@router.post("/people/{person}/password")
async def password(
    request: Request, person: UUID, user: FreshAdministrator, session: UnitOfWork, now: Now
) -> Response:
    made = await administration.new_password(session, person, by=user, now=now)
    found = await administration.person(session, person, by=user)
    return render(request, "person_password.html", user=user, login=found.login, password=made)


@router.post("/people/{person}/factors")
async def factors(person: UUID, user: FreshAdministrator, session: UnitOfWork, now: Now) -> Response:
    """Forget somebody's second factors; of an administrator or auditor, ask another administrator to."""
    try:
        await administration.reset_factors(session, person, by=user, now=now)
    except SecondPersonNeeded:
        await administration.ask_to_reset_factors(session, person, by=user, now=now)
        return RedirectResponse("/approvals", 303)
    return RedirectResponse(f"/people/{person}", 303)


@router.post("/people/{person}/role")
async def role(
    person: UUID, user: FreshAdministrator, session: UnitOfWork, now: Now, role: Annotated[Role, Form()]
) -> Response:
    """Give somebody another role; to or from administrator or auditor, ask another administrator to."""
    try:
        await administration.set_role(session, person, role, by=user, now=now)
    except SecondPersonNeeded:
        await administration.ask_for_role(session, person, role, by=user, now=now)
        return RedirectResponse("/approvals", 303)
    return RedirectResponse(f"/people/{person}", 303)


@router.get("/approvals")
async def approvals(request: Request, user: FreshAdministrator, session: UnitOfWork, now: Now) -> Response:
    found = await administration.open_requests(session, user, now=now)
    return render(request, "approvals.html", user=user, requests=found, most=administration.MOST_SITES)


@router.post("/approvals/codes")
async def ask_for_codes(
    user: FreshAdministrator,
    session: UnitOfWork,
    now: Now,
    sites: Annotated[str, Form(max_length=4_000)],
) -> Response:
    wanted = tuple(site for site in re.split(r"[\s,;]+", sites) if site)
    await administration.ask_for_codes(session, wanted, by=user, now=now)
    return RedirectResponse("/approvals", 303)


@router.post("/approvals/{approval}")
async def decide(
    approval: UUID,
    user: FreshAdministrator,
    session: UnitOfWork,
    now: Now,
    digest: Annotated[str, Form(pattern="^[0-9a-f]{64}$")],
    approve: Annotated[bool, Form()],
) -> Response:
    await administration.decide(session, approval, digest=digest, approve=approve, by=user, now=now)
    return RedirectResponse("/approvals", 303)


@router.post("/approvals/{approval}/codes")
async def codes(
    request: Request, approval: UUID, user: FreshAdministrator, session: UnitOfWork, hub: CurrentHub, now: Now
) -> Response:
    key = hub.settings.token_key
    found = await administration.collect_codes(session, approval, by=user, key=key, now=now)
    return render(request, "codes.html", user=user, codes=found)
