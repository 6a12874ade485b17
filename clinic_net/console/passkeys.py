"""What a page's script asks about passkeys, in JSON: a challenge, and what the browser made of it."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import browsers
from clinic_net.access import http as access
from clinic_net.access import service as use
from clinic_net.access.errors import RoleNotAllowed
from clinic_net.access.principals import UserPrincipal
from clinic_net.access.proof import service as proofs
from clinic_net.access.proof.errors import SignInExpired
from clinic_net.console.entrance import STEPS, goes_on_to
from clinic_net.console.pages import safe_path
from clinic_net.kernel.http import CurrentHub, hub_of
from clinic_net.kernel.hub import Hub

router = APIRouter(prefix="/passkeys")

Occasion = Literal["sign-in", "factor", "verify", "add", "set-up"]
"""Signing in with the passkey alone, as the second factor, proving anew; adding one, or the first one that must be."""

For = Annotated[Occasion, Body(alias="for")]
Credential = Annotated[dict[str, Any], Body()]


async def _signed_in(request: Request, session: AsyncSession, hub: Hub, *, fresh: bool) -> UserPrincipal:
    user = await access.principal_of(request, session, hub.settings, now=hub.now())
    if not isinstance(user, UserPrincipal):
        raise RoleNotAllowed
    if fresh:
        use.fresh(user, hub.now())
    return user


@router.post("/options")
async def options(
    request: Request, hub: CurrentHub, occasion: Annotated[Occasion, Body(alias="for", embed=True)]
) -> Response:
    """Return what ``navigator.credentials`` is asked on this occasion."""
    browsers.refuse_other_sites(request)
    relying, now = browsers.relying_of(hub.settings), hub.now()
    async with hub.sessions() as session, session.begin():
        if occasion == "sign-in":
            return JSONResponse(proofs.proof_options(relying, bound="", now=now))
        if occasion in ("factor", "set-up"):
            half = await browsers.half_of(request, session, now=now)
            user, bound = half.user, f"half {half.user.id}"
            if half.step != occasion:
                raise SignInExpired
        else:
            user = await _signed_in(request, session, hub, fresh=occasion == "add")
            bound = user.session
        if occasion in ("add", "set-up"):
            made = await proofs.registration_options(
                session, user.id, login=user.login, name=user.name, relying=relying, bound=bound, now=now
            )
            return JSONResponse(made)
        keys = tuple(key.id for key in (await proofs.factors_of(session, user.id)).keys)
        return JSONResponse(proofs.proof_options(relying, bound=bound, now=now, keys=keys))


@router.post("/answer")
async def answer(
    request: Request,
    occasion: For,
    credential: Credential,
    label: Annotated[str, Body(max_length=60)] = "",
    to: Annotated[str, Body(alias="next", max_length=2_000)] = "/",
) -> Response:
    """Take what the browser made. Returns where the page goes on, as ``to``."""
    browsers.refuse_other_sites(request)
    response = JSONResponse({})
    match occasion:
        case "sign-in":
            await browsers.sign_in_with_passkey(request, response, credential)
            goes_on = goes_on_to(request)
        case "factor":
            token = browsers.half_token(request)
            await browsers.show_passkey(request, token, credential)
            goes_on = await _finish(request, response, token)
        case "set-up":
            token = browsers.half_token(request)
            await _set_up(request, token, credential, label)
            goes_on = await _finish(request, response, token)
        case "verify":
            hub = hub_of(request)
            async with hub.sessions() as session, session.begin():
                user = await _signed_in(request, session, hub, fresh=False)
            await browsers.verify_with_passkey(request, response, user, credential)
            goes_on = safe_path(to)
        case "add":
            await _add(request, credential, label)
            goes_on = "/account"
    answered = JSONResponse({"to": goes_on})
    answered.raw_headers.extend(header for header in response.raw_headers if header[0] == b"set-cookie")
    return answered


async def _finish(request: Request, response: Response, token: str) -> str:
    done = await browsers.finish(request, response, token)
    return STEPS[done] if isinstance(done, str) else goes_on_to(request)


async def _add(request: Request, credential: dict[str, Any], label: str) -> None:
    hub = hub_of(request)
    async with hub.sessions() as session, session.begin():
        user = await _signed_in(request, session, hub, fresh=True)
        await _register(session, user, credential, label, hub=hub, bound=user.session)


async def _set_up(request: Request, token: str, credential: dict[str, Any], label: str) -> None:
    hub = hub_of(request)
    async with hub.sessions() as session, session.begin():
        half = await browsers.half_of(request, session, now=hub.now())
        if half.step != "set-up":
            raise SignInExpired
        await _register(session, half.user, credential, label, hub=hub, bound=f"half {half.user.id}")
        await use.set_up_done(session, token, now=hub.now())


async def _register(
    session: AsyncSession,
    user: UserPrincipal,
    credential: dict[str, Any],
    label: str,
    *,
    hub: Hub,
    bound: str,
) -> None:
    await proofs.register(
        session,
        user.id,
        credential,
        label="".join(letter for letter in label if letter.isprintable()),
        relying=browsers.relying_of(hub.settings),
        bound=bound,
        now=hub.now(),
    )
