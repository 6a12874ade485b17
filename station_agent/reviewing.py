"""Two versions of a record at the station: seen side by side and decided, with the link or without."""

from dataclasses import dataclass
from hashlib import blake2b

from clinic_net.protocol.sync import Lane
from clinic_net.protocol.sync.comparing import Difference, compare, decide
from clinic_net.protocol.sync.merge import Side
from clinic_net.protocol.sync.reviews import (
    Origin,
    Review,
    Sibling,
    provenance,
    read_review,
    settled,
    text_of,
)
from clinic_net.protocol.sync.texts import read, write
from station_agent.errors import UnknownRecord
from station_agent.ids import new_id
from station_agent.service import Doing
from station_agent.store import Tx, records, reviews
from station_agent.store.records import Desk


class ChangedMeanwhileError(Exception):
    """The record or the question is not as it was when somebody looked at it."""


@dataclass(frozen=True)
class Looked:
    """A question as a nurse sees it. ``theirs_here`` is False while the other version is still on its way.

    ``seen`` names what was looked at: a decision about anything else is refused.
    """

    review: Review
    sibling: Sibling | None
    version: int | None
    differences: tuple[Difference, ...]
    theirs_here: bool
    seen: str


@dataclass(frozen=True)
class Decision:
    """What a nurse decided; see ``clinic_net.sync.reviewing``, which is the same at the hub."""

    task: str
    sibling: str | None
    seen: str
    whole: Side | None
    answers: dict[int, Side]


@dataclass(frozen=True)
class _Texts:
    """What is compared: the hub's version, the one that waits, and what both were made from."""

    ours: str
    version: int | None
    theirs: str | None
    base: str | None
    seen: str


def look(tx: Tx, task: str, sibling: str | None = None) -> Looked:
    """Return an open question, with the first version that waits, or with the one asked for.

    Raises:
        UnknownRecord: there is no such question here, or not its record.
    """
    review, wanted, texts = _open(tx, task, sibling)
    differences: tuple[Difference, ...] = ()
    if texts.theirs is not None:
        base = None if texts.base is None else read(texts.base)
        differences = compare(base, read(texts.ours), read(texts.theirs))
    return Looked(review, wanted, texts.version, differences, texts.theirs is not None, texts.seen)


def _open(tx: Tx, task: str, sibling: str | None) -> tuple[Review, Sibling | None, _Texts]:
    held = reviews.text(tx, "Task", task)
    review = None if held is None else read_review(read(held[0]))
    if held is None or review is None or not review.open:
        raise UnknownRecord("no such question on this computer")
    current = reviews.hub_text(tx, review.rtype, review.fid)
    if current is None:
        raise UnknownRecord("the record has not arrived yet")
    waiting = {each.text: each for each in review.siblings}
    if sibling is not None and sibling not in waiting:
        raise UnknownRecord("no such version waits")
    wanted = waiting[sibling] if sibling is not None else next(iter(waiting.values()), None)
    theirs = None if wanted is None else _beside(tx, wanted.text)
    base = None if wanted is None or wanted.base is None else _beside(tx, wanted.base)
    seen = blake2b("\n".join((held[0], current[0])).encode(), digest_size=12).hexdigest()
    return review, wanted, _Texts(current[0], current[1], theirs, base, seen)


def _beside(tx: Tx, binary: str) -> str | None:
    held = reviews.text(tx, "Binary", binary)
    return None if held is None else text_of(read(held[0]))


def settle(tx: Tx, decision: Decision, *, site: str, doing: Doing) -> bool:
    """Store what somebody decided and queue it for the hub: the record, where it comes from, and the question, which is
    closed when nothing is left to decide. Whether it is. ``site`` is this station's.

    Raises:
        UnknownRecord: there is no such open question here, or its version has not arrived.
        ChangedMeanwhileError: something has changed since it was looked at.
        UndecidedError: a field was left open.
    """
    review, sibling, texts = _open(tx, decision.task, decision.sibling)
    if decision.seen != texts.seen:
        raise ChangedMeanwhileError
    desk = Desk(tx, now=doing.now, by=doing.by)
    lane = Lane.URGENT if review.urgent else Lane.CARE
    if sibling is not None:
        _store(desk, lane, review, texts, decision)
        _tell(desk, lane, (review, sibling), texts, site)
    held = reviews.text(tx, "Task", decision.task)
    assert held is not None
    at = doing.now.isoformat(timespec="milliseconds")
    task = settled(read(held[0]), None if sibling is None else sibling.text, now=at)
    desk.put(task, lane=lane, text=write(task))
    reviews.follow(tx, task)
    after = read_review(task)
    return after is None or not after.open


def _store(desk: Desk, lane: Lane, review: Review, texts: _Texts, decision: Decision) -> None:
    if texts.theirs is None:
        raise UnknownRecord("the other version has not arrived yet")
    base = None if texts.base is None else read(texts.base)
    ours = read(texts.ours)
    resource = decide(base, ours, read(texts.theirs), whole=decision.whole, answers=decision.answers)
    tx = desk.tx
    # The hub's version is now the one that this station goes on from, whatever it said before.
    state = reviews.state_of(tx, review.rtype, review.fid)
    records.keep(tx, ours, texts.ours, hub_version=texts.version, state=state)
    if texts.version is not None:
        records.rebase(tx, review.rtype, review.fid, texts.version)
    if resource is not ours:
        desk.put(resource, lane=lane, text=write(resource))


def _tell(desk: Desk, lane: Lane, about: tuple[Review, Sibling], texts: _Texts, site: str) -> None:
    """Queue who decided, on what. The version that the hub will make of it has no number yet."""
    review, sibling = about
    record, at = f"{review.rtype}/{review.fid}", desk.now.isoformat(timespec="milliseconds")
    entities = {f"{record}/_history/{texts.version}": "revision", f"Binary/{sibling.text}": "revision"}
    origin = Origin(desk.by, site, at, at)
    desk.put(provenance(new_id(desk.now), record, origin, activity="resolve", entities=entities), lane=lane)
