"""Small facts about this station: enrolment, cursor, link, who works here."""

import json
from datetime import datetime
from typing import Any

from station_agent.store.database import Tx


def get(tx: Tx, key: str) -> str | None:
    """Return one fact, or None."""
    row = tx.execute("select value from setting where key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def put(tx: Tx, key: str, value: str) -> None:
    """Keep one fact."""
    tx.execute(
        "insert into setting values (?, ?) on conflict do update set value = excluded.value", (key, value)
    )


def enrolment(tx: Tx) -> dict[str, Any] | None:
    """Return what the hub said at enrolment (``Enrolled``) with ``hub``, its address; None before."""
    text = get(tx, "enrolment")
    return None if text is None else dict(json.loads(text))


def put_enrolment(tx: Tx, enrolled: dict[str, Any]) -> None:
    """Keep what the hub said at enrolment. A station enrolled anew pulls its records from the start."""
    put(tx, "enrolment", json.dumps(enrolled))
    put(tx, "cursor", "0")
    for table in ("scope", "held", "snapshot", "segment", "gone"):
        tx.execute(f"delete from {table}")  # noqa: S608 constants


def cursor(tx: Tx) -> int:
    """Return how far the feed from the hub has been stored."""
    return int(get(tx, "cursor") or 0)


def contacted(tx: Tx, now: datetime) -> None:
    """Note that the hub has answered."""
    put(tx, "last_contact", now.isoformat())


def next_tx(tx: Tx) -> int:
    """Return the number of this transaction at the desk."""
    number = int(get(tx, "tx") or 0) + 1
    put(tx, "tx", str(number))
    return number
