"""``/oauth/token`` for devices and systems, ``/access/v1/session`` for people."""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import parse_qsl, unquote_plus

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import browsers, http, service
from clinic_net.access.errors import InvalidClient, InvalidRequest, OAuthRefusal, UnsupportedGrantType
from clinic_net.access.principals import UserPrincipal
from clinic_net.access.proof.errors import SignInUnfinished
from clinic_net.access.tokens import Minted
from clinic_net.kernel.http import CurrentHub, Now, UnitOfWork
from clinic_net.kernel.hub import Hub

router = APIRouter()

_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_FORM = "application/x-www-form-urlencoded"
_LONGEST_FORM = 16 * 1024
_MOST_FIELDS = 20
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@dataclass(frozen=True)
class TokenForm:
    """The parameters of a token request (RFC 6749 §4.4.2), and the Basic credentials, if any."""

    values: dict[str, str] = field(repr=False)
    basic: tuple[str, str] | None = field(repr=False)

    def get(self, name: str) -> str:
        return self.values.get(name, "")


class SessionView(BaseModel):
    """Who is signed in."""

    login: str
    name: str
    role: str
    facility: str
    language: str


async def _read_form(request: Request) -> TokenForm:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise InvalidRequest(f"the request must be {_FORM}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_FORM:
            raise InvalidRequest("the request is too long")
    try:
        pairs = parse_qsl(
            bytes(body).decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise InvalidRequest("the form cannot be read") from None
    values = dict(pairs)
    if len(values) != len(pairs):
        raise InvalidRequest("a parameter is given twice")
    return TokenForm(values, _read_basic(request.headers.get("authorization")))


def _read_basic(header: str | None) -> tuple[str, str] | None:
    """Return client id and secret; both are form-encoded inside Basic (RFC 6749 §2.3.1)."""
    if header is None:
        return None
    kind, _, encoded = header.partition(" ")
    try:
        client_id, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise InvalidClient from None
    if kind.lower() != "basic" or not colon:
        raise InvalidClient
    return unquote_plus(client_id), unquote_plus(secret)


async def _grant(form: TokenForm, session: AsyncSession, hub: Hub) -> Minted:
    if form.get("grant_type") != "client_credentials":
        raise UnsupportedGrantType if form.get("grant_type") else InvalidRequest("grant_type is missing")
    issuer, now = http.issuer_of(hub.settings), hub.now()
    ways = [form.basic is not None, "client_secret" in form.values, "client_assertion" in form.values]
    if sum(ways) > 1:
        raise InvalidRequest("more than one way of client authentication")
    if "client_assertion" in form.values:
        if form.get("client_assertion_type") != _JWT_BEARER:
            raise InvalidRequest("client_assertion_type must be jwt-bearer")
        return await service.grant_to_station(session, form.get("client_assertion"), issuer=issuer, now=now)
    client_id, secret = form.basic or (form.get("client_id"), form.get("client_secret"))
    return await service.grant_to_client(
        session, client_id, secret, asked=form.get("scope"), issuer=issuer, now=now
    )


def _oauth_error(refusal: OAuthRefusal, *, basic: bool, hub: Hub) -> JSONResponse:
    """Answer as RFC 6749 §5.2 says, with our own stable code and the hub's time beside."""
    body = {
        "error": refusal.oauth_error,
        "error_description": str(refusal),
        "code": getattr(refusal, "code", ""),
        "server_time": int(hub.now().timestamp()),
    }
    wrong_client = isinstance(refusal, InvalidClient)
    headers = _NO_STORE | ({"WWW-Authenticate": 'Basic realm="clinic-net"'} if wrong_client and basic else {})
    return JSONResponse(body, 401 if wrong_client else 400, headers)


@router.post("/oauth/token")
async def token(request: Request, hub: CurrentHub) -> JSONResponse:
    """Exchange a client's secret, or a device's signed assertion, for a short access token."""
    try:
        form = await _read_form(request)
        async with hub.sessions() as session, session.begin():
            minted = await _grant(form, session, hub)
    except OAuthRefusal as refusal:
        return _oauth_error(refusal, basic="authorization" in request.headers, hub=hub)
    body = {"access_token": minted.token, "token_type": "Bearer", "expires_in": minted.expires_in}
    return JSONResponse(body | {"scope": minted.scope}, 200, _NO_STORE)


def _view(user: UserPrincipal) -> SessionView:
    return SessionView(
        login=user.login, name=user.name, role=user.role, facility=user.facility, language=user.language
    )


@router.post("/access/v1/session")
async def sign_in(
    request: Request,
    response: Response,
    login: Annotated[str, Form()],
    password: Annotated[str, Form()],
    code: Annotated[str, Form()] = "",
) -> SessionView:
    """Sign in; the cookie comes with the answer. ``code`` is the second factor, of who has one."""
    try:
        return _view(await browsers.sign_in(request, response, login, password))
    except SignInUnfinished as unfinished:
        if not code:
            raise
        return _view(await browsers.sign_in_with_code(request, response, unfinished, code))


@router.get("/access/v1/session")
async def who(user: http.CurrentUser) -> SessionView:
    """Say who is signed in."""
    return _view(user)


@router.delete("/access/v1/session", status_code=204)
async def sign_out(request: Request, response: Response, session: UnitOfWork, now: Now) -> None:
    """Sign out; the same when nobody was signed in."""
    await browsers.sign_out(request, response, session, now=now)
