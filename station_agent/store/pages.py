"""Pages of frames from the hub: entries, cursors and sums are stored in one transaction, or nothing of a page is."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from clinic_net.protocol.sync import EntryHead, Lane, PageHead
from station_agent.store import batches, config, outbox, records, reviews, settings, snapshots
from station_agent.store.database import Tx
from station_agent.store.scopes import Key, Ledger, Scope, in_bins

log = structlog.get_logger()

REPAIR_EVERY = timedelta(hours=1)
"""A scope that still differs after a repair is looked at again after this long: something is wrong that a repair does
not mend, and the line is not for saying so once a minute."""

Entries = Sequence[tuple[EntryHead, bytes]]


@dataclass
class Taken:
    """What a page changed here: (type, id) of resources, and what the hub said of operations."""

    changed: list[Key] = field(default_factory=list)
    settled: list[outbox.Settled] = field(default_factory=list)
    restored: bool = False
    """The hub has forgotten something it once told."""


class _Keeping:
    """Stores entries one after the other, within one transaction."""

    def __init__(self, tx: Tx, now: datetime) -> None:
        self.tx = tx
        self.now = now
        self.ledger = Ledger(tx)
        self.changed: list[Key] = []
        self._open = outbox.open_records(tx)
        self._asked = reviews.asked(tx)
        self._on_its_way = snapshots.pending(tx)

    def take(self, head: EntryHead, text: bytes, *, older_too: bool) -> None:
        key = (head.type, head.id)
        if head.kind == "purge":
            self.tx.execute(
                "insert or ignore into purge (scope, seq, patient) values (?, ?, ?)",
                (head.scope, head.seq, head.id),
            )
        elif head.kind == "put":
            self._put(head, key, text, older_too=older_too)
        else:
            if head.scope in self._on_its_way:
                self.tx.execute("insert or ignore into gone values (?, ?, ?)", (head.scope, *key))
            self.drop(head.scope, key)

    def _put(self, head: EntryHead, key: Key, text: bytes, *, older_too: bool) -> None:
        if not older_too and self._is_gone(head.scope, key):
            return
        news = self.ledger.put(head.scope, key, head.version, older_too=older_too)
        if text and (news or older_too):
            self._keep(head, key, text)

    def _is_gone(self, scope: str, key: Key) -> bool:
        return (
            self.tx.execute(
                "select 1 from gone where scope = ? and rtype = ? and id = ?", (scope, *key)
            ).fetchone()
            is not None
        )

    def _keep(self, head: EntryHead, key: Key, text: bytes) -> None:
        written = text.decode("utf-8", "replace")
        resource = _parsed(written)
        if resource is None:
            log.error("entry_unreadable", seq=head.seq)
            return
        if key in self._open:
            # The station's own words stay until the hub has answered them; the other version is kept beside.
            self.tx.execute(
                """insert into hub_copy values (?, ?, ?, ?) on conflict do update
                   set version = excluded.version, text = excluded.text where excluded.version > version""",
                (*key, head.version, written),
            )
            self.changed.append(key)
            return
        row = self.tx.execute("select hub_version from resource where rtype = ? and id = ?", key).fetchone()
        known = 0 if row is None else row[0] or 0
        if known > head.version and not self.ledger.scope(head.scope).restored:
            return
        state = "conflict" if key in self._asked else "synced"
        records.keep(self.tx, resource, written, hub_version=head.version, state=state)
        self.changed.append(key)
        if head.type == "Task":
            self._follow(resource)

    def _follow(self, task: dict[str, Any]) -> None:
        """Take on what a Task says of two versions of a record: that somebody is asked, or is not any more."""
        focus = reviews.follow(self.tx, task)
        if focus is not None:
            self._open, self._asked = outbox.open_records(self.tx), reviews.asked(self.tx)
            self.changed.append(focus)

    def drop(self, scope: str, key: Key) -> None:
        """Take a resource out of a scope; its copy goes when no scope holds it and the station has no more to say."""
        self.ledger.drop(scope, key)
        if self.ledger.anywhere(key):
            return
        if key in self._open:
            self.tx.execute("insert or ignore into leaving values (?, ?)", key)
        elif records.remove(self.tx, key):
            self.changed.append(key)
            if key[0] == "Task" and (focus := reviews.forget(self.tx, key[1])) is not None:
                self._open, self._asked = outbox.open_records(self.tx), reviews.asked(self.tx)
                self.changed.append(focus)


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "resourceType" in found and "id" in found else None


def store(tx: Tx, head: PageHead, entries: Entries, asked: Mapping[str, int], now: datetime) -> Taken:
    """Store a page that was asked for with some cursors. A page that does not follow them (it came twice, or late)
    changes nothing."""
    settings.contacted(tx, now)
    keeping = _Keeping(tx, now)
    taken = Taken(changed=keeping.changed)
    if any(keeping.ledger.scope(name).cursor != cursor for name, cursor in asked.items()):
        return taken
    taken.restored = _move(keeping, head, entries, asked)
    epoch = settings.get(tx, "db_epoch") or ""
    for answer in head.answers:
        taken.settled += batches.taken(tx, answer, epoch, now)
    on_its_way = snapshots.pending(tx)
    for name, told in head.sums.items():
        if name not in on_its_way:
            _compare(tx, keeping.ledger.scope(name), agrees=keeping.ledger.scope(name).agrees(told), now=now)
    keeping.ledger.save()
    if head.snapshot is not None:
        snapshots.offered(tx, head.snapshot)
    if head.config is not None:
        config.apply(tx, head.config)
    settle_leaving(tx)
    return taken


def _move(keeping: _Keeping, head: PageHead, entries: Entries, asked: Mapping[str, int]) -> bool:
    """Store the entries and set the cursors; whether the hub has set one back: it was restored from a backup."""
    restored = False
    for name, cursor in head.cursors.items():
        if cursor < asked.get(name, 0):
            keeping.ledger.scope(name).restored = restored = True
    for entry, text in entries:
        keeping.take(entry, text, older_too=True)
    for name, cursor in head.cursors.items():
        keeping.ledger.scope(name).cursor = cursor
    return restored


def _compare(tx: Tx, scope: Scope, *, agrees: bool, now: datetime) -> None:
    if agrees:
        scope.suspect = scope.restored = False
        return
    at = settings.get(tx, f"repaired:{scope.name}")
    if scope.restored or at is None or now - datetime.fromisoformat(at) > REPAIR_EVERY:
        scope.suspect = True


def store_segment(tx: Tx, entries: Iterable[tuple[EntryHead, bytes]], now: datetime) -> int:
    """Store a part of a prepared copy: what is newer here stays. Return how many entries it has."""
    keeping, count = _Keeping(tx, now), 0
    for entry, text in entries:
        keeping.take(entry, text, older_too=False)
        count += 1
    keeping.ledger.save()
    return count


def store_repair(tx: Tx, entries: Entries, now: datetime) -> list[Key]:
    """Store a page of what the hub holds in the bins that differed. Return what changed here."""
    keeping = _Keeping(tx, now)
    for entry, text in entries:
        keeping.take(entry, text, older_too=True)
    keeping.ledger.save()
    return keeping.changed


def end_repair(tx: Tx, name: str, which: Iterable[int], listed: set[Key], now: datetime) -> list[Key]:
    """Deal with what this station holds in the repaired bins and the hub does not: what a restored hub lost, and what
    was written here, is queued again; the rest has left. Return what changed here."""
    keeping = _Keeping(tx, now)
    scope = keeping.ledger.scope(name)
    lost = scope.restored or settings.get(tx, "hub_restored") == "1"
    for key, _ in in_bins(tx, name, which):
        if key in listed:
            continue
        if lost or _written_here(tx, key):
            keeping.ledger.drop(name, key)
            _say_again(tx, key, now)
        else:
            keeping.drop(name, key)
    scope.suspect = False
    settings.put(tx, f"repaired:{name}", now.isoformat())
    keeping.ledger.save()
    return keeping.changed


def _written_here(tx: Tx, key: Key) -> bool:
    return tx.execute("select 1 from outbox where rtype = ? and id = ? limit 1", key).fetchone() is not None


def _say_again(tx: Tx, key: Key, now: datetime) -> None:
    """Queue what the hub no longer has; it answers "duplicate" if it has it after all."""
    row = tx.execute(
        "select text, patient from resource where rtype = ? and id = ? and state = 'synced'", key
    ).fetchone()
    if row is None:
        return
    draft = outbox.Draft(
        settings.next_tx(tx),
        Lane.ROUTINE,
        *key,
        None,
        now.isoformat(),
        "station",
        row["text"],
        row["patient"],
    )
    outbox.queue(tx, draft)
    tx.execute("update resource set state = 'local', hub_version = null where rtype = ? and id = ?", key)


def settle_leaving(tx: Tx) -> None:
    """Remove copies that left while the station had something to say about them, now that it is said."""
    ledger = None
    for row in tx.execute("select rtype, id from leaving").fetchall():
        key = (row["rtype"], row["id"])
        if outbox.unsettled(tx, *key):
            continue
        ledger = ledger or Ledger(tx)
        if not ledger.anywhere(key):
            records.remove(tx, key)
        tx.execute("delete from leaving where rtype = ? and id = ?", key)
