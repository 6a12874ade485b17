"""Records as the wire has them: the operations of a push, the entries of a feed, numbered and framed."""

import itertools
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from clinic_net.bench.communes import TODAY, Resource, text
from clinic_net.protocol.sync import EntryHead, Lane, OpHead, PushHead, frames

BATCH = 50
"""Operations of a steady push."""
NURSE = "nurse:lò thị hương"


def operations(saved: Iterable[list[Resource]], *, first: int = 1) -> Iterator[tuple[OpHead, bytes]]:
    """Yield each record as an operation of one station; what was saved together shares a transaction's number."""
    number = itertools.count(first)
    for tx, together in enumerate(saved, 1):
        at = TODAY + timedelta(minutes=9 * tx)
        for resource in together:
            yield operation(next(number), resource, tx=tx, at=at)


def operation(number: int, resource: Resource, *, tx: int = 0, at: datetime = TODAY) -> tuple[OpHead, bytes]:
    """Return one record as an operation."""
    body = text(resource)
    head = OpHead(
        op=number, tx=tx, type=resource["resourceType"], id=resource["id"], at=at, by=NURSE, size=len(body)
    )
    return head, body


def batches(
    saved: Iterable[list[Resource]], *, station: str, epoch: UUID, size: int = BATCH, lane: Lane = Lane.CARE
) -> Iterator[bytes]:
    """Yield the pushes of one station, ``size`` operations each, as bytes before compression."""
    ops = operations(saved)
    for seq in itertools.count(1):
        some = list(itertools.islice(ops, size))
        if not some:
            return
        yield batch(some, station=station, epoch=epoch, seq=seq, lane=lane)


def batch(
    ops: list[tuple[OpHead, bytes]], *, station: str, epoch: UUID, seq: int, lane: Lane = Lane.CARE
) -> bytes:
    """Return one push before compression."""
    head = PushHead(station=station, db_epoch=epoch, lane=lane, seq=seq, count=len(ops), agent="0.1.0")
    return frames.write(head, ops)


def entries(records: Iterable[Resource], *, scope: str) -> Iterator[bytes]:
    """Yield each record as an entry of a scope's feed: its head, a line, and its text."""
    for seq, resource in enumerate(records, 1):
        body = text(resource)
        head = EntryHead(
            scope=scope, seq=seq, type=resource["resourceType"], id=resource["id"], version=1, size=len(body)
        )
        yield head.model_dump_json(exclude_defaults=True).encode() + b"\n" + body + b"\n"


def epoch_of(seed: int) -> UUID:
    """Return the database epoch of an invented station, the same in every run."""
    return uuid5(UUID(int=0), f"bench-{seed}")
