"""Which operations may leave in the next batch of a lane, and how they are framed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from clinic_net.protocol.sync import Lane, OpHead
from station_agent.store import outbox
from station_agent.store.database import Tx

_LOOSE = "(o.leg = 'waiting' or o.leg = 'sent' and o.batch is null)"
"""In no batch; one that left in the older form and was not answered may go in a batch."""


def next_ops(tx: Tx, lane: Lane, *, max_ops: int, max_bytes: int) -> list[tuple[OpHead, bytes]]:
    """Return the operations of a lane that may go in its next batch, in order, as they will be framed.

    At least one if any may, then as many as fit; what was saved together is parted only if it alone does not fit. An
    operation waits for an earlier one about the same record that is in another lane or in a batch without an answer.
    What no message can carry is refused here, so that what is behind it still goes.
    """
    found: list[tuple[OpHead, bytes]] = []
    size = cut = 0
    for row in _eligible(tx, lane, max_ops + 1):
        try:
            head, text = _framed(row)
        except ValueError:
            outbox.refuse(tx, row)
            continue
        if found and head.tx != found[-1][0].tx:
            cut = len(found)
        if found and (size + len(text) > max_bytes or len(found) == max_ops):
            return found[:cut] if cut else found
        found.append((head, text))
        size += len(text)
    return found


def size_of_next(tx: Tx, lane: Lane, *, max_ops: int, max_bytes: int) -> int:
    """Return about how many bytes of text ``next_ops`` would find; 0 when nothing may go."""
    sizes = [len(row["text"]) + 1 for row in _eligible(tx, lane, max_ops)]
    return min(sum(sizes), max_bytes)


def _eligible(tx: Tx, lane: Lane, limit: int) -> list[Any]:
    return tx.execute(
        f"""select o.*, exists (select 1 from outbox e where e.rtype = o.rtype and e.id = o.id and e.op < o.op
                                and e.leg in {outbox.UNSENT}) as after
            from outbox o where o.lane = ? and {_LOOSE} and not exists (
                select 1 from outbox e left join batch b on b.id = e.batch
                where e.rtype = o.rtype and e.id = o.id and e.op < o.op and e.leg in {outbox.UNSENT}
                  and (b.state = 'made' or e.batch is null and e.lane <> o.lane))
            order by o.op limit ?""",  # noqa: S608 constants
        (int(lane), limit),
    ).fetchall()


def _framed(row: Any) -> tuple[OpHead, bytes]:
    """Return an operation as its batch holds it. After an unanswered one the hub takes the version that that made."""
    text = row["text"].encode()
    head = OpHead(
        op=row["op"], tx=row["tx"], kind=row["kind"], type=row["rtype"], id=row["id"],
        base=None if row["after"] else row["base"], at=datetime.fromisoformat(row["at"]), by=row["by"],
        size=len(text),
    )  # fmt: skip
    return head, text


def blocked_by(tx: Tx, lane: Lane) -> Lane | None:
    """Return the other lane whose unanswered batch holds up this one: it carries an operation that was made faster
    since, or an earlier change of a record that is to go here."""
    row = tx.execute(
        f"""select b.lane from outbox o join batch b on b.id = o.batch
            where o.lane = ?1 and o.leg = 'sent' and b.state = 'made' and b.lane <> ?1
            union all
            select b.lane from outbox o join outbox e on e.rtype = o.rtype and e.id = o.id and e.op < o.op
                join batch b on b.id = e.batch
            where o.lane = ?1 and {_LOOSE} and e.leg = 'sent' and b.state = 'made' and b.lane <> ?1 limit 1""",  # noqa: S608 constants
        (int(lane),),
    ).fetchone()
    return None if row is None else Lane(row[0])


def leave(tx: Tx, ops: Sequence[int], batch: int) -> None:
    """Note that these leave in a batch: from here on the hub may have them."""
    tx.executemany(
        "update outbox set leg = 'sent', batch = ?, outcome = null, attempts = attempts + 1 where op = ?",
        [(batch, op) for op in ops],
    )


def take_back(tx: Tx, batch: int) -> int:
    """Queue again what a batch holds and is not settled. Return how many operations."""
    return tx.execute(
        "update outbox set leg = 'waiting', batch = null, outcome = null where batch = ? and leg = 'sent'",
        (batch,),
    ).rowcount
