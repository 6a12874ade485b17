"""Every query about feeds. Their scope is one feed's name."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.kernel.arrays import numbers, texts
from clinic_net.kernel.links import fetch
from clinic_net.protocol.sync import Sum, sums

PUT, DELETE, OUT, PURGE = "put", "delete", "out", "purge"


@dataclass(frozen=True)
class Change:
    """A resource at a version, on its way into a scope's feed, or out of it."""

    kind: str
    rtype: str
    fid: str
    version: int


class Entry(NamedTuple):
    """A row of a feed."""

    scope: str
    seq: int
    kind: str
    rtype: str
    fid: str
    version: int


class At(NamedTuple):
    """What a scope is at."""

    last_seq: int
    held: int
    total: int

    @property
    def sum(self) -> Sum:
        """As the wire has it."""
        return Sum(count=self.held, sum=sums.spelled(self.total))


NOTHING = At(0, 0, 0)

_OPEN = text(
    "insert into sync_scope_head (scope, last_seq, held, total)"
    " select scope, 0, 0, 0 from unnest(cast(:scopes as text[])) as g (scope) order by scope on conflict do nothing"
)
_HOLD = text(
    "select scope from sync_scope_head where scope = any(cast(:scopes as text[])) order by scope for update"
)

_APPEND = text(
    """
    with given as (
        select * from unnest(
            cast(:places as int[]), cast(:scopes as text[]), cast(:kinds as text[]), cast(:rtypes as text[]),
            cast(:fids as text[]), cast(:versions as int[]), cast(:shares as bigint[]), cast(:bins as smallint[])
        ) as g (place, scope, kind, rtype, fid, version, share, bin)),
    news as materialized (
        select g.*, coalesce(f.share, 0) as former, coalesce((f.kind = 'put')::int, 0) as was_held,
            row_number() over (partition by g.scope order by g.place) as step
        from given g left join sync_feed f on f.scope = g.scope and f.rtype = g.rtype and f.fid = g.fid
        where case
            when f.scope is null then true
            when g.kind = 'purge' then true
            when g.kind = 'out' then f.kind = 'put'
            when f.kind = 'out' then g.version >= f.version
            when f.kind = 'purge' then true
            else g.version > f.version
        end),
    kept as (
        insert into sync_feed (scope, rtype, fid, seq, kind, version, share, bin)
        select n.scope, n.rtype, n.fid, h.last_seq + n.step, n.kind, n.version, n.share, n.bin
        from news n join sync_scope_head h on h.scope = n.scope
        on conflict (scope, rtype, fid) do update set
            seq = excluded.seq, kind = excluded.kind, version = excluded.version, share = excluded.share)
    update sync_scope_head h set
        last_seq = h.last_seq + d.steps,
        held = h.held + d.held,
        total = mod(mod(h.total + d.total, 18446744073709551616) + 18446744073709551616, 18446744073709551616)
    from (
        select scope, count(*) as steps, sum((kind = 'put')::int - was_held) as held,
            sum(share::numeric - former::numeric) as total
        from news group by scope) d
    where h.scope = d.scope
    returning h.scope, d.steps
    """
)

_AFTER = text(
    """
    select g.scope, coalesce(h.last_seq, 0), coalesce(h.held, 0), coalesce(h.total, 0),
        f.seq, f.kind, f.rtype, f.fid, f.version
    from unnest(cast(:places as int[]), cast(:scopes as text[]), cast(:cursors as bigint[])) as g (place, scope, cursor)
    left join sync_scope_head h on h.scope = g.scope
    left join lateral (
        select * from sync_feed f where f.scope = g.scope and f.seq > g.cursor order by f.seq limit :most) f on true
    order by g.place, f.seq
    """
)

_BINS = text(
    """
    select coalesce(h.last_seq, 0), b.bin, count(f.bin), coalesce(sum(f.share::numeric), 0)
    from generate_series(0, 255) as b (bin)
    left join sync_scope_head h on h.scope = :scope
    left join sync_feed f on f.scope = :scope and f.bin = b.bin and f.kind = 'put'
    group by h.last_seq, b.bin order by b.bin
    """
)

_IN_BINS = text(
    """
    select scope, seq, kind, rtype, fid, version from sync_feed
    where scope = :scope and kind = 'put' and bin = any(cast(:bins as smallint[]))
        and (rtype || '/' || fid) collate "C" > :after
    order by (rtype || '/' || fid) collate "C" limit :most
    """
)

_BEHIND = text(
    "select count(*) from (select from sync_feed where scope = :scope and seq > :cursor and kind = 'put' limit :most) f"
)


async def hold(session: AsyncSession, scopes: Collection[str]) -> None:
    """Lock the heads of these scopes to the end of the transaction, in one order for everybody."""
    given = {"scopes": texts(sorted(scopes))}
    await fetch(session, _OPEN, given)
    await fetch(session, _HOLD, given)


async def append(session: AsyncSession, changes: Mapping[str, Sequence[Change]]) -> dict[str, int]:
    """Put what is new into feeds, by scope; return by how many entries each scope has grown.

    A resource's row moves to the end of its feed. What a feed already says is passed over: an older version than it
    holds, and ``out`` of what it does not hold. The heads' rows are locked to the end of the transaction: call this
    last.
    """
    rows = [(scope, change) for scope, each in sorted(changes.items()) for change in _last(each)]
    if not rows:
        return {}
    await hold(session, {scope for scope, _ in rows})
    given = {
        "places": numbers(range(len(rows))),
        "scopes": texts([scope for scope, _ in rows]),
        "kinds": texts([change.kind for _, change in rows]),
        "rtypes": texts([change.rtype for _, change in rows]),
        "fids": texts([change.fid for _, change in rows]),
        "versions": numbers([change.version for _, change in rows]),
        "shares": numbers([_share(change) for _, change in rows]),
        "bins": numbers([sums.bin_of(change.rtype, change.fid) for _, change in rows]),
    }
    return {scope: int(steps) for scope, steps in await fetch(session, _APPEND, given)}


def _last(changes: Sequence[Change]) -> Sequence[Change]:
    """Return one change a resource: the last that counts."""
    found: dict[tuple[str, str], Change] = {}
    for change in changes:
        key = (change.rtype, change.fid)
        before = found.get(key)
        if before is None or change.version >= before.version:
            found.pop(key, None)  # to the end of the order
            found[key] = change
    return tuple(found.values())


def _share(change: Change) -> int:
    if change.kind != PUT:
        return 0
    share = sums.of_version(change.rtype, change.fid, change.version)
    return share - sums.MODULUS if share >= sums.MODULUS // 2 else share


async def after(
    session: AsyncSession, cursors: Mapping[str, int], most: int
) -> dict[str, tuple[At, list[Entry]]]:
    """Return, as of one moment, what each scope is at and up to ``most`` of its entries after its cursor, in order."""
    given = {
        "places": numbers(range(len(cursors))),
        "scopes": texts(cursors),
        "cursors": numbers(cursors.values()),
        "most": most,
    }
    found: dict[str, tuple[At, list[Entry]]] = {}
    for scope, last_seq, held, total, seq, kind, rtype, fid, version in await fetch(session, _AFTER, given):
        _, entries = found.setdefault(scope, (At(int(last_seq), int(held), int(total)), []))
        if seq is not None:
            entries.append(Entry(scope, seq, kind, rtype, fid, version))
    return found


async def bins(session: AsyncSession, scope: str) -> tuple[int, list[Sum]]:
    """Return a scope's last number and the sums of its 256 bins, as of one moment."""
    rows = await fetch(session, _BINS, {"scope": scope})
    found = [Sum(count=int(count), sum=sums.spelled(int(total))) for _, _, count, total in rows]
    return int(rows[0][0]), found


async def in_bins(
    session: AsyncSession, scope: str, wanted: Collection[int], *, after: str, most: int
) -> list[Entry]:
    """Return what a scope holds in these bins, by ``Type/id``, behind ``after``."""
    given = {"scope": scope, "bins": numbers(sorted(wanted)), "after": after, "most": most}
    return [Entry(*row) for row in await fetch(session, _IN_BINS, given)]


async def behind(session: AsyncSession, scope: str, cursor: int, *, most: int) -> int:
    """Return how many resources a cursor lacks, counted up to ``most``."""
    rows = await fetch(session, _BEHIND, {"scope": scope, "cursor": cursor, "most": most})
    return int(rows[0][0])
