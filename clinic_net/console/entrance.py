"""Sign in step by step, sign out, choose a language, arrive at one's own page."""

from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from markupsafe import Markup

from clinic_net.access import browsers
from clinic_net.access import http as access
from clinic_net.access import service as use
from clinic_net.access.errors import PasswordWeak, WrongCredentials
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.access.proof import service as proofs
from clinic_net.access.proof.errors import PasswordGuessable, SignInExpired, SignInUnfinished, WrongCode
from clinic_net.console import authorize, i18n
from clinic_net.console.pages import page_before, render, safe_path
from clinic_net.kernel.errors import Refusal, TooMany
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork, hub_of

router = APIRouter()

HOME = {
    Role.DOCTOR: "/doctor",
    Role.NURSE: "/doctor",
    Role.COORDINATOR: "/board",
    Role.OPERATOR: "/board",
    Role.AUDITOR: "/audit",
    Role.NATIONAL: "/people",
    Role.CITIZEN: "/me",
}
"""Where each role arrives."""

STEPS = {"factor": "/sign-in/factor", "password": "/sign-in/password", "set-up": "/sign-in/set-up"}
"""Where each part of a sign-in that is still owed is done."""

NEXT = "clinic_net_next"
"""The cookie that says where somebody was going when they were led to sign in."""

Typed = Annotated[str, Form(max_length=400)]


@router.get("/")
async def home(request: Request, user: access.CurrentUser) -> Response:
    asked = authorize.waiting(request)
    if asked is not None:
        return asked
    if user.role in HOME:
        return RedirectResponse(HOME[user.role], 303)
    return render(request, "welcome.html", user=user)


@router.get("/sign-in")
async def sign_in_form(request: Request, to: Annotated[str, Query(alias="next")] = "") -> Response:
    """Show the form. ``next`` is a path of this hub to go on to once signed in, however many steps that takes."""
    page = _sign_in_page(request)
    if to:
        page.set_cookie(
            NEXT, quote(safe_path(to)), max_age=600, httponly=True, samesite="lax", path="/sign-in"
        )
        page.set_cookie(
            NEXT, quote(safe_path(to)), max_age=600, httponly=True, samesite="lax", path="/passkeys"
        )
    return page


def goes_on_to(request: Request) -> str:
    """Return where somebody goes who has just signed in."""
    return safe_path(unquote(request.cookies.get(NEXT, "/")))


def _sign_in_page(
    request: Request, *, status: int = 200, problem: str | None = None, wait: int = 0
) -> Response:
    settings = hub_of(request).settings
    page = render(
        request,
        "sign_in.html",
        user=None,
        status=status,
        problem=problem,
        retry_after=wait,
        passkeys=browsers.relying_of(settings).possible,
        elsewhere=(settings.oidc_name or settings.oidc_issuer) if settings.oidc_issuer else "",
    )
    if wait:
        page.headers["Retry-After"] = str(wait)
    return page


@router.post("/sign-in")
async def sign_in(request: Request, login: Typed, password: Typed) -> Response:
    response = _onward(request)
    try:
        await browsers.sign_in(request, response, login, password)
    except SignInUnfinished as unfinished:
        response = RedirectResponse(STEPS[unfinished.step], 303)
        browsers.put_half(request, response, unfinished.token)
    except WrongCredentials:
        return _sign_in_page(request, status=401, problem="wrong")
    except TooMany as refusal:
        return _sign_in_page(request, status=429, problem="slow", wait=refusal.retry_after)
    return response


def problem_of(refusal: Refusal) -> tuple[int, str, int]:
    """Return a page's status, what its form says was wrong, and how long to wait in seconds."""
    if isinstance(refusal, TooMany):
        return 429, "slow", refusal.retry_after
    if isinstance(refusal, PasswordWeak):
        return 422, "short", 0
    return (422, "guessable", 0) if isinstance(refusal, PasswordGuessable) else (401, "wrong", 0)


@router.get("/sign-in/factor")
async def factor_form(request: Request, session: UnitOfWork, hub: CurrentHub, now: Now) -> Response:
    half = await browsers.half_of(request, session, now=now)
    if half.step != "factor":
        return _next_step(half.step)
    held = await proofs.factors_of(session, half.user.id)
    possible = bool(held.keys) and browsers.relying_of(hub.settings).possible
    return render(request, "factor.html", user=None, problem=None, retry_after=0, passkeys=possible)


@router.post("/sign-in/factor")
async def factor(request: Request, code: Typed) -> Response:
    browsers.refuse_other_sites(request)
    token = browsers.half_token(request)
    try:
        await browsers.show_code(request, token, code)
    except (WrongCode, TooMany) as refusal:
        status, problem, wait = problem_of(refusal)
        page = render(
            request,
            "factor.html",
            user=None,
            status=status,
            problem=problem,
            retry_after=wait,
            passkeys=False,
        )
        if wait:
            page.headers["Retry-After"] = str(wait)
        return page
    return await arrive(request, token)


async def arrive(request: Request, token: str) -> Response:
    """Open the session of half a sign-in, or lead on to what is still owed."""
    response = _onward(request)
    done = await browsers.finish(request, response, token)
    return _next_step(done) if isinstance(done, str) else response


def _onward(request: Request) -> Response:
    response = RedirectResponse(goes_on_to(request), 303)
    if NEXT in request.cookies:
        for path in ("/sign-in", "/passkeys"):
            response.delete_cookie(NEXT, path=path, httponly=True, samesite="lax")
    return response


def _next_step(step: str | None) -> Response:
    return RedirectResponse(STEPS.get(step or "", "/sign-in"), 303)


@router.get("/sign-in/password")
async def own_password_form(request: Request, session: UnitOfWork, now: Now) -> Response:
    half = await browsers.half_of(request, session, now=now)
    if half.step != "password":
        return _next_step(half.step)
    return render(request, "password.html", user=None, problem=None, login=half.user.login, first=True)


@router.post("/sign-in/password")
async def own_password(
    request: Request, hub: CurrentHub, password: Typed, again: Annotated[str, Form()] = ""
) -> Response:
    browsers.refuse_other_sites(request)
    token = browsers.half_token(request)
    async with hub.sessions() as session, session.begin():
        half = await browsers.half_of(request, session, now=hub.now())
    if half.step != "password":
        raise SignInExpired
    try:
        if password != again:
            raise WrongCredentials
        await use.change_password(hub.sessions, half.user, password, now=hub.now())
    except (PasswordWeak, PasswordGuessable, WrongCredentials) as refusal:
        _, problem, _ = problem_of(refusal)
        return render(
            request,
            "password.html",
            user=None,
            status=422,
            problem="different" if problem == "wrong" else problem,
            login=half.user.login,
            first=True,
        )
    return await arrive(request, token)


@router.get("/sign-in/set-up")
async def set_up_form(request: Request, hub: CurrentHub, now: Now) -> Response:
    async with hub.sessions() as session, session.begin():
        half = await browsers.half_of(request, session, now=now)
    return (
        _next_step(half.step) if half.step != "set-up" else await set_up_page(request, half.user, must=True)
    )


@router.post("/sign-in/set-up")
async def set_up(request: Request, hub: CurrentHub, now: Now, code: Typed) -> Response:
    browsers.refuse_other_sites(request)
    token = browsers.half_token(request)
    async with hub.sessions() as session, session.begin():
        half = await browsers.half_of(request, session, now=now)
    if half.step != "set-up":
        raise SignInExpired
    try:
        codes = await browsers.confirm_totp(request, half.user, code, half=token)
    except (WrongCode, TooMany) as refusal:
        return await set_up_page(request, half.user, must=True, refusal=refusal)
    page = render(request, "recovery.html", user=None, codes=codes, to=goes_on_to(request))
    await browsers.finish(request, page, token)
    return page


async def set_up_page(
    request: Request, person: UserPrincipal, *, must: bool, refusal: Refusal | None = None
) -> Response:
    """Return the page on which a person's authenticator app learns its secret; ``must`` while signing in."""
    hub = hub_of(request)
    async with hub.sessions() as session, session.begin():
        secret, picture = await proofs.begin_totp(
            session, person.id, login=person.login, key=hub.settings.token_key, now=hub.now()
        )
    status, problem, wait = (200, None, 0) if refusal is None else problem_of(refusal)
    page = render(
        request,
        "set_up.html",
        user=None if must else person,
        status=422 if problem == "wrong" else status,
        problem=problem,
        retry_after=wait,
        secret=" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        picture=Markup(picture),  # noqa: S704 -- segno's own SVG
        must=must,
        passkeys=must and browsers.relying_of(hub.settings).possible,
    )
    if wait:
        page.headers["Retry-After"] = str(wait)
    return page


@router.post("/sign-out")
async def sign_out(request: Request, session: UnitOfWork, now: Now) -> Response:
    response = RedirectResponse("/sign-in", 303)
    await browsers.sign_out(request, response, session, now=now)
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
