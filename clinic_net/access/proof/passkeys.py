"""Passkeys (WebAuthn level 2): registering one, and proving with one to be there.

A challenge is not stored: it carries its end and what it was made for under the hub's key, and is used up like an
assertion of a device. A passkey counts only with the person verified by their own device (PIN, finger, face).
"""

import hmac
import ipaddress
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import webauthn
from pydantic import SecretStr
from sqlmodel.ext.asyncio.session import AsyncSession
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from clinic_net import audit
from clinic_net.access import store as access
from clinic_net.access.keys import Use, derive
from clinic_net.access.model import UsedJti
from clinic_net.access.proof import rules, store
from clinic_net.access.proof.errors import PasskeyRefused, PasskeysUnavailable
from clinic_net.access.proof.model import Passkey

_NONCE, _END, _MAC = 16, 4, 16
_MILLISECONDS = int(rules.CHALLENGE_LASTS.total_seconds() * 1000)
_REQUIRED = UserVerificationRequirement.REQUIRED
MOST_PASSKEYS = 10
_LONGEST_ID = 1023
"""WebAuthn §4: a credential id has at most 1,023 bytes."""


@dataclass(frozen=True)
class Relying:
    """The hub as a relying party: the one origin whose pages may use its passkeys, and its key."""

    origin: str
    key: SecretStr

    @property
    def id(self) -> str:
        return urlsplit(self.origin).hostname or ""

    @property
    def possible(self) -> bool:
        """Whether browsers allow passkeys here: for a name, never for a bare address (WebAuthn §5.1.3)."""
        try:
            ipaddress.ip_address(self.id)
        except ValueError:
            return bool(self.id)
        return False

    def challenge(self, bound: str, now: datetime) -> bytes:
        head = secrets.token_bytes(_NONCE) + int((now + rules.CHALLENGE_LASTS).timestamp()).to_bytes(
            _END, "big"
        )
        return head + self._mac(head, bound)

    def _mac(self, head: bytes, bound: str) -> bytes:
        key = derive(self.key, Use.PASSKEY_CHALLENGE)
        return hmac.digest(key, head + bound.encode(), "sha256")[:_MAC]

    async def used(
        self, session: AsyncSession, credential: dict[str, Any], bound: str, now: datetime
    ) -> bytes:
        """Return the challenge that a browser answered, and use it up.

        Raises:
            PasskeyRefused: it is none of this hub's for this occasion, is too old or was used before.
        """
        try:
            said = json.loads(base64url_to_bytes(credential["response"]["clientDataJSON"]))
            challenge = base64url_to_bytes(said["challenge"])
        except (KeyError, TypeError, ValueError):
            raise PasskeyRefused from None
        head, mac = challenge[: _NONCE + _END], challenge[_NONCE + _END :]
        if len(head) != _NONCE + _END or not hmac.compare_digest(mac, self._mac(head, bound)):
            raise PasskeyRefused
        ends = datetime.fromtimestamp(int.from_bytes(head[_NONCE:], "big"), UTC)
        jti = UsedJti(issuer="passkey", jti=head.hex(), expires_at=ends)
        if ends <= now or not await access.use_jti(session, jti, now):
            raise PasskeyRefused
        return challenge


async def registration_options(
    session: AsyncSession, user: UUID, *, login: str, name: str, relying: Relying, bound: str, now: datetime
) -> dict[str, Any]:
    """Return what ``navigator.credentials.create`` is asked (its ``publicKey``, in JSON).

    Raises:
        PasskeysUnavailable: the hub has no name that browsers accept, or the person has as many as they may.
    """
    held = await store.passkeys(session, user)
    if not relying.possible or len(held) >= MOST_PASSKEYS:
        raise PasskeysUnavailable
    options = webauthn.generate_registration_options(
        rp_id=relying.id,
        rp_name="clinic-net",
        user_id=user.bytes,
        user_name=login,
        user_display_name=name,
        challenge=relying.challenge(f"create {bound}", now),
        timeout=_MILLISECONDS,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=_REQUIRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=key.id) for key in held],
    )
    return dict(json.loads(webauthn.options_to_json(options)))


async def register(
    session: AsyncSession,
    user: UUID,
    credential: dict[str, Any],
    *,
    label: str,
    relying: Relying,
    bound: str,
    now: datetime,
) -> None:
    """Keep the public key that a person's device made.

    Raises:
        PasskeyRefused: what came is not an answer to a challenge of this occasion, or the person was not verified.
    """
    challenge = await relying.used(session, credential, f"create {bound}", now)
    try:
        made = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=relying.id,
            expected_origin=relying.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError):
        raise PasskeyRefused from None
    if len(made.credential_id) > _LONGEST_ID or await store.passkey(session, made.credential_id) is not None:
        raise PasskeyRefused
    session.add(
        Passkey(
            id=made.credential_id,
            user_id=user,
            public_key=made.credential_public_key,
            sign_count=made.sign_count,
            label=label[:60],
            created_at=now,
        )
    )
    await audit.record(
        session, actor=f"user:{user}", action="user.passkey.add", subject=f"user:{user}", at=now
    )


def proof_options(
    relying: Relying, *, bound: str, now: datetime, keys: tuple[bytes, ...] = ()
) -> dict[str, Any]:
    """Return what ``navigator.credentials.get`` is asked; without ``keys`` the browser offers those it has.

    Raises:
        PasskeysUnavailable: the hub has no name that browsers accept.
    """
    if not relying.possible:
        raise PasskeysUnavailable
    options = webauthn.generate_authentication_options(
        rp_id=relying.id,
        challenge=relying.challenge(f"get {bound}", now),
        timeout=_MILLISECONDS,
        allow_credentials=[PublicKeyCredentialDescriptor(id=key) for key in keys],
        user_verification=_REQUIRED,
    )
    return dict(json.loads(webauthn.options_to_json(options)))


async def prove(
    session: AsyncSession, credential: dict[str, Any], *, relying: Relying, bound: str, now: datetime
) -> UUID:
    """Return who proved to hold one of their passkeys.

    Raises:
        PasskeyRefused: unknown key, wrong signature, another site's page, a person who was not verified, or a
            counter that went back (a copied key).
    """
    challenge = await relying.used(session, credential, f"get {bound}", now)
    try:
        held = await store.passkey(session, base64url_to_bytes(credential["rawId"])[:_LONGEST_ID])
        if held is None:
            raise PasskeyRefused
        proved = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=relying.id,
            expected_origin=relying.origin,
            credential_public_key=held.public_key,
            credential_current_sign_count=held.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError):
        raise PasskeyRefused from None
    held.sign_count, held.last_used_at = proved.new_sign_count, now
    session.add(held)
    return held.user_id


async def remove_passkey(session: AsyncSession, user: UUID, name: str, *, now: datetime) -> None:
    """Forget one of a person's own passkeys; ``name`` is its id in base64url. Unknown ones change nothing."""
    try:
        credential = base64url_to_bytes(name)
    except ValueError:
        return
    if await store.remove_passkeys(session, user, credential):
        await audit.record(
            session, actor=f"user:{user}", action="user.passkey.remove", subject=f"user:{user}", at=now
        )


def name_of(credential: bytes) -> str:
    """Return a passkey's id as pages name it."""
    return str(bytes_to_base64url(credential))
