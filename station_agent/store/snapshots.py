"""Prepared copies of scopes on their way down: which parts are here, so that a power cut costs one part at most."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from clinic_net.protocol.sync import Manifest, SnapshotOffer
from station_agent.store import figures
from station_agent.store.database import Tx


@dataclass(frozen=True)
class Part:
    """What to fetch next: the manifest (``n`` is None), or a segment from byte ``start`` to ``size``."""

    scope: str
    url: str
    n: int | None = None
    start: int = 0
    size: int = 0
    sha256: str = ""
    records: int = 0


MANIFEST_BYTES = 4096
"""About what a manifest takes."""


class Damaged(ValueError):
    """A segment does not have the digest that the manifest says."""


def pending(tx: Tx) -> frozenset[str]:
    """Return the scopes of which a prepared copy is on its way."""
    return frozenset(row[0] for row in tx.execute("select scope from snapshot"))


def offered(tx: Tx, offer: SnapshotOffer) -> None:
    """Note an offer; one that is under way already goes on."""
    tx.execute(
        "insert or ignore into snapshot (scope, as_of, url) values (?, ?, ?)",
        (offer.scope, offer.as_of, offer.url),
    )


def began(tx: Tx, manifest: Manifest, now: datetime) -> None:
    """Keep a manifest. What is newer than the copy comes through the feed from here on, while its parts come."""
    total = sum(segment.records for segment in manifest.segments)
    tx.execute(
        "update snapshot set as_of = ?, total = ? where scope = ?", (manifest.as_of, total, manifest.scope)
    )
    tx.executemany(
        "insert or replace into segment (scope, n, sha256, bytes, records) values (?, ?, ?, ?, ?)",
        [(manifest.scope, s.n, s.sha256, s.bytes, s.records) for s in manifest.segments],
    )
    tx.execute("update scope set cursor = max(cursor, ?) where name = ?", (manifest.as_of, manifest.scope))
    figures.progress(tx, manifest.scope, 0, total, now=now)
    if not manifest.segments:
        _over(tx, manifest.scope)


def next_part(tx: Tx) -> Part | None:
    """Return what to fetch next, in the order of need; None when nothing is on its way."""
    row = tx.execute("select scope, url, total from snapshot order by scope limit 1").fetchone()
    if row is None:
        return None
    if row["total"] is None:
        return Part(row["scope"], row["url"], size=MANIFEST_BYTES)
    segment = tx.execute(
        """select n, sha256, bytes, records, length(part) as start from segment
           where scope = ? and done = 0 order by n limit 1""",
        (row["scope"],),
    ).fetchone()
    return Part(
        row["scope"], row["url"], segment["n"], segment["start"], segment["bytes"], segment["sha256"],
        segment["records"],
    )  # fmt: skip


def came(tx: Tx, part: Part, content: bytes) -> bytes | None:
    """Keep the next bytes of a segment; return the whole segment once it is there.

    Raises:
        Damaged: it is not what the manifest names.
    """
    row = tx.execute(
        "select part from segment where scope = ? and n = ? and done = 0", (part.scope, part.n)
    ).fetchone()
    if row is None or len(row["part"]) != part.start:
        return None
    whole = bytes(row["part"]) + content
    if len(whole) < part.size:
        tx.execute("update segment set part = ? where scope = ? and n = ?", (whole, part.scope, part.n))
        return None
    if len(whole) > part.size or sha256(whole).hexdigest() != part.sha256:
        raise Damaged("the digest differs")
    return whole


def begin_part_again(tx: Tx, part: Part) -> None:
    """Throw away the bytes of a segment that turned out damaged."""
    tx.execute("update segment set part = x'' where scope = ? and n = ?", (part.scope, part.n))


def stored(tx: Tx, part: Part, now: datetime) -> bool:
    """Note that a segment's records are stored; whether it was the last."""
    tx.execute("update segment set done = 1, part = x'' where scope = ? and n = ?", (part.scope, part.n))
    done, left = tx.execute(
        "select ifnull(sum(records * done), 0), sum(1 - done) from segment where scope = ?", (part.scope,)
    ).fetchone()
    total = tx.execute("select total from snapshot where scope = ?", (part.scope,)).fetchone()[0]
    figures.progress(tx, part.scope, done, total, now=now)
    if left:
        return False
    _over(tx, part.scope)
    return True


def _over(tx: Tx, scope: str) -> None:
    for table in ("snapshot", "segment", "gone"):
        tx.execute(f"delete from {table} where scope = ?", (scope,))  # noqa: S608 constants


def forget(tx: Tx, scope: str) -> None:
    """Give up a prepared copy that the hub no longer has: the feed tells everything, or offers another."""
    _over(tx, scope)
    tx.execute("update scope set cursor = 0 where name = ?", (scope,))
