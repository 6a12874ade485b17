"""Every query of the inbox: databases and their chains, batches as they came, what became of operations.

Their scope is one database epoch of one station.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from clinic_net.kernel.arrays import numbers, texts
from clinic_net.kernel.links import Database, fetch
from clinic_net.protocol.sync import Lane

PENDING = "pending"
"""The outcome of an operation that is kept and not applied yet."""


class Told(NamedTuple):
    """What became of an operation."""

    op: int
    outcome: str
    version: int | None
    issues: Sequence[Mapping[str, Any]]


class EpochRow(NamedTuple):
    """A station's database, held until the transaction ends."""

    site: str
    frozen: bool
    parent: UUID | None
    last: Sequence[int]


@dataclass(frozen=True)
class KeptOp:
    """What is kept of an operation besides its text."""

    op: int
    rtype: str
    fid: str
    hash: bytes
    at: datetime


@dataclass(frozen=True)
class Arrival:
    """A batch as it came, its head read. ``seq`` None: it is of form 1, which does not number its batches."""

    site: str
    device: UUID
    db_epoch: UUID
    lane: Lane
    seq: int | None
    form: int
    ops: Sequence[KeptOp]
    digest: bytes
    signature: bytes | None
    coding: str
    raw: bytes
    agent: str
    offset_ms: int


_EPOCH = """
    select site, frozen_at is not null, parent, last from sync_epoch where db_epoch = %(epoch)s for update
"""
_NEW_EPOCH = """
    insert into sync_epoch (db_epoch, site, device, since, last, parent)
    values (%(epoch)s, %(site)s, %(device)s, %(at)s, '{0,0,0,0}', %(parent)s) on conflict do nothing
"""


async def hold_epoch(s: Database, arrival: Arrival, now: datetime, *, parent: UUID | None = None) -> EpochRow:
    """Return the database that a batch is from, new if it is, and hold it: its batches are taken one at a time."""
    given = {"epoch": arrival.db_epoch}
    rows = await fetch(s, _EPOCH, given)
    if not rows:
        await make_epoch(s, arrival.db_epoch, arrival, now, parent=parent)
        rows = await fetch(s, _EPOCH, given)
    return EpochRow(*rows[0])


async def make_epoch(
    s: Database, epoch: UUID, arrival: Arrival, now: datetime, *, parent: UUID | None = None
) -> None:
    """Note a database of the station that sent a batch."""
    given = {
        "epoch": epoch, "site": arrival.site, "device": arrival.device, "at": now, "parent": parent
    }  # fmt: skip
    await fetch(s, _NEW_EPOCH, given)


async def batch_of(s: Database, epoch: UUID, lane: Lane, seq: int) -> tuple[int, bytes] | None:
    """Return the id and digest of the batch of this number, if it is here."""
    rows = await fetch(
        s,
        "select id, digest from sync_batch where db_epoch = %(epoch)s and lane = %(lane)s and seq = %(seq)s",
        {"epoch": epoch, "lane": int(lane), "seq": seq},
    )
    return (rows[0][0], bytes(rows[0][1])) if rows else None


async def hashes_of(s: Database, epoch: UUID, ops: Iterable[int]) -> dict[int, bytes | None]:
    """Return the hashes of those operations that are here already; None for what an older release took."""
    rows = await fetch(
        s,
        "select op, hash from sync_applied_op where db_epoch = %(epoch)s and op = any(cast(%(ops)s as bigint[]))",
        {"epoch": epoch, "ops": numbers(ops)},
    )
    return {op: None if found is None else bytes(found) for op, found in rows}


_KEEP = f"""
    with batch as (
        insert into sync_batch (db_epoch, lane, seq, form, site, device, ops, digest, signature, coding, raw, agent,
            offset_ms, received_at)
        values (%(epoch)s, %(lane)s, %(seq)s, %(form)s, %(site)s, %(device)s, cast(%(ops)s as bigint[]), %(digest)s,
            %(signature)s, %(coding)s, %(raw)s, %(agent)s, %(offset)s, %(at)s)
        returning id),
    chain as (
        update sync_epoch set last[cast(%(place)s as int)] = %(seq)s
        where db_epoch = %(epoch)s and cast(%(seq)s as bigint) is not null),
    kept as (
        insert into sync_applied_op (db_epoch, op, site, rtype, fid, outcome, issues, at, hash, batch, said_at)
        select %(epoch)s, g.op, %(site)s, g.rtype, g.fid, '{PENDING}', '[]', %(at)s, decode(g.hash, 'hex'), batch.id,
            g.said_at
        from batch, unnest(cast(%(ops)s as bigint[]), cast(%(rtypes)s as text[]), cast(%(fids)s as text[]),
            cast(%(hashes)s as text[]), cast(%(said)s as timestamptz[])) as g (op, rtype, fid, hash, said_at)
        on conflict do nothing)
    select id from batch
"""  # noqa: S608 -- only a constant of this module is put in


async def keep(s: Database, arrival: Arrival, now: datetime) -> int:
    """Keep a batch, the next of its chain, and the keys of its operations; return its id.

    Operations that are here already keep what they have.
    """
    ops = arrival.ops
    given = {
        "epoch": arrival.db_epoch,
        "lane": int(arrival.lane),
        "place": int(arrival.lane) + 1,
        "seq": arrival.seq,
        "form": arrival.form,
        "site": arrival.site,
        "device": arrival.device,
        "digest": arrival.digest,
        "signature": arrival.signature,
        "coding": arrival.coding,
        "raw": arrival.raw,
        "agent": arrival.agent,
        "offset": arrival.offset_ms,
        "at": now,
        "ops": numbers([each.op for each in ops]),
        "rtypes": texts([each.rtype for each in ops]),
        "fids": texts([each.fid for each in ops]),
        "hashes": texts([each.hash.hex() for each in ops]),
        "said": texts([each.at.isoformat() for each in ops]),
    }
    return int((await fetch(s, _KEEP, given))[0][0])


_AS_BEFORE = """
    update sync_applied_op o
    set outcome = case p.outcome when 'applied' then 'duplicate' else p.outcome end, version = p.version
    from sync_applied_op p
    where o.db_epoch = %(epoch)s and o.op = any(cast(%(ops)s as bigint[])) and o.outcome = 'pending'
      and p.db_epoch = %(parent)s and p.op = o.op and p.hash = o.hash
      and p.outcome in ('applied', 'duplicate', 'merged')
"""


async def answer_as_before(s: Database, epoch: UUID, parent: UUID, ops: Iterable[int]) -> None:
    """Answer operations that this database did, word for word, before it was told from its copy."""
    await fetch(s, _AS_BEFORE, {"epoch": epoch, "parent": parent, "ops": numbers(ops)})


async def freeze(s: Database, epoch: UUID, now: datetime) -> bool:
    """Freeze an epoch; return whether it was not frozen before."""
    rows = await fetch(
        s,
        "update sync_epoch set frozen_at = %(at)s where db_epoch = %(epoch)s and frozen_at is null returning 1",
        {"epoch": epoch, "at": now},
    )
    return bool(rows)


async def epoch_of_copy(
    s: Database, epoch: UUID, device: UUID, digest: bytes, new: UUID, now: datetime
) -> UUID:
    """Return the epoch under which a copy goes on: ``new``, or the one that it was given before."""
    given = {"epoch": epoch, "device": device, "digest": digest, "new": new, "at": now}
    await fetch(
        s,
        "insert into sync_forked_epoch (db_epoch, device, digest, epoch, at)"
        " values (%(epoch)s, %(device)s, %(digest)s, %(new)s, %(at)s) on conflict do nothing",
        given,
    )
    rows = await fetch(
        s,
        "select epoch from sync_forked_epoch"
        " where db_epoch = %(epoch)s and device = %(device)s and digest = %(digest)s",
        given,
    )
    return UUID(str(rows[0][0]))


async def told(
    s: Database, site: str, epoch: UUID, asks: Sequence[tuple[Lane, int]]
) -> dict[tuple[Lane, int], list[Told]]:
    """Return what became of the operations of a station's batches (lane, number), by batch."""
    rows = await fetch(
        s,
        """select b.lane, b.seq, o.op, o.outcome, o.version, o.issues
           from unnest(cast(%(lanes)s as int[]), cast(%(seqs)s as bigint[])) as g (lane, seq)
           join sync_batch b on b.db_epoch = %(epoch)s and b.lane = g.lane and b.seq = g.seq and b.site = %(site)s
           left join sync_applied_op o on o.db_epoch = b.db_epoch and o.op = any(b.ops)""",
        {
            "site": site,
            "epoch": epoch,
            "lanes": numbers([int(lane) for lane, _ in asks]),
            "seqs": numbers([seq for _, seq in asks]),
        },
    )
    found: dict[tuple[Lane, int], list[Told]] = {}
    for lane, seq, op, *rest in rows:
        here = found.setdefault((Lane(lane), seq), [])
        if op is not None:
            here.append(Told(op, *rest))
    return found


async def told_of(s: Database, epoch: UUID, ops: Iterable[int]) -> list[Told]:
    """Return what became of operations, in their order."""
    rows = await fetch(
        s,
        "select op, outcome, version, issues from sync_applied_op"
        " where db_epoch = %(epoch)s and op = any(cast(%(ops)s as bigint[])) order by op",
        {"epoch": epoch, "ops": numbers(ops)},
    )
    return [Told(*row) for row in rows]
