"""Every query of the privacy workflows. They hold no clinical content: who may ask is the edge's to say."""

from collections.abc import Iterable
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.privacy.model import PrivacyBreach, PrivacyBreachEntry, PrivacyHold, PrivacyRequest


async def request(s: AsyncSession, id_: UUID) -> PrivacyRequest | None:
    """Return a request and hold its row: two who decide take turns."""
    statement = select(PrivacyRequest).where(col(PrivacyRequest.id) == id_).with_for_update()
    return (await s.exec(statement)).one_or_none()


async def open_requests(s: AsyncSession) -> list[PrivacyRequest]:
    statement = (
        select(PrivacyRequest)
        .where(col(PrivacyRequest.decided_at).is_(None))
        .order_by(col(PrivacyRequest.due_at))
        .limit(500)
    )
    return list((await s.exec(statement)).all())


async def decided_requests(s: AsyncSession, limit: int) -> list[PrivacyRequest]:
    statement = (
        select(PrivacyRequest)
        .where(col(PrivacyRequest.decided_at).is_not(None))
        .order_by(col(PrivacyRequest.decided_at).desc())
        .limit(limit)
    )
    return list((await s.exec(statement)).all())


async def has_open(s: AsyncSession, patient: str, kind: str) -> bool:
    statement = select(PrivacyRequest.id).where(
        col(PrivacyRequest.patient) == patient,
        col(PrivacyRequest.kind) == kind,
        col(PrivacyRequest.decided_at).is_(None),
    )
    return (await s.exec(statement.limit(1))).first() is not None


async def hold(s: AsyncSession, id_: UUID) -> PrivacyHold | None:
    return (
        await s.exec(select(PrivacyHold).where(col(PrivacyHold.id) == id_).with_for_update())
    ).one_or_none()


async def holds_of(s: AsyncSession, patient: str) -> bool:
    return bool(await held(s, [patient]))


async def held(s: AsyncSession, patients: Iterable[str]) -> frozenset[str]:
    """Return which of these patients' records are held."""
    statement = select(PrivacyHold.patient).where(
        col(PrivacyHold.patient).in_(list(patients)), col(PrivacyHold.lifted_at).is_(None)
    )
    return frozenset((await s.exec(statement)).all())


async def holds(s: AsyncSession) -> list[PrivacyHold]:
    statement = (
        select(PrivacyHold).where(col(PrivacyHold.lifted_at).is_(None)).order_by(col(PrivacyHold.placed_at))
    )
    return list((await s.exec(statement)).all())


async def breach(s: AsyncSession, id_: UUID) -> PrivacyBreach | None:
    return (
        await s.exec(select(PrivacyBreach).where(col(PrivacyBreach.id) == id_).with_for_update())
    ).one_or_none()


async def breaches(s: AsyncSession) -> list[PrivacyBreach]:
    """Return every breach, open ones first, then the newest."""
    order = (col(PrivacyBreach.closed_at).is_not(None), col(PrivacyBreach.noticed_at).desc())
    return list((await s.exec(select(PrivacyBreach).order_by(*order).limit(500))).all())


async def entries(s: AsyncSession, id_: UUID) -> list[PrivacyBreachEntry]:
    statement = (
        select(PrivacyBreachEntry)
        .where(col(PrivacyBreachEntry.breach) == id_)
        .order_by(col(PrivacyBreachEntry.at), col(PrivacyBreachEntry.id))
    )
    return list((await s.exec(statement)).all())
