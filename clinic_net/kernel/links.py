"""Connections to the database for what is asked most often, without a session around them.

A session's bookkeeping costs several times what a small statement does. What travels here is spelled-out SQL and comes
back as plain tuples; ``fetch`` takes a session as well, so that a query is written once for both.
"""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, cast

import psycopg
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import TextClause
from sqlalchemy.dialects.postgresql import psycopg as psycopg_dialect
from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.kernel.db import AS_SYSTEM
from clinic_net.kernel.settings import HubSettings

LINKS = 8
"""Links of one process: two for each kind of shared transaction."""

_SURE_FOR = 1.0
"""Seconds after its last use in which a connection is taken to be alive without asking."""

_SHORT_WAIT = "set local lock_timeout = '200ms'"


_DIALECT = psycopg_dialect.dialect()  # type: ignore[no-untyped-call]


class _Connection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """A connection that knows when it was last used."""

    used = 0.0


class Link:
    """One transaction on a connection of its own. ``info`` is what a session's ``info`` would hold."""

    def __init__(self, driver: psycopg.AsyncConnection[Any], info: Mapping[str, object]) -> None:
        self.driver = driver
        self.info = info

    async def wait_for_nobody(self) -> None:
        """Let what follows fail, within 200 ms, rather than wait for a row that somebody else holds."""
        await fetch(self, _SHORT_WAIT)


Rows = Sequence[tuple[Any, ...]]

Database = AsyncSession | Link
"""Where a statement is carried out: within a session's transaction, or a link's."""


class Links:
    """The links of a process. A transaction that finds none free waits ``database_wait`` and is then refused."""

    def __init__(self, settings: HubSettings, *, info: Mapping[str, object]) -> None:
        self._info = info
        self._pool = AsyncConnectionPool(
            settings.database.replace("postgresql+psycopg://", "postgresql://"),
            connection_class=_Connection,
            kwargs={"connect_timeout": 5, "options": AS_SYSTEM},
            min_size=0,
            max_size=LINKS,
            timeout=settings.database_wait.total_seconds(),
            check=_alive,
            open=False,
        )

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Link]:
        """Give a transaction; it is committed when its block ends without an exception."""
        try:
            async with self._pool.connection() as driver:
                yield Link(driver, self._info)
                await driver.commit()
                driver.used = time.monotonic()
        except psycopg.Error as failure:
            raise _told(failure) from None


async def fetch(
    s: Database, statement: TextClause | str, parameters: Mapping[str, Any] | None = None
) -> Rows:
    """Carry out a statement and return its rows as tuples; none for a statement that has none.

    Text comes in the driver's own form (``%(name)s``).

    Raises:
        DBAPIError: as from a session.
    """
    sql = statement if isinstance(statement, str) else _spelled(statement)
    if isinstance(s, AsyncSession):
        found = await (await s.connection()).exec_driver_sql(sql, dict(parameters or {}))
        return cast("Rows", found.all()) if found.returns_rows else ()
    try:
        cursor = await s.driver.execute(cast("Any", sql), parameters)
        return await cursor.fetchall() if cursor.description else ()
    except psycopg.Error as failure:
        raise _told(failure) from None


async def _alive(driver: _Connection) -> None:
    if time.monotonic() - driver.used > _SURE_FOR:
        await AsyncConnectionPool.check_connection(driver)


@lru_cache(maxsize=1000)
def _spelled(statement: TextClause) -> str:
    return str(statement.compile(dialect=_DIALECT))


def _told(failure: psycopg.Error) -> Exception:
    """Return a failure as a session would tell it, without what was being stored."""
    return cast(
        "Exception",
        DBAPIError.instance(None, None, failure, psycopg.Error, hide_parameters=True, dialect=_DIALECT),
    )
