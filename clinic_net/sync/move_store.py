"""Every query about moves from one site to another."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.sync.feed_model import Move, MovedPatient


async def moved_among(session: AsyncSession, places: Collection[tuple[str, str]]) -> dict[str, list[str]]:
    """Return those of these (patient, site) whose patient went from that site, by site."""
    if not places:
        return {}
    statement = select(MovedPatient.origin, MovedPatient.patient).where(
        tuple_(col(MovedPatient.patient), col(MovedPatient.origin)).in_(sorted(places))
    )
    found: dict[str, list[str]] = {}
    for origin, patient in (await session.exec(statement.order_by(col(MovedPatient.patient)))).all():
        found.setdefault(origin, []).append(patient)
    return found


async def remember(
    session: AsyncSession, patients: Collection[str], origin: str, target: str, at: datetime
) -> None:
    """Note that these patients went from one site; what they left before, and come back to, is theirs again."""
    rows = [{"patient": patient, "origin": origin, "at": at} for patient in sorted(patients)]
    await session.exec(insert(MovedPatient).values(rows).on_conflict_do_nothing())
    statement = select(MovedPatient).where(
        col(MovedPatient.patient) == func.any(list(patients)), MovedPatient.origin == target
    )
    for back in (await session.exec(statement)).all():
        await session.delete(back)


async def move(session: AsyncSession, identifier: UUID, *, hold: bool = False) -> Move | None:
    """Return a move; ``hold`` locks it, so that its portions are done one at a time."""
    statement = select(Move).where(Move.id == identifier)
    return (await session.exec(statement.with_for_update() if hold else statement)).first()


async def moves(session: AsyncSession, sites: Collection[str] | None, *, most: int) -> Sequence[Move]:
    """Return the newest moves that touch these sites; None: all."""
    statement = select(Move).order_by(col(Move.ordered_at).desc()).limit(most)
    if sites is not None:
        statement = statement.where(col(Move.origin).in_(sites) | col(Move.target).in_(sites))
    return (await session.exec(statement)).all()
