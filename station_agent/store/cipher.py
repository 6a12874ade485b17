"""SQLCipher: SQLite whose every page, in the file and in its log, is encrypted and authenticated.

Its key is 32 random bytes ("raw key", zetetic.net/sqlcipher/sqlcipher-api): no password is stretched at each start.
"""

import contextlib
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import sqlcipher3
from sqlcipher3 import dbapi2

from station_agent import sealing
from station_agent.errors import KeyMissing, StationRefusal, StoreDamaged, StoreFull

KEY_BYTES = 32
KEY_FILE = "store-key.sealed"
PLAIN_HEADER = b"SQLite format 3\x00"
"""How a database begins that is not encrypted (sqlite.org/fileformat.html)."""

Error: type[Exception] = dbapi2.Error

_PURPOSE = "store"
_FULL = frozenset({dbapi2.SQLITE_FULL, dbapi2.SQLITE_IOERR, dbapi2.SQLITE_READONLY})
_DAMAGED = frozenset({dbapi2.SQLITE_CORRUPT, dbapi2.SQLITE_NOTADB})
_PRIMARY = 0xFF
"""The primary part of an extended result code (sqlite.org/rescode.html)."""


def key_of(directory: Path, *, records: bool) -> bytes:
    """Return the key of the store in a directory, made if there is none yet.

    ``records`` says that encrypted records are there: a new key would not open them.

    Raises:
        KeyMissing: there are records, and no key.
        OtherComputer, SealBroken: the key does not open on this computer.
    """
    sealer = sealing.this_computer()
    with contextlib.suppress(FileNotFoundError):
        return sealing.read(directory / KEY_FILE, _PURPOSE, sealer)
    if records:
        raise KeyMissing(f"the records here are encrypted, and their key ({KEY_FILE}) is gone")
    key = secrets.token_bytes(KEY_BYTES)
    sealing.write(directory / KEY_FILE, key, _PURPOSE, sealer)
    return key


def is_plain(path: Path) -> bool:
    """Whether a database was written before stores were encrypted."""
    try:
        with path.open("rb") as file:
            return file.read(len(PLAIN_HEADER)) == PLAIN_HEADER
    except FileNotFoundError:
        return False


def connect(path: Path, key: bytes | None, *, writes: bool = True) -> sqlite3.Connection:
    """Open a database. Transactions are the caller's; without a key it is a plain one.

    What sqlcipher3 returns has the interface of the standard library's connection, by which it is typed here.
    """
    address = path.resolve().as_uri() + ("" if writes else "?mode=ro")
    opened = sqlcipher3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
    opened.row_factory = sqlcipher3.Row
    # Its words on standard error would be lines of no log, one for each page of a damaged store.
    opened.execute("pragma cipher_log_level = none")
    if key is not None:
        opened.execute(quoted("pragma key", key))
    return cast(sqlite3.Connection, opened)


def quoted(statement: str, key: bytes) -> str:
    """Return a statement with a raw key. It is nobody's text: hexadecimal digits of our own making."""
    assert len(key) == KEY_BYTES
    return f"{statement} = \"x'{key.hex()}'\""


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turn SQLite's errors about the disk into the station's, which say nothing of what was being written.

    Raises:
        StoreFull: no room, or the disk refuses to write.
        StoreDamaged: a page is not what was written.
    """
    try:
        yield
    except dbapi2.Error as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        raise refusal from None


def refusal_of(error: Exception) -> StationRefusal | None:
    """Return what an error of the database means for the station, or None when it is the program's own."""
    if is_damage(error):
        return StoreDamaged("the store on the disk is damaged")
    if _primary(error) in _FULL:
        return StoreFull("the disk has no room left or cannot be written")
    return None


def is_damage(error: Exception) -> bool:
    """Whether an error of the database says that a page is not what was written."""
    return _primary(error) in _DAMAGED


def _primary(error: Exception) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return code & _PRIMARY if isinstance(code, int) else None


def version() -> str:
    """Return the versions of SQLCipher and of the SQLite in it."""
    with contextlib.closing(sqlcipher3.connect(":memory:")) as memory:
        return f"{memory.execute('pragma cipher_version').fetchone()[0]} (SQLite {dbapi2.sqlite_version})"
