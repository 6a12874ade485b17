"""Taking batches into the inbox: each once, in the order of its chain, durable when the transaction is.

What comes under a used number with another content is from a copy of the database: its epoch is frozen, and each copy
goes on under one of its own.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from prometheus_client import Counter

from clinic_net import audit, fleet
from clinic_net.kernel.ids import new_id
from clinic_net.kernel.links import Database
from clinic_net.protocol.sync.chain import Chain, Link
from clinic_net.sync import inbox_store as store
from clinic_net.sync.inbox_store import Arrival, EpochRow
from clinic_net.sync.rules import Clock, clock_of

log = structlog.get_logger()

_FORKS = Counter("clinic_net_sync_forks_total", "Copied or restored station databases that were found out")
_CLOCKS = Counter("clinic_net_sync_clock_off_total", "Batches from a station whose clock is off", ["state"])


@dataclass(frozen=True)
class Taken:
    """The batch is here; ``again`` if it was before."""

    batch: int
    again: bool = False


@dataclass(frozen=True)
class Missing:
    """Batches from ``expected`` on are not here."""

    expected: int


@dataclass(frozen=True)
class Forked:
    """The database exists twice; this copy goes on under ``epoch``."""

    epoch: UUID


Taking = Taken | Missing | Forked


async def take(s: Database, arrival: Arrival, *, now: datetime) -> Taking:
    """Take a batch; the answer counts once the transaction is committed."""
    epoch = await store.hold_epoch(s, arrival, now)
    if epoch.site != arrival.site:  # a disk that was put into another station's computer
        return await _forked(s, arrival, now, freeze=False)
    if arrival.seq is None:
        return await _take_unnumbered(s, arrival, epoch, now)
    known = None
    chain = Chain(epoch.last[arrival.lane])
    if arrival.seq <= chain.last:
        known = await store.batch_of(s, arrival.db_epoch, arrival.lane, arrival.seq)
    link = chain.link(arrival.seq, arrival.digest, None if known is None else known[1])
    if link is Link.AGAIN and known is not None:
        return Taken(known[0], again=True)
    if link is Link.FORK or epoch.frozen:
        return await _forked(s, arrival, now)
    if link is Link.GAP:
        return Missing(chain.expected)
    here = await store.hashes_of(s, arrival.db_epoch, [each.op for each in arrival.ops])
    if any(here.get(each.op) not in (None, each.hash) for each in arrival.ops):
        return await _forked(s, arrival, now)
    return await _keep(s, arrival, epoch, now)


async def _take_unnumbered(s: Database, arrival: Arrival, epoch: EpochRow, now: datetime) -> Taking:
    """Take a batch of form 1. Its station knows nothing of copies: a used number keeps its first answer."""
    return await _keep(s, arrival, epoch, now)


async def _keep(s: Database, arrival: Arrival, epoch: EpochRow, now: datetime) -> Taken:
    batch = await store.keep(s, arrival, now)
    if epoch.parent is not None:
        await store.answer_as_before(s, arrival.db_epoch, epoch.parent, [each.op for each in arrival.ops])
    clock = clock_of(arrival.offset_ms)
    if clock is not Clock.GOOD:
        _CLOCKS.labels(clock).inc()
        await fleet.note_clock(s, arrival.site, arrival.offset_ms, now)
    return Taken(batch)


async def _forked(s: Database, arrival: Arrival, now: datetime, *, freeze: bool = True) -> Forked:
    """Give a copy an epoch of its own, the same one whenever it asks with this batch, and raise the alarm once."""
    new = new_id(now)
    epoch = await store.epoch_of_copy(s, arrival.db_epoch, arrival.device, arrival.digest, new, now)
    if freeze:
        await store.freeze(s, arrival.db_epoch, now)
    if epoch == new:
        await store.make_epoch(s, epoch, arrival, now, parent=arrival.db_epoch)
        await fleet.note_copied(s, arrival.site, now)
        event = audit.Event(
            f"device:{arrival.device}",
            "sync.fork",
            f"station:{arrival.site}",
            outcome="sync-fork",
            place=arrival.site,
            origin=audit.Origin(place=arrival.site),  # whoever carries it may come from elsewhere
        )
        await audit.record_many(s, [event], at=now)
        _FORKS.inc()
        log.error("database_copied", station=arrival.site, device=str(arrival.device))
    return Forked(epoch)
