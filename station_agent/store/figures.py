"""What the link costs and how far it is: bytes by day and lane, and the progress of what takes long.

The link writes them in the transaction that stores what the bytes were for; pages and ``status`` read them.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from clinic_net.protocol.sync import Lane
from station_agent.store import settings
from station_agent.store.database import Tx

VIETNAM = timezone(timedelta(hours=7))

KEEP = timedelta(days=92)
"""How long a day's bytes are kept: a quarter, for the bill."""

BUDGET = "budget_bytes"
"""The setting that holds how many bytes a day the station may spend; absent: as many as it takes."""


@dataclass(frozen=True)
class Spent:
    """Bytes on the wire, as the operator of the line counts them."""

    up: int = 0
    down: int = 0

    @property
    def total(self) -> int:
        return self.up + self.down


@dataclass(frozen=True)
class Progress:
    """How far something that takes long has come. ``total`` is None while nobody knows it."""

    scope: str
    done: int
    total: int | None
    began: str
    at: str

    @property
    def over(self) -> bool:
        return self.total is not None and self.done >= self.total


def day_of(now: datetime) -> date:
    """Return the day in Vietnam at an instant."""
    return now.astimezone(VIETNAM).date()


def spent(tx: Tx, day: date, lane: int, up: int, down: int) -> None:
    """Add bytes that were spent on a day (of Vietnam) in a lane."""
    tx.execute(
        """insert into meter values (?, ?, ?, ?)
           on conflict do update set up = up + excluded.up, down = down + excluded.down""",
        (day.isoformat(), int(lane), up, down),
    )


def spent_on(tx: Tx, day: date) -> dict[int, Spent]:
    """Return what a day has cost, by lane; every lane is there."""
    found = {int(lane): Spent() for lane in Lane}
    for row in tx.execute("select lane, up, down from meter where day = ?", (day.isoformat(),)):
        found[row["lane"]] = Spent(row["up"], row["down"])
    return found


def spent_since(tx: Tx, day: date) -> Spent:
    """Return what the days from ``day`` on have cost together."""
    row = tx.execute(
        "select ifnull(sum(up), 0), ifnull(sum(down), 0) from meter where day >= ?", (day.isoformat(),)
    ).fetchone()
    return Spent(row[0], row[1])


def budget(tx: Tx) -> int | None:
    """Return how many bytes a day may cost, or None when nobody set it."""
    text = settings.get(tx, BUDGET)
    return int(text) if text and text.isdecimal() else None


def put_budget(tx: Tx, size: int | None) -> None:
    """Set how many bytes a day may cost; None: as many as it takes."""
    settings.put(tx, BUDGET, "" if size is None else str(size))


def progress(tx: Tx, scope: str, done: int, total: int | None, *, now: datetime | None = None) -> None:
    """Note how far a scope (a snapshot's, an upload's) has come. Beginning anew with 0 begins its time anew."""
    at = "" if now is None else now.isoformat()
    tx.execute(
        """insert into progress values (?1, ?2, ?3, ?4, ?4)
           on conflict do update set done = excluded.done, total = excluded.total, at = excluded.at,
               began = case when excluded.done = 0 or began = '' then excluded.began else began end""",
        (scope, done, total, at),
    )


def progresses(tx: Tx) -> list[Progress]:
    """Return everything whose progress was noted, in the order of names."""
    rows = tx.execute("select scope, done, total, began, at from progress order by scope")
    return [Progress(row["scope"], row["done"], row["total"], row["began"], row["at"]) for row in rows]


FILE = "file:"
"""Scopes of attachments begin so; everything else is a snapshot's, or another piece of records."""


@dataclass(frozen=True)
class Queue:
    """What has not been taken yet in a lane: not sent, and sent without an answer."""

    waiting: int = 0
    sent: int = 0

    @property
    def total(self) -> int:
        return self.waiting + self.sent


def queues(tx: Tx) -> dict[int, Queue]:
    """Return what waits, by lane; every lane is there."""
    found = {int(lane): Queue() for lane in Lane}
    rows = tx.execute(
        """select lane, sum(leg = 'waiting'), sum(leg = 'sent') from outbox
           where leg in ('waiting', 'sent') group by lane"""
    )
    return found | {row[0]: Queue(row[1], row[2]) for row in rows}


def no_progress(tx: Tx, scope: str) -> None:
    """Forget a scope: the station no longer holds it."""
    tx.execute("delete from progress where scope = ?", (scope,))


def prune(tx: Tx, today: date) -> int:
    """Forget the bytes of days long past. Return how many rows."""
    return tx.execute("delete from meter where day < ?", ((today - KEEP).isoformat(),)).rowcount
