"""Authenticator apps (TOTP, RFC 6238) and the recovery codes beside them."""

import secrets
from datetime import datetime
from uuid import UUID

import pyotp
import segno
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access.keys import Use, derive, keyed_digest
from clinic_net.access.proof import rules, store
from clinic_net.access.proof.errors import WrongCode
from clinic_net.access.proof.model import RecoveryCode, Totp
from clinic_net.access.rules import normal_code, shown_code

STEP_SECONDS = 30
"""RFC 6238 §5.2 recommends it; what authenticator apps assume."""
_STEPS_AROUND = 1
"""A code of the step before and after counts too: clocks differ, people type slowly (RFC 6238 §5.2 and §6)."""
_DIGITS = 6
_NONCE = 12
ISSUER = "clinic-net"


def _sealed(secret: str, user: UUID, key: SecretStr) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(derive(key, Use.TOTP_SECRET)).encrypt(nonce, secret.encode(), user.bytes)


def _opened(sealed: bytes, user: UUID, key: SecretStr) -> str | None:
    """Return a secret; None when it was sealed for somebody else, or under a key that the hub no longer has."""
    cipher = AESGCM(derive(key, Use.TOTP_SECRET))
    try:
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], user.bytes).decode()
    except InvalidTag:
        return None


async def begin_totp(
    session: AsyncSession, user: UUID, *, login: str, key: SecretStr, now: datetime
) -> tuple[str, str]:
    """Return what a person's app needs: the secret in base 32, and a QR code as SVG. It counts once confirmed.

    Somebody who looks twice before confirming sees the same secret; who has a confirmed app is refused.

    Raises:
        WrongCode: there is a confirmed app; it must be removed first.
    """
    found = await store.totp(session, user)
    if found is not None and found.confirmed_at is not None:
        raise WrongCode
    secret = _opened(found.secret, user, key) if found is not None else None
    if secret is None:
        secret = pyotp.random_base32()
        app = found or Totp(user_id=user, secret=b"", created_at=now)
        app.secret = _sealed(secret, user, key)
        session.add(app)
        await session.flush()
    address = pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name=ISSUER)
    picture = segno.make(address, error="m").svg_inline(svgclass="qr", lineclass=None, omitsize=True)
    return secret, picture


async def confirm_totp(
    session: AsyncSession, user: UUID, typed: str, *, key: SecretStr, now: datetime
) -> tuple[str, ...]:
    """Let an app count once it showed a right code. Returns fresh recovery codes, told once.

    Raises:
        WrongCode: the code is not the app's, or nothing waits to be confirmed.
    """
    found = await store.totp(session, user)
    if found is None or found.confirmed_at is not None:
        raise WrongCode
    _use(found, typed, key=key, now=now)
    found.confirmed_at = now
    session.add(found)
    await audit.record(session, actor=f"user:{user}", action="user.totp.add", subject=f"user:{user}", at=now)
    return await renew_recovery_codes(session, user, key=key, now=now)


async def renew_recovery_codes(
    session: AsyncSession, user: UUID, *, key: SecretStr, now: datetime
) -> tuple[str, ...]:
    """Replace a person's recovery codes and return the new ones as people read them, told once."""
    await store.remove_recovery_codes(session, user)
    codes = [rules.random_recovery_code(secrets.choice) for _ in range(rules.RECOVERY_CODES)]
    session.add_all(
        RecoveryCode(digest=_recovery_digest(user, code, key), user_id=user, created_at=now) for code in codes
    )
    await audit.record(
        session, actor=f"user:{user}", action="user.recovery_codes", subject=f"user:{user}", at=now
    )
    return tuple(shown_code(code) for code in codes)


def _recovery_digest(user: UUID, code: str, key: SecretStr) -> bytes:
    return keyed_digest(key, Use.RECOVERY_CODE, f"{user} {code}")


async def check_code(session: AsyncSession, user: UUID, typed: str, *, key: SecretStr, now: datetime) -> None:
    """Take a code of the person's app, or one of their recovery codes; neither counts a second time.

    Raises:
        WrongCode: it is neither, or was used before.
    """
    if typed.replace(" ", "").isdigit() and len(typed.replace(" ", "")) == _DIGITS:
        found = await store.totp(session, user)
        if found is None or found.confirmed_at is None:
            raise WrongCode
        _use(found, typed, key=key, now=now)
        session.add(found)
        return
    if not typed.isascii() or not await store.use_recovery_code(
        session, user, _recovery_digest(user, normal_code(typed), key), now
    ):
        raise WrongCode
    await audit.record(
        session, actor=f"user:{user}", action="user.recovery_code.use", subject=f"user:{user}", at=now
    )


def _use(app: Totp, typed: str, *, key: SecretStr, now: datetime) -> None:
    """Use a code up: neither it nor an older one counts again (RFC 6238 §5.2).

    Raises:
        WrongCode: it is not the code of a step near ``now``, or not newer than the last one used.
    """
    code = typed.replace(" ", "")
    secret = _opened(app.secret, app.user_id, key)
    if secret is None:
        raise WrongCode
    clock = pyotp.TOTP(secret)
    step = int(now.timestamp()) // STEP_SECONDS
    for candidate in range(step - _STEPS_AROUND, step + _STEPS_AROUND + 1):
        right = pyotp.utils.strings_equal(code, clock.generate_otp(candidate))
        if right and candidate > app.last_step:
            app.last_step = candidate
            return
    raise WrongCode


async def remove_totp(session: AsyncSession, user: UUID, *, by: str, now: datetime) -> None:
    """Forget a person's app, and the recovery codes unless a passkey is left."""
    await store.remove_totp(session, user)
    if not await store.has_factor(session, user):
        await store.remove_recovery_codes(session, user)
    await audit.record(session, actor=by, action="user.totp.remove", subject=f"user:{user}", at=now)
