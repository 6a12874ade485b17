"""Who is let in when a nation of stations comes back at once: slots in the order of asking, a reserve for the urgent.

Pure. A line is one number: the time at which all slots given so far have passed (the generic cell rate algorithm,
ITU-T I.371 annex A). Who comes while slots are free is let in; who comes later is given the next slot, and a ticket
that says which. Slots are for conversations: who is in stays in for :data:`OPEN_S`.
"""

from collections.abc import Generator
from dataclasses import dataclass
from math import ceil
from typing import Literal

ORDINARY, URGENT = "ordinary", "urgent"

OPEN_S = 30.0
"""Seconds for which who was let in goes on without asking: a push, and the pull behind it."""
EARLY_S = 1.0
"""Seconds before its slot in which a ticket is taken: ``Retry-After`` has whole seconds, and links jitter."""
GRACE_S = 120.0
"""Seconds after its slot in which a ticket is still taken: a station on a thin link comes when it can."""
JITTER_S = 2.0
"""Slots are told with up to this many seconds on top, so that nobody comes at the same moment."""


@dataclass(frozen=True)
class Limits:
    """How many conversations may begin a second, and how many at once after a quiet time.

    ``reserve`` is the part that only urgent ones may take. A rate of 0 is no limit.
    """

    rate: float
    burst: float
    reserve: float = 0.05

    def of(self, line: str) -> tuple[float, float]:
        """Return the seconds between two slots of a line, and how many seconds of slots may be taken at once."""
        part = self.reserve if line == URGENT else 1.0 - self.reserve
        # What the urgent leave untouched gathers for a minute.
        burst = max(self.burst * part, self.rate * part * 60.0) if line == URGENT else self.burst * part
        return 1.0 / (self.rate * part), burst / (self.rate * part)


@dataclass(frozen=True)
class Ticket:
    """What a station was told: that it is in until ``at``, or that its slot is at ``at``. Seconds since 1970."""

    kind: Literal["open", "slot"]
    at: float


@dataclass(frozen=True)
class Draw:
    """Take the next slot of a line; with ``only_free`` just when it is now. The answer is how long until the slot."""

    line: str
    only_free: bool = False


@dataclass(frozen=True)
class Decision:
    """Whether somebody is let in, the ticket they go on with, and else after how many whole seconds to come back."""

    admitted: bool
    ticket: Ticket | None
    retry_after: int = 0


def drawn(full: float, now: float, interval: float, burst: float, *, only_free: bool) -> tuple[float, float]:
    """Return how long until the slot, and the line after it. With ``only_free`` a line without a free slot stays."""
    wait = max(0.0, full - now - burst)
    if only_free and wait > 0.0:
        return wait, full
    return wait, max(full, now) + interval


def decide(
    ticket: Ticket | None, *, now: float, urgent: bool, chance: float
) -> Generator[Draw, float, Decision]:
    """Decide about one request. Yields what is to be drawn, and is sent how long until the slot.

    ``chance`` is a random number from 0 to 1.
    """
    if ticket is not None and ticket.kind == "open" and now <= ticket.at:
        return Decision(True, ticket)
    if ticket is not None and ticket.kind == "slot" and now <= ticket.at + GRACE_S:
        if now >= ticket.at - EARLY_S:
            return _in(now)
        if not urgent:
            return _told(ticket.at, now, chance)
    wait = yield Draw(ORDINARY, only_free=urgent)
    if urgent and wait > 0.0:
        wait = yield Draw(URGENT)
    return _in(now) if wait <= 0.0 else _told(now + wait, now, chance)


def _in(now: float) -> Decision:
    return Decision(True, Ticket("open", now + OPEN_S))


def _told(slot: float, now: float, chance: float) -> Decision:
    return Decision(False, Ticket("slot", slot), max(1, ceil(slot - now + chance * JITTER_S)))
