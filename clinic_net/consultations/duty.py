"""Use cases of duty: who takes calls now, and whose page can ring."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access.errors import RoleNotAllowed
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.consultations import store
from clinic_net.consultations.steps import say_availability
from clinic_net.directory import service as directory


@dataclass(frozen=True)
class DutyView:
    """A colleague on duty. ``online``: a page of theirs can ring; ``busy``: in another consultation."""

    user: UUID
    name: str
    facility: str
    province: str
    specialties: frozenset[str]
    since: datetime | None
    online: bool
    busy: bool


async def set_duty(session: AsyncSession, user: UserPrincipal, *, on: bool, now: datetime) -> None:
    """Turn a doctor's duty on or off; coming on duty, they are rung for what waits.

    Raises:
        RoleNotAllowed: only doctors take calls.
    """
    if user.role is not Role.DOCTOR:
        raise RoleNotAllowed
    facility = await directory.facility(session, user.facility)
    await store.insert_duty(session, user.id, facility=facility.code, province=facility.province_code)
    duty = await store.duty(session, user.id)
    assert duty is not None
    changed = duty.on_duty != on
    duty.name, duty.specialties = user.name, sorted(user.specialties)
    duty.facility, duty.province = facility.code, facility.province_code
    duty.on_duty = on
    duty.online, duty.online_at = True, now
    if changed:
        duty.since = now if on else None
        action = "duty.on" if on else "duty.off"
        await audit.record(
            session, actor=user.address, action=action, subject=user.address, at=now, purpose=user.purpose
        )
    await session.flush()
    await say_availability(session, user.id)


async def set_presence(session: AsyncSession, address: str, *, online: bool, now: datetime) -> None:
    """Note whether a page of this person can ring: signalling says so, from its sessions."""
    kind, _, identifier = address.partition(":")
    if kind != "user":
        return
    duty = await store.duty(session, UUID(identifier))
    if duty is None or duty.online == online:
        return
    duty.online, duty.online_at = online, now
    await session.flush()
    if duty.on_duty:
        await say_availability(session, duty.user_id)


async def is_on_duty(session: AsyncSession, user: UserPrincipal) -> bool:
    """Whether this person takes calls now."""
    duty = await store.duty(session, user.id)
    return duty is not None and duty.on_duty


async def on_duty(session: AsyncSession, *, province: str | None = None) -> list[DutyView]:
    """Return who is on duty, of a province or of all, by name."""
    ready = {person.user: person for person in await store.ready(session)}
    return [
        DutyView(
            user=row.user_id,
            name=row.name,
            facility=row.facility,
            province=row.province,
            specialties=frozenset(row.specialties),
            since=row.since,
            online=row.online,
            busy=row.user_id in ready and ready[row.user_id].busy,
        )
        for row in await store.on_duty(session, province=province)
    ]
