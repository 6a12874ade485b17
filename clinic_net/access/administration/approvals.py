"""What takes two administrators: one asks, another approves within a day, and exactly that is carried out."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import SecretStr
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import devices
from clinic_net.access import store as access
from clinic_net.access.administration import people as alone
from clinic_net.access.administration import store
from clinic_net.access.administration.errors import (
    ApprovalClosed,
    OwnAccount,
    SecondPersonNeeded,
    UnknownApproval,
)
from clinic_net.access.administration.model import Approval
from clinic_net.access.errors import RoleNotAllowed
from clinic_net.access.people import province_of
from clinic_net.access.principals import ADMINISTRATORS, Role, UserPrincipal
from clinic_net.directory import service as directory
from clinic_net.directory.errors import UnknownSite
from clinic_net.kernel.ids import new_id

OPEN_FOR = timedelta(hours=24)
MOST_SITES = 100
"""Enrolment codes that one request may ask for."""


@dataclass(frozen=True)
class Request:
    """A request for approval as administrators see it. ``digest`` is of what is asked, in hexadecimal.

    ``subject`` is the name of the person concerned, if it is one; ``role`` what they shall be; ``sites`` whose codes.
    """

    id: UUID
    action: str
    digest: str
    asked_by: UUID
    asked_by_name: str
    asked_at: datetime
    expires_at: datetime
    approved: bool
    subject: str
    role: str
    sites: tuple[str, ...]


def _digest(action: str, arguments: dict[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps([action, arguments], sort_keys=True).encode()).digest()


async def ask_for_role(
    session: AsyncSession, person: UUID, role: Role, *, by: UserPrincipal, now: datetime
) -> UUID:
    """Ask that somebody becomes, or stops being, administrator or auditor.

    Raises:
        OwnAccount, UnknownUser: see :func:`people.other`. RoleNotAllowed: an operator makes no national administrator.
    """
    user = await alone.other(session, person, by=by)
    if Role.CITIZEN in (role, Role(user.role)):
        raise RoleNotAllowed
    if role is Role.NATIONAL and by.role is not Role.NATIONAL:
        raise RoleNotAllowed
    national = Role.NATIONAL in (role, Role(user.role)) or by.role is Role.NATIONAL
    province = store.NATIONAL_ONLY if national else await alone.province_of_facility(session, user.facility)
    arguments = {"person": str(user.id), "from": user.role, "role": role.value}
    return await _ask(session, "role", arguments, province=province, by=by, now=now)


async def ask_to_reset_factors(
    session: AsyncSession, person: UUID, *, by: UserPrincipal, now: datetime
) -> UUID:
    """Ask that the second factors of an administrator or auditor are forgotten.

    Raises:
        OwnAccount, UnknownUser: see :func:`people.other`.
    """
    user = await alone.other(session, person, by=by)
    national = user.role == Role.NATIONAL or by.role is Role.NATIONAL
    province = store.NATIONAL_ONLY if national else await alone.province_of_facility(session, user.facility)
    return await _ask(session, "factors", {"person": str(user.id)}, province=province, by=by, now=now)


async def ask_for_codes(
    session: AsyncSession, sites: tuple[str, ...], *, by: UserPrincipal, now: datetime
) -> UUID:
    """Ask for enrolment codes of many stations at once.

    Raises:
        UnknownSite: one is not in the directory, or in another province. ApprovalClosed: none, or too many.
    """
    if not 0 < len(sites) <= MOST_SITES:
        raise ApprovalClosed
    own = await province_of(session, by)
    for code in sites:
        place = await directory.site(session, code, now.date())
        if own not in (None, place.province_code):
            raise UnknownSite(code)
    province = own or store.NATIONAL_ONLY
    return await _ask(session, "codes", {"sites": sorted(set(sites))}, province=province, by=by, now=now)


async def _ask(
    session: AsyncSession,
    action: str,
    arguments: dict[str, Any],
    *,
    province: str,
    by: UserPrincipal,
    now: datetime,
) -> UUID:
    row = Approval(
        id=new_id(now),
        action=action,
        arguments=arguments,
        digest=_digest(action, arguments),
        province=province,
        asked_by=by.id,
        asked_at=now,
        expires_at=now + OPEN_FOR,
    )
    session.add(row)
    await _written(session, f"approval.ask.{action}", row, by=by, now=now)
    return row.id


async def _written(
    session: AsyncSession, what: str, row: Approval, *, by: UserPrincipal, now: datetime
) -> None:
    await audit.record(
        session, actor=by.address, action=what, subject=f"approval:{row.id}", at=now, purpose=by.purpose
    )


async def open_requests(session: AsyncSession, by: UserPrincipal, *, now: datetime) -> tuple[Request, ...]:
    """Return what waits for a decision, or was approved and waits to be collected, oldest first.

    Raises:
        RoleNotAllowed: they administer nothing.
    """
    own = await province_of(session, by)
    rows = await store.approvals(session, None if own is None else [own], now)
    people = {UUID(row.arguments["person"]) for row in rows if "person" in row.arguments}
    names = await store.names(session, people | {row.asked_by for row in rows})
    return tuple(
        Request(
            id=row.id,
            action=row.action,
            digest=row.digest.hex(),
            asked_by=row.asked_by,
            asked_by_name=names.get(row.asked_by, ""),
            asked_at=row.asked_at,
            expires_at=row.expires_at,
            approved=row.approved,
            subject=names.get(UUID(row.arguments["person"]), "") if "person" in row.arguments else "",
            role=str(row.arguments.get("role", "")),
            sites=tuple(row.arguments.get("sites", ())),
        )
        for row in rows
    )


async def decide(
    session: AsyncSession, approval: UUID, *, digest: str, approve: bool, by: UserPrincipal, now: datetime
) -> None:
    """Approve what another administrator asked for, and carry it out; or reject it.

    ``digest`` is of what the second person saw.

    Raises:
        UnknownApproval: there is none, or it is not theirs to decide.
        SecondPersonNeeded: it is their own request. OwnAccount: it is about themselves.
        ApprovalClosed: decided, expired, changed, or who asked may not ask any more.
    """
    row = await _seen(session, approval, by=by)
    if row.decided_at is not None or row.expires_at <= now:
        raise ApprovalClosed
    if row.asked_by == by.id:
        raise SecondPersonNeeded
    if row.arguments.get("person") == str(by.id):
        raise OwnAccount
    if not row.digest == _digest(row.action, row.arguments) == bytes.fromhex(digest):
        raise ApprovalClosed
    row.decided_by, row.decided_at, row.approved = by.id, now, approve
    session.add(row)
    await _written(session, f"approval.{'approve' if approve else 'reject'}", row, by=by, now=now)
    if approve and row.action != "codes":
        await _carry_out(session, row, by=by, now=now)


async def _seen(session: AsyncSession, approval: UUID, *, by: UserPrincipal) -> Approval:
    own = await province_of(session, by)
    row = await store.approval(session, approval)
    if row is None or own not in (None, row.province):
        raise UnknownApproval
    return row


async def _carry_out(session: AsyncSession, row: Approval, *, by: UserPrincipal, now: datetime) -> None:
    asker = await access.user_for_sign_in(session, row.asked_by)
    if asker is None or asker.disabled_at is not None or Role(asker.role) not in ADMINISTRATORS:
        raise ApprovalClosed
    user = await alone.other(session, UUID(row.arguments["person"]), by=by)
    row.done_at = now
    if row.action == "factors":
        await alone.factors_forgotten(session, user, by=by.address, now=now)
        return
    if user.role != row.arguments["from"]:
        raise ApprovalClosed
    await alone.role_given(session, user, Role(row.arguments["role"]), by=by.address, now=now)


async def collect_codes(
    session: AsyncSession, approval: UUID, *, by: UserPrincipal, key: SecretStr, now: datetime
) -> tuple[tuple[str, str], ...]:
    """Return the codes that one asked for and another approved, each with its site; told once.

    Raises:
        UnknownApproval: there is none, or it is somebody else's. SecondPersonNeeded: nobody approved it.
        ApprovalClosed: rejected, collected or too old. UnknownSite: a station was closed meanwhile.
    """
    row = await _seen(session, approval, by=by)
    if row.asked_by != by.id or row.action != "codes":
        raise UnknownApproval
    if row.decided_at is None:
        raise SecondPersonNeeded
    if not row.approved or row.done_at is not None or row.expires_at <= now:
        raise ApprovalClosed
    if row.digest != _digest(row.action, row.arguments):
        raise ApprovalClosed
    row.done_at = now
    session.add(row)
    codes = []
    for site in row.arguments["sites"]:
        code, _ = await devices.issue_code(session, site, by=by.address, now=now, key=key)
        codes.append((site, code))
    await _written(session, "approval.collect", row, by=by, now=now)
    return tuple(codes)
