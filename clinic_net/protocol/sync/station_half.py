"""The station's half of ``clinicnet.sync.v1``: what to exchange with the hub next. No socket, no clock, no chance.

The program tells what waits (:class:`Work`) and the time in seconds of a clock that never goes back, does the step it
is given, and tells how it went. The rules, in their order:

* an urgent batch goes before everything, is held up by no back-off of other lanes and by no budget;
* a pull gets its turn after a few batches and after every push that failed, so neither starves the other;
* the other lanes share the line 8:2:1 (``lanes.py``); what is large stops at 80 % of the day's bytes, routine at all;
* the hub's ``Retry-After`` is a place in its queue and is kept; other waits are full jitter below a doubling ceiling.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b

from clinic_net.protocol.sync.lanes import Turns
from clinic_net.protocol.sync.messages import Lane

PULL_EVERY_S = 60.0
SENT_BEFORE_PULL = 4
BULK_SHARE = 0.8
"""What is large stops at this share of the day's bytes (sync §4.7)."""

FIRST_CEILING_S = 2.0
LAST_CEILING_S = 300.0
"""A national reconnect: 12,000 stations that wait uniformly below 300 s are 40 a second (sync §4.9)."""
URGENT_CEILING_S = 4.0
"""While somebody waits for a doctor: few stations do at a time, and the hub reserves room for them."""
LONGEST_RETRY_AFTER_S = 900.0
LONG_DOWN_S = 1800.0
START_SPREAD_S = 300

Rng = Callable[[], float]
"""Uniform in [0, 1)."""


class Do(StrEnum):
    PUSH = "push"
    PULL = "pull"
    REPAIR = "repair"
    SNAPSHOT = "snapshot"
    """The next part of a prepared copy."""
    FILE = "file"
    """The next part of an attachment."""
    WAIT = "wait"


class Door(StrEnum):
    """What waits of its own: a failure behind one closes none of the others, unless the whole line is down."""

    URGENT = "urgent"
    PUSH = "push"
    DOWN = "down"
    BULK = "bulk"


@dataclass(frozen=True)
class Step:
    """The next exchange. ``lane`` of a push, ``scope`` of a repair or snapshot; ``until`` of a wait, in seconds."""

    do: Do
    lane: Lane = Lane.CARE
    scope: str = ""
    until: float = 0.0

    @property
    def door(self) -> Door:
        if self.do is Do.PUSH:
            return Door.URGENT if self.lane is Lane.URGENT else Door.PUSH
        return Door.DOWN if self.do in (Do.PULL, Do.REPAIR) else Door.BULK


@dataclass(frozen=True)
class Work:
    """What waits: bytes of the next batch a lane, scopes whose sums differ, bytes of the next part of a snapshot and of
    an attachment; bytes spent today, and how many may be."""

    batches: Mapping[Lane, int] = field(default_factory=dict)
    suspects: tuple[str, ...] = ()
    snapshot: str = ""
    snapshot_bytes: int = 0
    file_bytes: int = 0
    spent: int = 0
    budget: int | None = None


class Why(StrEnum):
    OPEN = "open"
    OWN = "own"
    """The hub said no to this."""
    LINE = "line"
    """Nothing came back."""
    HUB = "hub"
    """The hub asked for it, or all stations spread out: nothing opens it before its time."""


@dataclass(frozen=True)
class _Closed:
    until: float = 0.0
    why: Why = Why.OPEN


_NOT_URGENT = (Door.PUSH, Door.DOWN, Door.BULK)


def wait_before(attempt: int, rng: Rng, *, urgent: bool = False) -> float:
    """Return the seconds before attempt 1, 2, …: uniform below a ceiling that doubles from 2 s to 300 s (urgent: 4 s).

    "Full jitter": M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    """
    ceiling = min(
        URGENT_CEILING_S if urgent else LAST_CEILING_S, FIRST_CEILING_S * 2.0 ** min(attempt - 1, 16)
    )
    return ceiling * rng()


def honoured(retry_after: float, rng: Rng) -> float:
    """Return the hub's wish in seconds, within bounds, a little spread so that not all come at once."""
    return min(max(retry_after, 1.0), LONGEST_RETRY_AFTER_S) * (1.0 + 0.1 * rng())


def start_slot(station: str) -> float:
    """Return the seconds, below 300, that a station waits after a long outage: always the same for one station."""
    return float(int.from_bytes(blake2b(station.encode(), digest_size=8).digest(), "big") % START_SPREAD_S)


class StationHalf:
    """Decides; ``next``, then ``done`` or ``failed``, for ever."""

    def __init__(self, station: str, *, pull_every_s: float = PULL_EVERY_S) -> None:
        self.pull_every_s = pull_every_s
        self._station = station
        self._turns = Turns()
        self._closed = {door: _Closed() for door in Door}
        self._attempts = dict.fromkeys(Door, 0)
        self._pull_at = 0.0
        self._sent = 0
        self._owed = False
        self._down_since: float | None = None

    # -- what happens beside

    def began(self, now: float, down_s: float) -> None:
        """The program starts, or sees a network again, after ``down_s`` seconds without the hub. Beyond half an hour
        everything but the urgent lane waits for the station's place within five minutes."""
        if down_s > LONG_DOWN_S:
            self._close(_NOT_URGENT, now + start_slot(self._station), Why.HUB)

    def poked(self, now: float, *, pull: bool = False) -> None:
        """Something was saved, or the hub has news: back-off of our own is over, the hub's wishes are kept.

        After a long outage it is not: a whole country's stations would knock together.
        """
        if pull:
            self._pull_at = min(self._pull_at, now)
        long_down = self._down_since is not None and now - self._down_since > LONG_DOWN_S
        for door, closed in self._closed.items():
            if closed.why is not Why.HUB and (door is Door.URGENT or not long_down):
                self._closed[door] = _Closed()

    @property
    def attempts(self) -> int:
        """How often the exchange that fails most has failed in a row."""
        return max(self._attempts.values())

    # -- the conversation

    def next(self, now: float, work: Work) -> Step:
        """Return what to do now; a wait when there is nothing, or nothing may go yet."""
        down = self._down(now, work)
        if (
            down is not None and self._owed
        ):  # a push failed: the other direction is tried before it fails again
            return down
        if work.batches.get(Lane.URGENT, 0) > 0 and self._open(Door.URGENT, now):
            return Step(Do.PUSH, Lane.URGENT)
        sizes = self._sizes(now, work)
        if down is not None and (self._sent >= SENT_BEFORE_PULL or not any(sizes.values())):
            return down
        lane = self._turns.choose(sizes)
        if lane is None:
            return Step(Do.WAIT, until=self._wake_at(now, work))
        if lane is Lane.BULK and not self._bulk_batch(now, work):
            if work.snapshot_bytes and self._open(Door.BULK, now):
                return Step(Do.SNAPSHOT, Lane.BULK, work.snapshot)
            return Step(Do.FILE, Lane.BULK)
        return Step(Do.PUSH, lane)

    def done(self, step: Step, now: float, *, more: bool = False) -> None:
        """A step was answered. ``more``: a pull's page was not the last."""
        self._attempts[step.door] = 0
        self._down_since = None
        for door, closed in self._closed.items():
            if door is step.door or closed.why is Why.LINE:
                self._closed[door] = _Closed()
        if step.door is Door.DOWN:
            self._sent, self._owed = 0, False
        else:
            self._sent += 1
        if step.do is Do.PULL:
            self._pull_at = now if more else now + self.pull_every_s

    def failed(
        self, step: Step, now: float, rng: Rng, *, answered: bool, retry_after: float | None = None
    ) -> None:
        """A step failed: ``answered`` when the hub itself said no, ``retry_after`` the seconds it asked for."""
        door = step.door
        self._attempts[door] += 1
        if step.do is Do.PUSH:
            self._owed = True
        elif door is Door.DOWN:
            self._sent, self._owed = 0, False
        if not answered and self._down_since is None:
            self._down_since = now
        if retry_after is not None:
            wait, why = honoured(retry_after, rng), Why.HUB
        else:
            wait = wait_before(self._attempts[door], rng, urgent=door is Door.URGENT)
            why = Why.OWN if answered else Why.LINE
        whole = door is not Door.URGENT and why is not Why.OWN
        self._close(_NOT_URGENT if whole else (door,), now + wait, why)

    # -- inside

    def _close(self, doors: tuple[Door, ...], until: float, why: Why) -> None:
        for door in doors:
            before = self._closed[door]
            if before.why is not Why.HUB or until > before.until:
                self._closed[door] = _Closed(until, why)

    def _open(self, door: Door, now: float) -> bool:
        return self._closed[door].until <= now

    def _down(self, now: float, work: Work) -> Step | None:
        if not self._open(Door.DOWN, now):
            return None
        if self._pull_at <= now:
            return Step(Do.PULL)
        return Step(Do.REPAIR, scope=work.suspects[0]) if work.suspects else None

    def _sizes(self, now: float, work: Work) -> dict[Lane, int]:
        """Return the bytes of the next frame of each lane that may send now."""
        pushes = self._open(Door.PUSH, now)
        room = work.budget is None or work.spent < work.budget
        return {
            Lane.CARE: work.batches.get(Lane.CARE, 0) if pushes else 0,
            Lane.ROUTINE: work.batches.get(Lane.ROUTINE, 0) if pushes and room else 0,
            Lane.BULK: self._bulk_batch(now, work) or self._bulk_part(now, work),
        }

    def _bulk_batch(self, now: float, work: Work) -> int:
        may = self._open(Door.PUSH, now) and _bulk_may(work)
        return work.batches.get(Lane.BULK, 0) if may else 0

    def _bulk_part(self, now: float, work: Work) -> int:
        may = self._open(Door.BULK, now) and _bulk_may(work)
        return (work.snapshot_bytes or work.file_bytes) if may else 0

    def _wake_at(self, now: float, work: Work) -> float:
        """Return when something may become possible: a door opens that something waits behind, or a pull is due."""
        times = [max(self._pull_at, self._closed[Door.DOWN].until)]
        if work.suspects:
            times.append(self._closed[Door.DOWN].until)
        if work.batches.get(Lane.URGENT, 0):
            times.append(self._closed[Door.URGENT].until)
        if any(size for lane, size in work.batches.items() if lane is not Lane.URGENT):
            times.append(self._closed[Door.PUSH].until)
        if work.snapshot_bytes or work.file_bytes:
            times.append(self._closed[Door.BULK].until)
        later = [at for at in times if at > now]
        return min(later, default=now + self.pull_every_s)


def _bulk_may(work: Work) -> bool:
    return work.budget is None or work.spent < BULK_SHARE * work.budget
