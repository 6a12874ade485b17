"""Portions of what waits in the inbox, each applied in one transaction by whoever took it, or who takes over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from prometheus_client import Counter

from clinic_net.access import StationPrincipal
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.links import Database
from clinic_net.kernel.logging import where
from clinic_net.protocol.sync import Lane, Outcome
from clinic_net.records import service as records
from clinic_net.sync import apply_store as store
from clinic_net.sync.apply_store import Waiting
from clinic_net.sync.applying import Applying
from clinic_net.sync.batches import Content, read_batch
from clinic_net.sync.doing import Doing

log = structlog.get_logger()

_OUTCOMES = Counter("clinic_net_sync_operations_total", "Operations of stations, by outcome", ["outcome"])

TOGETHER = 250
"""Operations that share a commit: more of them take too long to let an urgent one wait for the processor."""

LEFT_AFTER = timedelta(seconds=2)
"""A batch that waits longer may have been left by a process that died."""
_EPOCHS_AT_ONCE = 20
_TRIED_AT_ONCE = 200
_NOBODY = UUID(int=0)
"""The device of what is tried again: its signature was looked at when it came."""


@dataclass(frozen=True)
class Done:
    """What one transaction applied: ``batches``; databases of which more waits (``left``), or which somebody else is
    at (``busy``)."""

    batches: Sequence[int]
    left: Sequence[UUID]
    busy: Sequence[UUID]


async def apply_waiting(
    hub: Hub, epochs: Sequence[UUID], *, contents: dict[int, Content] | None = None, urgent: bool = False
) -> Done:
    """Apply what waits of these databases, up to ``TOGETHER`` operations, in one transaction.

    ``contents`` are batches that need not be read again. ``urgent`` leaves all but the urgent lane, and what that
    speaks of, for later.
    """
    contents = contents or {}
    async with hub.requests() as s, s.begin():
        mine = await store.lock_epochs(s, epochs)
        busy = sorted(set(epochs) - set(mine))
        waiting = await store.waiting(s, mine)
        known = _Contents(contents)
        chosen = await _urgent_ones(s, waiting, known) if urgent else _some(waiting)
        if not chosen:
            return Done((), (), busy)
        await known.read(s, chosen)
        applying = Applying(s, await records.keys_of(s), hub.now())
        doings = await _doings(s, chosen, known)
        await applying.run(doings)
        await store.settle(s, [batch.id for batch in chosen], hub.now())
        await records.tell(s, applying.news)
    for doing in doings:
        _OUTCOMES.labels(doing.outcome or Outcome.QUARANTINED).inc()
    ids = {batch.id for batch in chosen}
    left = {batch.db_epoch for batch in waiting if batch.id not in ids}
    return Done(sorted(ids), sorted(left), busy)


def _some(waiting: Sequence[Waiting]) -> list[Waiting]:
    """Return as many batches as go together, in their order."""
    chosen: list[Waiting] = []
    size = 0
    for batch in waiting:
        if chosen and size + len(batch.ops) > TOGETHER:
            break
        chosen.append(batch)
        size += len(batch.ops)
    return chosen


async def _urgent_ones(s: Database, waiting: Sequence[Waiting], known: "_Contents") -> list[Waiting]:
    """Return the urgent batches, behind those that hold what they speak of."""
    urgent = _some([batch for batch in waiting if batch.lane is Lane.URGENT])
    if len(urgent) == len(waiting):
        return urgent
    await known.read(s, urgent)
    needed: set[int] = set()
    but = [batch.id for batch in urgent]
    for epoch in {batch.db_epoch for batch in urgent}:
        speaks_of: set[str] = set()
        for batch in urgent:
            if batch.db_epoch == epoch:
                for sent in known.of(batch).ops:
                    doing = Doing(_station_of(batch), epoch, sent.head, sent.text)
                    speaks_of |= doing.references | {doing.resource}
        needed |= await store.holding(s, epoch, speaks_of, but)
    return [batch for batch in waiting if batch.id in needed] + urgent


async def _doings(s: Database, chosen: Sequence[Waiting], known: "_Contents") -> list[Doing]:
    """Return the operations of batches that have no outcome yet, in their order within a database."""
    pending = await store.pending_of(s, chosen)
    found: list[Doing] = []
    for batch in chosen:
        content, station = known.of(batch), _station_of(batch)
        for sent, kept in sorted(zip(content.ops, content.kept, strict=True), key=lambda pair: pair[1].op):
            key = (batch.db_epoch, kept.op)
            if key in pending and pending[key] in (None, kept.hash):
                del pending[key]
                found.append(Doing(station, batch.db_epoch, sent.head, sent.text))
    return found


class _Contents:
    """What batches hold: as remembered, or read again."""

    def __init__(self, remembered: dict[int, Content]) -> None:
        self._remembered = remembered
        self._read: dict[int, Content] = {}

    def of(self, batch: Waiting) -> Content:
        return self._read[batch.id]

    async def read(self, s: Database, batches: Sequence[Waiting]) -> None:
        missing = []
        for batch in batches:
            if batch.id in self._read:
                continue
            if batch.id in self._remembered:
                self._read[batch.id] = self._remembered[batch.id]
            else:
                missing.append(batch)
        if missing:
            raw = await store.raw_of(s, [batch.id for batch in missing])
            for batch in missing:
                self._read[batch.id] = read_batch(raw[batch.id], batch.coding, batch.form)


def _station_of(batch: Waiting) -> StationPrincipal:
    return StationPrincipal(batch.site, batch.device)


async def take_over(hub: Hub) -> int:
    """Apply what other processes left, and try again what has waited for an hour; return how many batches it was.

    What a living process is about to apply may be among it: whoever comes first applies it, once.
    """
    done = 0
    while True:
        async with hub.requests() as s:
            epochs = await store.waiting_epochs(s, hub.now() - LEFT_AFTER, _EPOCHS_AT_ONCE)
        settled = 0
        for epoch in epochs:
            try:
                settled += len((await apply_waiting(hub, [epoch])).batches)
            except Exception as failure:  # noqa: BLE001 -- one station's must not keep the others' back
                log.warning("taking_over_failed", error=type(failure).__name__, place=where(failure))
        done += settled
        if not settled:
            break
    await try_again(hub)
    return done


async def try_again(hub: Hub, *, site: str | None = None, everything: bool = False) -> dict[str, int]:
    """Try set-aside operations again: those that wait for a record and were not tried for an hour, or ``everything``,
    also what was quarantined (after an update of the hub, say). Return how many became what."""
    now, became = hub.now(), dict.fromkeys(map(str, Outcome), 0)
    while True:
        async with hub.requests() as s, s.begin():
            keys = await store.to_try_again(s, now, site=site, all_=everything, limit=_TRIED_AT_ONCE)
            held = set(await store.lock_epochs(s, {epoch for epoch, _ in keys}))
            doings = [
                Doing(StationPrincipal(each.site, _NOBODY), each.db_epoch, each.head, each.text, aside=True)
                for each in await store.texts_of(s, [key for key in keys if key[0] in held])
            ]
            if not doings:
                return {outcome: count for outcome, count in became.items() if count}
            applying = Applying(s, await records.keys_of(s), hub.now())
            await applying.run(doings)
            await records.tell(s, applying.news)
        for doing in doings:
            became[str(doing.outcome)] += 1
