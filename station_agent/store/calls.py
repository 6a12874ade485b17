"""Requests for a doctor and what is known of their calls; kept, so that a page shows the truth after a power cut."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from station_agent.store.database import Tx

OVER = frozenset({"ended"})


@dataclass(frozen=True)
class Call:
    """A request. ``state``: waiting (not at the hub yet), received, then the hub's own states. ``view``: CallView."""

    id: str
    encounter: str | None
    patient: str | None
    asked_at: str
    state: str
    view: dict[str, Any]

    @property
    def over(self) -> bool:
        return self.state in OVER


def asked(tx: Tx, call: str, *, encounter: str, patient: str, now: datetime) -> None:
    """Note a new request, waiting for the network."""
    tx.execute(
        "insert or ignore into call (id, encounter, patient, asked_at) values (?, ?, ?, ?)",
        (call, encounter, patient, now.isoformat()),
    )


def received(tx: Tx, call: str) -> bool:
    """The hub has the request. Returns whether that is news."""
    return (
        tx.execute("update call set state = 'received' where id = ? and state = 'waiting'", (call,)).rowcount
        > 0
    )


def seen(tx: Tx, view: dict[str, Any]) -> bool:
    """Take the hub's view of a call; an older revision than the one held is ignored. Returns whether it is news."""
    return (
        tx.execute(
            """update call set state = ?, view = ?, rev = ?
               where id = ? and (rev < ? or state in ('waiting', 'received'))""",
            (view["state"], json.dumps(view), view["rev"], str(view["call"]), view["rev"]),
        ).rowcount
        > 0
    )


def withdrawn(tx: Tx, call: str) -> None:
    """The nurse took the request back; what the hub says later stands."""
    tx.execute(
        "update call set state = 'ended', view = json_set(view, '$.end_reason', 'cancelled') where id = ?",
        (call,),
    )


def find(tx: Tx, call: str) -> Call | None:
    """Return one call, or None."""
    row = tx.execute("select * from call where id = ?", (call,)).fetchone()
    return None if row is None else _call(row)


def of_encounter(tx: Tx, encounter: str) -> list[Call]:
    """Return a visit's requests, newest first."""
    rows = tx.execute("select * from call where encounter = ? order by asked_at desc", (encounter,))
    return [_call(row) for row in rows]


def asked_since(tx: Tx, since: datetime) -> list[Call]:
    """Return the requests made at or after an instant, over or not, oldest first."""
    rows = tx.execute("select * from call where asked_at >= ? order by asked_at", (since.isoformat(),))
    return [_call(row) for row in rows]


def open_calls(tx: Tx) -> list[Call]:
    """Return the requests that are not over, oldest first."""
    return [_call(row) for row in tx.execute("select * from call where state != 'ended' order by asked_at")]


def _call(row: Any) -> Call:
    return Call(
        row["id"], row["encounter"], row["patient"], row["asked_at"], row["state"], json.loads(row["view"])
    )
