"""The data keys of a database: kept in it, wrapped by a key outside; opened when a process starts.

Each is there once for every master key that may open it. While a master key is being replaced (``identifier_key`` and
``identifier_key_before`` are both set) all are wrapped by both, and a new one, made under the new master key, seals
from then on; when the one before is taken out of the settings, what it wrapped is deleted. What older data keys have
sealed stays readable: they are kept.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from weakref import WeakSet

import structlog
from sqlalchemy import Column, LargeBinary, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Field, SQLModel

from clinic_net.kernel import envelope
from clinic_net.kernel.db import Instant, Sessions
from clinic_net.kernel.envelope import DataKeyUnknown, MasterKey, NoDataKey
from clinic_net.kernel.links import Database
from clinic_net.kernel.settings import HubSettings

log = structlog.get_logger()

KEYRING = "kernel.keyring"
"""Where in a session's or a link's ``info`` the process's keyring is."""

_THERE = text("select to_regclass('kernel_data_key') is not null")
_HOLD = text("select pg_advisory_xact_lock(7203411906)")
_READ = text("select name, master, made_under, wrapped from kernel_data_key order by made_at desc, name")
_ADD = text(
    "insert into kernel_data_key (name, master, made_under, wrapped, made_at)"
    " values (:name, :master, :made_under, :wrapped, :at) on conflict do nothing"
)
_DROP = text("delete from kernel_data_key where master <> all(:masters)")


class DataKey(SQLModel, table=True):
    """One data key as one master key wraps it. ``made_under``: the master key in force when it was made."""

    __tablename__ = "kernel_data_key"

    name: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    master: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    made_under: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    wrapped: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    made_at: Instant


class WrongMasterKey(Exception):
    """The settings' key does not open the database's data keys; the message says what to do."""


class Keyring:
    """What one process seals with, and how it learns what others have made meanwhile."""

    def __init__(self, settings: HubSettings, sessions: Sessions) -> None:
        self._masters = [MasterKey.of(settings.identifier_key)]
        if settings.identifier_key_before is not None:
            self._masters.append(MasterKey.of(settings.identifier_key_before))
        self._sessions = sessions
        self._current: bytes | None = None
        self._asking: asyncio.Task[None] | None = None
        _open.add(self)

    def seal(self, plain: bytes, *, bound: bytes) -> bytes:
        """Return a sealed value that opens only with the same ``bound`` (``envelope.seal``).

        Raises:
            NoDataKey: the database is of an older release.
        """
        if self._current is None:
            raise NoDataKey("there is no key to seal with")
        return envelope.seal(plain, self._current, bound=bound)

    async def open(self, *, now: datetime) -> None:
        """Learn the data keys; make one if there is none of the master key in force, and wrap all by every master key.

        Raises:
            WrongMasterKey: there are data keys that no master key of the settings opens.
        """
        async with self._sessions() as session, session.begin():
            connection = await session.connection()
            if not (await connection.execute(_THERE)).scalar_one():
                return
            await connection.execute(_HOLD)
            rows = (await connection.execute(_READ)).all()
            keys = self._opened(rows)
            if missing := {bytes(row.name) for row in rows} - keys.keys():
                raise WrongMasterKey(
                    f"{len(missing)} data keys were wrapped by another key: set CLINIC_NET_IDENTIFIER_KEY to the one"
                    " that is in force, and CLINIC_NET_IDENTIFIER_KEY_BEFORE to the one before it"
                )
            await self._bring_up_to_date(connection, rows, keys, now=now)

    async def _bring_up_to_date(
        self, connection: AsyncConnection, rows: Sequence[Any], keys: dict[bytes, bytes], *, now: datetime
    ) -> None:
        ours = self._masters[0].name
        made_under = {bytes(row.name): bytes(row.made_under) for row in rows}
        current = next((bytes(row.name) for row in rows if bytes(row.made_under) == ours), None)
        if current is None:
            current, made = envelope.new_data_key()
            keys = {**keys, current: made}
            made_under[current] = ours
        there = {(bytes(row.name), bytes(row.master)) for row in rows}
        for name, key in keys.items():
            for master in self._masters:
                if (name, master.name) not in there:
                    values = {"name": name, "master": master.name, "made_under": made_under[name], "at": now}
                    await connection.execute(_ADD, {**values, "wrapped": master.wrap(key)})
        await connection.execute(_DROP, {"masters": [master.name for master in self._masters]})
        envelope.learn(keys)
        self._current = current

    def _opened(self, rows: Sequence[Any]) -> dict[bytes, bytes]:
        found = {}
        for row in rows:
            for master in self._masters:
                if (
                    master.name == bytes(row.master)
                    and (key := master.unwrap(bytes(row.wrapped))) is not None
                ):
                    found[bytes(row.name)] = key
        return found

    def ask(self) -> None:
        """Learn, in the background, what other processes have made since."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._learn())

    async def close(self) -> None:
        """Ask no more: the database is about to be closed."""
        _open.discard(self)
        if self._asking is not None:
            await self._asking

    async def _learn(self) -> None:
        try:
            async with self._sessions() as session, session.begin():
                rows = (await (await session.connection()).execute(_READ)).all()
            envelope.learn(self._opened(rows))
        except Exception as failure:  # noqa: BLE001 -- whoever meets the key next asks again
            log.warning("data_keys_unread", error=type(failure).__name__)


_open: WeakSet[Keyring] = WeakSet()


def unsealed(text: bytes, *, bound: bytes) -> bytes:
    """Return ``text`` with what is sealed in it opened; a data key that is not known is asked for.

    Raises:
        DataKeyUnknown, SealBroken: see ``envelope.unseal``.
    """
    try:
        return envelope.unseal(text, bound=bound)
    except DataKeyUnknown:
        for keyring in list(_open):
            try:
                keyring.ask()
            except RuntimeError:  # beside the loop: whoever meets it on the loop asks
                break
        raise


def keyring_of(s: Database) -> Keyring:
    """Return the keyring of the process that a session or a link belongs to."""
    found = s.info[KEYRING]
    assert isinstance(found, Keyring)
    return found
