"""What waits for the hub. An operation is made in the transaction that stores the record, and numbered there.

``leg`` is where it is: waiting → sent (not settled yet) → applied, conflict or quarantined; superseded when a later
version of the same record was taken instead of a refused one. ``batch`` is the batch it left in (``batches``).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clinic_net.protocol.sync import Lane, Op, OpIssue, OpResult, Outcome
from station_agent.store import calls, reviews
from station_agent.store.database import Tx

_STORED = (Outcome.APPLIED, Outcome.DUPLICATE, Outcome.MERGED)

UNSENT = "('waiting', 'sent')"
OPEN = "('waiting', 'sent', 'conflict', 'quarantined')"


@dataclass(frozen=True)
class Draft:
    """An operation before it has its number."""

    tx: int
    lane: Lane
    rtype: str
    id: str
    base: int | None
    at: str
    by: str
    text: str
    patient: str | None = None


@dataclass(frozen=True)
class Waiting:
    """An operation as the page of what waits shows it."""

    op: int
    lane: int
    rtype: str
    id: str
    at: str
    leg: str
    attempts: int
    issues: tuple[dict[str, str], ...]
    patient: str | None


@dataclass(frozen=True)
class Counts:
    """How much waits: a lane, refused, in conflict; when the oldest waiting one was made."""

    waiting: dict[int, int]
    refused: int
    conflicts: int
    oldest: str | None

    @property
    def total(self) -> int:
        return sum(self.waiting.values())


def queue(tx: Tx, draft: Draft) -> int:
    """Append an operation and return its number. An earlier one of the same record never stays behind it."""
    made = tx.execute(
        """insert into outbox (tx, lane, kind, rtype, id, base, at, by, text, patient)
           values (?, ?, 'put', ?, ?, ?, ?, ?, ?, ?)""",
        (
            draft.tx,
            int(draft.lane),
            draft.rtype,
            draft.id,
            draft.base,
            draft.at,
            draft.by,
            draft.text,
            draft.patient,
        ),
    )
    promote(tx, [(draft.rtype, draft.id)], draft.lane)
    return int(made.lastrowid or 0)


def promote(tx: Tx, records: Iterable[tuple[str, str]], lane: Lane) -> int:
    """Move the unsent operations of some records into a faster lane; their order stays. Return how many moved."""
    moved = 0
    for rtype, rid in records:
        moved += tx.execute(
            f"update outbox set lane = ?1 where rtype = ?2 and id = ?3 and lane > ?1 and leg in {UNSENT}",  # noqa: S608
            (int(lane), rtype, rid),
        ).rowcount
    return moved


def next_batch(tx: Tx, *, max_ops: int, max_bytes: int) -> tuple[Lane, tuple[Op, ...]] | None:
    """Return the fastest lane that has something, and its next operations in order; None when nothing waits.

    At least one operation, then as many as fit; one per record, because the next needs the version the hub will give.
    What no message can carry is refused here, so that what is behind it still goes.
    """
    rows = _next(tx, max_ops)
    while unspeakable := [row for row in rows if not _speakable(row)]:
        for row in unspeakable:
            refuse(tx, row)
        rows = _next(tx, max_ops)
    if not rows:
        return None
    lane, size, seen, ops = rows[0]["lane"], 0, set[tuple[str, str]](), list[Op]()
    for row in rows:
        size += len(row["text"].encode())
        if row["lane"] != lane or (ops and size > max_bytes):
            break
        if (row["rtype"], row["id"]) not in seen:
            seen.add((row["rtype"], row["id"]))
            ops.append(_op(row))
    return Lane(lane), tuple(ops)


def _op(row: Any) -> Op:
    return Op(
        op=row["op"], type=row["rtype"], id=row["id"], base=row["base"],
        at=datetime.fromisoformat(row["at"]), by=row["by"], body=row["text"],
    )  # fmt: skip


def _next(tx: Tx, limit: int) -> list[Any]:
    return tx.execute(
        f"select * from outbox where leg in {UNSENT} order by lane, op limit ?",  # noqa: S608 a constant
        (limit,),
    ).fetchall()


def _speakable(row: Any) -> bool:
    """Whether an operation has the form that the protocol demands of every one."""
    try:
        _op(row)
    except ValueError:
        return False
    return True


def refuse(tx: Tx, row: Any) -> None:
    """Keep an operation here that no message can carry, and show it."""
    issue = OpIssue(
        code="structure", expression=row["rtype"], diagnostics="no message can carry this operation"
    )
    tx.execute(
        "update outbox set leg = 'quarantined', issues = ? where op = ?",
        (json.dumps([issue.model_dump()]), row["op"]),
    )
    tx.execute("update resource set state = 'refused' where rtype = ? and id = ?", (row["rtype"], row["id"]))


def mark_sent(tx: Tx, ops: Sequence[int]) -> None:
    """Note that these leave now: from here on the hub may have them."""
    tx.executemany(
        "update outbox set leg = 'sent', attempts = attempts + 1 where op = ?", [(op,) for op in ops]
    )


@dataclass(frozen=True)
class Settled:
    """What the hub said of one operation now."""

    op: int
    rtype: str
    id: str
    outcome: Outcome


def answered(tx: Tx, results: Iterable[OpResult], now: datetime) -> list[Settled]:
    """Take the hub's word on each operation, in one transaction. Answers to what is no longer unsent are ignored."""
    told = []
    for result in results:
        row = tx.execute(
            f"select rtype, id from outbox where op = ? and leg in {UNSENT}",  # noqa: S608 a constant
            (result.op,),
        ).fetchone()
        if row is not None:
            _take(tx, result, (row["rtype"], row["id"]), now)
            if row["rtype"] == "ServiceRequest" and result.outcome in _STORED:
                calls.received(tx, row["id"])
            told.append(Settled(result.op, row["rtype"], row["id"], result.outcome))
    return told


def _take(tx: Tx, result: OpResult, record: tuple[str, str], now: datetime) -> None:
    if result.outcome in _STORED:
        _applied(tx, result, record, now)
        return
    issues = json.dumps([issue.model_dump() for issue in result.issues])
    if result.outcome is Outcome.DEFERRED:
        tx.execute("update outbox set outcome = 'deferred', issues = ? where op = ?", (issues, result.op))
        return
    leg, state = (
        ("conflict", "conflict") if result.outcome is Outcome.CONFLICT else ("quarantined", "refused")
    )
    tx.execute(
        "update outbox set leg = ?, outcome = null, issues = ?, answered_at = ? where op = ?",
        (leg, issues, now.isoformat(), result.op),
    )
    tx.execute("update resource set state = ? where rtype = ? and id = ?", (state, *record))


def _applied(tx: Tx, result: OpResult, record: tuple[str, str], now: datetime) -> None:
    tx.execute(
        "update outbox set leg = 'applied', text = '', issues = null, outcome = ?, answered_at = ? where op = ?",
        (result.outcome.value, now.isoformat(), result.op),
    )
    tx.execute(
        """update outbox set leg = 'superseded', answered_at = ?
           where rtype = ? and id = ? and op < ? and leg in ('conflict', 'quarantined')""",
        (now.isoformat(), *record, result.op),
    )
    more = tx.execute(
        f"select 1 from outbox where rtype = ? and id = ? and leg in {UNSENT}",  # noqa: S608 a constant
        record,
    ).fetchone()
    # A merged version holds what this station has not seen: until it comes down, the base is still the one before.
    version = None if result.outcome is Outcome.MERGED else result.version
    if version is not None:
        # The next change of the same record was made from what the hub now holds.
        tx.execute(
            f"update outbox set base = ? where rtype = ? and id = ? and op > ? and leg in {UNSENT}",  # noqa: S608
            (version, *record, result.op),
        )
    tx.execute(
        """update resource set hub_version = nullif(max(ifnull(hub_version, 0), ifnull(?, 0)), 0), state = ?
           where rtype = ? and id = ?""",
        (version, "local" if more else reviews.state_of(tx, *record), *record),
    )


def unsettled(tx: Tx, rtype: str, rid: str) -> bool:
    """Whether the station has said something about a record that the hub has not taken."""
    row = tx.execute(
        "select 1 from outbox where rtype = ? and id = ? and leg in ('waiting', 'sent', 'conflict', 'quarantined')",
        (rtype, rid),
    ).fetchone()
    return row is not None


def open_records(tx: Tx) -> set[tuple[str, str]]:
    """Return type and id of every record about which the hub has not taken all that the station said."""
    return {
        (row[0], row[1])
        for row in tx.execute(f"select distinct rtype, id from outbox where leg in {OPEN}")  # noqa: S608 a constant
    }


def counts(tx: Tx) -> Counts:
    """Count what waits and what was refused."""
    waiting = {int(lane): 0 for lane in Lane}
    for row in tx.execute(f"select lane, count(*) from outbox where leg in {UNSENT} group by lane"):  # noqa: S608
        waiting[row[0]] = row[1]
    legs = dict(
        tx.execute(
            "select leg, count(*) from outbox where leg in ('conflict', 'quarantined') group by leg"
        ).fetchall()
    )
    oldest = tx.execute(f"select min(at) from outbox where leg in {UNSENT}").fetchone()[0]  # noqa: S608 a constant
    return Counts(waiting, legs.get("quarantined", 0), reviews.count(tx), oldest)


def listing(tx: Tx, *, limit: int = 200) -> list[Waiting]:
    """Return what was refused or clashes, then what waits, in the order it will leave."""
    rows = tx.execute(
        """select o.*, r.patient as whose from outbox o left join resource r using (rtype, id)
           where leg in ('waiting', 'sent', 'conflict', 'quarantined')
           order by leg in ('waiting', 'sent'), lane, op limit ?""",
        (limit,),
    )
    return [_waiting(row) for row in rows]


def get(tx: Tx, op: int) -> Waiting | None:
    """Return one operation, or None."""
    row = tx.execute(
        "select o.*, r.patient as whose from outbox o left join resource r using (rtype, id) where op = ?",
        (op,),
    ).fetchone()
    return None if row is None else _waiting(row)


def refusal_of(tx: Tx, rtype: str, rid: str) -> tuple[dict[str, str], ...] | None:
    """Return why the hub refused the newest operation of a record, or None if it did not."""
    row = tx.execute(
        "select leg, issues from outbox where rtype = ? and id = ? order by op desc limit 1", (rtype, rid)
    ).fetchone()
    if row is None or row["leg"] != "quarantined":
        return None
    return tuple(json.loads(row["issues"] or "[]"))


def _waiting(row: Any) -> Waiting:
    return Waiting(
        op=row["op"], lane=row["lane"], rtype=row["rtype"], id=row["id"], at=row["at"], leg=row["leg"],
        attempts=row["attempts"], issues=tuple(json.loads(row["issues"] or "[]")), patient=row["whose"],
    )  # fmt: skip


def settle(tx: Tx, op: int) -> None:
    """Close a refused or clashing operation that a person has dealt with."""
    tx.execute(
        "update outbox set leg = 'superseded' where op = ? and leg in ('conflict', 'quarantined')", (op,)
    )


def prune(tx: Tx, before: datetime) -> int:
    """Forget operations that the hub took before an instant, unless their batch still waits. Return how many."""
    return tx.execute(
        """delete from outbox where leg in ('applied', 'superseded') and answered_at < ? and not exists (
               select 1 from batch where batch.id = outbox.batch and state <> 'settled')""",
        (before.isoformat(),),
    ).rowcount
