"""A push of either form, read: one batch, its operations with their texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b, sha256
from typing import NamedTuple
from uuid import UUID

from clinic_net.kernel.errors import Place
from clinic_net.protocol.sync import Lane, OpHead, Push, PushHead, frames
from clinic_net.protocol.sync.signing import signing_input
from clinic_net.sync.bodies import malformed, plain, read
from clinic_net.sync.errors import MalformedPush
from clinic_net.sync.inbox_store import KeptOp

_GREATEST = 2**63 - 1
"""What a column of numbers holds."""
_GREATEST_VERSION = 2**31 - 1


class Sent(NamedTuple):
    """One operation of a push: what it says of itself, and its text."""

    head: OpHead
    text: bytes


@dataclass(frozen=True)
class Content:
    """What a push holds. ``seq`` None: form 1, whose batches have no numbers."""

    form: int
    station: str
    db_epoch: UUID
    lane: Lane
    seq: int | None
    agent: str
    offset_ms: int
    ops: Sequence[Sent]
    digest: bytes
    signed: bytes = b""
    """What the device's signature stands over; form 1 is not signed."""
    batch: UUID | None = None

    @property
    def size(self) -> int:
        """Bytes of all texts."""
        return sum(len(text) for _, text in self.ops)

    @property
    def kept(self) -> list[KeptOp]:
        """What is kept of each operation besides its text."""
        return [
            KeptOp(head.op, head.type, head.id, _hash_of(head, text), _storable(head.at))
            for head, text in self.ops
        ]


def read_batch(raw: bytes, coding: str, form: int) -> Content:
    """Return what a push holds.

    Raises:
        UnknownCoding, MalformedPush, PushTooLarge: it cannot be read; ``places`` says where.
    """
    stream = plain(raw, coding)
    return _read_frames(stream) if form == 2 else _read_json(stream)


def _read_frames(stream: bytes) -> Content:
    try:
        first, start = frames.first_of(stream, PushHead)
        ops = [Sent(*frame) for frame in frames.frames_of(stream, start, OpHead, first.count)]
    except frames.Malformed as problem:
        raise malformed(problem) from None
    _demand_sound([head for head, _ in ops], "frame[{}]", 1)
    if first.seq > _GREATEST or abs(first.offset_ms) > _GREATEST:
        raise MalformedPush("a number is too large", places=[Place("frame[0]", "too-large", "too large")])
    return Content(
        2,
        first.station,
        first.db_epoch,
        first.lane,
        first.seq,
        _printable(first.agent),
        first.offset_ms,
        ops,
        sha256(stream).digest(),
        signing_input(stream),
    )


def _read_json(stream: bytes) -> Content:
    push = read(Push, stream)
    ops = []
    for op in push.ops:
        text = op.body.encode("utf-8", "surrogatepass")
        # The text's size is not said here: one that is too large for a record is refused as a record.
        head = OpHead(op=op.op, kind=op.kind, type=op.type, id=op.id, base=op.base, at=op.at, by=op.by)
        ops.append(Sent(head, text))
    _demand_sound([head for head, _ in ops], "ops.{}", 0, distinct=False)
    return Content(
        1,
        push.station,
        push.db_epoch,
        push.lane,
        None,
        _printable(push.agent),
        0,
        ops,
        sha256(stream).digest(),
        batch=push.batch,
    )


def _demand_sound(heads: Sequence[OpHead], path: str, first: int, *, distinct: bool = True) -> None:
    """Refuse numbers that no table holds, and a number that stands for two operations."""
    seen: set[int] = set()
    for place, head in enumerate(heads, first):
        if head.op > _GREATEST or head.tx > _GREATEST or (head.base or 0) > _GREATEST_VERSION:
            wrong = Place(path.format(place), "too-large", "a number is too large")
            raise MalformedPush("a number is too large", places=[wrong])
        if distinct and head.op in seen:
            wrong = Place(path.format(place) + ".op", "repeated", "the number of another operation")
            raise MalformedPush("two operations have one number", places=[wrong])
        seen.add(head.op)


def _hash_of(head: OpHead, text: bytes) -> bytes:
    """Return what tells this change from any other under its number."""
    named = f"{head.kind} {head.type}/{head.id} ".encode()
    return blake2b(named + text, digest_size=16).digest()


_FIRST, _LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


def _storable(at: datetime) -> datetime:
    """Return an instant in UTC; one at the end of the calendar as near as a table holds it."""
    return min(max(at, _FIRST), _LAST).astimezone(UTC)


def _printable(agent: str) -> str:
    return "".join(letter for letter in agent if letter.isprintable())
