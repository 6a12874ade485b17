"""Heads and texts in one stream: a line of JSON says what follows and how long it is, then the bytes as they are.

A text is never escaped into JSON and never parsed on the way: what a clinician's page wrote arrives byte for byte,
and compresses better.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from pydantic import ValidationError

from clinic_net.protocol.sync.messages import Message

MAX_HEAD_BYTES = 64 * 1024

_F = TypeVar("_F", bound=Message)
_H = TypeVar("_H", bound=Message)


class Malformed(ValueError):
    """A stream that cannot be read. ``place`` is the number of the frame (the first head is 0), ``field`` a path in
    its head; neither holds content."""

    def __init__(self, place: int, what: str, field: str = "") -> None:
        super().__init__(f"frame {place}: {what}")
        self.place, self.what, self.field = place, what, field


def write(first: Message, frames: Iterable[tuple[Message, bytes]]) -> bytes:
    """Return a stream: ``first``, then each head with its text. A head's ``size`` must be its text's length."""
    parts = [first.model_dump_json(exclude_defaults=True).encode(), b"\n"]
    for head, text in frames:
        if getattr(head, "size", 0) != len(text):
            raise ValueError("a head says another size than its text has")
        parts += (head.model_dump_json(exclude_defaults=True).encode(), b"\n", text, b"\n")
    return b"".join(parts)


def first_of(stream: bytes, kind: type[_F]) -> tuple[_F, int]:
    """Return the first head of a stream, and where what follows it begins.

    Raises:
        Malformed: there is none.
    """
    return _head(stream, 0, kind, 0)


def frames_of(stream: bytes, start: int, kind: type[_H], count: int) -> Iterator[tuple[_H, bytes]]:
    """Yield ``count`` heads with their texts, from ``start`` on.

    Raises:
        Malformed: a frame cannot be read, is cut off, or something follows the last.
    """
    for place in range(1, count + 1):
        head, start = _head(stream, start, kind, place)
        size = int(getattr(head, "size", 0))
        end = start + size
        if end >= len(stream) or stream[end] != 0x0A:
            raise Malformed(place, "the text has not the length its head says", "size")
        yield head, stream[start:end]
        start = end + 1
    if start != len(stream):
        raise Malformed(count + 1, "more follows than was announced")


def _head(stream: bytes, start: int, kind: type[_H], place: int) -> tuple[_H, int]:
    end = stream.find(b"\n", start, start + MAX_HEAD_BYTES)
    if end < 0:
        raise Malformed(place, "the head has no end")
    try:
        return kind.model_validate_json(stream[start:end]), end + 1
    except ValidationError as invalid:
        error = invalid.errors(include_input=False, include_context=False, include_url=False)[0]
        raise Malformed(place, error["type"], ".".join(str(part) for part in error["loc"])) from None
