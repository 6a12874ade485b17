"""What a PIN may be, what guessing costs, and how an account is named: pure."""

import itertools
import re
from collections.abc import Collection
from datetime import timedelta

from clinic_net.clinical.names import fold

PIN_DIGITS = (6, 12)
"""NIST SP 800-63B (rev. 3) §5.1.1.1: six characters at least, which may all be digits."""

FREE_TRIES = 5
FIRST_LOCK = timedelta(minutes=1)
LONGEST_LOCK = timedelta(minutes=15)
"""Ours: after five wrong PINs one try a minute, then ever fewer, at last four an hour: to try half of a million takes
fourteen years. NIST SP 800-63B (rev. 3) §5.2.2 asks for no more than 100 in a row."""

NAME_LENGTH = 60
LOGIN_LENGTH = 24


def pin_problem(pin: str) -> str | None:
    """Return why a PIN is not taken (a key of ``words.STAFF``): its form, or that it is guessed first; or None."""
    if not (pin.isascii() and pin.isdecimal()):
        return "pin-digits"
    if not PIN_DIGITS[0] <= len(pin) <= PIN_DIGITS[1]:
        return "pin-length"
    return "pin-easy" if _easy(pin) else None


def _easy(pin: str) -> bool:
    """One digit, a run up or down, or a short piece over and over: 000000, 123456, 987654, 121212, 123123."""
    steps = {(int(after) - int(before)) % 10 for before, after in itertools.pairwise(pin)}
    repeats = any(len(pin) % size == 0 and pin == pin[:size] * (len(pin) // size) for size in (1, 2, 3))
    return repeats or steps in ({1}, {9})


def lock_after(failures: int) -> timedelta | None:
    """Return how long an account rests after so many wrong PINs in a row, or None."""
    if failures < FREE_TRIES:
        return None
    doubled: timedelta = FIRST_LOCK * 2 ** min(failures - FREE_TRIES, 8)
    return min(doubled, LONGEST_LOCK)


def login_of(name: str, taken: Collection[str]) -> str:
    """Return a short name for an account, of the last word of a Vietnamese name: ``lan``, then ``lan2``."""
    words = re.sub(r"[^a-z0-9 ]", "", fold(name)).split()
    plain = (words[-1] if words else "nurse")[:LOGIN_LENGTH]
    number, login = 1, plain
    while login in taken:
        number += 1
        login = f"{plain}{number}"
    return login
