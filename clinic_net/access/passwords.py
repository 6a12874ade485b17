"""Passwords: argon2id in threads of their own, two at once, so that a flood of sign-ins starves nothing else.

A check costs 64 MiB and tens to hundreds of milliseconds of a core.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from clinic_net.access.errors import SignInBusy

_AT_ONCE = 2
_MAY_WAIT = 24
"""Who comes behind so many would wait several seconds; they are told to come back instead."""

_hasher = PasswordHash((Argon2Hasher(),))
_threads = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="argon2")
_in_hand: set[object] = set()


@cache
def _nobodys_hash() -> str:
    return _hasher.hash("nobody has this password")


def _check(password: str, hashed: str | None) -> bool:
    right = _hasher.verify(password, hashed if hashed is not None else _nobodys_hash())
    return right and hashed is not None


async def check(password: str, hashed: str | None) -> bool:
    """Whether the password is right. Without a hash the work is done all the same, and the answer is no.

    Raises:
        SignInBusy: too many wait already.
    """
    if len(_in_hand) >= _AT_ONCE + _MAY_WAIT:
        raise SignInBusy
    ticket = object()
    _in_hand.add(ticket)
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, _check, password, hashed)
    finally:
        _in_hand.discard(ticket)


async def hash_of(password: str) -> str:
    """Return the argon2id hash to store, in PHC form."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password)
