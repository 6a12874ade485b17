"""What this station holds of each scope of the hub, how far, and the sum that tells whether both hold the same."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from clinic_net.protocol.sync import Sum, sums
from station_agent.store import settings
from station_agent.store.database import Tx

Key = tuple[str, str]
"""Type and id of a resource."""


@dataclass
class Scope:
    """One scope. ``suspect``: its sum differed from the hub's; ``restored``: the hub has forgotten what it knew."""

    name: str
    cursor: int
    count: int
    sum: int
    suspect: bool
    restored: bool

    def agrees(self, told: Sum) -> bool:
        return (self.count, sums.spelled(self.sum)) == (told.count, told.sum)


def begin(tx: Tx, names: Iterable[str], own: str) -> None:
    """Make the scopes that are not there yet. The station's own one goes on from what an older program held."""
    for name in names:
        if tx.execute("select 1 from scope where name = ?", (name,)).fetchone() is not None:
            continue
        tx.execute("insert into scope (name) values (?)", (name,))
        if name == own and settings.cursor(tx) > 0:
            _take_over(tx, own)


def _take_over(tx: Tx, own: str) -> None:
    rows = tx.execute("select rtype, id, hub_version from resource where hub_version is not null").fetchall()
    tx.executemany(
        "insert into held values (?, ?, ?, ?)",
        [(own, row["rtype"], row["id"], row["hub_version"]) for row in rows],
    )
    total = sums.total(sums.of_version(row["rtype"], row["id"], row["hub_version"]) for row in rows)
    tx.execute(
        "update scope set cursor = ?, count = ?, sum = ? where name = ?",
        (settings.cursor(tx), len(rows), sums.spelled(total), own),
    )


def every(tx: Tx) -> dict[str, Scope]:
    """Return all scopes by name."""
    return {row["name"]: _scope(row) for row in tx.execute("select * from scope order by name")}


def cursors(tx: Tx) -> dict[str, int]:
    """Return how far each scope is."""
    return {row[0]: row[1] for row in tx.execute("select name, cursor from scope order by name")}


def suspects(tx: Tx) -> tuple[str, ...]:
    """Return the scopes whose sums differ from the hub's."""
    return tuple(row[0] for row in tx.execute("select name from scope where suspect = 1 order by name"))


def save(tx: Tx, scope: Scope) -> None:
    """Keep a scope."""
    tx.execute(
        "insert or replace into scope values (?, ?, ?, ?, ?, ?)",
        (
            scope.name,
            scope.cursor,
            scope.count,
            sums.spelled(scope.sum),
            int(scope.suspect),
            int(scope.restored),
        ),
    )


def _scope(row: Mapping[str, object]) -> Scope:
    return Scope(
        str(row["name"]), int(str(row["cursor"])), int(str(row["count"])), int(str(row["sum"]), 16),
        bool(row["suspect"]), bool(row["restored"]),
    )  # fmt: skip


class Ledger:
    """The scopes while something is stored: each put and drop is one addition to its scope's sum. ``save`` at the end,
    in the same transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.scopes = every(tx)

    def scope(self, name: str) -> Scope:
        """Return a scope; a new one holds nothing."""
        found = self.scopes.get(name)
        if found is None:
            found = self.scopes[name] = Scope(name, 0, 0, 0, suspect=False, restored=False)
        return found

    def put(self, name: str, key: Key, version: int, *, older_too: bool = True) -> bool:
        """Note that a scope holds a resource at a version; whether that is news."""
        row = self._tx.execute(
            "select version from held where scope = ? and rtype = ? and id = ?", (name, *key)
        ).fetchone()
        scope = self.scope(name)
        if row is None:
            scope.count += 1
        elif row[0] == version or (row[0] > version and not older_too):
            return False
        else:
            scope.sum -= sums.of_version(*key, row[0])
        scope.sum = (scope.sum + sums.of_version(*key, version)) % sums.MODULUS
        self._tx.execute("insert or replace into held values (?, ?, ?, ?)", (name, *key, version))
        return True

    def drop(self, name: str, key: Key) -> bool:
        """Note that a scope no longer holds a resource; whether it did."""
        row = self._tx.execute(
            "delete from held where scope = ? and rtype = ? and id = ? returning version", (name, *key)
        ).fetchone()
        if row is None:
            return False
        scope = self.scope(name)
        scope.count -= 1
        scope.sum = (scope.sum - sums.of_version(*key, row[0])) % sums.MODULUS
        return True

    def anywhere(self, key: Key) -> bool:
        """Whether any scope of this station holds a resource."""
        return any(
            self._tx.execute(
                "select 1 from held where scope = ? and rtype = ? and id = ?", (name, *key)
            ).fetchone()
            for name in self.scopes
        )

    def save(self) -> None:
        """Keep cursors and sums."""
        for scope in self.scopes.values():
            save(self._tx, scope)


def held_in(tx: Tx, name: str) -> Iterator[tuple[str, str, int]]:
    """Yield type, id and version of all that a scope holds."""
    for row in tx.execute("select rtype, id, version from held where scope = ?", (name,)):
        yield row[0], row[1], row[2]


def bins(tx: Tx, name: str) -> list[Sum]:
    """Return the sums of a scope's bins, counted anew from what is held; the scope's own sum is set right by them."""
    counts, totals = [0] * sums.BINS, [0] * sums.BINS
    for rtype, rid, version in held_in(tx, name):
        at = sums.bin_of(rtype, rid)
        counts[at] += 1
        totals[at] += sums.of_version(rtype, rid, version)
    tx.execute(
        "update scope set count = ?, sum = ? where name = ?", (sum(counts), sums.spelled(sum(totals)), name)
    )
    return [Sum(count=n, sum=sums.spelled(t)) for n, t in zip(counts, totals, strict=True)]


def in_bins(tx: Tx, name: str, which: Iterable[int]) -> list[tuple[Key, int]]:
    """Return what a scope holds in some bins: keys with versions."""
    wanted = set(which)
    return [
        ((rtype, rid), version)
        for rtype, rid, version in held_in(tx, name)
        if sums.bin_of(rtype, rid) in wanted
    ]
