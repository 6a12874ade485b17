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

from station_agent.errors import NewerDatabase
from station_agent.ids import new_id
from station_agent.store.schema import STEPS

Tx = sqlite3.Connection
"""A connection with an open transaction. Functions that take one never commit."""

FILE_NAME = "station.sqlite3"

T = TypeVar("T")


class Database:
    """One connection, one thread: every page and the link take their turn, so nothing is ever locked out.

    WAL with ``synchronous=FULL``: with NORMAL "a transaction committed … might roll back following a power loss"
    (sqlite.org/pragma.html#pragma_synchronous).
    """

    def __init__(self, path: Path, now: datetime) -> None:
        self.path = path
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._turn = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="store")
        path.chmod(0o600)
        for pragma in (
            "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 10000",
            "secure_delete = ON", "temp_store = MEMORY",
        ):  # fmt: skip
            self._connection.execute(f"pragma {pragma}")
        self._migrate(now)

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
        with self._turn:
            self._connection.execute("begin immediate")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")

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
        with self._turn:
            self._connection.execute("vacuum")
            busy = self._connection.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
        return not busy

    def close(self) -> None:
        """Finish what is running and close."""
        self._worker.shutdown(wait=True)
        self._connection.close()


def read_only(path: Path) -> sqlite3.Connection:
    """Look into the database of an agent that may be running; writes nothing.

    Raises:
        FileNotFoundError: there is none.
    """
    if not path.exists():
        raise FileNotFoundError(path.name)
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection
