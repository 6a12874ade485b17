"""What is derived behind the writes: the words of resources for ``_text`` and ``_content``, the units they measure in.

A create pays nothing for it: whoever works (``worker``) reads the log of versions on, a batch at a time, and a search
for words finds a resource some seconds after it was stored (ADR 14).

Versions do not become visible in the order of their numbers. So the mark moves in two steps: ``seen`` is how far a
batch came while the transaction ``horizon`` was the newest of all. Once no transaction as old as that is still running,
no version up to ``seen`` can appear any more: what is read up to there from then on is ``done``.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.fhir import MalformedJson, parse
from clinic_net.fhir.fulltext import content_words, narrative_words
from clinic_net.fhir.units import EVERYDAY, UCUM, canonical_unit, units_of
from clinic_net.kernel.arrays import numbers, texts
from clinic_net.kernel.gate import breathe, leave_room
from clinic_net.kernel.hub import Hub
from clinic_net.records.sealing import opened, telling_words

log = structlog.get_logger()

BATCH = 100
"""Some 10 ms of work: whoever shares the process with the worker does not notice."""

_NEWEST = text("select coalesce(max(vseq), 0) from records_version")
_START = text(
    "insert into records_derived_mark (id, done, seen, horizon) values (1, 0, 0, 0) on conflict do nothing"
)
_HOLD = text("select done, seen, horizon from records_derived_mark where id = 1 for update skip locked")
_NOW = text(
    "select pg_current_xact_id()::text::bigint, pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
)
_NEXT = text(
    """
    select v.vseq, r.rid, r.version, r.rtype, r.fid, r.body
    from records_version v
    join records_resource r on r.rid = v.rid and r.version = v.version
    left join records_words w on w.rid = r.rid
    where v.vseq > :done and (w.version is null or w.version < r.version)
    order by v.vseq limit :batch
    """
)
_KEEP = text(
    """
    insert into records_words (rid, version, narrative, content)
    select rid, version, array_to_tsvector(cast(narrative as text[])), array_to_tsvector(cast(content as text[]))
    from unnest(
        cast(:rids as bigint[]), cast(:versions as int[]), cast(:narratives as text[]), cast(:contents as text[])
    ) as g (rid, version, narrative, content)
    on conflict (rid) do update set
        version = excluded.version, narrative = excluded.narrative, content = excluded.content
    where records_words.version <= excluded.version
    """
)
_USED = text(
    """
    insert into records_unit (code, dimension) select :code, :dimension
    where (select count(*) from records_unit) < 2000 on conflict do nothing
    """
)
_MOVE = text("update records_derived_mark set done = :done, seen = :seen, horizon = :horizon where id = 1")


async def derive(hub: Hub) -> None:
    """Derive what there is to derive from everything that has been stored and not been read yet."""
    more = True
    while more:
        began = time.perf_counter()
        async with hub.sessions() as s, s.begin():
            more = await read_on(s)
        if more:
            await leave_room(time.perf_counter() - began)


async def read_on(s: AsyncSession) -> bool:
    """Read the next versions; whether there may be more at once. Needs a transaction of its own.

    Any number may do this: while one does, the others have nothing to do.
    """
    connection = await s.connection()
    newest: int = (await connection.execute(_NEWEST)).scalar_one()
    mark = (await connection.execute(_HOLD)).one_or_none()
    if mark is None:
        await connection.execute(_START)
        mark = (await connection.execute(_HOLD)).one_or_none()
    if mark is None:
        return False
    done, seen, horizon = mark
    ours, oldest = (await connection.execute(_NOW)).one()
    rows = (await connection.execute(_NEXT, {"done": done, "batch": BATCH})).all()
    if rows:
        await keep(connection, [_read(row) for row in rows])
    full = len(rows) == BATCH
    reached: int = min(rows[-1].vseq, newest) if full else newest
    if oldest > horizon:
        moved = {"done": max(done, min(seen, reached)), "seen": max(reached, done), "horizon": ours}
        if moved["done"] != done or moved["seen"] != seen:
            await connection.execute(_MOVE, moved)
    return full


class Version(NamedTuple):
    """The newest version of a resource, as it was received; ``body`` None: it is deleted."""

    rid: int
    version: int
    rtype: str
    body: bytes | None


def _read(row: Any) -> Version:
    body = None if row.body is None else opened(row.body, row.rtype, row.fid)
    return Version(row.rid, row.version, row.rtype, body)


def _parsed(row: Version) -> dict[str, Any]:
    """Return what a version says; nothing of one that cannot be read, which keeps no other back."""
    try:
        return {} if row.body is None else parse(row.body)
    except MalformedJson as failure:
        log.error("derive_unreadable", kind=row.rtype, error=type(failure).__name__)
        return {}


async def keep(connection: AsyncConnection, rows: Sequence[Version]) -> None:
    """Keep what is derived from these versions."""
    resources, narratives, contents = [], [], []
    for done, row in enumerate(rows):
        await breathe(done)
        resource = _parsed(row)
        secret = telling_words(resource, row.rtype)
        resources.append(resource)
        narratives.append(_array([word for word in narrative_words(resource) if word not in secret]))
        contents.append(_array([word for word in content_words(resource) if word not in secret]))
    kept = {
        "rids": numbers([row.rid for row in rows]),
        "versions": numbers([row.version for row in rows]),
        "narratives": texts(narratives),
        "contents": texts(contents),
    }
    await connection.execute(_KEEP, kept)
    codes = {code for resource in resources for code in units_of(resource)} - EVERYDAY.keys()
    units = [
        {"code": code, "dimension": unit.dimension}
        for code in sorted(codes)
        if (unit := await asyncio.to_thread(canonical_unit, UCUM, code)) is not None
    ]
    if units:
        await connection.execute(_USED, units)


def _array(found: Sequence[str]) -> str | None:
    return texts(found) if found else None
