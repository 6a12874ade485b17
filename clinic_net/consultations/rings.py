"""Ringing people and letting them be: the row, the right to look at the record, the news."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import service as access
from clinic_net.consultations import rules, store
from clinic_net.consultations.cases import note
from clinic_net.consultations.ladder import Person
from clinic_net.consultations.model import Consultation, ConsultationRing
from clinic_net.directory import service as directory
from clinic_net.directory.errors import UnknownSite
from clinic_net.directory.service import Tier
from clinic_net.kernel import jobs

_SEES_AFTER_RING = timedelta(minutes=2)
"""Who was rung may look at the record this much longer: a page must not empty under their eyes."""


async def tiers_of(session: AsyncSession, case: Consultation, now: datetime) -> tuple[Tier, ...]:
    """Return whom the station's call rings; of a station closed meanwhile, nobody: the coordinator has it."""
    try:
        return await directory.ring_tiers(session, case.site, now.date())
    except UnknownSite:
        return ()


async def ring_people(
    session: AsyncSession, case: Consultation, people: Sequence[Person], tiers: int, now: datetime
) -> None:
    """Ring these people for a held case, and let them see the record while it rings."""
    until = rules.ring_until(case, tiers, now)
    case.rung_at = case.rung_at or now
    for person in people:
        ring = ConsultationRing(
            consultation=case.id, user_id=person.user, tier=case.tier, rung_at=now, expires_at=until
        )
        await store.put_ring(session, ring)
        await access.grant_care(
            session,
            patient=case.patient,
            grantee=f"user:{person.user}",
            basis="ring",
            purpose="TREAT",
            since=now,
            until=until + _SEES_AFTER_RING,
        )
        payload = {"consultation": str(case.id), "user": str(person.user), "tier": case.tier}
        await jobs.announce(session, "consultation.rung", payload)
    note(session, case, "rung", at=now, actor=rules.WORKER, detail=str(len(people)))


async def unring(
    session: AsyncSession,
    case: Consultation,
    users: Iterable[UUID],
    *,
    reason: str,
    by: str | None = None,
    now: datetime,
) -> None:
    """Tell people that a case no longer rings for them, and end their right to its record two minutes on.

    ``reason``: ``answered_elsewhere`` (``by`` is the name to show), ``withdrawn``, ``timeout`` or ``ended``.
    """
    gone = list(users)
    for user in gone:
        await access.end_care(
            session,
            patient=case.patient,
            grantee=f"user:{user}",
            basis="ring",
            at=now + _SEES_AFTER_RING,
        )
    if gone:
        payload = {
            "consultation": str(case.id),
            "users": [str(user) for user in gone],
            "reason": reason,
            "by": by,
        }
        await jobs.announce(session, "consultation.unrung", payload)


async def stop_ringing(
    session: AsyncSession, case: Consultation, *, reason: str, by: str | None = None, now: datetime
) -> None:
    """Let everybody be whom the case still rings."""
    users = await store.close_rings(session, case.id, answer=reason, now=now)
    await unring(session, case, users, reason=reason, by=by, now=now)
