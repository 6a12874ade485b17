"""Batches as they left: numbered within their lane, kept byte for byte until the hub has answered, and a while longer.

The number, the signature and the bytes are made in one transaction with the note that their operations leave. Whatever
happens then, the same batch goes again; a hub that was restored from a backup gets it once more.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from clinic_net.protocol.sync import (
    MAX_PUSH_BYTES,
    BatchAnswer,
    Lane,
    OpHead,
    OpResult,
    Outcome,
    PushHead,
    codec,
    frames,
)
from station_agent.ids import new_id
from station_agent.store import departures, outbox, settings
from station_agent.store.database import Tx

KEEP = timedelta(days=30)
"""How long a settled batch is kept for a hub that was restored from a backup; a day's work is about 30 kB."""
KEEP_BYTES = 64 * 1024 * 1024
"""How much settled batches may take at most; the oldest go first."""
ASK_DEFERRED_EVERY = timedelta(minutes=10)
MAX_ASKS = 100
LEVEL = 19
"""Of the compression: 64 bytes a record in batches of 50 instead of 71 at level 9, for 20 ms a batch (measured)."""

Sign = Callable[[bytes], str]
"""Returns the device's signature (base64url of r ‖ s) of a stream."""


@dataclass(frozen=True)
class Batch:
    """One batch: ``body`` is the stream compressed with ``coding``, ``ops`` the numbers of its operations."""

    id: int
    epoch: str
    lane: Lane
    seq: int
    body: bytes
    coding: str
    signature: str
    ops: tuple[int, ...]


@dataclass(frozen=True)
class Limit:
    """How large a batch may be: operations, bytes of text, bytes on the wire."""

    ops: int
    text: int
    wire: int


OVERHEAD = 400
"""Bytes of a request's and its answer's headers, about."""
RATIO = 8
"""By what the texts of a batch shrink, at least, about."""


@dataclass(frozen=True)
class Maker:
    """Who makes batches: ``sign`` knows the device's key, ``offset_ms`` leads from this clock to the hub's."""

    station: str
    agent: str
    sign: Sign
    offset_ms: int = 0


def open_in(tx: Tx, lane: Lane) -> Batch | None:
    """Return the oldest batch of a lane that has no answer, or None."""
    row = tx.execute(
        "select * from batch where lane = ? and state = 'made' order by id limit 1", (int(lane),)
    ).fetchone()
    return None if row is None else _batch(tx, row)


def next_of(tx: Tx, lane: Lane, maker: Maker, limit: Limit, *, now: datetime) -> Batch | None:
    """Return the batch of a lane that has to go now: the one without an answer, or a new one; None when nothing waits.

    An urgent operation about a record whose former change left in another lane and was not answered waits for that:
    then that lane's batch is what has to go.
    """
    found = open_in(tx, lane)
    if found is not None:
        return found
    ops = departures.next_ops(tx, lane, max_ops=1 if apart(tx, lane) else limit.ops, max_bytes=limit.text)
    if ops:
        return make(tx, lane, _fitting(ops, limit), maker, now=now)
    before = departures.blocked_by(tx, lane)
    return None if before is None else open_in(tx, before)


def size_of_next(tx: Tx, lane: Lane, limit: Limit) -> int:
    """Return about how many bytes the next batch of a lane has on the wire; 0 when nothing of it can go."""
    row = tx.execute(
        "select length(body) from batch where lane = ? and state = 'made' order by id limit 1", (int(lane),)
    ).fetchone()
    if row is not None:
        return int(row[0]) + OVERHEAD
    size = departures.size_of_next(tx, lane, max_ops=limit.ops, max_bytes=limit.text)
    if size:
        return size // RATIO + OVERHEAD
    before = departures.blocked_by(tx, lane)
    return 0 if before is None else size_of_next(tx, before, limit)


def _fitting(ops: list[tuple[OpHead, bytes]], limit: Limit) -> list[tuple[OpHead, bytes]]:
    """Return as many of the operations as fit into a frame once they are compressed; at least one."""
    while len(ops) > 1:
        stream = b"".join(text for _, text in ops)
        if len(codec.compress(stream, codec.newest(), level=3)[0]) <= limit.wire:
            break
        ops = ops[: len(ops) // 2]
    return ops


def sign_anew(tx: Tx) -> None:
    """Forget the signatures of all batches: the device has a new key, by which each is signed when it goes again."""
    tx.execute("update batch set signature = ''")


def make(tx: Tx, lane: Lane, ops: Sequence[tuple[OpHead, bytes]], maker: Maker, *, now: datetime) -> Batch:
    """Number, sign and keep a batch of operations; an empty one asks whether the hub reads this station at all."""
    epoch = settings.get(tx, "db_epoch") or ""
    seq = int(settings.get(tx, _counter(epoch, lane)) or 1)
    settings.put(tx, _counter(epoch, lane), str(seq + 1))
    head = PushHead(
        station=maker.station, db_epoch=UUID(epoch), lane=lane, seq=seq, count=len(ops), agent=maker.agent,
        offset_ms=maker.offset_ms,
    )  # fmt: skip
    stream = frames.write(head, ops)
    body, coding = codec.compress(stream, codec.newest(), level=LEVEL)
    made = tx.execute(
        "insert into batch (epoch, lane, seq, body, coding, signature, made_at) values (?, ?, ?, ?, ?, ?, ?)",
        (epoch, int(lane), seq, body, coding, maker.sign(stream), now.isoformat()),
    ).lastrowid
    departures.leave(tx, [op.op for op, _ in ops], int(made or 0))
    row = tx.execute("select * from batch where id = ?", (made,)).fetchone()
    return _batch(tx, row)


def dissolve(tx: Tx, batch: Batch, *, apart: bool) -> None:
    """Take back a batch that the hub could not read and did not store: its number and its operations are free again.

    With ``apart`` its operations go one by one from now on, so that the bad one is found.
    """
    departures.take_back(tx, batch.id)
    if int(settings.get(tx, _counter(batch.epoch, batch.lane)) or 1) == batch.seq + 1:
        tx.execute("delete from batch where id = ?", (batch.id,))
        settings.put(tx, _counter(batch.epoch, batch.lane), str(batch.seq))
    else:  # later ones have their numbers already: this one goes empty
        _rewrite(tx, batch.id, batch.body, batch.coding, set(batch.ops))
    if apart:
        settings.put(tx, f"apart_until:{int(batch.lane)}", str(max(batch.ops, default=0)))


def apart(tx: Tx, lane: Lane) -> bool:
    """Whether the operations of a lane go one by one: a batch of them could not be read."""
    until = int(settings.get(tx, f"apart_until:{int(lane)}") or 0)
    first = tx.execute(
        "select min(op) from outbox where lane = ? and leg = 'waiting'", (int(lane),)
    ).fetchone()[0]
    return first is not None and first <= until


def taken(tx: Tx, answer: BatchAnswer, epoch: str, now: datetime) -> list[outbox.Settled]:
    """Take the hub's word on a batch, in one transaction: it is durable there, and what is said of its operations.

    Words about operations that are not of this batch, or about a batch that never left, change nothing.
    """
    row = tx.execute(
        "select * from batch where epoch = ? and lane = ? and seq = ?", (epoch, int(answer.lane), answer.seq)
    ).fetchone()
    if row is None or row["state"] == "settled":
        return []
    ops = {found[0] for found in tx.execute("select op from outbox where batch = ?", (row["id"],))}
    results = [result for result in _results(answer) if result.op in ops]
    told = outbox.answered(tx, results, now)
    left = tx.execute(
        "select count(*) from outbox where batch = ? and leg = 'sent'", (row["id"],)
    ).fetchone()[0]
    if left:
        tx.execute(
            "update batch set state = 'taken', asked_at = ? where id = ?", (now.isoformat(), row["id"])
        )
    else:
        tx.execute(
            "update batch set state = 'settled', settled_at = ? where id = ?", (now.isoformat(), row["id"])
        )
    return told


def _results(answer: BatchAnswer) -> Iterable[OpResult]:
    for first, count, version in answer.runs:
        for op in range(first, first + min(count, 100_000)):
            yield OpResult(op=op, outcome=Outcome.APPLIED, version=version)
    yield from answer.others


def asks(tx: Tx, now: datetime) -> tuple[tuple[Lane, int], ...]:
    """Return the batches to ask about: those the hub still works on at once, those that wait there for something else
    every ten minutes; the longest unasked first."""
    before = (now - ASK_DEFERRED_EVERY).isoformat()
    rows = tx.execute(
        """select b.lane, b.seq from batch b where b.state = 'taken' and b.epoch = (
               select value from setting where key = 'db_epoch')
             and (b.asked_at < ? or exists (
               select 1 from outbox o where o.batch = b.id and o.leg = 'sent' and o.outcome is null))
           order by b.asked_at, b.id limit ?""",
        (before, MAX_ASKS),
    )
    return tuple((Lane(row["lane"]), row["seq"]) for row in rows)


def behind(tx: Tx, lane: Lane, expected: int, now: datetime) -> bool:
    """Send again everything of a lane from a number on; whether this is possible.

    When what the hub lacks is no longer kept, the database takes a new name: its batches begin again at 1, and what
    the hub lacks is found by its sums.
    """
    epoch = settings.get(tx, "db_epoch") or ""
    settings.put(tx, "hub_restored", "1")
    first = tx.execute(
        "select min(seq), max(seq) from batch where epoch = ? and lane = ?", (epoch, int(lane))
    ).fetchone()
    whole = first[0] is not None and first[0] <= expected <= first[1]
    if not whole:
        adopt(tx, new_id(now))
        return False
    tx.execute(
        """update batch set state = 'made', settled_at = null
           where epoch = ? and lane = ? and seq >= ?""",
        (epoch, int(lane), expected),
    )
    return True


def adopt(tx: Tx, epoch: str) -> int:
    """Go on under another name: what is not settled is queued again, the numbers of batches begin at 1.

    Return how many operations that is.
    """
    open_ones = tx.execute("select id from batch where state <> 'settled'").fetchall()
    moved = sum(departures.take_back(tx, row["id"]) for row in open_ones)
    tx.execute("delete from batch where state <> 'settled'")
    settings.put(tx, "db_epoch", epoch)
    return moved


def forget_patient(tx: Tx, ops: set[int]) -> None:
    """Take some settled operations out of the batches that are kept: their texts are to be erased."""
    for row in tx.execute(
        f"select distinct batch from outbox where batch is not null and op in ({','.join('?' * len(ops))})",  # noqa: S608
        sorted(ops),
    ).fetchall():
        kept = tx.execute("select * from batch where id = ?", (row["batch"],)).fetchone()
        if kept is not None:
            _rewrite(tx, kept["id"], kept["body"], kept["coding"], ops)


def _rewrite(tx: Tx, number: int, body: bytes, coding: str, ops: set[int]) -> None:
    stream = codec.decompress(body, coding, limit=2 * MAX_PUSH_BYTES)
    head, start = frames.first_of(stream, PushHead)
    rest = [
        (op, text) for op, text in frames.frames_of(stream, start, OpHead, head.count) if op.op not in ops
    ]
    stream = frames.write(head.model_copy(update={"count": len(rest)}), rest)
    body, coding = codec.compress(stream, codec.newest())
    # Without a signature: it is made when the batch has to go again.
    tx.execute("update batch set body = ?, coding = ?, signature = '' where id = ?", (body, coding, number))


def stream_of(batch: Batch) -> bytes:
    """Return the frames of a batch, not compressed."""
    return codec.decompress(batch.body, batch.coding, limit=2 * MAX_PUSH_BYTES)


def prune(tx: Tx, now: datetime) -> int:
    """Forget batches that were settled long ago, and the oldest beyond what they may take. Return how many."""
    gone = tx.execute(
        "delete from batch where state = 'settled' and settled_at < ?", ((now - KEEP).isoformat(),)
    ).rowcount
    size = tx.execute("select ifnull(sum(length(body)), 0) from batch").fetchone()[0]
    for row in tx.execute(
        "select id, length(body) from batch where state = 'settled' order by id"
    ).fetchall():
        if size <= KEEP_BYTES:
            break
        tx.execute("delete from batch where id = ?", (row[0],))
        size, gone = size - row[1], gone + 1
    return gone


def _counter(epoch: str, lane: Lane) -> str:
    return f"next_batch:{epoch}:{int(lane)}"


def _batch(tx: Tx, row: Any) -> Batch:
    found = tx.execute("select op from outbox where batch = ? order by op", (row["id"],))
    return Batch(
        row["id"], row["epoch"], Lane(row["lane"]), row["seq"], row["body"], row["coding"], row["signature"],
        tuple(each[0] for each in found),
    )  # fmt: skip
