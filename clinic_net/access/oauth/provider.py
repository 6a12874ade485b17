"""The rules of RFC 6749, 7636 and 9207, by Authlib, without a database: what they may ask for is handed in.

Authlib's server calls its store where it stands; here everything that it may ask for was fetched before, and what it
decides is handed back as an :class:`Answer`. Its defaults are wider than OAuth 2.1: PKCE becomes a duty, S256 the only
method, ``state`` and ``redirect_uri`` required.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    InvalidRequestError,
    OAuth2Error,
    OAuth2Request,
)
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, RefreshTokenGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc9207 import IssuerParameter

from clinic_net.access.errors import AuthorizationRefused, ScopeMalformed
from clinic_net.access.scopes import Asked, parse_app

CODE_GRANT, REFRESH_GRANT = "authorization_code", "refresh_token"
_KNOWN = "known"
"""The one way of client authentication that Authlib sees: it was done before."""

_LONGEST = 2048

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class App(ClientMixin):  # type: ignore[misc]
    """A registered program, with what Authlib asks a client."""

    id: str
    redirect_uris: tuple[str, ...]
    registered: Asked

    def get_client_id(self) -> str:
        return self.id

    def get_default_redirect_uri(self) -> None:
        """There is none: an address that is not named is not compared."""

    def get_allowed_scope(self, scope: str | None) -> str | None:
        try:
            allowed = parse_app(scope or "").within(self.registered)
        except ScopeMalformed:
            return None
        return str(allowed) or None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether it is registered, letter by letter (OAuth 2.1 §2.3)."""
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        return False

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == _KNOWN

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return bool(self.redirect_uris) and grant_type in (CODE_GRANT, REFRESH_GRANT)


@dataclass(frozen=True)
class Held:
    """A code or a refresh token that was found and is good, with what Authlib asks it; ``row`` is marked when used."""

    client_id: str
    scope: str
    user: object
    row: Any
    redirect_uri: str = ""
    code_challenge: str = ""
    code_challenge_method: str = "S256"

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def check_client(self, client: App) -> bool:
        return client.id == self.client_id


@dataclass
class Answer:
    """What to answer. ``location`` is where a browser goes."""

    status: int
    body: Mapping[str, Any]
    location: str | None = None


@dataclass(frozen=True)
class Wish:
    """An authorization request that is in order. ``scope`` is within what the program was registered for."""

    app: App
    pairs: tuple[tuple[str, str], ...] = field(repr=False)
    scope: Asked
    redirect_uri: str

    def get(self, name: str) -> str:
        return dict(self.pairs).get(name, "")


Mint = Callable[[str], dict[str, Any]]
"""Scope in, token response out."""


class _Request(OAuth2Request):  # type: ignore[misc]
    def __init__(self, pairs: Pairs, method: str) -> None:
        super().__init__(method, "https://hub/oauth")  # the scheme is all that Authlib looks at
        self.payload = BasicOAuth2Payload(dict(pairs))

    @property
    def form(self) -> Mapping[str, str]:
        return dict(self.payload.data)


class _StrictChallenge(CodeChallenge):  # type: ignore[misc]
    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]
    CODE_CHALLENGE_METHODS = {"S256": CodeChallenge.CODE_CHALLENGE_METHODS["S256"]}

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        asked = grant.request.payload.data
        if not asked.get("state"):
            raise InvalidRequestError("Missing 'state' in request.")
        if not asked.get("code_challenge") or asked.get("code_challenge_method") != "S256":
            raise InvalidRequestError("PKCE with code_challenge_method S256 is required.")
        super().validate_code_challenge(grant, redirect_uri)


class _CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = [_KNOWN]

    def generate_authorization_code(self) -> str:
        return str(self.server.code)

    def save_authorization_code(self, code: str, request: Any) -> None:
        """Whoever handed the code in has stored it."""

    def query_authorization_code(self, code: str, client: App) -> Held | None:
        found: Held | None = self.server.held_by(client)
        return found

    def delete_authorization_code(self, authorization_code: Held) -> None:
        """It was marked as used when it was fetched."""

    def authenticate_user(self, authorization_code: Held) -> object:
        return authorization_code.user


class _RefreshGrant(RefreshTokenGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = [_KNOWN]
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Held | None:
        found: Held | None = self.server.held_by(self.request.client)
        return found

    def authenticate_user(self, refresh_token: Held) -> object:
        return refresh_token.user

    def revoke_old_credential(self, refresh_token: Held) -> None:
        """It was marked as used when it was fetched."""


class _Issuer(IssuerParameter):  # type: ignore[misc]
    def __init__(self, url: str) -> None:
        self._url = url

    def get_issuer(self) -> str:
        return self._url


class Provider(AuthorizationServer):  # type: ignore[misc]
    """Authlib's server for one request of one program."""

    def __init__(self, app: App, issuer: str, *, held: Held | None = None, mint: Mint | None = None) -> None:
        super().__init__()
        self._app, self._held, self._mint = app, held, mint
        self.code = ""
        self._says_who = _Issuer(issuer)
        self.register_client_auth_method(_KNOWN, lambda query_client, request: app)
        self.register_grant(_CodeGrant, [_StrictChallenge(required=True)])
        self.register_grant(_RefreshGrant)
        self.register_hook("after_create_authorization_response", self._says_who.add_issuer_parameter)

    def held_by(self, client: App) -> Held | None:
        return self._held if self._held is not None and self._held.check_client(client) else None

    def query_client(self, client_id: str) -> App | None:
        return self._app if client_id == self._app.id else None

    def create_oauth2_request(self, request: Any) -> Any:
        return request

    def handle_response(self, status: int, body: Any, headers: Sequence[tuple[str, str]]) -> Answer:
        told = dict(body) if body else {}
        return Answer(status, told, dict(headers).get("Location"))

    def generate_token(self, *_: object, scope: str | None = None, **__: object) -> dict[str, Any]:
        assert self._mint is not None
        return self._mint(scope or "")

    def save_token(self, token: Mapping[str, Any], request: Any) -> None:
        """Whoever handed in the mint has stored it."""

    def send_signal(self, name: str, *_: object, **__: object) -> None:
        """Nobody listens."""

    def ask(self, pairs: Pairs, user: object | None) -> Wish:
        """Return what a program asks for at the authorization endpoint.

        Raises:
            AuthorizationRefused: with the program's own address to go back to, if that much was right.
        """
        names = [name for name, _ in pairs]
        asked = dict(pairs)
        if len(set(names)) != len(names):
            raise AuthorizationRefused("a parameter is given twice")
        if any(len(value) > _LONGEST for value in asked.values()):
            raise AuthorizationRefused("a parameter is too long")
        redirect_uri = asked.get("redirect_uri", "")
        if not self._app.check_redirect_uri(redirect_uri):
            raise AuthorizationRefused("the program's address is not the registered one")
        if asked.get("response_type") != "code":  # Authlib would quote it
            raise self.refused("unsupported_response_type", "only code is", asked)
        try:
            grant = self.get_consent_grant(_Request(pairs, "GET"), user)
        except OAuth2Error as error:
            raise self.refused(error.error, error.description, asked) from None
        return Wish(self._app, tuple(pairs), parse_app(grant.request.scope), redirect_uri)

    def refused(self, error: str, why: str | None, asked: Mapping[str, str]) -> AuthorizationRefused:
        """Return a refusal that tells the program (RFC 6749 §4.1.2.1)."""
        said = {"error": error, "error_description": why or error}
        if asked.get("state"):
            said["state"] = asked["state"]
        answer = Answer(302, {}, back_to(asked["redirect_uri"], said))
        self._says_who.add_issuer_parameter(self, answer)
        return AuthorizationRefused(why or error, location=answer.location)

    def allow(self, wish: Wish, code: str, user: object) -> str:
        """Return the address with which a person who agreed goes back to the program."""
        self.code = code
        request = _Request(wish.pairs, "POST")
        grant = self.get_authorization_grant(request)
        answer = self.create_authorization_response(request, grant_user=user, grant=grant)
        assert isinstance(answer, Answer)
        assert answer.location is not None
        return answer.location

    def token(self, form: Mapping[str, str]) -> Answer:
        """Return the answer of the token endpoint."""
        answer = self.create_token_response(_Request(list(form.items()), "POST"))
        assert isinstance(answer, Answer)
        return answer


def back_to(address: str, said: Mapping[str, str]) -> str:
    """Return an address with more parameters in its query."""
    return f"{address}{'&' if '?' in address else '?'}{urlencode(said)}"
