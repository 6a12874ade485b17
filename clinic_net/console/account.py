"""One's own account: how one signs in, where one is signed in, for what one works; and proving that it is oneself."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import browsers
from clinic_net.access import http as access
from clinic_net.access import service as use
from clinic_net.access.errors import PasswordWeak, WrongCredentials
from clinic_net.access.principals import PURPOSES, UserPrincipal
from clinic_net.access.proof import service as proofs
from clinic_net.access.proof.errors import LastFactor, PasswordGuessable, WrongCode
from clinic_net.console.entrance import Typed, problem_of, set_up_page
from clinic_net.console.pages import page_before, render, safe_path
from clinic_net.kernel.errors import TooMany
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork
from clinic_net.kernel.hub import Hub

router = APIRouter()


@router.get("/account")
async def account(
    request: Request, user: access.CurrentUser, session: UnitOfWork, hub: CurrentHub, now: Now
) -> Response:
    return render(
        request,
        "account.html",
        user=user,
        purposes=PURPOSES[user.role],
        factors=await proofs.factors_of(session, user.id),
        passkeys=browsers.relying_of(hub.settings).possible,
        must=user.role in browsers.policy_of(hub.settings).must,
        sessions=await use.sessions_of(session, user.id, now=now),
    )


@router.post("/account/purpose")
async def purpose(
    request: Request,
    user: access.CurrentUser,
    session: UnitOfWork,
    now: Now,
    purpose: Annotated[str, Form(max_length=8)],
) -> Response:
    await use.choose_purpose(session, user, purpose, now=now)
    return RedirectResponse(page_before(request) or "/account", 303)


@router.post("/account/sessions")
async def end_sessions(
    user: access.CurrentUser, session: UnitOfWork, now: Now, end: Annotated[str, Form(max_length=64)]
) -> Response:
    """End the session named, or with ``others`` all but this one."""
    if end == "others":
        await use.end_sessions(session, user.id, by=user.address, now=now, but=user.session)
    else:
        await use.end_own_session(session, user, end, now=now)
    return RedirectResponse("/account", 303)


# -- the password


@router.get("/account/password")
async def password_form(request: Request, user: access.FreshUser) -> Response:
    return render(request, "password.html", user=user, problem=None, login=user.login, first=False)


@router.post("/account/password")
async def password(
    request: Request, user: access.FreshUser, hub: CurrentHub, password: Typed, again: Typed = ""
) -> Response:
    try:
        if password != again:
            raise WrongCredentials
        await use.change_password(hub.sessions, user, password, now=hub.now(), but=user.session)
    except (PasswordWeak, PasswordGuessable, WrongCredentials) as refusal:
        _, problem, _ = problem_of(refusal)
        return render(
            request,
            "password.html",
            user=user,
            status=422,
            problem="different" if problem == "wrong" else problem,
            login=user.login,
            first=False,
        )
    return RedirectResponse("/account", 303)


# -- second factors


@router.get("/account/app")
async def app_form(request: Request, user: access.FreshUser, hub: CurrentHub) -> Response:
    async with hub.sessions() as session, session.begin():
        held = await proofs.factors_of(session, user.id)
    if held.app_since is not None:
        return RedirectResponse("/account", 303)
    return await set_up_page(request, user, must=False)


@router.post("/account/app")
async def app(request: Request, user: access.FreshUser, code: Typed) -> Response:
    try:
        codes = await browsers.confirm_totp(request, user, code)
    except (WrongCode, TooMany) as refusal:
        return await set_up_page(request, user, must=False, refusal=refusal)
    return render(request, "recovery.html", user=user, codes=codes, to="/account")


@router.post("/account/app/remove")
async def remove_app(user: access.FreshUser, session: UnitOfWork, hub: CurrentHub, now: Now) -> Response:
    if user.role in browsers.policy_of(hub.settings).must:
        await proofs.demand_another(session, user.id, than="app")
    await proofs.remove_totp(session, user.id, by=user.address, now=now)
    return RedirectResponse("/account", 303)


@router.post("/account/passkeys/remove")
async def remove_passkey(
    user: access.FreshUser, session: UnitOfWork, hub: CurrentHub, now: Now, name: Annotated[str, Form()]
) -> Response:
    if user.role in browsers.policy_of(hub.settings).must:
        await proofs.demand_another(session, user.id, than="key")
    await proofs.remove_passkey(session, user.id, name, now=now)
    return RedirectResponse("/account", 303)


@router.post("/account/recovery")
async def recovery(
    request: Request, user: access.FreshUser, session: UnitOfWork, hub: CurrentHub, now: Now
) -> Response:
    if not (await proofs.factors_of(session, user.id)).any:
        raise LastFactor
    codes = await proofs.renew_recovery_codes(session, user.id, key=hub.settings.token_key, now=now)
    return render(request, "recovery.html", user=user, codes=codes, to="/account")


# -- proving that it is oneself


@router.get("/verify")
async def verify_form(
    request: Request,
    user: access.CurrentUser,
    session: UnitOfWork,
    hub: CurrentHub,
    to: Annotated[str, Query(alias="next")] = "/",
) -> Response:
    facts = await _ways(session, user, hub)
    return render(request, "verify.html", user=user, problem=None, retry_after=0, to=safe_path(to), **facts)


@router.post("/verify")
async def verify(
    request: Request,
    user: access.CurrentUser,
    hub: CurrentHub,
    proof: Typed,
    to: Annotated[str, Form(alias="next")] = "/",
) -> Response:
    response = RedirectResponse(safe_path(to), 303)
    try:
        await browsers.verify(request, response, user, proof)
    except (WrongCode, WrongCredentials, TooMany) as refusal:
        status, problem, wait = problem_of(refusal)
        async with hub.sessions() as session, session.begin():
            facts = await _ways(session, user, hub)
        page = render(
            request,
            "verify.html",
            user=user,
            status=status,
            problem=problem,
            retry_after=wait,
            to=safe_path(to),
            **facts,
        )
        if wait:
            page.headers["Retry-After"] = str(wait)
        return page
    return response


async def _ways(session: AsyncSession, user: UserPrincipal, hub: Hub) -> dict[str, bool]:
    """Return how this person can prove it: by a code or the password, and by a passkey."""
    held = await proofs.factors_of(session, user.id)
    return {
        "by_password": not held.any,
        "by_code": held.app_since is not None or held.codes_left > 0,
        "passkeys": bool(held.keys) and browsers.relying_of(hub.settings).possible,
    }
