"""Reindexing: the index rows of resources made anew from what is stored, a chunk a transaction.

A run may be interrupted at any point and goes on where it was: what is done is remembered with what it did. A resource
that somebody changes meanwhile is left to them, since a write makes index rows too. The hub begins a run by itself
when the rows were written with other definitions than it has.
"""

import asyncio
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.fhir import UnknownResourceType, index, parse
from clinic_net.fhir.definitions import resource_types
from clinic_net.kernel.jobs import announce
from clinic_net.records import derived
from clinic_net.records import reindex_store as store
from clinic_net.records.fingerprints import EXTRACTOR, fingerprint
from clinic_net.records.index import Rows, rows_of
from clinic_net.records.keys import Keys
from clinic_net.records.reindex_model import Reindex, ReindexPart
from clinic_net.records.reindex_store import Body
from clinic_net.records.vault import keys_of

log = structlog.get_logger()

TOPIC = "records.reindex"
HUB = "hub"
"""How the hub itself is named where it begins a run."""

STUCK_AFTER = timedelta(minutes=1)
"""A run that has not moved for so long lost its job; a chunk takes a fraction of a second."""
RETRY_AFTER = timedelta(seconds=1)
"""When the first resource of a chunk is being written by somebody."""
RUNS_KEPT = timedelta(days=30)


@dataclass(frozen=True)
class Progress:
    """How far a run is, in resources. ``changed`` had index rows that were not right, ``failed`` could not be read."""

    run: str
    state: str
    types: tuple[str, ...]
    total: int
    done: int
    changed: int
    failed: int
    started: datetime | None
    finished: datetime | None


def _progress(run: Reindex, parts: Sequence[ReindexPart]) -> Progress:
    if run.finished_at is not None:
        state = "replaced" if run.replaced else "completed"
    else:
        state = "waiting" if run.started_at is None else "running"
    return Progress(
        run=run.id,
        state=state,
        types=tuple(part.rtype for part in parts),
        total=sum(part.total for part in parts),
        done=sum(part.done for part in parts),
        changed=sum(part.changed for part in parts),
        failed=sum(part.failed for part in parts),
        started=run.started_at,
        finished=run.finished_at,
    )


async def progress(s: AsyncSession, run: str) -> Progress | None:
    """Return how far a run is; None when there is none of that name."""
    found = await store.found(s, run)
    return None if found is None else _progress(found, await store.parts(s, run))


async def begin(s: AsyncSession, types: Collection[str], *, by: str, now: datetime) -> str:
    """Begin to reindex these types and return the run's name; one that does just that already is joined.

    What is open with older definitions has lost its purpose and ends.

    Raises:
        UnknownResourceType: FHIR has no such type.
    """
    if not types or not resource_types().issuperset(types):
        raise UnknownResourceType("FHIR R4 has no such resource type")
    await store.take_turns(s)
    wanted = {rtype: fingerprint(rtype) for rtype in types}
    by_run: dict[str, dict[str, str]] = {}
    for part in await _end_overtaken(s, now=now):
        by_run.setdefault(part.run, {})[part.rtype] = part.fingerprint
    for run, held in by_run.items():
        if held == wanted:
            return run
    made = Reindex(id=secrets.token_urlsafe(32), asked_by=by, asked_at=now, moved_at=now)
    parts = [
        ReindexPart(run=made.id, rtype=rtype, extractor=EXTRACTOR, fingerprint=wanted[rtype])
        for rtype in sorted(wanted)
    ]
    s.add_all([made, *parts])
    await s.flush()
    await audit.record(s, actor=by, action="record.reindex", subject=f"reindex:{made.id}", at=now)
    await _go_on(s, made.id, parts[0])
    return made.id


async def _end_overtaken(s: AsyncSession, *, now: datetime) -> list[ReindexPart]:
    """End what is open with definitions older than this program's; return what else is open."""
    kept, ended = [], False
    for part in await store.open_parts(s):
        if part.extractor <= EXTRACTOR and part.fingerprint != fingerprint(part.rtype):
            part.finished_at, ended = now, True
        else:
            kept.append(part)
    if ended:
        await store.close_finished(s, now=now, replaced=True)
    return kept


async def begin_where_needed(s: AsyncSession, *, now: datetime) -> str | None:
    """Begin to reindex the types whose rows were written with other definitions; None when there are none.

    Rows that a newer program wrote are left as they are.
    """
    await store.take_turns(s)
    open_parts = await _end_overtaken(s, now=now)
    states = await store.states(s)
    stale = {
        rtype: fingerprint(rtype)
        for rtype in sorted(resource_types())
        if rtype not in states
        or (states[rtype].fingerprint != fingerprint(rtype) and states[rtype].extractor <= EXTRACTOR)
    }
    if not stale:
        return None
    there = await store.existing_types(s, stale)
    await store.remember(s, {rtype: stale[rtype] for rtype in stale.keys() - there}, now=now)
    under_way = {(part.rtype, part.fingerprint) for part in open_parts}
    missing = [rtype for rtype in there if (rtype, stale[rtype]) not in under_way]
    return await begin(s, missing, by=HUB, now=now) if missing else None


async def _go_on(s: AsyncSession, run: str, part: ReindexPart, *, at: datetime | None = None) -> None:
    payload = {"run": run, "rtype": part.rtype, "through": part.through}
    await announce(s, TOPIC, payload, at=at, lane=TOPIC)


@dataclass(frozen=True)
class Expected:
    """Where the run stood when a step was announced: a step that was taken already is not taken again."""

    rtype: str
    through: int


async def step(
    s: AsyncSession, run: str, *, now: datetime, expected: Expected | None = None
) -> Progress | None:
    """Do the next chunk of a run; with ``expected`` also announce the one after it.

    None when there is nothing to do here: the run is over or unknown, the step was taken, or this program has other
    definitions than the run.
    """
    held = await store.held(s, run)
    if held is None or held.finished_at is not None:
        return None
    parts = await store.parts(s, run)
    left = [part for part in parts if part.finished_at is None]
    if not left or left[0].fingerprint != fingerprint(left[0].rtype):
        return None
    part = left[0]
    if expected is not None and expected != Expected(part.rtype, part.through):
        return None
    held.started_at = held.started_at or now
    held.moved_at = now
    stood, measured = part.through, part.until is not None
    if not measured:
        await _measure(s, left, now=now)
    else:
        await _do_chunk(s, part, now=now)
    left = [part for part in left if part.finished_at is None]
    if not left:
        held.finished_at = now
    elif expected is not None:
        busy = measured and left[0] is part and part.through == stood
        await _go_on(s, run, left[0], at=now + RETRY_AFTER if busy else None)
    await s.flush()
    return _progress(held, parts)


async def _measure(s: AsyncSession, parts: Sequence[ReindexPart], *, now: datetime) -> None:
    measured = await store.measure(s, [part.rtype for part in parts])
    for part in parts:
        part.total, part.until = measured.get(part.rtype, (0, 0))
        if not part.total:
            await _finish(s, part, now=now)


async def _finish(s: AsyncSession, part: ReindexPart, *, now: datetime) -> None:
    part.finished_at = now
    await store.remember(s, {part.rtype: part.fingerprint}, now=now)


async def _do_chunk(s: AsyncSession, part: ReindexPart, *, now: datetime) -> None:
    bodies = await store.chunk(s, part)
    if not bodies:
        await _finish(s, part, now=now)
        return
    # Beside the loop: in a hub that runs its own worker, calls are rung from the same thread.
    made = await asyncio.to_thread(_rows, part.rtype, bodies, await keys_of(s))
    wanted = {body.rid: rows for body in bodies if (rows := made[body.rid]) is not None}
    found = await store.differences(s, wanted, {body.rid: body.tokens for body in bodies})
    held = await store.hold(s, found.rids)
    # What a writer holds is looked at again, and all that comes after it.
    free = next((at for at, body in enumerate(bodies) if body.rid in found.rids - held.keys()), len(bodies))
    done = bodies[:free]
    changed = {body.rid for body in done if held.get(body.rid) == body.version}
    await store.write(s, found, changed)
    await store.label(s, done)
    readable = [
        derived.Version(body.rid, body.version, part.rtype, body.body)
        for body in done
        if made[body.rid] is not None
    ]
    if readable:
        await derived.keep(await s.connection(), readable)
    if done:
        part.through = done[-1].rid
    part.done += len(done)
    part.changed += len(changed)
    part.failed += sum(made[body.rid] is None for body in done)


def _rows(rtype: str, bodies: Sequence[Body], keys: Keys) -> dict[int, Rows | None]:
    made: dict[int, Rows | None] = {}
    for body in bodies:
        try:
            made[body.rid] = rows_of(rtype, index(parse(body.body)), keys)
        except Exception as failure:  # noqa: BLE001 -- one resource that cannot be read must not keep the others back
            log.error("reindex_unreadable", kind=rtype, error=type(failure).__name__)
            made[body.rid] = None
    return made


async def sweep(s: AsyncSession, now: datetime) -> None:
    """Give runs that stand still a new job, and forget those that ended long ago."""
    for run in await store.stuck(s, before=now - STUCK_AFTER):
        left = [part for part in await store.parts(s, run.id) if part.finished_at is None]
        run.moved_at = now
        if left:
            await _go_on(s, run.id, left[0])
        else:
            run.finished_at = now
    await store.forget_runs(s, before=now - RUNS_KEPT)
