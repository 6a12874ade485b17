"""Hashing PINs: argon2id, one at a time, in a thread of its own."""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from station_agent.errors import StaffRefusal
from station_agent.staff.rules import PIN_DIGITS, pin_problem

T = TypeVar("T")

_MAY_WAIT = 8
"""Who comes behind so many is told to come back: a flood of guesses costs one core, and not the desk."""

_hasher = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1),))
"""19 MiB, two passes: the least of the OWASP Password Storage Cheat Sheet that fits beside the rest into 256 MB."""


def hashed(pin: str) -> str:
    """Return the hash of a PIN. Takes tens of milliseconds."""
    return _hasher.hash(pin)


def fits(pin: str, kept: str | None) -> bool:
    """Whether this is the PIN that was kept. Takes as long when there is no account as when there is one."""
    return _hasher.verify(pin[: PIN_DIGITS[1] + 1], kept or _nobodys()) and kept is not None


async def hash_of(pin: str) -> str:
    """Hash a new PIN off the event loop.

    Raises:
        StaffRefusal: it is none that may be chosen.
    """
    if (problem := pin_problem(pin)) is not None:
        raise StaffRefusal(problem, "this PIN cannot be chosen")
    return await _queue.run(lambda: hashed(pin))


async def fit(pin: str, kept: str | None) -> bool:
    """``fits`` off the event loop. Raises StaffRefusal(busy)."""
    return await _queue.run(lambda: fits(pin, kept))


class _Queue:
    """One check at a time, and few who wait."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pin")
        self._in_hand = 0

    async def run(self, work: Callable[[], T]) -> T:
        if self._in_hand >= _MAY_WAIT:
            raise StaffRefusal("busy", "too many try to sign in")
        self._in_hand += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._in_hand -= 1


_queue = _Queue()


def one_time() -> str:
    """Return a PIN that is given to somebody, who changes it at once."""
    while True:
        pin = f"{secrets.randbelow(10 ** PIN_DIGITS[0]):0{PIN_DIGITS[0]}d}"
        if pin_problem(pin) is None:
            return pin


@cache
def _nobodys() -> str:
    return _hasher.hash("nobody has this PIN")
