"""Signing in with an outside provider: there, and back."""

from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from clinic_net.access import browsers
from clinic_net.access import http as access
from clinic_net.access.errors import NotVouchedFor
from clinic_net.access.oauth import outside
from clinic_net.access.proof.errors import SignInUnfinished
from clinic_net.access.service import SignedIn
from clinic_net.console.entrance import STEPS
from clinic_net.console.pages import render
from clinic_net.kernel.errors import NotFound
from clinic_net.kernel.http import CurrentHub, hub_of
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.outgoing import HostNotAllowed, Outgoing, OutgoingFailed
from clinic_net.kernel.settings import HubSettings

router = APIRouter()

BACK = "/sign-in/elsewhere/back"
_COOKIE = "clinic_net_elsewhere"


def provider_of(settings: HubSettings) -> outside.Elsewhere:
    """Return the configured provider.

    Raises:
        NotFound: there is none.
    """
    if settings.oidc_issuer is None:
        raise NotFound("no such page")
    return outside.Elsewhere(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        secret=settings.oidc_client_secret,
        callback=settings.public_url.rstrip("/") + BACK,
        strong=frozenset(settings.oidc_strong_acr),
        key=settings.token_key,
    )


def door_of(settings: HubSettings) -> Outgoing:
    """Return the door to the provider's hosts, and to no others."""
    own = urlsplit(settings.oidc_issuer or "").netloc.lower()
    hosts = frozenset({own, *(host.lower() for host in settings.oidc_hosts)}) - {""}
    return Outgoing(hosts, loopback=settings.outgoing_loopback)


@router.get("/sign-in/elsewhere")
async def there(request: Request, hub: CurrentHub) -> Response:
    """Lead a person to the provider."""
    settings = hub.settings
    provider = provider_of(settings)
    try:
        address, pending = await outside.begin(door_of(settings), provider, now=hub.now())
    except (OutgoingFailed, HostNotAllowed, NotVouchedFor):
        return _failed(request, 503)
    response = RedirectResponse(address, 303)
    response.set_cookie(
        _COOKIE,
        pending,
        max_age=int(outside.WAITS.total_seconds()),
        path="/sign-in",
        secure=settings.public_url.startswith("https:"),
        httponly=True,
        samesite="lax",
    )
    return response


@router.get(BACK)
async def back(request: Request, hub: CurrentHub) -> Response:
    """Let in whom the provider vouches for."""
    provider = provider_of(hub.settings)
    try:
        signed_in = await _vouched(request, hub, provider)
    except (OutgoingFailed, HostNotAllowed):
        return _failed(request, 503)
    except NotVouchedFor:
        async with hub.sessions() as session, session.begin():
            await outside.refused(session, access.remote_address(request), now=hub.now())
        return _failed(request, 401)
    response = RedirectResponse("/", 303)
    if isinstance(signed_in, SignInUnfinished):
        response = RedirectResponse(STEPS[signed_in.step], 303)
        browsers.put_half(request, response, signed_in.token)
    else:
        browsers.put_session(request, response, signed_in.token)
    response.delete_cookie(_COOKIE, path="/sign-in", httponly=True, samesite="lax")
    return response


async def _vouched(request: Request, hub: Hub, provider: outside.Elsewhere) -> SignedIn | SignInUnfinished:
    """Ask the provider outside any transaction, then open the session."""
    now = hub.now()
    told = dict(request.query_params)
    pending = request.cookies.get(_COOKIE, "")
    vouched = await outside.finish(door_of(hub.settings), provider, told=told, pending=pending, now=now)
    async with hub.sessions() as session, session.begin():
        return await outside.sign_in(
            session,
            provider,
            vouched,
            browsers.arrival_of(request),
            now=now,
        )


def _failed(request: Request, status: int) -> Response:
    name = hub_of(request).settings.oidc_name
    page = render(request, "elsewhere_failed.html", user=None, status=status, name=name, away=status == 503)
    page.delete_cookie(_COOKIE, path="/sign-in", httponly=True, samesite="lax")
    return page
