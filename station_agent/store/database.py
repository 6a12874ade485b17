"""Opening the database, and its transactions."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from station_agent.errors import NewerDatabase, StoreDamaged
from station_agent.ids import new_id
from station_agent.store import cipher
from station_agent.store.converting import convert
from station_agent.store.schema import STEPS

Tx = sqlite3.Connection
"""A connection with an open transaction. Functions that take one never commit."""

FILE_NAME = "station.sqlite3"

T = TypeVar("T")


class Database:
    """One connection, one thread: every page and the link take their turn, so nothing is ever locked out.

    The file is encrypted with a key that lies beside it, sealed to this computer; one that an earlier release left
    plain is encrypted first. WAL with ``synchronous=FULL``: with NORMAL "a transaction committed … might roll back
    following a power loss" (sqlite.org/pragma.html#pragma_synchronous).

    Raises:
        NewerDatabase: a newer agent wrote it.
        OtherComputer, SealBroken, KeyMissing: its key does not open here.
        StoreFull, StoreDamaged: the disk; from every method too.
    """

    def __init__(self, path: Path, now: datetime) -> None:
        self.path = path
        self.damaged = threading.Event()
        """Set once a page was read that is not what was written."""
        self._turn = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="store")
        with cipher.told():
            self._connection = _opened(path)
        try:
            with self._disk():
                for pragma in (
                    "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 10000",
                    "secure_delete = ON", "temp_store = MEMORY",
                ):  # fmt: skip
                    self._connection.execute(f"pragma {pragma}")
            self._migrate(now)
        except BaseException:
            self._connection.close()
            raise

    def _migrate(self, now: datetime) -> None:
        with self.transaction() as tx:
            done = int(tx.execute("pragma user_version").fetchone()[0])
            if done > len(STEPS):
                raise NewerDatabase("the data belongs to a newer station-agent: update the program")
            for step in STEPS[done:]:
                for statement in step:
                    tx.execute(statement)
            tx.execute(f"pragma user_version = {len(STEPS)}")
            if done == 0:
                # Names this database for ever: with it and an operation's number the hub knows a repetition.
                tx.execute("insert into setting values ('db_epoch', ?)", (new_id(now),))

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        """One transaction: on disk when the block has ended, undone if it raised."""
        with self._turn, self._disk():
            self._connection.execute("begin immediate")
            try:
                yield self._connection
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:  # a full disk may have ended it already
                    self._connection.execute("rollback")
                raise

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            with cipher.told():
                yield
        except StoreDamaged:
            self.damaged.set()
            raise
        except MemoryError:
            # What SQLCipher says on a connection that met a damaged page; the next opening proves which it was.
            self.damaged.set()
            raise StoreDamaged("the store on the disk cannot be read") from None

    async def run(self, work: Callable[[Tx], T]) -> T:
        """Do ``work`` in a transaction, off the event loop; when this returns it is on disk."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._do, work)

    def _do(self, work: Callable[[Tx], T]) -> T:
        with self.transaction() as tx:
            return work(tx)

    async def tidy(self) -> bool:
        """Write the file anew and empty its journal: nothing that was deleted remains in a page. Whether that could be
        done now: somebody who reads at this moment is in its way."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._tidy)

    def _tidy(self) -> bool:
        with self._turn, self._disk():
            self._connection.execute("vacuum")
            busy = self._connection.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
        return not busy

    def close(self) -> None:
        """Finish what is running and close."""
        self._worker.shutdown(wait=True)
        self._connection.close()


def _opened(path: Path) -> sqlite3.Connection:
    plain = cipher.is_plain(path)
    records = path.is_file() and path.stat().st_size > 0 and not plain
    key = cipher.key_of(path.parent, records=records)
    convert(path, key)
    path.touch(mode=0o600)
    path.chmod(0o600)  # the log beside it gets what the database has
    return cipher.connect(path, key)


def read_only(path: Path) -> sqlite3.Connection:
    """Look into the database of an agent that may be running; writes nothing.

    Raises:
        FileNotFoundError: there is none.
        OtherComputer, SealBroken, KeyMissing: its key does not open here.
    """
    if not path.exists():
        raise FileNotFoundError(path.name)
    if cipher.is_plain(path):  # an earlier release's, whose agent has not been started since
        return cipher.connect(path, None, writes=False)
    return cipher.connect(path, cipher.key_of(path.parent, records=True), writes=False)
