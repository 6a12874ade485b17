"""Whether the disk still gives back what was written: every page carries its own proof (HMAC-SHA512, SQLCipher)."""

import contextlib
import json
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from station_agent import sealing
from station_agent.store import cipher

FILE_NAME = "check.json"
"""Beside the store, not in it: it has to be readable when the store is not."""


@dataclass(frozen=True)
class Check:
    """One look at the whole store. ``problems`` counts pages, or is 1 when the store does not even open."""

    at: str
    problems: int
    seconds: float
    rescued: int | None = None
    """Operations that were carried into a new store, when this look led to one."""

    @property
    def whole(self) -> bool:
        return self.problems == 0


def look(path: Path, now: datetime, *, thorough: bool = True) -> Check:
    """Read every page of a store and prove it; ``thorough`` also follows the trees. Writes nothing.

    Raises:
        FileNotFoundError, OtherComputer, SealBroken, KeyMissing: the store does not open for another reason.
    """
    began = time.perf_counter()
    problems = _problems(path, thorough=thorough)
    return Check(now.isoformat(), problems, round(time.perf_counter() - began, 2))


def _problems(path: Path, *, thorough: bool) -> int:
    key = cipher.key_of(path.parent, records=True)
    with contextlib.closing(cipher.connect(path, key, writes=False)) as store:
        try:
            # A page may be half written while it is looked at: the log's pages are proven when they are read.
            found = len(store.execute("pragma cipher_integrity_check").fetchall())
            if found or not thorough:
                return found
            rows = store.execute("pragma quick_check(20)").fetchall()
            return 0 if rows[0][0] == "ok" else len(rows)
        except cipher.Error as error:
            if cipher.is_damage(error):
                return 1
            raise
        except MemoryError:  # SQLCipher's second word about a damaged page
            return 1


def keep(directory: Path, check: Check) -> None:
    """Note what a look has found."""
    sealing.write_through(directory / FILE_NAME, json.dumps(asdict(check)).encode())


def last(directory: Path) -> Check | None:
    """Return what the last look found, or None."""
    try:
        return Check(**json.loads((directory / FILE_NAME).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
