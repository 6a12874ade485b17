"""Every query about feeds. Their scope is one feed's name."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.sync.model import FeedEntry, ScopeHead


@dataclass(frozen=True)
class Change:
    """A resource at a version, on its way into a scope's feed."""

    kind: str
    rtype: str
    fid: str
    version: int


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
