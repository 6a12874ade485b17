"""Every query about snapshots. Their scope is one feed's name."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.kernel.arrays import texts
from clinic_net.kernel.links import fetch
from clinic_net.sync.feed_model import Segment, Snapshot

_FED = "from sync_feed f where f.scope = :scope and f.kind = 'put'"


class Row(NamedTuple):
    """What a feed holds: a resource at a version, after which entry."""

    seq: int
    rtype: str
    fid: str
    version: int


_TELLING = text(
    f"select f.seq, f.rtype, f.fid, f.version {_FED} and f.rtype = any(cast(:rtypes as text[]))"
    " and (f.rtype, f.fid) > (:rtype, :fid) order by f.rtype, f.fid limit :most"
)
_ALL_KEYS = text(
    f"select f.seq, f.rtype, f.fid, f.version {_FED} and (f.rtype, f.fid) > (:rtype, :fid)"
    " order by f.rtype, f.fid limit :most"
)
_ASK = text(
    "update sync_scope_head set copy_asked_at = :now where scope = :scope"
    " and (copy_asked_at is null or copy_asked_at < :before) returning scope"
)
_ORPHANS = text(
    "delete from sync_segment s where not exists (select from sync_snapshot p where p.id = s.snapshot)"
)


async def fed(
    session: AsyncSession, scope: str, *, behind: tuple[str, str], most: int, rtypes: Collection[str] = ()
) -> list[Row]:
    """Return what a scope holds by type and id, behind one of them; only of some types if they are given."""
    given: dict[str, Any] = {"scope": scope, "rtype": behind[0], "fid": behind[1], "most": most}
    if rtypes:
        rows = await fetch(session, _TELLING, {**given, "rtypes": texts(sorted(rtypes))})
    else:
        rows = await fetch(session, _ALL_KEYS, given)
    return [Row(*row) for row in rows]


async def newest(session: AsyncSession, scope: str) -> Snapshot | None:
    """Return the newest snapshot of a scope."""
    statement = select(Snapshot).where(Snapshot.scope == scope).order_by(col(Snapshot.as_of).desc())
    return (await session.exec(statement.limit(1))).first()


async def of_id(session: AsyncSession, snapshot: UUID) -> Snapshot | None:
    return await session.get(Snapshot, snapshot)


async def segment(session: AsyncSession, snapshot: UUID, n: int) -> bytes | None:
    """Return a segment's bytes."""
    statement = select(Segment.data).where(Segment.snapshot == snapshot, Segment.n == n)
    found = (await session.exec(statement)).first()
    return None if found is None else bytes(found)


async def ask(session: AsyncSession, scope: str, *, now: datetime, again: timedelta) -> bool:
    """Whether a snapshot is to be ordered: nobody has within ``again``."""
    return bool(await fetch(session, _ASK, {"scope": scope, "now": now, "before": now - again}))


def keep_segment(session: AsyncSession, snapshot: UUID, n: int, data: bytes) -> None:
    session.add(Segment(snapshot=snapshot, n=n, data=data))


async def keep(session: AsyncSession, snapshot: Snapshot, *, former: int) -> None:
    """Store a finished snapshot; of its scope's older ones the ``former`` newest stay, for who is reading them."""
    session.add(snapshot)
    await session.flush()
    statement = select(Snapshot.id).where(Snapshot.scope == snapshot.scope)
    ids = (await session.exec(statement.order_by(col(Snapshot.made_at).desc()).offset(1 + former))).all()
    await drop(session, ids)


async def drop(session: AsyncSession, ids: Sequence[UUID]) -> None:
    """Forget snapshots with their segments."""
    await session.exec(delete(Segment).where(col(Segment.snapshot).in_(ids)))
    await session.exec(delete(Snapshot).where(col(Snapshot.id).in_(ids)))


async def drop_of(session: AsyncSession, scope: str) -> None:
    """Forget every snapshot of a scope: something in them is not to be handed out any more."""
    await drop(session, (await session.exec(select(Snapshot.id).where(Snapshot.scope == scope))).all())


async def drop_unfinished(session: AsyncSession) -> None:
    """Forget segments of builds that were cut off. Builds run one at a time."""
    await fetch(session, _ORPHANS)
