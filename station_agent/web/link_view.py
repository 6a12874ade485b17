"""What the page of the link says, worked out of plain figures: no store, no words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from station_agent.store.figures import FILE, Progress, Queue, Spent

CLOCK_WRONG = timedelta(minutes=5)
"""From here on the nurse is told: times in records mislead (sync §4.6)."""


class Verdict(StrEnum):
    """The one sentence above everything. Never ``ALL_THERE`` while anything that was saved has not been taken."""

    NEEDS_YOU = "needs-you"
    URGENT_WAITS = "urgent-waits"
    FIRST_COPY = "first-copy"
    WAITS = "waits"
    NEVER = "never"
    ALL_THERE = "all-there"


@dataclass(frozen=True)
class Course:
    """A piece of work that takes long. ``left_minutes`` is None while nobody can tell."""

    scope: str
    done: int
    total: int | None
    left_minutes: int | None

    @property
    def over(self) -> bool:
        return self.total is not None and self.done >= self.total


@dataclass(frozen=True)
class LaneRow:
    """A lane: what waits, and what the day has cost."""

    lane: int
    queue: Queue
    spent: Spent


@dataclass(frozen=True)
class LinkView:
    """The page."""

    verdict: Verdict
    lanes: tuple[LaneRow, ...]
    needs_you: int
    snapshots: tuple[Course, ...]
    files: tuple[Course, ...]
    spent: int
    up: int
    budget: int | None
    month: int

    @property
    def over_budget(self) -> bool:
        return self.budget is not None and self.spent >= self.budget

    @property
    def waiting(self) -> int:
        return sum(row.queue.total for row in self.lanes)


@dataclass(frozen=True)
class Facts:
    """What the store says."""

    queues: Mapping[int, Queue]
    spent: Mapping[int, Spent]
    month: int
    budget: int | None
    progresses: Sequence[Progress]
    needs_you: int
    last_contact: str | None


def link_view(facts: Facts) -> LinkView:
    """Work out the page."""
    courses = [course(each) for each in facts.progresses]
    unfinished = [each for each in courses if not each.over]
    files = tuple(each for each in unfinished if each.scope.startswith(FILE))
    snapshots = tuple(each for each in unfinished if not each.scope.startswith(FILE))
    lanes = tuple(
        LaneRow(lane, facts.queues[lane], facts.spent.get(lane, Spent())) for lane in sorted(facts.queues)
    )
    return LinkView(
        verdict=_verdict(facts, files=bool(files), first=bool(snapshots)),
        lanes=lanes,
        needs_you=facts.needs_you,
        snapshots=snapshots,
        files=files,
        spent=sum(spent.total for spent in facts.spent.values()),
        up=sum(spent.up for spent in facts.spent.values()),
        budget=facts.budget,
        month=facts.month,
    )


def _verdict(facts: Facts, *, files: bool, first: bool) -> Verdict:
    waiting = sum(queue.total for queue in facts.queues.values())
    if facts.needs_you:
        return Verdict.NEEDS_YOU
    if facts.queues[0].total:
        return Verdict.URGENT_WAITS
    if first:
        return Verdict.FIRST_COPY
    if waiting or files:
        return Verdict.WAITS
    return Verdict.ALL_THERE if facts.last_contact else Verdict.NEVER


def course(progress: Progress) -> Course:
    """Return how far something is, and how long it will take at the pace until now."""
    return Course(progress.scope, progress.done, progress.total, _left(progress))


def _left(progress: Progress) -> int | None:
    try:
        taken = datetime.fromisoformat(progress.at) - datetime.fromisoformat(progress.began)
    except ValueError:
        return None
    if progress.total is None or progress.done <= 0 or taken <= timedelta(0):
        return None
    left = taken * ((progress.total - progress.done) / progress.done)
    return max(0, round(left / timedelta(minutes=1)))


def clock_is_wrong(offset_s: str | None) -> int | None:
    """Return by how many minutes this computer's clock is wrong (positive: it is behind), or None if it is right."""
    try:
        offset = timedelta(seconds=int(offset_s or "0"))
    except ValueError:
        return None
    return round(offset / timedelta(minutes=1)) if abs(offset) > CLOCK_WRONG else None
