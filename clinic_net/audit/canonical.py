"""The bytes of an event that are hashed: rebuilt from its columns, the same ones every time, in any language.

An event is a list of fields, each its length in bytes, a colon, its UTF-8 text and a comma (a netstring), or ``-,`` for
one that is null. No two events have the same bytes, and the bytes give the event back.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

FORM = "clinic-net audit event 1"
"""The first field: how the rest is to be read. Another list of fields is another form."""
FORM_OF_A_PROGRAM = "clinic-net audit event 2"
"""The form of an event in which a program acted for a person: the same fields, and the program behind them."""

FIELDS = (
    "id", "at", "actor", "action", "subject", "outcome", "purpose", "patient", "place", "actor_place", "detail",
    "request", "address", "xact", "program",
)  # fmt: skip
"""Columns of ``audit_event`` in their order. ``at`` is microseconds since 1970 UTC, ``xact`` a decimal number."""

GENESIS = bytes(32)
"""The hash before the first event's."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _text(value: Any) -> str | None:
    if isinstance(value, datetime):
        return str((value - _EPOCH) // _MICROSECOND)
    return None if value is None else str(value)


def canonical(event: Sequence[Any]) -> bytes:
    """Return the bytes of an event, given as the values of ``FIELDS``: UUID, aware datetime, texts, int, text."""
    form, fields = FORM, tuple(event)
    if len(fields) == len(FIELDS):
        if fields[-1] is None:
            fields = fields[:-1]
        else:
            form = FORM_OF_A_PROGRAM
    parts = []
    for value in (form, *fields):
        text = _text(value)
        if text is None:
            parts.append(b"-,")
        else:
            encoded = text.encode("utf-8", "surrogatepass")
            parts.append(b"%d:%s," % (len(encoded), encoded))
    return b"".join(parts)


def chained(before: bytes, event: Sequence[Any]) -> bytes:
    """Return an event's hash in the chain: SHA-256 of the hash before it and its bytes."""
    return sha256(before + canonical(event)).digest()
