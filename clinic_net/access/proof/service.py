"""Use cases of proofs, under one name for their callers."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access.proof import store
from clinic_net.access.proof.errors import LastFactor
from clinic_net.access.proof.passkeys import (
    Relying,
    name_of,
    proof_options,
    prove,
    register,
    registration_options,
    remove_passkey,
)
from clinic_net.access.proof.totp import (
    begin_totp,
    check_code,
    confirm_totp,
    remove_totp,
    renew_recovery_codes,
)

__all__ = [
    "Factors",
    "KeySeen",
    "Relying",
    "begin_totp",
    "check_code",
    "confirm_totp",
    "demand_another",
    "factors_of",
    "forget_factors",
    "proof_options",
    "prove",
    "register",
    "registration_options",
    "remove_passkey",
    "remove_totp",
    "renew_recovery_codes",
]


@dataclass(frozen=True)
class KeySeen:
    """A passkey as its owner's list shows it; ``id`` is the credential's, ``name`` the same in base64url."""

    id: bytes
    name: str
    label: str
    added: datetime
    last_used: datetime | None


@dataclass(frozen=True)
class Factors:
    """What a person can prove themselves with beside the password. ``app_since`` None: no confirmed app."""

    app_since: datetime | None
    keys: tuple[KeySeen, ...]
    codes_left: int

    @property
    def any(self) -> bool:
        return self.app_since is not None or bool(self.keys)


async def factors_of(session: AsyncSession, user: UUID) -> Factors:
    """Return a person's second factors."""
    app = await store.totp(session, user)
    keys = tuple(
        KeySeen(key.id, name_of(key.id), key.label, key.created_at, key.last_used_at)
        for key in await store.passkeys(session, user)
    )
    since = app.confirmed_at if app is not None else None
    return Factors(since, keys, await store.recovery_codes_left(session, user))


async def demand_another(session: AsyncSession, user: UUID, *, than: str) -> None:
    """Refuse to remove the last second factor of somebody whose role must have one; ``than`` is ``app`` or ``key``.

    Raises:
        LastFactor: nothing would be left.
    """
    held = await factors_of(session, user)
    left = len(held.keys) - (than == "key") + (held.app_since is not None and than != "app")
    if left < 1:
        raise LastFactor


async def forget_factors(session: AsyncSession, user: UUID, *, by: str, now: datetime) -> None:
    """Forget a person's app, passkeys and recovery codes: they were lost, and an administrator knows the person."""
    await store.remove_totp(session, user)
    await store.remove_passkeys(session, user)
    await store.remove_recovery_codes(session, user)
    await store.forget_pending(session, user)
    await audit.record(session, actor=by, action="user.factors.reset", subject=f"user:{user}", at=now)
