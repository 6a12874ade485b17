"""Who sits at which browser: in memory, because after a power cut everybody signs in again.

Times are seconds since the computer was started, so that neither a clock that is set nor sleep keeps a desk open.
"""

import hashlib
import secrets
from dataclasses import dataclass, field

IDLE_LOCK_S = 5 * 60.0
"""Ours: a desk that nobody touches for five minutes locks; a PIN opens it again where it was."""
SHIFT_S = 12 * 3600.0
"""NIST SP 800-63B (rev. 3) §4.2.3: who is there proves it anew after 12 hours at the latest."""
MOST = 64
"""A station has a handful of browsers; past so many the one that was used longest ago goes."""


@dataclass
class Session:
    """A browser at which somebody has signed in."""

    login: str
    name: str
    lead: bool
    began: float
    used: float
    must_change: bool = False
    locked: bool = field(default=False)


class Sessions:
    """All of them. A token is known to its browser only; here its digest is kept."""

    def __init__(self) -> None:
        self._held: dict[bytes, Session] = {}

    def start(self, login: str, name: str, *, lead: bool, must_change: bool, at: float) -> str:
        """Begin a session. Returns its token, which was never anybody's before."""
        self._sweep(at)
        token = secrets.token_urlsafe(32)
        self._held[_digest(token)] = Session(login, name, lead, at, at, must_change)
        return token

    def find(self, token: str | None, *, at: float) -> Session | None:
        """Return the session of a token, locked if nobody was there for too long; None if there is none."""
        session = self._held.get(_digest(token or ""))
        if session is None:
            return None
        if at - session.began > SHIFT_S:
            self.end(token)
            return None
        session.locked = session.locked or at - session.used > IDLE_LOCK_S
        return session

    def end(self, token: str | None) -> None:
        """End a session."""
        self._held.pop(_digest(token or ""), None)

    def end_of(self, login: str) -> None:
        """End all sessions of an account: it was let go, or its PIN was given anew."""
        self._held = {key: held for key, held in self._held.items() if held.login != login}

    def count(self, *, at: float) -> int:
        """Return how many browsers are open, not counting the locked ones."""
        return sum(1 for held in self._held.values() if not held.locked and at - held.used <= IDLE_LOCK_S)

    def _sweep(self, at: float) -> None:
        self._held = {key: held for key, held in self._held.items() if at - held.began <= SHIFT_S}
        while len(self._held) >= MOST:
            del self._held[min(self._held, key=lambda key: self._held[key].used)]


def touched(session: Session, *, at: float) -> None:
    """Somebody is at the browser."""
    session.used = at


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
