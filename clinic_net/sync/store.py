"""Every query of the synchronisation. The scope of a station's queries is its own site or database epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.protocol.sync import Op
from clinic_net.sync.model import AppliedOp, FeedEntry, Quarantined, ScopeHead


@dataclass(frozen=True)
class Change:
    """A resource at a version, on its way into a scope's feed."""

    kind: str
    rtype: str
    fid: str
    version: int


async def one_at_a_time(session: AsyncSession, db_epoch: UUID) -> None:
    """Hold off other pushes of the same database until this transaction ends: a repeat waits for the first."""
    await session.exec(
        text("select pg_advisory_xact_lock(hashtextextended(:key, 0))").bindparams(key=f"push {db_epoch}")  # type: ignore[call-overload]
    )


async def answered(session: AsyncSession, db_epoch: UUID, ops: Sequence[int]) -> dict[int, AppliedOp]:
    """Return what became of those of ``ops`` that were seen before."""
    statement = select(AppliedOp).where(AppliedOp.db_epoch == db_epoch).where(col(AppliedOp.op).in_(ops))
    return {row.op: row for row in (await session.exec(statement)).all()}


async def last_version_from(session: AsyncSession, db_epoch: UUID, op: Op) -> int | None:
    """Return the version that this database's latest stored operation on the resource made, if any."""
    statement = (
        select(AppliedOp.version)
        .where(AppliedOp.db_epoch == db_epoch, AppliedOp.rtype == op.type, AppliedOp.fid == op.id)
        .where(col(AppliedOp.version).is_not(None))
        .order_by(col(AppliedOp.op).desc())
        .limit(1)
    )
    return (await session.exec(statement)).first()


def remember(session: AsyncSession, row: AppliedOp) -> None:
    session.add(row)


def quarantine(session: AsyncSession, row: Quarantined) -> None:
    session.add(row)


async def append(session: AsyncSession, scope: str, changes: Sequence[Change]) -> int:
    """Append what is new to a scope's feed; return how many entries were added.

    The head's row is locked to the end of the transaction: call this last.
    """
    await session.exec(insert(ScopeHead).values(scope=scope, last_seq=0).on_conflict_do_nothing())
    head = (await session.exec(select(ScopeHead).where(ScopeHead.scope == scope).with_for_update())).one()
    known = select(FeedEntry.rtype, FeedEntry.fid, FeedEntry.version).where(FeedEntry.scope == scope)
    known = known.where(col(FeedEntry.fid).in_([change.fid for change in changes]))
    present = set((await session.exec(known)).all())
    added = 0
    for change in changes:
        key = (change.rtype, change.fid, change.version)
        if key not in present:
            present.add(key)
            added += 1
            session.add(
                FeedEntry(
                    scope=scope,
                    seq=head.last_seq + added,
                    kind=change.kind,
                    rtype=change.rtype,
                    fid=change.fid,
                    version=change.version,
                )
            )
    head.last_seq += added
    session.add(head)
    return added


async def after(session: AsyncSession, scope: str, cursor: int, limit: int) -> Sequence[FeedEntry]:
    """Return up to ``limit`` entries of a scope after ``cursor``, in order."""
    statement = (
        select(FeedEntry)
        .where(FeedEntry.scope == scope, FeedEntry.seq > cursor)
        .order_by(col(FeedEntry.seq))
        .limit(limit)
    )
    return (await session.exec(statement)).all()
