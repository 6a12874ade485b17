"""``/oauth`` for programs, systems and devices; the page where a person agrees is the console's."""

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote_plus

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import http, service
from clinic_net.access.errors import (
    InsufficientScope,
    InvalidClient,
    InvalidProof,
    InvalidRequest,
    OAuthRefusal,
    RoleNotAllowed,
    UnauthorizedClient,
    UnsupportedGrantType,
    UnsupportedTokenType,
)
from clinic_net.access.model import Client
from clinic_net.access.oauth import acting, clients
from clinic_net.access.oauth.issuer import Issuer
from clinic_net.access.oauth.proofs import proven_key
from clinic_net.access.oauth.provider import CODE_GRANT, REFRESH_GRANT
from clinic_net.access.oauth.signing import published
from clinic_net.access.principals import UserPrincipal
from clinic_net.access.tokens import Minted
from clinic_net.kernel.errors import Refusal
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

    def needed(self, name: str) -> str:
        """Return a parameter that must be there.

        Raises:
            InvalidRequest: it is not.
        """
        if not self.get(name):
            raise InvalidRequest(f"{name} is missing")
        return self.get(name)

    @property
    def credentials(self) -> clients.Credentials:
        """What proves who the client is.

        Raises:
            InvalidRequest: more than one way at once (RFC 6749 §2.3).
        """
        ways = [self.basic is not None, "client_secret" in self.values, "client_assertion" in self.values]
        if sum(ways) > 1:
            raise InvalidRequest("more than one way of client authentication")
        if "client_assertion" in self.values:
            if self.get("client_assertion_type") != _JWT_BEARER:
                raise InvalidRequest("client_assertion_type must be jwt-bearer")
            return clients.Credentials(self.get("client_id"), assertion=self.get("client_assertion"))
        if self.basic is not None:
            if self.get("client_id") not in ("", self.basic[0]):
                raise InvalidRequest("two clients are named")
            return clients.Credentials(*self.basic)
        return clients.Credentials(self.get("client_id"), self.values.get("client_secret"))


@dataclass(frozen=True)
class Call:
    """A request at one of the endpoints, in its transaction."""

    form: TokenForm
    request: Request
    session: AsyncSession
    hub: Hub

    @property
    def issuer(self) -> Issuer:
        return http.issuer_of(self.hub.settings)

    async def client(self) -> Client:
        """Return the client that the request is from."""
        now = self.hub.now()
        return await clients.authenticated(
            self.session, self.form.credentials, audiences=self.issuer.audiences, now=now
        )

    async def key(self, *, needed: bool) -> str | None:
        """Return the thumbprint of the key that the request proves to hold.

        Raises:
            InvalidProof, ProofNonceNeeded: there is a proof that is none, or none where one is needed.
        """
        shown = http.shown_proof(self.request, self.hub.settings)
        if shown is None:
            if needed:
                raise InvalidProof
            return None
        return await proven_key(self.session, shown, issuer=self.issuer, now=self.hub.now())


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


Work = Callable[[Call], Awaitable[Response]]


async def _answered(request: Request, hub: Hub, action: str, work: Work) -> Response:
    """Do what a form asks in one transaction; say a refusal as RFC 6749 §5.2 does, and write it down."""
    try:
        form = await _read_form(request)
        async with hub.sessions() as session, session.begin():
            return await work(Call(form, request, session, hub))
    except OAuthRefusal as refusal:
        if isinstance(refusal, InvalidClient | InvalidProof):
            await _noted(request, hub, action, refusal)
        return _oauth_error(refusal, basic="authorization" in request.headers, hub=hub)


async def _noted(request: Request, hub: Hub, action: str, refusal: Refusal) -> None:
    """Write down who could not prove who they are, in a transaction of its own."""
    actor = f"address:{http.remote_address(request)}"
    async with hub.sessions() as session, session.begin():
        await audit.record(
            session, actor=actor, action=action, subject="client", outcome=refusal.code, at=hub.now()
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
    if isinstance(refusal, InvalidProof) and refusal.nonce:
        headers["DPoP-Nonce"] = refusal.nonce
    return JSONResponse(body, 401 if wrong_client else 400, headers)


@router.post("/oauth/token")
async def token(request: Request, hub: CurrentHub) -> Response:
    """Exchange a code, a refresh token, a client's secret or a signed assertion for a short access token."""
    return await _answered(request, hub, "oauth.token", _token)


async def _token(call: Call) -> Response:
    kind, now = call.form.get("grant_type"), call.hub.now()
    if kind not in ("client_credentials", CODE_GRANT, REFRESH_GRANT):
        raise UnsupportedGrantType if kind else InvalidRequest("grant_type is missing")
    assertion = call.form.credentials.assertion
    if kind == "client_credentials" and assertion is not None and service.names_a_device(assertion):
        jkt = await call.key(needed=False)
        minted = await service.grant_to_station(call.session, assertion, issuer=call.issuer, now=now, jkt=jkt)
        return _minted(minted)
    client = await call.client()
    jkt = await call.key(needed=client.dpop)
    if kind == "client_credentials":
        asked = call.form.get("scope")
        return _minted(service.grant_to_system(client, asked=asked, issuer=call.issuer, now=now, jkt=jkt))
    if not client.redirect_uris:
        raise UnauthorizedClient
    values = call.form.values
    answer = await acting.exchange(call.session, values, client, issuer=call.issuer, jkt=jkt, now=now)
    if answer.status == 200:
        return JSONResponse(dict(answer.body), 200, _NO_STORE)
    return JSONResponse({**answer.body, "server_time": int(now.timestamp())}, answer.status, _NO_STORE)


def _minted(minted: Minted) -> JSONResponse:
    body = {"access_token": minted.token, "token_type": minted.kind, "expires_in": minted.expires_in}
    return JSONResponse(body | {"scope": minted.scope}, 200, _NO_STORE)


@router.post("/oauth/introspect")
async def introspect(request: Request, hub: CurrentHub) -> Response:
    """Tell an authenticated client what a token stands for (RFC 7662)."""
    return await _answered(request, hub, "oauth.introspect", _introspect)


async def _introspect(call: Call) -> Response:
    client = await call.client()
    if client.auth == clients.NONE:
        raise InvalidClient
    told = await acting.introspect(
        call.session, call.form.needed("token"), by=client, issuer=call.issuer, now=call.hub.now()
    )
    return JSONResponse(told, 200, _NO_STORE)


@router.post("/oauth/revoke")
async def revoke(request: Request, hub: CurrentHub) -> Response:
    """End what a token stands for (RFC 7009); the same answer for a token that is none."""
    return await _answered(request, hub, "oauth.revoke", _revoke)


async def _revoke(call: Call) -> Response:
    client = await call.client()
    ended = await acting.revoke(
        call.session, call.form.needed("token"), by=client, issuer=call.issuer, now=call.hub.now()
    )
    if not ended:
        raise UnsupportedTokenType
    return JSONResponse({}, 200, _NO_STORE)


@router.get("/oauth/jwks")
async def keys(hub: CurrentHub) -> JSONResponse:
    """Tell with which keys identity tokens are checked. Needs no credentials."""
    found = published(http.issuer_of(hub.settings).signing_keys)
    return JSONResponse(found, headers={"Cache-Control": "public, max-age=3600"})


@router.get("/.well-known/openid-configuration")
async def openid(hub: CurrentHub) -> JSONResponse:
    """Tell where people sign in for programs. Needs no credentials."""
    return JSONResponse(service.openid_configuration(http.issuer_of(hub.settings).url))


@router.get("/oauth/userinfo")
async def userinfo(request: Request, hub: CurrentHub, session: UnitOfWork, now: Now) -> JSONResponse:
    """Tell a program who the person is in whose name it acts (OpenID Connect Core §5.3)."""
    issuer = http.issuer_of(hub.settings)
    caller = await http.principal_of(request, session, hub.settings, now=now)
    if not isinstance(caller, UserPrincipal) or caller.grant is None:
        raise RoleNotAllowed
    granted = await acting.allowed(session, caller.grant)
    if "openid" not in granted.named:
        raise InsufficientScope
    return JSONResponse(acting.who(caller, granted, issuer), headers=_NO_STORE)
