"""Stations' devices: enrolment codes, enrolment, revocation."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import SecretStr
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import rules, store, tokens
from clinic_net.access.errors import (
    DeviceKeyKnown,
    EnrolmentCodeExpired,
    EnrolmentCodeReplaced,
    EnrolmentCodeUnknown,
    EnrolmentCodeUsed,
    EnrolmentProofWrong,
    UnknownDevice,
)
from clinic_net.access.keys import Use, keyed_digest
from clinic_net.access.model import Device, EnrolmentCode
from clinic_net.directory import service as directory
from clinic_net.kernel.ids import new_id
from clinic_net.kernel.jobs import announce


@dataclass(frozen=True)
class Enrolment:
    """What a device sends to be registered (``protocol.sync.Enrol``)."""

    code: str
    jwk: dict[str, str]
    proof: str
    agent: str = ""


@dataclass(frozen=True)
class DeviceView:
    """A registered device, without its key."""

    id: UUID
    site: str
    epoch: int
    status: str
    agent: str
    enrolled_at: datetime
    revoked_at: datetime | None


async def issue_code(
    session: AsyncSession,
    site: str,
    *,
    by: str,
    now: datetime,
    key: SecretStr,
    lifetime: timedelta = rules.CODE_LIFETIME,
) -> tuple[str, datetime]:
    """Make a code that enrols one device of this site once; an earlier unused code of the site ends.

    Returns the code as people read it (``XXXXX-XXXXX``), told once, and when it expires.

    Raises:
        UnknownSite: the site is not in the directory.
    """
    place = await directory.site(session, site, now.date())
    await store.lock(session, keyed_digest(key, Use.ENROLMENT_CODE, f"site {place.code}"))
    await store.replace_codes(session, place.code, now)
    code = rules.random_code(secrets.choice)
    expires = now + lifetime
    session.add(
        EnrolmentCode(
            digest=keyed_digest(key, Use.ENROLMENT_CODE, code),
            site=place.code,
            issued_by=by,
            issued_at=now,
            expires_at=expires,
        )
    )
    await audit.record(session, actor=by, action="device.issue_code", subject=f"station:{place.code}", at=now)
    return rules.shown_code(code), expires


async def enrol(
    session: AsyncSession,
    enrolment: Enrolment,
    *,
    key: SecretStr,
    now: datetime,
    before: SecretStr | None = None,
) -> DeviceView:
    """Register a device's public key for the code's site; a device that the site had before is revoked.

    The same device may send the same again when the answer was lost: it gets the same answer.

    Raises:
        DeviceKeyUnusable, EnrolmentProofWrong: the key or the proof.
        EnrolmentCodeUnknown, EnrolmentCodeUsed, EnrolmentCodeReplaced, EnrolmentCodeExpired: the code.
        DeviceKeyKnown: the key was registered before.
    """
    public = tokens.public_key(enrolment.jwk)
    if not tokens.proves(enrolment.proof, of=enrolment.code.encode(), key=public):
        raise EnrolmentProofWrong
    thumbprint = public.thumbprint()
    said = rules.normal_code(enrolment.code)
    code = await store.code_for_use(session, keyed_digest(key, Use.ENROLMENT_CODE, said))
    if code is None and before is not None:  # issued before the key was changed
        code = await store.code_for_use(session, keyed_digest(before, Use.ENROLMENT_CODE, said))
    if code is None:
        raise EnrolmentCodeUnknown
    if code.used_at is not None:
        return await _enrolled_before(session, code, thumbprint)
    if code.replaced_at is not None:
        raise EnrolmentCodeReplaced
    if now >= code.expires_at:
        raise EnrolmentCodeExpired
    if await store.device_of_key(session, thumbprint) is not None:
        raise DeviceKeyKnown
    await store.lock(session, keyed_digest(key, Use.ENROLMENT_CODE, f"site {code.site}"))
    return await _register(session, code, enrolment, public.as_dict(private=False), now=now)


async def _enrolled_before(session: AsyncSession, code: EnrolmentCode, thumbprint: str) -> DeviceView:
    device = await store.device(session, code.device) if code.device is not None else None
    if device is None or device.thumbprint != thumbprint or device.status != "active":
        raise EnrolmentCodeUsed
    return _view(device)


async def _register(
    session: AsyncSession, code: EnrolmentCode, enrolment: Enrolment, jwk: dict[str, Any], *, now: datetime
) -> DeviceView:
    former = await store.devices_of(session, code.site)
    for device in former:
        if device.status == "active":
            await _revoke(session, device, by="hub", now=now)
    device = Device(
        id=new_id(now),
        site=code.site,
        epoch=former[0].epoch + 1 if former else 1,
        status="active",
        jwk={name: jwk[name] for name in ("kty", "crv", "x", "y")},
        thumbprint=tokens.public_key(jwk).thumbprint(),
        agent=rules.printable(enrolment.agent, 40),
        enrolled_at=now,
    )
    session.add(device)
    code.used_at, code.device = now, device.id
    await session.flush()
    await audit.record(
        session, actor=f"device:{device.id}", action="device.enrol", subject=f"station:{device.site}", at=now
    )
    return _view(device)


async def revoke_device(
    session: AsyncSession, *, by: str, now: datetime, site: str | None = None, device: UUID | None = None
) -> DeviceView:
    """Revoke a site's active device, or one device. Its tokens stop at once, its sockets within seconds.

    Raises:
        UnknownDevice: there is no active device of that site, or no such device.
    """
    for row in await store.devices_of(session, site) if site is not None else ():
        if row.status == "active":
            await _revoke(session, row, by=by, now=now)
            return _view(row)
    row_of_id = await store.device(session, device) if device is not None else None
    if row_of_id is None:
        raise UnknownDevice
    if row_of_id.status == "active":
        await _revoke(session, row_of_id, by=by, now=now)
    return _view(row_of_id)


async def _revoke(session: AsyncSession, device: Device, *, by: str, now: datetime) -> None:
    device.status, device.revoked_at, device.revoked_by = "revoked", now, by
    await session.flush()
    await announce(
        session, "credential.revoked", {"address": f"station:{device.site}", "device": str(device.id)}
    )
    await audit.record(session, actor=by, action="device.revoke", subject=f"device:{device.id}", at=now)


async def signed_by(
    session: AsyncSession, device: UUID, data: bytes, signature: bytes, *, now: datetime
) -> bool:
    """Whether a device signed these bytes: ``signature`` is ES256 as RFC 7518 §3.4 writes it (r ‖ s, 64 bytes).

    A wrong one is written to the trail; the caller commits.
    """
    row = await store.device(session, device)
    if row is not None and tokens.signed(data, signature, key=tokens.public_key(row.jwk)):
        return True
    await audit.record(
        session,
        actor=f"device:{device}",
        action="device.sign_batch",
        subject=f"device:{device}",
        outcome="batch-signature-wrong",
        at=now,
    )
    return False


async def active_device(session: AsyncSession, device: UUID) -> DeviceView | None:
    """Return a device that may speak for its site, or None."""
    row = await store.device(session, device)
    return None if row is None or row.status != "active" else _view(row)


async def devices_of(session: AsyncSession, site: str) -> tuple[DeviceView, ...]:
    """Return the devices that a site has or had, newest first."""
    return tuple(_view(device) for device in await store.devices_of(session, site))


async def device_of_id(session: AsyncSession, device: UUID) -> DeviceView | None:
    """Return a device, active or revoked."""
    found = await store.device(session, device)
    return None if found is None else _view(found)


async def said_by_device(session: AsyncSession, device: UUID, statement: str) -> bytes | None:
    """Return what a compact JWS says if a device's key has signed it, be the device active or revoked."""
    found = await store.device(session, device)
    return None if found is None else tokens.stated(statement, key=tokens.public_key(found.jwk))


async def active_devices(session: AsyncSession) -> tuple[DeviceView, ...]:
    """Return every active device."""
    return tuple(_view(device) for device in await store.active_devices(session))


def _view(device: Device) -> DeviceView:
    return DeviceView(
        id=device.id,
        site=device.site,
        epoch=device.epoch,
        status=device.status,
        agent=device.agent,
        enrolled_at=device.enrolled_at,
        revoked_at=device.revoked_at,
    )
