"""Records that go from one place to another with their patients: who answers for them changes, nothing else does.

Versions keep the place where they were written. What the new place does from then on is its own.
"""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access.policy import RecordScope
from clinic_net.records.model import Resource
from clinic_net.records.store import visible


class Moved(NamedTuple):
    """A resource that has moved, at the version that it keeps."""

    rtype: str
    fid: str
    version: int
    deleted: bool
    patient: str | None


async def patients_at(
    s: AsyncSession,
    tenant: str,
    *,
    scope: RecordScope,
    now: datetime,
    limit: int,
    only: Collection[str] | None = None,
) -> list[str]:
    """Return up to ``limit`` patients, by id, of whose records some are at a place; of these, if ``only`` is given."""
    statement = (
        select(col(Resource.patient))
        .where(col(Resource.tenant) == tenant, col(Resource.patient).is_not(None), visible(scope, now))
        .distinct()
        .order_by(col(Resource.patient))
        .limit(limit)
    )
    if only is not None:
        statement = statement.where(col(Resource.patient) == func.any(list(only)))
    return [str(row[0]) for row in (await (await s.connection()).execute(statement)).all()]


async def move(  # noqa: PLR0913 -- whose, from where, to where, by whom, when
    s: AsyncSession,
    patients: Collection[str] | None,
    *,
    origin: str,
    target: str,
    scope: RecordScope,
    author: str,
    now: datetime,
    limit: int | None = None,
    why: str = "",
) -> list[Moved]:
    """Let ``target`` answer for what ``origin`` holds of these patients; None: for what is part of no patient's record.

    It is written down for each patient. Rows are held in the order in which every writer holds them.
    """
    assert scope.writable
    whose = (
        col(Resource.patient).is_(None)
        if patients is None
        else col(Resource.patient) == func.any(list(patients))
    )
    held = (
        select(col(Resource.rid))
        .where(col(Resource.tenant) == origin, whose, visible(scope, now))
        .order_by(col(Resource.rid))
        .limit(limit)
        .with_for_update(of=Resource.__table__)  # type: ignore[attr-defined]
        .cte("held")
    )
    statement = (
        update(Resource)
        .where(col(Resource.rid).in_(select(held.c.rid)))
        .values(tenant=target)
        .returning(
            col(Resource.rtype),
            col(Resource.fid),
            col(Resource.version),
            col(Resource.deleted),
            col(Resource.patient),
        )
    )
    moved = [Moved(*row) for row in (await (await s.connection()).execute(statement)).all()]
    events = [
        audit.Event(
            author, "record.move", f"Patient/{patient}", patient=patient, place=target, detail=why or None
        )
        for patient in sorted({each.patient for each in moved if each.patient is not None})
    ]
    await audit.record_many(s, events, at=now)
    return moved
