"""Erasing a patient because the hub says so: first what is unsent goes, then every copy, then a receipt is owed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clinic_net.protocol.sync.standing import EVERYTHING
from station_agent.store import batches, outbox, settings
from station_agent.store.database import Tx
from station_agent.store.scopes import Key, Ledger

Beside = Callable[[Tx, str], None]
"""Forgets what another part of the store keeps about a patient."""


@dataclass(frozen=True)
class Purge:
    """One order: the entry of the feed that gave it, and the patient."""

    scope: str
    seq: int
    patient: str
    erased: int = 0


def due(tx: Tx) -> list[Purge]:
    """Return the orders that can be carried out: nothing about the patient waits for the hub any more. One to erase
    everything is carried out at once: the hub takes nothing from a revoked device."""
    rows = tx.execute("select * from purge where state = 'told' order by scope, seq").fetchall()
    return [
        Purge(row["scope"], row["seq"], row["patient"])
        for row in rows
        if row["patient"] == EVERYTHING or not _waits(tx, row["patient"])
    ]


def ordered(tx: Tx, purge: Purge) -> bool:
    """Note an order that did not come through the feed; whether it is a new one."""
    done = f"erased:{purge.scope}:{purge.seq}"
    if settings.get(tx, done) is not None:
        return False
    settings.put(tx, done, "1")
    tx.execute(
        "insert or ignore into purge (scope, seq, patient) values (?, ?, ?)",
        (purge.scope, purge.seq, purge.patient),
    )
    return True


def _waits(tx: Tx, patient: str) -> bool:
    row = tx.execute(
        f"""select 1 from outbox o left join resource r using (rtype, id)
            where o.leg in {outbox.UNSENT}
              and (o.patient = ?1 or r.patient = ?1 or r.rtype = 'Patient' and r.id = ?1) limit 1""",  # noqa: S608
        (patient,),
    ).fetchone()
    return row is not None


def _everything(tx: Tx, purge: Purge) -> None:
    """Delete all that this station holds of patients, except what only it has: work that the hub never took stays in
    the outbox, for the day on which somebody lets this computer in again."""
    count = tx.execute("select count(*) from resource").fetchone()[0]
    tx.execute(f"delete from outbox where leg not in {outbox.UNSENT}")  # noqa: S608 a constant
    for table in (
        "resource", "hub_copy", "patient_index", "patient_identifier", "call", "held", "scope", "leaving", "gone",
        "snapshot", "segment", "review",
    ):  # fmt: skip
        tx.execute(f"delete from {table}")  # noqa: S608 constants
    tx.execute("delete from batch where state <> 'made'")
    settings.put(tx, "cursor", "0")
    tx.execute(
        "update purge set state = 'erased', erased = ? where scope = ? and seq = ?",
        (count, purge.scope, purge.seq),
    )


def erase(tx: Tx, purge: Purge, beside: Sequence[Beside] = ()) -> list[Key]:
    """Delete everything about a patient, and note that a receipt is owed. Return what is gone.

    The texts that wait in batches for a hub that might be restored are taken out of them.
    """
    if purge.patient == EVERYTHING:
        for forget in beside:
            forget(tx, EVERYTHING)
        _everything(tx, purge)
        return []
    keys = [
        (row[0], row[1])
        for row in tx.execute(
            "select rtype, id from resource where patient = ?1 or rtype = 'Patient' and id = ?1",
            (purge.patient,),
        )
    ]
    ledger = Ledger(tx)
    ops = {row[0] for row in tx.execute("select op from outbox where patient = ?", (purge.patient,))}
    for key in keys:
        ops |= {row[0] for row in tx.execute("select op from outbox where rtype = ? and id = ?", key)}
        for scope in list(ledger.scopes):
            ledger.drop(scope, key)
    ledger.save()
    if ops:
        batches.forget_patient(tx, ops)
        tx.executemany("delete from outbox where op = ?", [(op,) for op in ops])
    for table in ("resource", "hub_copy", "leaving", "gone"):
        tx.executemany(f"delete from {table} where rtype = ? and id = ?", keys)  # noqa: S608 constants
    tx.execute("delete from patient_index where id = ?", (purge.patient,))
    tx.execute("delete from patient_identifier where patient = ?", (purge.patient,))
    tx.execute("delete from call where patient = ?", (purge.patient,))
    for forget in beside:
        forget(tx, purge.patient)
    tx.execute(
        "update purge set state = 'erased', erased = ? where scope = ? and seq = ?",
        (len(keys), purge.scope, purge.seq),
    )
    return keys


def unwiped(tx: Tx) -> list[Purge]:
    """Return the orders whose rests may still be in a page of the file."""
    rows = tx.execute("select * from purge where state = 'erased' order by scope, seq")
    return [Purge(row["scope"], row["seq"], row["patient"], row["erased"]) for row in rows]


def wiped(tx: Tx, purge: Purge, receipt: str) -> None:
    """Keep a signed receipt until the hub has it."""
    tx.execute(
        "update purge set state = 'wiped', receipt = ? where scope = ? and seq = ?",
        (receipt, purge.scope, purge.seq),
    )


def receipts(tx: Tx) -> tuple[str, ...]:
    """Return the receipts that the hub does not have yet."""
    return tuple(
        row[0]
        for row in tx.execute("select receipt from purge where state = 'wiped' order by scope, seq limit 100")
    )


def delivered(tx: Tx, told: Sequence[str]) -> None:
    """Forget receipts that the hub has; with them goes the last trace of the patients they name."""
    tx.executemany("delete from purge where receipt = ?", [(receipt,) for receipt in told])
