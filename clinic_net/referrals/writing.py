"""What every change of a referral writes: the resource, the event, the news and the timer."""

import json
from datetime import datetime
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import service as access
from clinic_net.access.policy import scope_of
from clinic_net.access.principals import UserPrincipal
from clinic_net.fhir import write
from clinic_net.kernel import jobs
from clinic_net.records import service as records
from clinic_net.referrals import resources
from clinic_net.referrals.model import ReferralCase, ReferralEvent

DUE = "referral.due"
"""A referral's timer; ``due`` says for which promise it was set."""


async def let_see(
    session: AsyncSession,
    referral: ReferralCase,
    by: UserPrincipal,
    *,
    basis: str,
    now: datetime,
    until: datetime,
) -> None:
    await access.grant_care(
        session,
        patient=referral.patient,
        grantee=by.address,
        basis=basis,
        purpose="COC" if basis == "referral_review" else "TREAT",
        since=now,
        until=until,
        source=_source(referral),
    )


async def end_review(session: AsyncSession, referral: ReferralCase, *, now: datetime) -> None:
    """Let nobody see the record any more only because the referral was addressed to them."""
    await access.end_care_from(session, _source(referral), bases=["referral_review"], at=now)


def _source(referral: ReferralCase) -> str:
    return f"ServiceRequest/{referral.id}"


async def move_task(
    session: AsyncSession,
    referral: ReferralCase,
    status: str,
    business_status: str,
    *,
    by: UserPrincipal,
    now: datetime,
    reason: tuple[str, str] | None = None,
) -> dict[str, Any]:
    stored = await records.read(session, "Task", str(referral.task), scope=scope_of(by), now=now)
    task: dict[str, Any] = json.loads(stored.text)
    changed = resources.moved(task, status=status, business_status=business_status, reason=reason, now=now)
    await put(session, referral, changed, by=by, now=now)
    return task


async def put(
    session: AsyncSession,
    referral: ReferralCase,
    resource: dict[str, Any],
    *,
    by: UserPrincipal,
    now: datetime,
) -> None:
    await records.put(
        session,
        write(resource),
        rtype=resource["resourceType"],
        fid=resource["id"],
        scope=scope_of(by),
        author=by.address,
        tenant=referral.tenant,
        now=now,
    )


async def answered(
    session: AsyncSession,
    referral: ReferralCase,
    step: str,
    *,
    by: UserPrincipal,
    now: datetime,
    reason: str | None = None,
) -> None:
    note(session, referral, step, by=by.address, now=now, reason=reason)
    subject = f"ServiceRequest/{referral.id}"
    await audit.record(
        session, actor=by.address, action=f"referral.{step}", subject=subject, at=now, purpose=by.purpose
    )
    await tell(session, referral)


def note(
    session: AsyncSession,
    referral: ReferralCase,
    step: str,
    *,
    by: str,
    now: datetime,
    reason: str | None = None,
) -> None:
    session.add(
        ReferralEvent(
            referral=referral.id, step=step, at=now, actor=by, facility=referral.to_facility, reason=reason
        )
    )


async def tell(session: AsyncSession, referral: ReferralCase) -> None:
    await session.flush()
    identity = {"referral": str(referral.id)}
    await jobs.announce(session, "referral.changed", {**identity, "rev": referral.rev})
    if referral.due_at is not None:
        await jobs.announce(
            session, DUE, {**identity, "due": referral.due_at.isoformat()}, at=referral.due_at
        )
