"""Every query about operations. Their scope is one station's database epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.protocol.sync import Op
from clinic_net.sync.model import AppliedOp, Quarantined


async def one_at_a_time(session: AsyncSession, db_epoch: UUID) -> None:
    """Hold off other pushes of the same database until this transaction ends: a repeat waits for the first."""
    await session.exec(
        text("select pg_advisory_xact_lock(hashtextextended(:key, 0))").bindparams(key=f"push {db_epoch}")  # type: ignore[call-overload]
    )


async def answered(session: AsyncSession, db_epoch: UUID, ops: Sequence[int]) -> dict[int, AppliedOp]:
    """Return what became of those of ``ops`` that were seen before."""
    statement = select(AppliedOp).where(AppliedOp.db_epoch == db_epoch).where(col(AppliedOp.op).in_(ops))
    return {row.op: row for row in (await session.exec(statement)).all()}


@dataclass(frozen=True)
class Earlier:
    """What became of this database's latest stored operation on a record."""

    op: int
    outcome: str
    version: int | None


async def last_from(session: AsyncSession, db_epoch: UUID, op: Op) -> Earlier | None:
    """Return this database's latest operation on the resource that the hub took in, if any."""
    statement = (
        select(AppliedOp.op, AppliedOp.outcome, AppliedOp.version)
        .where(AppliedOp.db_epoch == db_epoch, AppliedOp.rtype == op.type, AppliedOp.fid == op.id)
        .where(col(AppliedOp.version).is_not(None), AppliedOp.op < op.op)
        .order_by(col(AppliedOp.op).desc())
        .limit(1)
    )
    row = (await session.exec(statement)).first()
    return None if row is None else Earlier(*row)


def remember(session: AsyncSession, row: AppliedOp) -> None:
    session.add(row)


def quarantine(session: AsyncSession, row: Quarantined) -> None:
    session.add(row)
