"""Pure rules of proofs: recovery codes, guessable passwords, how a browser is called."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import timedelta

from clinic_net.access.rules import CROCKFORD

FRESH_FOR = timedelta(minutes=5)
"""How long a proof counts as fresh for what needs one (``auth_time`` of at most five minutes)."""

PENDING_FOR = timedelta(minutes=10)
"""How long a person has for the second half of signing in, setting a factor up included."""

CHALLENGE_LASTS = timedelta(minutes=5)
"""WebAuthn §4 recommends 5 minutes at least for ceremonies with user verification (``timeout``: 300,000 ms)."""

RECOVERY_CODES = 10
_RECOVERY_LENGTH = 10
"""50 bits: with five tries before the delays begin, out of reach."""

_LEFT_TO_GUESS = 6
"""Letters that must remain of a password when everything is taken away that others would try first."""

COMMON = re.findall(
    r"\S+",
    """
    password passwort passcode matkhau letmein welcome admin administrator iloveyou anhyeuem
    emyeuanh yeuem qwerty qwertyuiop asdfgh asdfghjkl zxcvbn zxcvbnm dragon monkey master superman
    football baseball sunshine princess shadow michael computer internet samsung iphone facebook
    google zalo changeme default secret login user test guest root abc abcd abcde abcdef hello baby
    love vietnam hanoi saigon saigon tphcm hochiminh danang dienbien benhvien tramyte tram bacsi
    bacsy dieuduong yta yte yteso clinic clinicnet hospital doctor nurse khambenh suckhoe soyte
    boyte covid covid19 xinchao tinhyeu giadinh mahal 1q2w3e 1qaz2wsx q1w2e3 zaq12wsx abc123 aa
    """,
)
"""Words that lists of leaked passwords begin with, and those of this work. Written for this hub, offline."""

_LOOKALIKE = str.maketrans(
    {"0": "o", "1": "l", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"}
)
_RUNS = ("0123456789", "9876543210", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm")


def random_recovery_code(pick: Callable[[str], str]) -> str:
    """Return a fresh recovery code; ``pick`` chooses one character from a secure source."""
    return "".join(pick(CROCKFORD) for _ in range(_RECOVERY_LENGTH))


def _plain(text: str) -> str:
    """Return small letters and digits only, without marks: ``Bệnh-Viện`` is ``benhvien``."""
    split = unicodedata.normalize("NFD", text.lower().replace("đ", "d"))
    return "".join(letter for letter in split if letter.isalnum())


def guessable(password: str, *, about: Iterable[str]) -> bool:
    """Whether too little of a password is left once words that everybody tries first are taken out of it.

    ``about`` is what others know of the person: login, name, where they work (ASVS 5.0 §6.2.4, §6.2.11). No corpus
    of leaked passwords is asked: a hub may have no way out of its network.
    """
    known = {_plain(word) for text in about for word in re.split(r"[\s._@-]+", text)}
    words = sorted({word for word in known if len(word) > 2} | {_plain(word) for word in COMMON}, key=len)
    left = min((_without(spelling, words) for spelling in _spellings(password)), key=len)
    return len(left) < _LEFT_TO_GUESS or len(set(left)) < 4


def _spellings(password: str) -> tuple[str, str, str]:
    """Return a password as it is, with digits read as the letters they stand for, and so after its runs are gone."""
    small = password.lower()
    cut = _without_runs(small)
    return _plain(small), _plain(small.translate(_LOOKALIKE)), _plain(cut.translate(_LOOKALIKE))


def _without_runs(text: str) -> str:
    for run in _RUNS:
        for length in range(len(run), 3, -1):
            for at in range(len(run) - length + 1):
                text = text.replace(run[at : at + length], " ")
    return text


def _without(text: str, words: Iterable[str]) -> str:
    for word in reversed(list(words)):
        text = text.replace(word, " ")
    text = re.sub(r"(.{1,3})\1+", r"\1", _without_runs(text))
    text = re.sub(r"(?:19|20)\d\d", " ", text)
    return text.replace(" ", "")


_PROGRAMS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser", "Samsung"), ("Firefox/", "Firefox"),
             ("Chrome/", "Chrome"), ("Safari/", "Safari"))  # fmt: skip
_SYSTEMS = (("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"),
            ("Mac OS X", "macOS"), ("Linux", "Linux"))  # fmt: skip


def browser_called(user_agent: str) -> str:
    """Return a browser's kind as its owner would know it again (``Chrome, Windows``), and no more; empty if unknown."""
    found = [
        next((name for mark, name in table if mark in user_agent), "") for table in (_PROGRAMS, _SYSTEMS)
    ]
    return ", ".join(name for name in found if name)
