"""The accounts of this station, in its encrypted store."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from station_agent.store.database import Tx

KEEP_EVENTS = timedelta(days=366)


@dataclass(frozen=True)
class Account:
    """Somebody who works here. ``id`` is the short name that stands in records: ``nurse:<id>``."""

    id: str
    name: str
    lead: bool
    active: bool
    has_pin: bool
    must_change: bool
    failures: int
    locked_until: datetime | None
    source: str


def find(tx: Tx, login: str) -> Account | None:
    """Return one account, or None."""
    row = tx.execute("select * from staff where id = ?", (login,)).fetchone()
    return None if row is None else _account(row)


def everybody(tx: Tx) -> list[Account]:
    """Return all accounts: those in use first, by name."""
    return [_account(row) for row in tx.execute("select * from staff order by active desc, name, id")]


def may_sign_in(tx: Tx) -> list[Account]:
    """Return the accounts with which somebody can sign in."""
    return [account for account in everybody(tx) if account.active and account.has_pin]


def add(tx: Tx, login: str, name: str, *, lead: bool, source: str, by: str, now: datetime) -> None:
    """Add an account without a PIN."""
    tx.execute(
        "insert into staff (id, name, lead, source, made_at, made_by) values (?, ?, ?, ?, ?, ?)",
        (login, name, int(lead), source, now.isoformat(), by),
    )


def describe(tx: Tx, login: str, *, name: str, lead: bool) -> None:
    """Change an account's name and whether it leads."""
    tx.execute("update staff set name = ?, lead = ? where id = ?", (name, int(lead), login))


def pin_of(tx: Tx, login: str) -> str | None:
    """Return the hash of an account's PIN, or None."""
    row = tx.execute("select pin from staff where id = ?", (login,)).fetchone()
    return None if row is None else row["pin"]


def put_pin(tx: Tx, login: str, kept: str, *, must_change: bool) -> None:
    """Keep a PIN's hash; what was guessed before counts no more."""
    tx.execute(
        "update staff set pin = ?, must_change = ?, failures = 0, locked_until = null where id = ?",
        (kept, int(must_change), login),
    )


def put_active(tx: Tx, login: str, *, active: bool) -> None:
    """Let an account in, or no more."""
    tx.execute("update staff set active = ? where id = ?", (int(active), login))


def put_tries(tx: Tx, login: str, failures: int, locked_until: datetime | None) -> None:
    """Note how many wrong PINs came in a row, and until when the account rests."""
    tx.execute(
        "update staff set failures = ?, locked_until = ? where id = ?",
        (failures, locked_until.isoformat() if locked_until else None, login),
    )


def note(tx: Tx, now: datetime, *, who: str, what: str, about: str = "") -> None:
    """Note what happened with an account; what is a year old goes."""
    tx.execute(
        "insert into staff_event (at, who, what, about) values (?, ?, ?, ?)",
        (now.isoformat(), who, what, about),
    )
    tx.execute("delete from staff_event where at < ?", ((now - KEEP_EVENTS).isoformat(),))


def events(tx: Tx, *, limit: int = 50) -> list[tuple[str, str, str, str]]:
    """Return (at, who, what, about), newest first."""
    rows = tx.execute("select at, who, what, about from staff_event order by number desc limit ?", (limit,))
    return [tuple(row) for row in rows]


def _account(row: Any) -> Account:
    until = row["locked_until"]
    return Account(
        id=row["id"], name=row["name"], lead=bool(row["lead"]), active=bool(row["active"]),
        has_pin=row["pin"] is not None, must_change=bool(row["must_change"]), failures=row["failures"],
        locked_until=datetime.fromisoformat(until) if until else None, source=row["source"],
    )  # fmt: skip
