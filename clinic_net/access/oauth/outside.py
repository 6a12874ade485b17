"""People whom an outside provider vouches for: OpenID Connect with PKCE, from the relying party's side.

Any certified provider by configuration. Its subject is a person here only by a link that an administrator made, never
by an address or a name that the provider tells. What it said of the assurance decides how the person counts here.
"""

import base64
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey
from pydantic import SecretStr
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import signing
from clinic_net.access import store as access_store
from clinic_net.access.errors import LinkTaken, NotVouchedFor, UnknownUser
from clinic_net.access.keys import Use, derive
from clinic_net.access.oauth import store
from clinic_net.access.oauth.model import OutsideIdentity
from clinic_net.access.oauth.provider import back_to
from clinic_net.access.proof.errors import SignInUnfinished
from clinic_net.access.sessions import SignedIn
from clinic_net.kernel.outgoing import Outgoing

ALGORITHMS = ("ES256", "ES384", "RS256", "RS384", "PS256")
WAITS = timedelta(minutes=10)
"""How long a person may take at the other provider."""
_LEEWAY_S = 30
_PENDING = "pending+jwt"


@dataclass(frozen=True)
class Elsewhere:
    """The configured provider. ``callback`` is our address that it sends people back to; ``strong`` its ``acr`` values
    that stand for two factors."""

    issuer: str
    client_id: str
    secret: SecretStr | None
    callback: str
    strong: frozenset[str]
    key: SecretStr


@dataclass(frozen=True)
class Vouched:
    """Whom the provider names, and how sure it is."""

    subject: str
    assurance: str


async def _discovered(door: Outgoing, there: Elsewhere) -> dict[str, Any]:
    """Return the provider's own description (OpenID Connect Discovery 1.0 §4.3: it must name the issuer asked for)."""
    found = await door.fetch(f"{there.issuer.rstrip('/')}/.well-known/openid-configuration")
    if found.get("issuer") != there.issuer:
        raise NotVouchedFor
    return found


async def begin(door: Outgoing, there: Elsewhere, *, now: datetime) -> tuple[str, str]:
    """Return the address to which a person goes to sign in, and what their browser keeps meanwhile.

    Raises:
        OutgoingFailed, HostNotAllowed: the provider cannot be asked. NotVouchedFor: it is not the configured one.
    """
    known = await _discovered(door, there)
    verifier, state, nonce = (secrets.token_urlsafe(32) for _ in range(3))
    asked = {
        "response_type": "code",
        "client_id": there.client_id,
        "redirect_uri": there.callback,
        "scope": "openid",
        "state": state,
        "nonce": nonce,
        "code_challenge": create_s256_code_challenge(verifier),
        "code_challenge_method": "S256",
    }
    door.target(str(known.get("authorization_endpoint", "")))  # a browser is led to the same hosts only
    kept = {"state": state, "nonce": nonce, "verifier": verifier, "exp": int((now + WAITS).timestamp())}
    pending = jwt.encode({"alg": "HS256", "typ": _PENDING}, kept, _key(there), algorithms=["HS256"])
    return back_to(str(known["authorization_endpoint"]), asked), pending


def _key(there: Elsewhere) -> OctKey:
    return OctKey.import_key(derive(there.key, Use.SIGNING_IN_ELSEWHERE))


async def finish(
    door: Outgoing, there: Elsewhere, *, told: Mapping[str, str], pending: str, now: datetime
) -> Vouched:
    """Return whom the provider vouches for, by what it sent the browser back with.

    Raises:
        NotVouchedFor: it said no, it is not an answer to what this browser asked, or its token is wrong in any way.
        OutgoingFailed, HostNotAllowed: the provider cannot be asked.
    """
    kept = _kept(pending, there, now)
    if not hmac.compare_digest(told.get("state", "").encode(), kept["state"].encode()):
        raise NotVouchedFor
    if told.get("iss", there.issuer) != there.issuer or not told.get("code"):
        raise NotVouchedFor
    known = await _discovered(door, there)
    form = {
        "grant_type": "authorization_code",
        "code": told["code"],
        "redirect_uri": there.callback,
        "client_id": there.client_id,
        "code_verifier": kept["verifier"],
    }
    answer = await door.post(str(known.get("token_endpoint", "")), form, _authentication(there))
    keys = await door.fetch(str(known.get("jwks_uri", "")))
    return _read(str(answer.get("id_token", "")), keys, there, kept["nonce"], now)


def _authentication(there: Elsewhere) -> dict[str, str]:
    if there.secret is None:
        return {}
    pair = f"{quote(there.client_id, safe='')}:{quote(there.secret.get_secret_value(), safe='')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _kept(pending: str, there: Elsewhere, now: datetime) -> dict[str, str]:
    registry = jwt.JWTClaimsRegistry(now=int(now.timestamp()), exp={"essential": True})
    try:
        decoded = jwt.decode(pending, _key(there), algorithms=["HS256"])
        if decoded.header.get("typ") != _PENDING:
            raise NotVouchedFor
        registry.validate(decoded.claims)
        return {name: str(decoded.claims[name]) for name in ("state", "nonce", "verifier")}
    except (JoseError, ValueError, KeyError, TypeError):
        raise NotVouchedFor from None


def _read(token: str, keys: Mapping[str, Any], there: Elsewhere, nonce: str, now: datetime) -> Vouched:
    """Check an identity token (OpenID Connect Core §3.1.3.7)."""
    registry = jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=_LEEWAY_S,
        iss={"essential": True, "value": there.issuer},
        aud={"essential": True, "value": there.client_id},
        exp={"essential": True},
        iat={"essential": True},
        sub={"essential": True},
        nonce={"essential": True, "value": nonce},
    )
    try:
        found = KeySet.import_key_set({"keys": list(keys["keys"])})
        decoded = jwt.decode(token, found, algorithms=list(ALGORITHMS))
        registry.validate(decoded.claims)
    except (JoseError, ValueError, KeyError, TypeError):
        raise NotVouchedFor from None
    said = decoded.claims
    if isinstance(said["aud"], list) and len(said["aud"]) > 1 and said.get("azp") != there.client_id:
        raise NotVouchedFor
    subject = said["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise NotVouchedFor
    return Vouched(subject, "mfa" if str(said.get("acr", "")) in there.strong else "password")


async def sign_in(
    session: AsyncSession,
    there: Elsewhere,
    vouched: Vouched,
    arrival: signing.Arrival,
    *,
    now: datetime,
) -> SignedIn | SignInUnfinished:
    """Open a session for the person to whom an administrator linked the provider's subject, or say what more is owed.

    Raises:
        NotVouchedFor: it is linked to nobody, or to somebody whose account is closed.
    """
    link = await store.linked(session, there.issuer, vouched.subject)
    user = None if link is None else await access_store.user_for_sign_in(session, link.user_id)
    if user is None or user.disabled_at is not None:
        raise NotVouchedFor
    await audit.record(
        session, actor=f"user:{user.id}", action="user.sign_in_elsewhere", subject=f"user:{user.id}", at=now
    )
    return await signing.vouched_for(session, user, vouched.assurance, arrival, now=now)


async def refused(session: AsyncSession, remote: str, *, now: datetime) -> None:
    """Write down that somebody came back from the provider and is nobody here."""
    await audit.record(
        session,
        actor=f"address:{remote}",
        action="user.sign_in_elsewhere",
        subject="user",
        outcome=NotVouchedFor.code,
        at=now,
    )


async def link(
    session: AsyncSession, login: str, *, issuer: str, subject: str, by: str, now: datetime
) -> None:
    """Say whom a provider's subject is here.

    Raises:
        UnknownUser: nobody has this login. LinkTaken: the subject is somebody else already.
    """
    user = await access_store.user_of_login(session, login)
    if user is None:
        raise UnknownUser
    known = await store.linked(session, issuer, subject)
    if known is not None and known.user_id != user.id:
        raise LinkTaken
    if known is None:
        session.add(
            OutsideIdentity(issuer=issuer, subject=subject, user_id=user.id, linked_by=by, linked_at=now)
        )
    await audit.record(session, actor=by, action="user.link", subject=f"user:{user.id}", at=now)


async def unlink(session: AsyncSession, login: str, *, by: str, now: datetime) -> int:
    """Take away all links of a person; return how many there were. Sessions that are open stay so.

    Raises:
        UnknownUser: nobody has this login.
    """
    user = await access_store.user_of_login(session, login)
    if user is None:
        raise UnknownUser
    ended = await store.unlink(session, user.id)
    await audit.record(session, actor=by, action="user.unlink", subject=f"user:{user.id}", at=now)
    return ended
