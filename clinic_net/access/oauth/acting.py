"""The token endpoint's use cases for programs that act for a person, and what their tokens still stand for."""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import scopes
from clinic_net.access.errors import CredentialRevoked, InvalidProof, InvalidToken
from clinic_net.access.keys import digest
from clinic_net.access.model import Client, User
from clinic_net.access.oauth import store
from clinic_net.access.oauth.asking import app_of
from clinic_net.access.oauth.issuer import Issuer
from clinic_net.access.oauth.model import Grant, RefreshToken
from clinic_net.access.oauth.provider import CODE_GRANT, Answer, Held, Provider
from clinic_net.access.oauth.signing import sign
from clinic_net.access.principals import UserPrincipal
from clinic_net.access.sessions import principal_of
from clinic_net.access.tokens import AccessClaims

ID_TOKEN_LIFETIME = timedelta(minutes=5)


async def exchange(
    session: AsyncSession,
    form: Mapping[str, str],
    client: Client,
    *,
    issuer: Issuer,
    jkt: str | None,
    now: datetime,
) -> Answer:
    """Return the answer to a code or a refresh token of an authenticated client. ``jkt`` is the key it proves.

    A refusal is an answer too, so that what it found out stays: a code or token that comes a second time ends all
    that was issued for it.

    Raises:
        InvalidProof: the grant is bound to another key.
    """
    by_code = form.get("grant_type") == CODE_GRANT
    if by_code:
        held, standing = await _held_by_code(session, form.get("code", ""), client, now)
    else:
        held, standing = await _held_by_refresh(session, form.get("refresh_token", ""), client, now)
    if held is None or standing is None:
        return Provider(app_of(client), issuer.url).token(form)
    grant, user = standing
    if grant.jkt is not None and grant.jkt != jkt and not by_code:
        raise InvalidProof("the grant is bound to another key")
    if by_code and jkt is not None:
        grant.jkt = jkt
    fresh = secrets.token_urlsafe(32)

    def mint(scope: str) -> dict[str, Any]:
        claims = AccessClaims(
            "app", str(user.id), now + issuer.lifetime, scope,
            client=client.id, grant=str(grant.id), jkt=jkt or "",
        )  # fmt: skip
        return _response(claims, grant, user, issuer=issuer, refresh=fresh, with_identity=by_code, now=now)

    answer = Provider(app_of(client), issuer.url, held=held, mint=mint).token(form)
    if "refresh_token" in answer.body:
        session.add(RefreshToken(digest=digest(fresh), grant_id=grant.id, issued_at=now))
    if answer.status == 200:
        held.row.used_at = now
        action = "oauth.token" if by_code else "oauth.refresh"
        await audit.record(
            session, actor=f"user:{user.id}", action=action, subject=f"client:{client.id}", at=now
        )
    return answer


_Standing = tuple[Grant, User]


async def _held_by_code(
    session: AsyncSession, code: str, client: Client, now: datetime
) -> tuple[Held | None, _Standing | None]:
    row = await store.code_for_use(session, digest(code))
    grant = None if row is None else await store.grant(session, row.grant_id)
    if row is None or grant is None or grant.client_id != client.id:
        return None, None
    if row.used_at is not None:
        await _end_for_reuse(session, grant, "oauth.token", now)
        return None, None
    row.used_at = now
    standing = await store.standing(session, grant.id, now)
    if row.expires_at <= now or standing is None:
        return None, None
    return Held(client.id, grant.scope, standing[1], row, row.redirect_uri, row.challenge), standing


async def _held_by_refresh(
    session: AsyncSession, token: str, client: Client, now: datetime
) -> tuple[Held | None, _Standing | None]:
    row = await store.refresh_token_for_use(session, digest(token))
    grant = None if row is None else await store.grant(session, row.grant_id)
    if row is None or grant is None or grant.client_id != client.id:
        return None, None
    if row.used_at is not None:
        await _end_for_reuse(session, grant, "oauth.refresh", now)
        return None, None
    standing = await store.standing(session, grant.id, now)
    if standing is None:
        return None, None
    return Held(client.id, grant.scope, standing[1], row), standing


async def _end_for_reuse(session: AsyncSession, grant: Grant, action: str, now: datetime) -> None:
    """Somebody has a copy: nobody can tell who, so it ends for both (OAuth 2.1 §4.3.1)."""
    await store.revoke(session, grant.id, now)
    await audit.record(
        session, actor=f"client:{grant.client_id}", action=action, subject=f"user:{grant.user_id}",
        outcome="oauth-used-before", at=now,
    )  # fmt: skip


def _response(
    claims: AccessClaims,
    grant: Grant,
    user: User,
    *,
    issuer: Issuer,
    refresh: str,
    with_identity: bool,
    now: datetime,
) -> dict[str, Any]:
    granted = scopes.parse_app(grant.scope)
    token = issuer.mint(claims, now)
    body: dict[str, Any] = {
        "access_token": token,
        "token_type": "DPoP" if claims.jkt else "Bearer",
        "expires_in": int(issuer.lifetime.total_seconds()),
        "scope": claims.scope,
    }
    if grant.patient is not None:
        body |= {"patient": grant.patient, "need_patient_banner": True}
    if granted.named & {"offline_access", "online_access"}:
        body["refresh_token"] = refresh
    if with_identity and "openid" in granted.named:
        body["id_token"] = _id_token(token, grant, user, issuer=issuer, now=now)
    return body


def _id_token(access_token: str, grant: Grant, user: User, *, issuer: Issuer, now: datetime) -> str:
    """Return who the person is (OpenID Connect Core §2), for this program only."""
    half = hashlib.sha256(access_token.encode()).digest()[:16]
    claims: dict[str, Any] = {
        "iss": issuer.url,
        "aud": grant.client_id,
        "iat": int(now.timestamp()),
        "exp": int((now + ID_TOKEN_LIFETIME).timestamp()),
        "auth_time": int(grant.auth_time.timestamp()),
        "acr": grant.acr,
        "at_hash": urlsafe_b64encode(half).rstrip(b"=").decode(),
        **who(principal_of(user), scopes.parse_app(grant.scope), issuer),
    }
    if grant.nonce:
        claims["nonce"] = grant.nonce
    return sign(claims, issuer.signing_keys)


def who(user: UserPrincipal, granted: scopes.Asked, issuer: Issuer) -> dict[str, Any]:
    """Return what a program may know of a person: ``sub``, and name and FHIR resource where they allowed that."""
    told: dict[str, Any] = {"sub": str(user.id)}
    if "profile" in granted.named:
        told |= {"name": user.name, "preferred_username": user.login}
    if granted.named & {"fhirUser", "profile"}:
        if user.patient is not None:
            told["fhirUser"] = f"{issuer.fhir}/Patient/{user.patient}"
        elif user.practitioner is not None:
            told["fhirUser"] = f"{issuer.fhir}/Practitioner/{user.practitioner}"
    return told


async def person(session: AsyncSession, claims: AccessClaims, *, now: datetime) -> UserPrincipal:
    """Return the person for whom a program's access token speaks, under its ceiling.

    Raises:
        CredentialRevoked: what they allowed is over, or one of them is no longer here.
        InvalidToken: it names no grant.
    """
    try:
        grant_id = UUID(claims.grant)
    except ValueError:
        raise InvalidToken from None
    return await acting(session, grant_id, scopes.parse_app(claims.scope), now=now)


async def acting(
    session: AsyncSession, grant_id: UUID, granted: scopes.Asked, *, now: datetime
) -> UserPrincipal:
    """Return the person in whose name a program acts by a grant, under the ceiling of ``granted``.

    Raises:
        CredentialRevoked: the grant does not hold.
    """
    standing = await store.standing(session, grant_id, now)
    if standing is None:
        raise CredentialRevoked
    grant, user = standing
    within = granted.within(scopes.parse_app(grant.scope)).resources
    return replace(
        principal_of(user),
        scopes=within,
        launch_patient=grant.patient,
        grant=grant.id,
        program=grant.client_id,
        verified_at=grant.auth_time,
        assurance=grant.acr,
    )


async def allowed(session: AsyncSession, grant_id: UUID) -> scopes.Asked:
    """Return what a grant that was just found to hold allows."""
    grant = await store.grant(session, grant_id)
    return scopes.Asked() if grant is None else scopes.parse_app(grant.scope)


async def introspect(
    session: AsyncSession, token: str, *, by: Client, issuer: Issuer, now: datetime
) -> dict[str, Any]:
    """Return what a program's token stands for (RFC 7662, SMART App Launch 2.2 token introspection).

    A program may ask about its own tokens, a system about any. Everything else looks like a token that is not valid.
    """
    grant_id, told = await _of_token(session, token, issuer, now)
    if grant_id is None:
        return _system_token(token, by, issuer, now)
    standing = await store.standing(session, grant_id, now)
    if standing is None:
        return {"active": False}
    grant, user = standing
    if by.redirect_uris and by.id != grant.client_id:
        return {"active": False}
    granted = scopes.parse_app(grant.scope)
    body = {"active": True, "client_id": grant.client_id, "iss": issuer.url, "scope": grant.scope, **told}
    body["sub"] = str(user.id)
    if grant.patient is not None:
        body["patient"] = grant.patient
    if "openid" in granted.named:
        body |= who(principal_of(user), granted, issuer)
    return body


def _system_token(token: str, by: Client, issuer: Issuer, now: datetime) -> dict[str, Any]:
    try:
        claims = issuer.read(token, now)
    except InvalidToken:
        return {"active": False}
    if claims.kind != "client" or (by.redirect_uris and by.id != claims.subject):
        return {"active": False}
    said = {"client_id": claims.subject, "sub": claims.subject, "iss": issuer.url, "scope": claims.scope}
    return {"active": True, "exp": int(claims.expires.timestamp()), "token_type": "Bearer", **said}


async def _of_token(
    session: AsyncSession, token: str, issuer: Issuer, now: datetime
) -> tuple[UUID | None, dict[str, Any]]:
    """Return the grant of an access or refresh token, and what only an access token says."""
    row = await store.refresh_token_for_use(session, digest(token))
    if row is not None:
        return (row.grant_id if row.used_at is None else None), {}
    try:
        claims = issuer.read(token, now)
        grant_id = UUID(claims.grant) if claims.kind == "app" else None
    except (InvalidToken, ValueError):
        return None, {}
    told: dict[str, Any] = {"exp": int(claims.expires.timestamp()), "scope": claims.scope}
    told["token_type"] = "DPoP" if claims.jkt else "Bearer"
    if claims.jkt:
        told["cnf"] = {"jkt": claims.jkt}
    return grant_id, told


async def revoke(session: AsyncSession, token: str, *, by: Client, issuer: Issuer, now: datetime) -> bool:
    """End what a program was allowed, by one of its tokens (RFC 7009). False: it is a system's own access token."""
    grant_id, _ = await _of_token(session, token, issuer, now)
    if grant_id is None:
        return not _system_token(token, by, issuer, now)["active"]
    grant = await store.grant(session, grant_id)
    if grant is not None and grant.client_id == by.id and await store.revoke(session, grant.id, now):
        await audit.record(
            session, actor=f"client:{by.id}", action="oauth.revoke", subject=f"user:{grant.user_id}", at=now
        )
    return True
