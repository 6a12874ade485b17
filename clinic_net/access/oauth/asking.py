"""The authorization endpoint's use cases: what a program asks a person for, and the person's answer."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import scopes
from clinic_net.access import store as access_store
from clinic_net.access.errors import AuthorizationRefused, ScopeMalformed, UnknownClient
from clinic_net.access.keys import digest
from clinic_net.access.model import Client
from clinic_net.access.oauth import store
from clinic_net.access.oauth.issuer import Issuer
from clinic_net.access.oauth.model import Code, Grant, Launch
from clinic_net.access.oauth.provider import App, Pairs, Provider, Wish, back_to
from clinic_net.access.policy import TOLD_BY_THE_HUB, may
from clinic_net.access.principals import UserPrincipal
from clinic_net.access.scopes import Asked
from clinic_net.fhir.definitions import resource_types
from clinic_net.kernel.ids import new_id

CODE_LIFETIME = timedelta(seconds=60)
"""ASVS 5.0 §10.4.3 at level 3: one minute."""
LAUNCH_LIFETIME = timedelta(minutes=5)
OFFLINE_LIFETIME = timedelta(days=90)
"""How long a program may come back without the person: then the person is asked again."""


@dataclass(frozen=True)
class Asking:
    """What to ask a person: ``offer`` is what can be allowed; ``launched_for`` the FHIR id of the patient whose
    record the program was opened from."""

    client_name: str
    wish: Wish
    offer: Asked
    launched_for: str | None


def app_of(client: Client) -> App:
    return App(client.id, tuple(client.redirect_uris), scopes.parse_app(client.scope))


async def ask(
    session: AsyncSession,
    pairs: Pairs,
    *,
    user: UserPrincipal,
    issuer: Issuer,
    audiences: Iterable[str],
    now: datetime,
) -> Asking:
    """Read an authorization request. ``audiences`` are the addresses of the records that ``aud`` may name.

    Raises:
        AuthorizationRefused: it is not in order, or nothing of it can be allowed by this person.
    """
    asked = dict(pairs)
    name = asked.get("client_id", "")
    client = await access_store.client(session, name) if name.isprintable() and len(name) < 61 else None
    if client is None or client.disabled_at is not None or not client.redirect_uris:
        raise AuthorizationRefused("this hub does not know the program")
    provider = Provider(app_of(client), issuer.url)
    wish = provider.ask(pairs, user)
    if wish.scope.resources and asked.get("aud", "").rstrip("/") not in {a.rstrip("/") for a in audiences}:
        raise provider.refused("invalid_request", "aud must be the address of this hub's records", asked)
    if wish.get("prompt") == "none":
        raise provider.refused("interaction_required", "a person must agree", asked)
    launched_for = await _launched_for(session, wish, user, now)
    if launched_for is None and (wish.get("launch") or "launch" in wish.scope.named):
        raise provider.refused("invalid_request", "the launch is not known, over or used", asked)
    within = scopes.within_role(
        wish.scope.resources,
        resource_types() - TOLD_BY_THE_HUB,
        lambda rtype, action: may(user, rtype, action),
    )
    offer = Asked(within, wish.scope.named)
    if wish.scope.resources and not within:
        raise provider.refused("invalid_scope", "this person's role includes nothing of it", asked)
    return Asking(client.name, wish, offer, launched_for)


async def _launched_for(
    session: AsyncSession, wish: Wish, user: UserPrincipal, now: datetime, *, use: bool = False
) -> str | None:
    """Return whose record the program was opened from: in this sign-in, for this program, once."""
    if not wish.get("launch"):
        return None
    found = await store.launch_for_use(session, digest(wish.get("launch")))
    if found is None or found.used_at is not None or found.expires_at <= now:
        return None
    if found.client_id != wish.app.id or found.session.hex() != user.session:
        return None
    if use:
        found.used_at = now
    return found.patient


async def allow(
    session: AsyncSession, asking: Asking, *, user: UserPrincipal, chosen: str, patient: str | None,
    issuer: Issuer, now: datetime,
) -> str:  # fmt: skip
    """Keep what a person allowed, and return the address that leads back to the program with a code.

    ``chosen`` are the scopes that they left ticked; more than was offered is not given. ``patient`` is the FHIR id of
    the Patient that they chose and may see; a record that the program was opened from counts instead.

    Raises:
        AuthorizationRefused: nothing is left, nobody was chosen for what is about one patient, or the launch is used.
    """
    wish, provider = asking.wish, Provider(asking.wish.app, issuer.url)
    asked = dict(wish.pairs)
    try:
        granted = scopes.parse_app(chosen).within(asking.offer)
    except ScopeMalformed:
        raise AuthorizationRefused("the form holds what was not asked for") from None
    if not (granted.resources or "openid" in granted.named):
        raise await deny(session, asking, user=user, issuer=issuer, now=now)
    opened_for = await _launched_for(session, wish, user, now, use=True)
    if asking.launched_for != opened_for:
        raise provider.refused("invalid_request", "the launch is not known, over or used", asked)
    about = opened_for or patient
    if granted.wants_patient and about is None:
        raise AuthorizationRefused("a patient must be chosen")
    held = await store.session_of(session, bytes.fromhex(user.session))
    if held is None:
        raise AuthorizationRefused("the person is not signed in")
    await store.purge(session, user.id, now)
    offline = "offline_access" in granted.named
    code = secrets.token_urlsafe(32)
    grant = Grant(
        id=new_id(now),
        client_id=wish.app.id,
        user_id=user.id,
        session=None if offline else held.name or held.token,
        scope=str(granted),
        patient=about if granted.wants_patient or opened_for else None,
        nonce=wish.get("nonce")[:300] or None,
        acr=user.assurance,
        auth_time=user.verified_at or held.created_at,
        created_at=now,
        expires_at=now + OFFLINE_LIFETIME if offline else held.expires_at,
    )
    session.add(grant)
    await session.flush()
    session.add(
        Code(
            digest=digest(code),
            grant_id=grant.id,
            redirect_uri=wish.redirect_uri,
            challenge=wish.get("code_challenge"),
            expires_at=now + CODE_LIFETIME,
        )
    )
    await audit.record(
        session, actor=user.address, action="oauth.allow", subject=f"client:{wish.app.id}", at=now
    )
    return provider.allow(wish, code, user)


async def deny(
    session: AsyncSession, asking: Asking, *, user: UserPrincipal, issuer: Issuer, now: datetime
) -> AuthorizationRefused:
    """Write down that a person said no, and return the refusal whose location tells the program so."""
    await audit.record(
        session,
        actor=user.address,
        action="oauth.allow",
        subject=f"client:{asking.wish.app.id}",
        outcome="access-denied",
        at=now,
    )
    provider = Provider(asking.wish.app, issuer.url)
    return provider.refused("access_denied", "the person said no", dict(asking.wish.pairs))


@dataclass(frozen=True)
class AppView:
    """A program that can be opened from a record."""

    id: str
    name: str
    launch_uri: str


async def launchable(session: AsyncSession) -> tuple[AppView, ...]:
    """Return the programs that can be opened from a record, by name."""
    return tuple(
        AppView(client.id, client.name, client.launch_uri or "") for client in await store.launchable(session)
    )


async def launch(
    session: AsyncSession, client_id: str, *, patient: str, user: UserPrincipal, issuer: Issuer, now: datetime
) -> str:
    """Return the address that opens a program for a patient (FHIR id) whom ``user`` was just seen to may see.

    Raises:
        UnknownClient: no program of this name can be opened from a record.
    """
    client = await access_store.client(session, client_id)
    if client is None or client.disabled_at is not None or client.launch_uri is None:
        raise UnknownClient
    token = secrets.token_urlsafe(32)
    row = Launch(
        digest=digest(token),
        session=bytes.fromhex(user.session),
        client_id=client.id,
        patient=patient,
        expires_at=now + LAUNCH_LIFETIME,
    )
    session.add(row)
    await audit.record(
        session,
        actor=user.address,
        action="oauth.launch",
        subject=f"Patient/{patient}",
        at=now,
        purpose="TREAT",
    )
    return back_to(client.launch_uri, {"iss": issuer.fhir, "launch": token})


@dataclass(frozen=True)
class GrantView:
    """What a person allows a program."""

    id: UUID
    client_name: str
    scope: Asked
    since: datetime
    until: datetime


async def grants_of(session: AsyncSession, user: UserPrincipal, *, now: datetime) -> tuple[GrantView, ...]:
    """Return what a person allows programs now, newest first."""
    return tuple(
        GrantView(grant.id, client.name, scopes.parse_app(grant.scope), grant.created_at, grant.expires_at)
        for grant, client in await store.grants_of(session, user.id, now)
    )


async def end_grant(session: AsyncSession, grant_id: UUID, *, user: UserPrincipal, now: datetime) -> None:
    """Take back what a person allowed; the program's tokens stop at once.

    Raises:
        UnknownClient: it is not theirs.
    """
    found = await store.grant(session, grant_id)
    if found is None or found.user_id != user.id:
        raise UnknownClient
    if await store.revoke(session, grant_id, now):
        await audit.record(
            session, actor=user.address, action="oauth.revoke", subject=f"client:{found.client_id}", at=now
        )
