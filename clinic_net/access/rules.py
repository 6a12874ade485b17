"""Pure rules of access: codes, passwords, logins, the times of an assertion."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Base 32 without letters that are mistaken for digits (Crockford)."""

CODE_LENGTH = 10
"""50 bits: at 20 guesses an hour from an address, out of reach within a code's 72 hours."""
CODE_PREFIX_LENGTH = 4
CODE_LIFETIME = timedelta(hours=72)

PASSWORD_SHORTEST = 12
PASSWORD_LONGEST = 256
"""ASVS 5.0 §6.2: at least 8, recommended 15; at least 64 must be allowed. Argon2 does not mind the length."""
_RANDOM_PASSWORD_LENGTH = 20
"""100 bits."""

ASSERTION_LASTS_AT_MOST = timedelta(minutes=5)
"""SMART backend services: ``exp`` no more than five minutes in the future."""
CLOCK_LEEWAY = timedelta(seconds=30)

_LOGIN = re.compile(r"[a-z0-9][a-z0-9._-]{1,63}")
_FHIR_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})


def random_code(pick: Callable[[str], str]) -> str:
    """Return a fresh enrolment code; ``pick`` chooses one character from a secure source."""
    return "".join(pick(CROCKFORD) for _ in range(CODE_LENGTH))


def shown_code(code: str) -> str:
    """Return a code as people read it out: two groups of five."""
    return f"{code[:5]}-{code[5:]}"


def normal_code(typed: str) -> str:
    """Return what a technician meant: capitals, no hyphens or spaces, O for 0 and I or L for 1 understood."""
    return typed.strip().upper().translate(_MISREAD)


def random_password(pick: Callable[[str], str]) -> str:
    """Return a password of 100 bits in groups of four that can be read out over the telephone."""
    letters = "".join(pick(CROCKFORD) for _ in range(_RANDOM_PASSWORD_LENGTH)).lower()
    return "-".join(letters[at : at + 4] for at in range(0, _RANDOM_PASSWORD_LENGTH, 4))


def normal_login(typed: str) -> str | None:
    """Return the login that was meant, or None when it cannot be one."""
    login = typed.strip().lower()
    return login if _LOGIN.fullmatch(login) else None


def is_fhir_id(text: str) -> bool:
    """Whether a text can be the id of a resource (FHIR R4 §2.24.0.1)."""
    return _FHIR_ID.fullmatch(text) is not None


def printable(text: str, longest: int) -> str:
    """Return a program's own words, as far as a database and a log can hold them."""
    return "".join(letter for letter in text if letter.isprintable())[:longest]


def assertion_in_time(expires: datetime, now: datetime) -> bool:
    """Whether a client assertion's ``exp`` is in the future, but not by more than five minutes."""
    return now - CLOCK_LEEWAY < expires <= now + ASSERTION_LASTS_AT_MOST + CLOCK_LEEWAY
