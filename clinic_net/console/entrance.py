"""Sign in, sign out, choose a language, arrive at one's own page."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from clinic_net.access import http as access
from clinic_net.access.errors import WrongCredentials
from clinic_net.access.principals import Role
from clinic_net.console import i18n
from clinic_net.console.pages import page_before, render
from clinic_net.kernel.errors import TooMany
from clinic_net.kernel.http import Now, UnitOfWork

router = APIRouter()

HOME = {
    Role.DOCTOR: "/doctor",
    Role.NURSE: "/doctor",
    Role.COORDINATOR: "/board",
    Role.OPERATOR: "/board",
    Role.CITIZEN: "/me",
}
"""Where each role arrives; an auditor has no page yet."""


@router.get("/")
async def home(request: Request, user: access.CurrentUser) -> Response:
    if user.role in HOME:
        return RedirectResponse(HOME[user.role], 303)
    return render(request, "welcome.html", user=user)


@router.get("/sign-in")
async def sign_in_form(request: Request) -> Response:
    return render(request, "sign_in.html", user=None, problem=None)


@router.post("/sign-in")
async def sign_in(
    request: Request, login: Annotated[str, Form()], password: Annotated[str, Form()]
) -> Response:
    response = RedirectResponse("/", 303)
    try:
        await access.sign_in(request, response, login, password)
    except WrongCredentials:
        return render(request, "sign_in.html", user=None, status=401, problem="wrong")
    except TooMany as refusal:
        page = render(
            request, "sign_in.html", user=None, status=429, problem="slow", retry_after=refusal.retry_after
        )
        page.headers["Retry-After"] = str(refusal.retry_after)
        return page
    return response


@router.post("/sign-out")
async def sign_out(request: Request, session: UnitOfWork, now: Now) -> Response:
    response = RedirectResponse("/sign-in", 303)
    await access.sign_out(request, response, session, now=now)
    return response


@router.post("/language")
async def choose_language(request: Request, language: Annotated[str, Form()]) -> Response:
    """Keep a language in this browser and go back to the page the choice was made on."""
    response = RedirectResponse(page_before(request) or "/", 303)
    if language in i18n.LANGUAGES:
        response.set_cookie(
            i18n.LANGUAGE_COOKIE, language, max_age=31_536_000, httponly=True, samesite="lax", path="/"
        )
    return response
