"""What was said by SMS because the link did not carry it, and what came back."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clinic_net.protocol.sync.sms import Answer
from station_agent.store import settings
from station_agent.store.database import Tx

KEY, NUMBER = "sms_key", "sms_number"
_COUNTER = "sms_counter"


@dataclass(frozen=True)
class Sms:
    """A message. ``kind``: ask or cancel. ``leg``: sending, sent, answered or failed; ``reference`` is the gateway's,
    ``status`` and ``words`` the hub's answer."""

    counter: int
    call: str
    kind: str
    text: str
    leg: str
    reference: str | None
    status: str | None
    words: str | None
    tries: int
    at: str


def next_counter(tx: Tx, now: datetime) -> int:
    """Return a number that no message of this device had: it begins at the clock, so that a store that was restored
    from an older copy does not begin again, and only grows, whatever the clock does."""
    number = max(int(settings.get(tx, _COUNTER) or 0) + 1, int(now.timestamp()))
    settings.put(tx, _COUNTER, str(number))
    return number


def add(tx: Tx, message: Sms) -> None:
    """Note a message before it is handed to the gateway."""
    tx.execute(
        "insert or ignore into sms (counter, call, kind, text, at) values (?, ?, ?, ?, ?)",
        (message.counter, message.call, message.kind, message.text, message.at),
    )


def waiting(tx: Tx, *, most_tries: int) -> list[Sms]:
    """Return the messages that the gateway has not taken yet, oldest first."""
    rows = tx.execute("select * from sms where leg = 'sending' and tries < ? order by counter", (most_tries,))
    return [_sms(row) for row in rows]


def handed_over(tx: Tx, counter: int, reference: str) -> None:
    """The gateway took a message under its own reference."""
    tx.execute(
        "update sms set leg = 'sent', reference = ?, tries = tries + 1 where counter = ?",
        (reference, counter),
    )


def not_taken(tx: Tx, counter: int, *, most_tries: int) -> None:
    """The gateway did not take a message; after so many tries it is given up."""
    tx.execute(
        "update sms set tries = tries + 1, leg = case when tries + 1 >= ? then 'failed' else leg end where counter = ?",
        (most_tries, counter),
    )


def answered(tx: Tx, answer: Answer) -> str | None:
    """Note the hub's answer; return the call it is about, None if no message has this counter."""
    row = tx.execute(
        "update sms set leg = 'answered', status = ?, words = ? where counter = ? returning call",
        (answer.status.name.lower(), answer.words, answer.counter),
    ).fetchone()
    return None if row is None else str(row["call"])


def of_call(tx: Tx, call: str) -> list[Sms]:
    """Return what was said of a request, oldest first."""
    return [_sms(row) for row in tx.execute("select * from sms where call = ? order by counter", (call,))]


def _sms(row: Any) -> Sms:
    return Sms(
        row["counter"],
        row["call"],
        row["kind"],
        row["text"],
        row["leg"],
        row["reference"],
        row["status"],
        row["words"],
        row["tries"],
        row["at"],
    )
