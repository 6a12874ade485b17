"""Queries about who cares for a patient, what the patient permits or refuses, and whose record is left alone."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import func, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.model import (
    CareRelation,
    ConsentRow,
    Restriction,
)


async def care_covers(session: AsyncSession, wanted: CareRelation) -> bool:
    """Whether a relation of the same kind holds during the whole time of the one wanted."""
    statement = select(col(CareRelation.id)).where(
        col(CareRelation.patient) == wanted.patient,
        col(CareRelation.grantee) == wanted.grantee,
        col(CareRelation.basis) == wanted.basis,
        col(CareRelation.purpose) == wanted.purpose,
        col(CareRelation.tenant).is_not_distinct_from(wanted.tenant),
        col(CareRelation.since) <= wanted.since,
        col(CareRelation.until).is_(None)
        if wanted.until is None
        else or_(col(CareRelation.until).is_(None), col(CareRelation.until) >= wanted.until),
    )
    return (await session.exec(statement.limit(1))).first() is not None


async def end_source(
    session: AsyncSession, source: str, *, bases: Collection[str], at: datetime
) -> Sequence[CareRelation]:
    """End what follows from one record and would hold beyond ``at``; return what was ended."""
    statement = (
        update(CareRelation)
        .where(
            col(CareRelation.source) == source,
            col(CareRelation.basis).in_(bases),
            or_(col(CareRelation.until).is_(None), col(CareRelation.until) > at),
        )
        .values(until=at)
        .returning(CareRelation)
    )
    return (await session.exec(statement)).scalars().all()


async def end_care(
    session: AsyncSession, *, patient: str, grantee: str, basis: str, at: datetime
) -> Sequence[CareRelation]:
    """End what would hold beyond ``at``; return what was ended."""
    statement = (
        update(CareRelation)
        .where(
            col(CareRelation.patient) == patient,
            col(CareRelation.grantee) == grantee,
            col(CareRelation.basis) == basis,
            or_(col(CareRelation.until).is_(None), col(CareRelation.until) > at),
        )
        .values(until=at)
        .returning(CareRelation)
    )
    return (await session.exec(statement)).scalars().all()


async def care_between(
    session: AsyncSession, names: Collection[str], patients: Collection[str]
) -> Sequence[CareRelation]:
    """Return the relations of whoever has one of these names with these patients, past and future ones too."""
    statement = select(CareRelation).where(
        col(CareRelation.grantee) == func.any(list(names)),
        col(CareRelation.patient) == func.any(list(patients)),
    )
    return (await session.exec(statement)).all()


async def open_care(
    session: AsyncSession, grantee: str, basis: str, *, at: datetime
) -> Sequence[CareRelation]:
    """Return somebody's relations of one basis that hold at ``at``, the oldest first."""
    statement = select(CareRelation).where(
        col(CareRelation.grantee) == grantee,
        col(CareRelation.basis) == basis,
        col(CareRelation.since) <= at,
        or_(col(CareRelation.until).is_(None), col(CareRelation.until) > at),
    )
    return (await session.exec(statement.order_by(col(CareRelation.since), col(CareRelation.id)))).all()


async def refusals(
    session: AsyncSession, names: Collection[str], patients: Collection[str]
) -> Sequence[ConsentRow]:
    """Return what these patients refuse whoever has one of these names, as far as it is not withdrawn."""
    statement = select(ConsentRow).where(
        col(ConsentRow.patient) == func.any(list(patients)),
        col(ConsentRow.grantee) == func.any(list(names)),
        col(ConsentRow.decision) == "deny",
        col(ConsentRow.status) == "active",
    )
    return (await session.exec(statement)).all()


async def restricted(session: AsyncSession, patients: Collection[str]) -> set[str]:
    """Return those whose record is not to be processed but in an emergency."""
    statement = select(col(Restriction.patient)).where(col(Restriction.patient) == func.any(list(patients)))
    return set((await session.exec(statement)).all())


async def open_consents(session: AsyncSession, resource: str) -> Sequence[ConsentRow]:
    """Return what a Consent says now."""
    statement = select(ConsentRow).where(
        col(ConsentRow.resource) == resource, col(ConsentRow.status) == "active"
    )
    return (await session.exec(statement)).all()


async def withdraw_consents(session: AsyncSession, resource: str, now: datetime) -> Sequence[ConsentRow]:
    """Withdraw what a Consent said; return what was open of it."""
    statement = (
        update(ConsentRow)
        .where(col(ConsentRow.resource) == resource, col(ConsentRow.status) == "active")
        .values(status="withdrawn", withdrawn_at=now)
        .returning(ConsentRow)
    )
    return (await session.exec(statement)).scalars().all()


async def consents_of(session: AsyncSession, patient: str) -> Sequence[ConsentRow]:
    """Return all that a patient permitted and refused, the newest first."""
    statement = select(ConsentRow).where(col(ConsentRow.patient) == patient)
    return (await session.exec(statement.order_by(col(ConsentRow.given_at).desc()))).all()


async def care_of(session: AsyncSession, patient: str) -> Sequence[CareRelation]:
    """Return who has, had or will have a care relation with a patient."""
    statement = (
        select(CareRelation).where(col(CareRelation.patient) == patient).order_by(col(CareRelation.since))
    )
    return (await session.exec(statement)).all()
