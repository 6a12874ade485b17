"""Passwords: argon2id in two threads of their own, so that a flood of sign-ins starves nothing else.

A check costs 64 MiB and tens to hundreds of milliseconds of a core.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TypeVar

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from clinic_net.access.errors import SignInBusy

T = TypeVar("T")

_MAY_WAIT = 24
"""Who comes behind so many would wait several seconds; they are told to come back instead."""


class Lane:
    """One check at a time, and a bounded queue. ``in_hand`` counts the one that runs and those that wait."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"argon2-{name}")
        self.in_hand = 0

    async def run(self, work: Callable[[], T]) -> T:
        if self.in_hand > _MAY_WAIT:
            raise SignInBusy
        self.in_hand += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self.in_hand -= 1


STRANGERS, KNOWN = Lane("strangers"), Lane("known")
"""A flood of sign-ins from strange browsers fills its own lane and costs one core; who signed in from their browser
before finds the other lane free."""

_hasher = PasswordHash((Argon2Hasher(),))


@cache
def _nobodys_hash() -> str:
    return _hasher.hash("nobody has this password")


def _check(password: str, hashed: str | None) -> bool:
    right = _hasher.verify(password, hashed if hashed is not None else _nobodys_hash())
    return right and hashed is not None


async def check(password: str, hashed: str | None, *, known: bool = False) -> bool:
    """Whether the password is right. Without a hash the work is done all the same, and the answer is no.

    ``known`` says that a browser asks in which this person signed in before.

    Raises:
        SignInBusy: too many wait already.
    """
    lane = KNOWN if known else STRANGERS
    return await lane.run(partial(_check, password, hashed))


async def hash_of(password: str) -> str:
    """Return the argon2id hash to store, in PHC form.

    Raises:
        SignInBusy: too many wait already.
    """
    return await KNOWN.run(partial(_hasher.hash, password))
