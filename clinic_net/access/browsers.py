"""What a browser holds of a person: the session's cookie, half a sign-in, and the mark of a known browser.

Signing in and proving anew go through here, and take transactions of their own: call them outside any.
"""

import secrets
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import HTTPConnection
from starlette.responses import Response

from clinic_net.access import service
from clinic_net.access.errors import CrossSite
from clinic_net.access.http import COOKIE, comes_from_here, remote_address
from clinic_net.access.keys import Use, keyed_digest
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.access.proof import passkeys, totp
from clinic_net.access.proof.errors import PasskeyRefused, SignInExpired, SignInUnfinished
from clinic_net.access.proof.passkeys import Relying
from clinic_net.access.proof.rules import PENDING_FOR, browser_called
from clinic_net.kernel.http import hub_of
from clinic_net.kernel.settings import HubSettings

HALF = "clinic_net_sign_in"
"""The cookie of half a sign-in; it opens nothing."""

_KNOWN = "clinic_net_known_"
_KNOWN_FOR = timedelta(days=180)
_MOST_KNOWN = 20
"""People of one browser who are remembered; a header has its bounds."""


def policy_of(settings: HubSettings) -> service.Policy:
    """Return what the settings say about second factors and the ends of sessions."""
    return service.Policy(
        must=frozenset(Role(role) for role in settings.mfa_roles),
        idle=settings.session_idle,
        admin_lifetime=settings.session_lifetime_admin,
        admin_idle=settings.session_idle_admin,
    )


def relying_of(settings: HubSettings) -> Relying:
    """Return the hub as the one site whose pages may use its passkeys."""
    return Relying(settings.public_url.rstrip("/"), settings.token_key)


def arrival_of(connection: HTTPConnection) -> service.Arrival:
    """Return how this browser comes to sign in."""
    settings = hub_of(connection).settings
    return service.Arrival(
        settings.session_lifetime,
        policy_of(settings),
        former=connection.cookies.get(COOKIE),
        browser=browser_called(connection.headers.get("user-agent", "")),
    )


def refuse_other_sites(connection: HTTPConnection) -> None:
    """Refuse what a page of another site sends: it could sign a browser in as somebody else.

    Raises:
        CrossSite: the browser says that it does not come from a page of this hub.
    """
    says_where = {"origin", "sec-fetch-site"} & set(connection.headers.keys())
    if says_where and not comes_from_here(connection, hub_of(connection).settings.public_url):
        raise CrossSite


# -- cookies


def _put(connection: HTTPConnection, response: Response, name: str, value: str, lasts: timedelta) -> None:
    response.set_cookie(
        name,
        value,
        max_age=int(lasts.total_seconds()),
        path="/",
        secure=hub_of(connection).settings.public_url.startswith("https:"),
        httponly=True,
        samesite="lax",
    )


def put_session(connection: HTTPConnection, response: Response, token: str) -> None:
    """Give the browser a session's cookie; its end is decided at the hub."""
    _put(connection, response, COOKIE, token, hub_of(connection).settings.session_lifetime)


def put_half(connection: HTTPConnection, response: Response, token: str) -> None:
    """Give the browser the cookie of half a sign-in."""
    _put(connection, response, HALF, token, PENDING_FOR)


def half_token(connection: HTTPConnection) -> str:
    """Return the cookie of half a sign-in.

    Raises:
        SignInExpired: the browser holds none.
    """
    token = connection.cookies.get(HALF)
    if not token:
        raise SignInExpired
    return token


def _known_cookie(connection: HTTPConnection, login: str) -> str:
    key = hub_of(connection).settings.token_key
    return _KNOWN + keyed_digest(key, Use.KNOWN_BROWSER, f"name {login}").hex()[:12]


def _mark(connection: HTTPConnection, login: str, nonce: str, born: int) -> str:
    key = hub_of(connection).settings.token_key
    return keyed_digest(key, Use.KNOWN_BROWSER, f"{login} {nonce} {born}").hex()[:32]


def known_browser(connection: HTTPConnection, login: str) -> str | None:
    """Return the name of this browser if this person signed in from it before, by the mark that it was given then."""
    nonce, _, rest = connection.cookies.get(_known_cookie(connection, login), "").partition(".")
    born, _, mark = rest.partition(".")
    if not (born.isascii() and born.isdigit() and len(born) < 12 and nonce.isascii() and mark.isascii()):
        return None
    if not compare_digest(mark, _mark(connection, login, nonce, int(born))):
        return None
    age = hub_of(connection).now() - datetime.fromtimestamp(int(born), UTC)
    return nonce if age < _KNOWN_FOR else None


def remember_browser(connection: HTTPConnection, response: Response, login: str) -> None:
    """Mark a browser in which this person has just signed in; the oldest marks of others go when there are many."""
    name = _known_cookie(connection, login)
    others = [cookie for cookie in connection.cookies if cookie.startswith(_KNOWN) and cookie != name]
    for cookie in others[: max(0, len(others) + 1 - _MOST_KNOWN)]:
        response.delete_cookie(cookie, path="/", httponly=True, samesite="lax")
    nonce = known_browser(connection, login) or secrets.token_urlsafe(12)
    born = int(hub_of(connection).now().timestamp())
    _put(connection, response, name, f"{nonce}.{born}.{_mark(connection, login, nonce, born)}", _KNOWN_FOR)


# -- signing in


def _login_of(typed: str) -> str:
    return typed.strip().lower()[:80]


def _arrived(connection: HTTPConnection, response: Response, signed_in: service.SignedIn) -> UserPrincipal:
    put_session(connection, response, signed_in.token)
    remember_browser(connection, response, signed_in.user.login)
    if HALF in connection.cookies:
        response.delete_cookie(HALF, path="/", httponly=True, samesite="lax")
    return signed_in.user


async def sign_in(connection: HTTPConnection, response: Response, login: str, password: str) -> UserPrincipal:
    """Check login and password and put the session's cookie on ``response``.

    Raises:
        WrongCredentials, SignInUnfinished, TooMany, SignInBusy: see :func:`service.sign_in`.
        CrossSite: a page of another site sent the form.
    """
    refuse_other_sites(connection)
    hub, remote, named = hub_of(connection), remote_address(connection), _login_of(login)
    arrival = arrival_of(connection)
    browser = known_browser(connection, named)
    signed_in = await service.sign_in(
        hub.sessions,
        service.Credentials(login, password, remote, former=arrival.former, browser=arrival.browser),
        tried=service.trying_to_sign_in(named, remote, hub.settings.token_key, browser=browser),
        lifetime=arrival.lifetime,
        policy=arrival.policy,
        now=hub.now(),
    )
    return _arrived(connection, response, signed_in)


async def half_of(connection: HTTPConnection, session: AsyncSession, *, now: datetime) -> service.Half:
    """Return whose half sign-in this browser holds, and what is owed next.

    Raises:
        SignInExpired: none that can be finished.
    """
    policy = policy_of(hub_of(connection).settings)
    return await service.half_of(session, half_token(connection), policy=policy, now=now)


async def show_code(connection: HTTPConnection, token: str, typed: str) -> None:
    """Take a code as the second factor of half a sign-in.

    Raises:
        WrongCode, SignInExpired, TooMany: see :func:`service.show_factor`.
    """
    hub = hub_of(connection)
    key, now = hub.settings.token_key, hub.now()

    async def show(session: AsyncSession, user: UUID) -> None:
        await totp.check_code(session, user, typed, key=key, now=now)

    await service.show_factor(hub.sessions, token, show, tried=await _trying(connection, token), now=now)


async def show_passkey(connection: HTTPConnection, token: str, credential: dict[str, Any]) -> None:
    """Take a passkey as the second factor of half a sign-in.

    Raises:
        PasskeyRefused, SignInExpired, TooMany: see :func:`service.show_factor`.
    """
    hub = hub_of(connection)
    relying, now = relying_of(hub.settings), hub.now()

    async def show(session: AsyncSession, user: UUID) -> None:
        bound = f"half {user}"
        if await passkeys.prove(session, credential, relying=relying, bound=bound, now=now) != user:
            raise PasskeyRefused

    await service.show_factor(hub.sessions, token, show, tried=await _trying(connection, token), now=now)


async def _trying(connection: HTTPConnection, token: str) -> service.Tried:
    hub = hub_of(connection)
    async with hub.sessions() as session, session.begin():
        half = await service.half_of(session, token, policy=policy_of(hub.settings), now=hub.now())
    return trying_of(connection, half.user)


def trying_of(connection: HTTPConnection, user: UserPrincipal) -> service.Tried:
    """Describe a try of this person, in this browser, to prove more."""
    browser = known_browser(connection, user.login)
    return service.trying_to_verify(user.id, hub_of(connection).settings.token_key, browser=browser)


async def confirm_totp(
    connection: HTTPConnection, user: UserPrincipal, typed: str, *, half: str | None = None
) -> tuple[str, ...]:
    """Let a person's app count, by a right code; ``half`` is the sign-in that this completes. Returns recovery codes.

    Raises:
        WrongCode, TooMany: see :func:`totp.confirm_totp`.
    """
    hub = hub_of(connection)
    key, now = hub.settings.token_key, hub.now()

    async def work(session: AsyncSession) -> tuple[str, ...]:
        codes = await totp.confirm_totp(session, user.id, typed, key=key, now=now)
        if half is not None:
            await service.set_up_done(session, half, now=now)
        return codes

    return await service.attempted(hub.sessions, trying_of(connection, user), work, now=now)


async def finish(connection: HTTPConnection, response: Response, token: str) -> UserPrincipal | str:
    """Put the session's cookie on ``response`` when nothing more is owed; else return what is.

    Raises:
        SignInExpired: see :func:`service.half_of`.
    """
    hub = hub_of(connection)
    async with hub.sessions() as session, session.begin():
        done = await service.finish(session, token, arrival_of(connection), now=hub.now())
    return done if isinstance(done, str) else _arrived(connection, response, done)


async def sign_in_with_code(
    connection: HTTPConnection, response: Response, unfinished: SignInUnfinished, typed: str
) -> UserPrincipal:
    """Finish a sign-in whose second factor came along with the password.

    Raises:
        SignInUnfinished: something else is owed. WrongCode, TooMany: see :func:`service.show_factor`.
    """
    if unfinished.step != "factor":
        raise unfinished
    await show_code(connection, unfinished.token, typed)
    done = await finish(connection, response, unfinished.token)
    if isinstance(done, str):
        raise SignInUnfinished(unfinished.token, done)
    return done


async def sign_in_with_passkey(
    connection: HTTPConnection, response: Response, credential: dict[str, Any]
) -> UserPrincipal:
    """Sign in with a passkey alone.

    Raises:
        PasskeyRefused, TooMany: see :func:`service.sign_in_with_passkey`. CrossSite: another site's page.
    """
    refuse_other_sites(connection)
    hub = hub_of(connection)
    signed_in = await service.sign_in_with_passkey(
        hub.sessions,
        credential,
        arrival_of(connection),
        relying=relying_of(hub.settings),
        tried=service.trying_a_passkey(remote_address(connection), hub.settings.token_key),
        now=hub.now(),
    )
    return _arrived(connection, response, signed_in)


async def sign_out(
    connection: HTTPConnection, response: Response, session: AsyncSession, *, now: datetime
) -> None:
    """End the session of the browser's cookie, if it is open, and take the cookie away."""
    token = connection.cookies.get(COOKIE)
    if token is not None:
        await service.sign_out(session, token, now=now)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")


# -- proving anew


async def verify(connection: HTTPConnection, response: Response, user: UserPrincipal, typed: str) -> None:
    """Take a code, or the password of who has no second factor, and give the cookie its new value.

    Raises:
        WrongCode, WrongCredentials, TooMany, SignInBusy: see :func:`service.verify`.
    """
    hub = hub_of(connection)
    token = await service.verify(
        hub.sessions,
        user,
        typed=typed,
        key=hub.settings.token_key,
        tried=trying_of(connection, user),
        now=hub.now(),
    )
    put_session(connection, response, token)


async def verify_with_passkey(
    connection: HTTPConnection, response: Response, user: UserPrincipal, credential: dict[str, Any]
) -> None:
    """Take a passkey as a fresh proof, and give the cookie its new value.

    Raises:
        PasskeyRefused, TooMany: see :func:`service.verify_with_passkey`.
    """
    hub = hub_of(connection)
    token = await service.verify_with_passkey(
        hub.sessions,
        user,
        credential,
        relying=relying_of(hub.settings),
        tried=trying_of(connection, user),
        now=hub.now(),
    )
    put_session(connection, response, token)
