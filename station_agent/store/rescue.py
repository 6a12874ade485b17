"""A damaged store is set aside and built anew: the hub has all that it took, and what it has not taken is carried over.

The new store is another database to the hub (a new epoch), and pulls everything from the start. Each step can be cut
off by the mains; the next opening goes on with it.
"""

import contextlib
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from station_agent import sealing
from station_agent.errors import OtherComputer, SealBroken, StoreDamaged
from station_agent.store import checking, cipher, records, settings
from station_agent.store.checking import Check
from station_agent.store.database import FILE_NAME, Database, Tx

log = structlog.get_logger()

KEEPSAKE = "keepsake.sealed"
_PURPOSE = "keepsake"
_PART = "damaged.part"
_ASIDE = "damaged-"
_STAMP = "%Y%m%dT%H%M%S"
_DONE = "rescued_from"

SETTINGS = ("enrolment", "budget_bytes", "budget_is_local")
"""Facts that the hub does not tell again. The epoch and every cursor begin anew."""
TABLES = {
    "staff": ("id", ""),
    "staff_event": ("number", ""),
    "call": ("id", ""),
    "meter": ("day, lane", ""),
    "file": ("document", "where leg in ('waiting', 'refused')"),
    "sms": ("counter", ""),
}
"""What only this station knows: its key and which rows. A table that a release does not have is passed by."""
UNSETTLED = {"waiting": "local", "sent": "local", "conflict": "conflict", "quarantined": "refused"}
"""Legs of operations that are carried over, and the state their records get."""
KEEP = timedelta(days=14)
"""How long a store that was set aside stays: it may hold patients whom the hub has taken away since."""


@dataclass(frozen=True)
class Opened:
    """An open store, and what was found when it was opened."""

    database: Database
    check: Check


def open_store(directory: Path, now: datetime) -> Opened:
    """Open the store after proving its pages; if they are not what was written, build it anew.

    Raises:
        NewerDatabase, OtherComputer, SealBroken, KeyMissing, StoreFull: as ``Database``.
    """
    path = directory / FILE_NAME
    _finish_setting_aside(directory, now)
    forget_old(directory, now)
    if path.exists() and path.stat().st_size and not cipher.is_plain(path):
        before = checking.last(directory)
        doubted = before is not None and not before.whole and before.rescued is None
        check = checking.look(path, now, thorough=doubted)
    else:
        check = Check(now.isoformat(), 0, 0.0)
    database: Database | None = None
    with contextlib.suppress(StoreDamaged):
        database = Database(path, now) if check.whole else None
    if database is None:
        log.error("store_damaged", pages=check.problems or 1)
        set_aside(directory, now)
        database = Database(path, now)
        check = replace(check, problems=max(1, check.problems))
    rescued = _carry_over(directory, database)
    if rescued is not None:
        check = replace(check, rescued=rescued)
    checking.keep(directory, check)
    _keep_keepsake(directory, database)
    return Opened(database, check)


def set_aside(directory: Path, now: datetime) -> None:
    """Move the store, log first: a log that stayed would be read as the new store's."""
    (directory / _PART).mkdir(mode=0o700, exist_ok=True)
    _finish_setting_aside(directory, now)


def forget_old(directory: Path, now: datetime) -> None:
    """Remove stores that were set aside long ago."""
    for folder in directory.glob(f"{_ASIDE}*"):
        try:
            at = datetime.strptime(folder.name, f"{_ASIDE}{_STAMP}").replace(tzinfo=UTC)
        except ValueError:
            continue
        if now - at > KEEP:
            shutil.rmtree(folder, ignore_errors=True)


def _finish_setting_aside(directory: Path, now: datetime) -> None:
    part = directory / _PART
    if not part.is_dir():
        return
    for end in ("-wal", ""):
        with contextlib.suppress(FileNotFoundError):
            if not (part / (FILE_NAME + end)).exists():
                (directory / (FILE_NAME + end)).rename(part / (FILE_NAME + end))
        sealing.settle(directory)
    (directory / f"{FILE_NAME}-shm").unlink(missing_ok=True)
    part.rename(directory / f"{_ASIDE}{now.astimezone(UTC):{_STAMP}}")
    sealing.settle(directory)


def _carry_over(directory: Path, database: Database) -> int | None:
    """Carry what a store that was set aside holds into the new one, once. Return how many operations, or None."""
    aside = sorted(directory.glob(f"{_ASIDE}*"))
    if not aside:
        return None
    newest = aside[-1]
    with database.transaction() as tx:
        if settings.get(tx, _DONE) == newest.name:
            return None
        carried = _carry(tx, newest / FILE_NAME, cipher.key_of(directory, records=True))
        _from_keepsake(tx, directory)
        settings.put(tx, _DONE, newest.name)
    log.warning("store_rebuilt", rescued=carried)
    for older in aside[:-1]:
        shutil.rmtree(older, ignore_errors=True)
    return carried


def _carry(tx: Tx, path: Path, key: bytes) -> int:
    for row in _rows(path, key, "setting", "key"):
        if row["key"] in SETTINGS:
            settings.put(tx, row["key"], row["value"])
    for table, (order, which) in TABLES.items():
        for row in _rows(path, key, table, order, which):
            _insert(tx, table, row)
    carried = 0
    for row in _operations(path, key):
        if row["leg"] not in UNSETTLED or not row["text"]:
            continue
        try:
            resource = json.loads(row["text"])
        except ValueError:
            continue
        # It leaves anew, in a batch of the new epoch; the hub knows by what it holds that it has it already.
        leg = "waiting" if row["leg"] == "sent" else row["leg"]
        _insert(tx, "outbox", {**row, "leg": leg, "batch": None, "outcome": None})
        records.keep(tx, resource, row["text"], hub_version=row["base"], state=UNSETTLED[row["leg"]])
        carried += 1
    return carried


def _insert(tx: Tx, table: str, row: dict[str, Any]) -> None:
    known = {column["name"] for column in tx.execute(f"pragma table_info({table})")}
    kept = {name: value for name, value in row.items() if name in known}
    if not kept:
        return
    names, marks = ", ".join(kept), ", ".join("?" * len(kept))
    tx.execute(
        f"insert or replace into {table} ({names}) values ({marks})",  # noqa: S608 names of our own tables
        tuple(kept.values()),
    )


def _rows(path: Path, key: bytes, table: str, order: str, which: str = "") -> Iterator[dict[str, Any]]:
    """Yield the rows of a table that can still be read: from its beginning, then from its end; each once."""
    columns, seen = order.split(", "), set[tuple[Any, ...]]()
    for end in (order, ", ".join(f"{column} desc" for column in columns)):
        statement = f"select * from {table} {which} order by {end}"  # noqa: S608 names of our own tables
        for row in _read(path, key, statement):
            known = tuple(row[column] for column in columns)
            if known not in seen:
                seen.add(known)
                yield row


def _operations(path: Path, key: bytes) -> list[dict[str, Any]]:
    """Return the operations that can still be read, in their order."""
    found = {row["op"]: row for row in _rows(path, key, "outbox", "op")}
    between: Iterable[int] = ()
    if found:
        first, last = min(found), max(found)
        between = [op for op in range(first, last) if op not in found][:MOST_SINGLE]
    for op in between:
        found.update((row["op"], row) for row in _read(path, key, "select * from outbox where op = ?", op))
    return [found[op] for op in sorted(found)]


MOST_SINGLE = 20_000
"""Operations looked for one by one, where the table is broken in the middle."""


def _read(path: Path, key: bytes, statement: str, *given: object) -> Iterator[dict[str, Any]]:
    """Read until it fails, on a connection of its own: after a damaged page one reads nothing more."""
    with contextlib.closing(cipher.connect(path, key)) as store:
        try:
            for row in store.execute(statement, given):
                yield dict(row)
        except (cipher.Error, MemoryError):  # the latter is SQLCipher's second word about a damaged page
            return


# -- What must outlive the store: which station this is, and who works here.


def _keep_keepsake(directory: Path, database: Database) -> None:
    with database.transaction() as tx:
        keep(tx, directory)


def keep(tx: Tx, directory: Path) -> None:
    """Seal a copy of the enrolment and the accounts beside the store; call it when either has changed."""
    held = {
        "settings": {name: settings.get(tx, name) for name in SETTINGS},
        "staff": [dict(row) for row in tx.execute("select * from staff order by id")],
    }
    text = json.dumps(held, sort_keys=True).encode()
    path, sealer = directory / KEEPSAKE, sealing.this_computer()
    with contextlib.suppress(FileNotFoundError, SealBroken, OtherComputer):
        if sealing.read(path, _PURPOSE, sealer) == text:
            return
    sealing.write(path, text, _PURPOSE, sealer)


def _from_keepsake(tx: Tx, directory: Path) -> None:
    try:
        held = json.loads(sealing.read(directory / KEEPSAKE, _PURPOSE, sealing.this_computer()))
    except (FileNotFoundError, SealBroken, OtherComputer):
        return
    for name, value in held["settings"].items():
        if value is not None and settings.get(tx, name) is None:
            settings.put(tx, name, value)
    known = {row[0] for row in tx.execute("select id from staff")}
    for row in held["staff"]:
        if row["id"] not in known:
            _insert(tx, "staff", row)
