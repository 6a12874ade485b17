"""Bytes of attachments, in the store like every record: what waits for the hub, how far it is, what is here to see.

A document and its bytes are two things: the ``DocumentReference`` travels as data with a small picture of it, the bytes
follow in the slowest lane.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from station_agent.store.database import Tx


@dataclass(frozen=True)
class File:
    """An attachment without its bytes. ``leg``: waiting, sent, refused or fetched; ``sent`` is in bytes; ``upload``
    names it at the hub while it is on its way; ``here`` says whether the bytes are on this computer."""

    document: str
    patient: str
    digest: str
    type: str
    size: int
    leg: str
    upload: str | None
    sent: int
    problem: str | None
    here: bool

    @property
    def percent(self) -> int:
        return 100 if self.leg in ("sent", "fetched") else min(99, self.sent * 100 // max(1, self.size))


@dataclass(frozen=True)
class Waiting:
    """How much waits altogether. ``sent`` and ``size`` are in bytes; ``refused`` counts what the hub did not take."""

    count: int
    sent: int
    size: int
    refused: int


_COLUMNS = "document, patient, digest, type, size, leg, upload, sent, problem, bytes is not null as here"


def add(tx: Tx, file: File, content: bytes, *, now: datetime) -> None:
    """Keep an attachment's bytes; the same document twice is kept once."""
    tx.execute(
        "insert or ignore into file (document, patient, digest, type, size, bytes, leg, added_at)"
        " values (?, ?, ?, ?, ?, ?, ?, ?)",
        (file.document, file.patient, file.digest, file.type, file.size, content, file.leg, now.isoformat()),
    )


def fetched(tx: Tx, file: File, content: bytes, *, now: datetime) -> None:
    """Keep bytes that came from the hub."""
    tx.execute(
        "insert into file (document, patient, digest, type, size, bytes, leg, added_at) values (?, ?, ?, ?, ?, ?, ?, ?)"
        " on conflict do update set bytes = excluded.bytes",
        (file.document, file.patient, file.digest, file.type, file.size, content, "fetched", now.isoformat()),
    )


def find(tx: Tx, document: str) -> File | None:
    """Return the attachment of a document, or None."""
    row = tx.execute(f"select {_COLUMNS} from file where document = ?", (document,)).fetchone()  # noqa: S608 a constant
    return None if row is None else _file(row)


def content(tx: Tx, document: str) -> bytes | None:
    """Return an attachment's bytes; None when they are not on this computer."""
    row = tx.execute("select bytes from file where document = ?", (document,)).fetchone()
    return None if row is None or row["bytes"] is None else bytes(row["bytes"])


def piece(tx: Tx, document: str, start: int, size: int) -> bytes:
    """Return some of an attachment's bytes."""
    row = tx.execute(
        "select substr(bytes, ?, ?) from file where document = ?", (start + 1, size, document)
    ).fetchone()
    return b"" if row is None or row[0] is None else bytes(row[0])


def of_patient(tx: Tx, patient: str) -> dict[str, File]:
    """Return a patient's attachments by the id of their document."""
    rows = tx.execute(f"select {_COLUMNS} from file where patient = ?", (patient,))  # noqa: S608 a constant
    return {row["document"]: _file(row) for row in rows}


def next_waiting(tx: Tx) -> File | None:
    """Return the attachment that goes next: one that has begun, then the oldest."""
    row = tx.execute(
        f"select {_COLUMNS} from file where leg = 'waiting' order by upload is null, added_at limit 1"  # noqa: S608 a constant
    ).fetchone()
    return None if row is None else _file(row)


def waiting(tx: Tx) -> Waiting:
    """Return how much waits, and how far that is."""
    row = tx.execute(
        "select count(*), ifnull(sum(sent), 0), ifnull(sum(size), 0) from file where leg = 'waiting'"
    ).fetchone()
    refused = tx.execute("select count(*) from file where leg = 'refused'").fetchone()[0]
    return Waiting(row[0], row[1], row[2], refused)


def begun(tx: Tx, document: str, upload: str) -> None:
    """Note where the hub takes an attachment's bytes: after a power cut they go on there."""
    tx.execute("update file set upload = ?, sent = 0 where document = ?", (upload, document))


def came_to(tx: Tx, document: str, sent: int) -> None:
    """Note how many bytes the hub has."""
    tx.execute("update file set sent = ? where document = ?", (sent, document))


def begin_again(tx: Tx, document: str) -> None:
    """The hub does not know the upload any more: from the start."""
    tx.execute("update file set upload = null, sent = 0 where document = ?", (document,))


def done(tx: Tx, document: str) -> None:
    """The hub has all of it, for good."""
    tx.execute("update file set leg = 'sent', upload = null, sent = size where document = ?", (document,))


def refused(tx: Tx, document: str, problem: str) -> None:
    """The hub does not take it, and says why by a code. The bytes stay here."""
    tx.execute(
        "update file set leg = 'refused', upload = null, problem = ? where document = ?", (problem, document)
    )


def forget_old(tx: Tx, before: datetime) -> int:
    """Forget bytes that the hub has and that are older; they can be fetched again. Return of how many."""
    return tx.execute(
        "update file set bytes = null where leg in ('sent', 'fetched') and bytes is not null and added_at < ?",
        (before.isoformat(),),
    ).rowcount


def forget(tx: Tx, document: str) -> None:
    """Delete the bytes of a document from this computer: the hub says that it is gone."""
    tx.execute("delete from file where document = ?", (document,))


def forget_patient(tx: Tx, patient: str) -> None:
    """Delete a patient's attachments from this computer; ``*``: everybody's."""
    tx.execute("delete from file where ?1 in (patient, '*')", (patient,))


def _file(row: Any) -> File:
    return File(
        row["document"],
        row["patient"],
        row["digest"],
        row["type"],
        row["size"],
        row["leg"],
        row["upload"],
        row["sent"],
        row["problem"],
        bool(row["here"]),
    )
