"""Verification: the chain from its beginning, each event against its seal, the roots against every checkpoint.

It reads in portions and keeps a few hashes, so that its memory does not grow with the trail.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from clinic_net.audit import tree
from clinic_net.audit.canonical import FIELDS, GENESIS, chained
from clinic_net.audit.merkle import Growing, whole_subtrees
from clinic_net.audit.notes import Note

PORTION = 5_000

Say = Callable[[int, int], None]
"""Told how many of how many events have been verified."""

_COLUMNS = ", ".join(FIELDS)
_CUT = text("select seq, hash, before from audit_cut order by seq desc limit 1")
_BOUNDS = text("""
    select min(seq) as first, max(seq) as last from audit_seal
    where (cast(:since as timestamptz) is null or at >= cast(:since as timestamptz))
    and (cast(:until as timestamptz) is null or at < cast(:until as timestamptz))
""")
_HASH = text("select hash from audit_seal where seq = :seq")
_SEALS = text("""
    select seq, event, at, hash from audit_seal where seq > :after and seq <= :last order by seq limit :portion
""")
_EVENTS = text(f"""
    select {_COLUMNS} from audit_event where id = any(cast(:ids as uuid[])) and at >= :first and at <= :last
""")  # noqa: S608 -- only constants of this module are put together
_EVENT_ANYWHERE = text("select at from audit_event where id = cast(:id as uuid)")
_CHECKPOINTS = text(
    "select size, root from audit_checkpoint where size > :after order by size limit :portion"
)
_NEWEST = text("select max(size) from audit_checkpoint")
_PROGRESS = text("select xact, event from audit_progress where id = 1")
_UNSEALED = text("""
    select e.xact, e.id, s.seq from audit_event e left join audit_seal s on s.event = e.id
    where (e.xact, e.id) > (:xact, cast(:event as uuid)) and (e.xact, e.id) <= (:to_xact, cast(:to_event as uuid))
    and (cast(:kept_from as timestamptz) is null or e.at >= cast(:kept_from as timestamptz))
    and (cast(:since as timestamptz) is null or e.at >= cast(:since as timestamptz))
    and (cast(:until as timestamptz) is null or e.at < cast(:until as timestamptz))
    order by e.xact, e.id limit :portion
""")


@dataclass(frozen=True)
class Verdict:
    """What was found. ``problem`` names the first thing that is wrong, ``seq`` and ``event`` where.

    ``removed``, ``changed``, ``reordered``, ``gap``, ``inserted``: of an event. ``tail-cut``: the chain is shorter than
    a checkpoint says. ``root-differs``, ``two-roots``: a checkpoint of size ``seq`` has another root than the chain, or
    than another checkpoint.
    """

    verified: int = 0
    size: int = 0
    checkpoints: int = 0
    begins_after: int = 0
    problem: str | None = None
    seq: int | None = None
    event: UUID | None = None

    @property
    def facts(self) -> dict[str, object]:
        return {"ok": self.problem is None, **asdict(self)}


@dataclass(frozen=True)
class Wanted:
    """What to verify: everything, or what was done from ``since`` until before ``until``; all of it against an outside
    checkpoint, if one is given."""

    since: datetime | None = None
    until: datetime | None = None
    outside: Note | None = None

    @property
    def is_whole(self) -> bool:
        return self.since is None and self.until is None

    @property
    def bounds(self) -> dict[str, datetime | None]:
        return {"since": self.since, "until": self.until}


class _Broken(Exception):
    def __init__(self, problem: str, seq: int | None, event: UUID | None = None) -> None:
        super().__init__(problem)
        self.problem, self.seq, self.event = problem, seq, event


@dataclass
class _Walk:
    """Where a verification is: the hash before the next event, the tree so far, and what retention has taken."""

    after: int
    last: int
    before: bytes
    forgotten_before: date | None
    growing: Growing | None = None
    due: dict[int, bytes] = field(default_factory=dict)
    """Checkpoints of sizes to come, with their roots."""
    read_to: int = 0
    checked: int = 0


async def verify(engine: AsyncEngine, wanted: Wanted, say: Say = lambda done, of: None) -> Verdict:
    """Verify the trail and return the first thing that is wrong with it, if anything is.

    With a part of the trail only the chain within it is verified, not the roots.
    """
    async with engine.connect() as connection:
        try:
            walk = await _begin(connection, wanted)
        except tree.BrokenTree:
            return Verdict(problem="root-differs")
        first = walk.after
        found = Verdict(size=walk.last, begins_after=first)
        problem: _Broken | None = None
        try:
            async for _ in _walk(connection, walk, wanted):
                say(walk.after - first, walk.last - first)
            await _demand_no_tail_cut(connection, walk, wanted)
            await _demand_none_inserted(connection, walk, wanted)
        except _Broken as broken:
            problem = broken
        found = replace(found, verified=walk.after - first, checkpoints=walk.checked)
        if problem is None:
            return found
        return replace(found, problem=problem.problem, seq=problem.seq, event=problem.event)


async def _begin(connection: AsyncConnection, wanted: Wanted) -> _Walk:
    cut = (await connection.execute(_CUT)).one_or_none()
    start, before, forgotten = (0, GENESIS, None) if cut is None else (cut.seq, bytes(cut.hash), cut.before)
    bounds = (await connection.execute(_BOUNDS, wanted.bounds)).one()
    last = bounds.last or start
    walk = _Walk(start, last, before, forgotten)
    if wanted.is_whole:
        roots = [
            (height, await tree.subtree(connection, height, place))
            for height, place in whole_subtrees(0, start)
        ]
        walk.growing = Growing(roots)
        walk.read_to = start
    elif bounds.first is not None and bounds.first > start + 1:
        walk.after = bounds.first - 1
        known = (await connection.execute(_HASH, {"seq": walk.after})).scalar_one_or_none()
        if known is None:
            walk.after -= 1  # where a seal is missing: the walk will say so
        else:
            walk.before = bytes(known)
    return walk


async def _walk(connection: AsyncConnection, walk: _Walk, wanted: Wanted) -> AsyncIterator[None]:
    while walk.after < walk.last:
        asked = {"after": walk.after, "last": walk.last, "portion": PORTION}
        seals = (await connection.execute(_SEALS, asked)).all()
        events = await _events_of(connection, seals)
        if not seals:
            raise _Broken("gap", walk.after + 1)
        if walk.growing is not None:
            await _read_checkpoints(connection, walk)
        for seal in seals:
            if seal.seq != walk.after + 1:
                raise _Broken("gap", walk.after + 1)
            await _demand_sealed(connection, walk, seal, events)
            walk.before, walk.after = bytes(seal.hash), seal.seq
            _grow(walk, wanted.outside)
        await connection.rollback()  # no snapshot is held from one portion to the next
        yield


async def _events_of(connection: AsyncConnection, seals: Sequence[Any]) -> dict[UUID, Sequence[Any]]:
    if not seals:
        return {}
    times = [seal.at for seal in seals]
    asked = {"ids": [str(seal.event) for seal in seals], "first": min(times), "last": max(times)}
    return {row.id: row for row in (await connection.execute(_EVENTS, asked)).all()}


async def _demand_sealed(
    connection: AsyncConnection, walk: _Walk, seal: Any, events: Mapping[UUID, Sequence[Any]]
) -> None:
    """Refuse an event that is not what was sealed.

    Raises:
        _Broken: it is gone, another one, or in another's place.
    """
    event = events.get(seal.event)
    if event is None:
        known = (await connection.execute(_EVENT_ANYWHERE, {"id": str(seal.event)})).first()
        if known is not None:
            raise _Broken("changed", seal.seq, seal.event)
        if walk.forgotten_before is not None and seal.at.date() < walk.forgotten_before:
            return  # of a month that retention dropped; its seal stands beside younger ones
        raise _Broken("removed", seal.seq, seal.event)
    sealed = bytes(seal.hash)
    if chained(walk.before, event) == sealed:
        return
    if any(chained(walk.before, other) == sealed for other in events.values()):
        raise _Broken("reordered", seal.seq, seal.event)
    raise _Broken("changed", seal.seq, seal.event)


async def _read_checkpoints(connection: AsyncConnection, walk: _Walk) -> None:
    """Read the checkpoints of the next sizes, when those read before have been passed."""
    if walk.due or walk.read_to > walk.after:
        return
    rows = (await connection.execute(_CHECKPOINTS, {"after": walk.read_to, "portion": PORTION})).all()
    walk.due = {row.size: bytes(row.root) for row in rows}
    walk.read_to = rows[-1].size if rows else walk.last


def _grow(walk: _Walk, outside: Note | None) -> None:
    growing = walk.growing
    if growing is None:
        return
    growing.add(walk.before)
    expected = {walk.due.pop(growing.size)} if growing.size in walk.due else set()
    if outside is not None and outside.size == growing.size:
        expected.add(outside.root)
    if len(expected) > 1:
        raise _Broken("two-roots", growing.size)
    walk.checked += len(expected)
    if expected - {growing.root}:
        raise _Broken("root-differs", growing.size)


async def _demand_no_tail_cut(connection: AsyncConnection, walk: _Walk, wanted: Wanted) -> None:
    if not wanted.is_whole:
        return
    newest = (await connection.execute(_NEWEST)).scalar_one() or 0
    outside = 0 if wanted.outside is None else wanted.outside.size
    if max(newest, outside) > walk.last:
        raise _Broken("tail-cut", walk.last + 1)


async def _demand_none_inserted(connection: AsyncConnection, walk: _Walk, wanted: Wanted) -> None:
    """Refuse an event that the sealer has passed and never seen.

    Raises:
        _Broken
    """
    progress = (await connection.execute(_PROGRESS)).one_or_none()
    if progress is None:
        return
    xact, event = -1, UUID(int=0)
    while True:
        asked = {
            "xact": xact,
            "event": event,
            "to_xact": progress.xact,
            "to_event": progress.event,
            "portion": PORTION,
            "kept_from": walk.forgotten_before,
            **wanted.bounds,
        }
        rows = (await connection.execute(_UNSEALED, asked)).all()
        await connection.rollback()
        for row in rows:
            if row.seq is None:
                raise _Broken("inserted", None, row.id)
        if len(rows) < PORTION:
            return
        xact, event = rows[-1].xact, rows[-1].id
