"""Records of which two versions wait for a person: what the hub's open Tasks say, found again by the record.

A record about which something is open is in the state ``conflict`` for as long, whatever version of it is shown.
"""

from collections.abc import Mapping
from typing import Any

from clinic_net.protocol.sync.reviews import Review, read_review
from clinic_net.protocol.sync.texts import read
from station_agent.store.database import Tx


def follow(tx: Tx, task: Mapping[str, Any]) -> tuple[str, str] | None:
    """Take on what a Task says that has just been stored; anything else is left alone. Return type and id of the
    record it asks about, None where it asks about none."""
    review = read_review(task)
    if review is None:
        return None
    if not review.open:
        if forget(tx, review.task) is None and state_of(tx, review.rtype, review.fid) == "synced":
            _over(tx, review.rtype, review.fid)  # it was open and closed again while this station was away
        return review.rtype, review.fid
    tx.execute(
        "insert or replace into review values (?, ?, ?, ?, ?)",
        (review.task, review.rtype, review.fid, int(review.urgent), review.since),
    )
    tx.execute(
        "update resource set state = 'conflict' where rtype = ? and id = ? and state = 'synced'",
        (review.rtype, review.fid),
    )
    return review.rtype, review.fid


def forget(tx: Tx, task: str) -> tuple[str, str] | None:
    """Note that a Task asks no longer; return type and id of the record it asked about, if it was known here."""
    row = tx.execute("delete from review where task = ? returning rtype, id", (task,)).fetchone()
    if row is None:
        return None
    if state_of(tx, row["rtype"], row["id"]) == "synced":
        _over(tx, row["rtype"], row["id"])
    return row["rtype"], row["id"]


def asked(tx: Tx) -> set[tuple[str, str]]:
    """Return type and id of every record about which somebody is asked."""
    return {(row[0], row[1]) for row in tx.execute("select rtype, id from review")}


def _over(tx: Tx, rtype: str, rid: str) -> None:
    """Nobody is asked about a record any more: what this station said is kept at the hub, its operation is done."""
    tx.execute(
        "update outbox set leg = 'superseded' where rtype = ? and id = ? and leg = 'conflict'", (rtype, rid)
    )
    tx.execute(
        "update resource set state = 'synced' where rtype = ? and id = ? and state = 'conflict'", (rtype, rid)
    )


def state_of(tx: Tx, rtype: str, rid: str) -> str:
    """Return the state of a record that the hub has taken: ``conflict`` while somebody is asked about it."""
    row = tx.execute("select 1 from review where rtype = ? and id = ? limit 1", (rtype, rid)).fetchone()
    return "synced" if row is None else "conflict"


def count(tx: Tx) -> int:
    """Count the records that are in conflict: asked about, or clashing and not asked about yet."""
    return int(
        tx.execute(
            """select count(*) from (
                   select rtype, id from review union select rtype, id from outbox where leg = 'conflict')"""
        ).fetchone()[0]
    )


def listing(tx: Tx, *, limit: int = 200) -> list[Review]:
    """Return what is asked, urgent first, then the oldest."""
    rows = tx.execute(
        """select r.text from review v join resource r on r.rtype = 'Task' and r.id = v.task
           order by v.urgent desc, v.since limit ?""",
        (limit,),
    ).fetchall()
    found = (read_review(read(row["text"])) for row in rows)
    return [review for review in found if review is not None]


def of_patient(tx: Tx, patient: str) -> list[Review]:
    """Return what is asked about records of a patient."""
    return [review for review in listing(tx) if review.patient == patient]


def text(tx: Tx, rtype: str, rid: str) -> tuple[str, int | None] | None:
    """Return a resource's text as it is written here, and the hub's version of it; None if it is not here."""
    row = tx.execute(
        "select text, hub_version from resource where rtype = ? and id = ?", (rtype, rid)
    ).fetchone()
    return None if row is None else (row["text"], row["hub_version"])


def hub_text(tx: Tx, rtype: str, rid: str) -> tuple[str, int] | None:
    """Return what the hub has of a record and its version: what stands beside this station's own, or the record."""
    row = tx.execute("select text, version from hub_copy where rtype = ? and id = ?", (rtype, rid)).fetchone()
    if row is not None:
        return row["text"], row["version"]
    held = text(tx, rtype, rid)
    return None if held is None or held[1] is None else (held[0], held[1])
