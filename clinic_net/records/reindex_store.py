"""The queries of reindexing. It is the hub's own work and goes through every tenant; nothing of it reaches a caller."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, delete, exists, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import SQLModel, col
from sqlmodel import select as select_rows
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.records.fingerprints import EXTRACTOR
from clinic_net.records.index import Rows
from clinic_net.records.model import DateRow, LinkRow, NumberRow, Resource, StringRow
from clinic_net.records.reindex_model import IndexState, Reindex, ReindexPart

CHUNK = 200
"""Resources of one transaction: their rows are held for the time it takes to write what differs."""
CHUNK_BYTES = 8 * 1024 * 1024
"""Of bodies in one transaction, unless a single one is larger."""

_ONE_AT_A_TIME = 7_203_411_906
"""Advisory lock of beginning a run; any number that nobody else uses."""

_RANGES: tuple[tuple[type[SQLModel], str, tuple[str, ...]], ...] = (
    (DateRow, "dates", ("p", "lo", "hi")),
    (StringRow, "strings", ("p", "folded", "marked")),
    (NumberRow, "numbers", ("p", "lo", "hi", "u", "c", "n")),
    (LinkRow, "links", ("p", "address")),
)
"""Index tables led by ``rid``: the member of ``Rows`` that each holds, and its columns."""


class Body(NamedTuple):
    """A resource as it was read for reindexing."""

    rid: int
    version: int
    body: bytes


async def take_turns(s: AsyncSession) -> None:
    """Let one transaction at a time decide which runs there are."""
    await (await s.connection()).execute(select(func.pg_advisory_xact_lock(_ONE_AT_A_TIME)))


async def states(s: AsyncSession) -> dict[str, IndexState]:
    return {state.rtype: state for state in await s.exec(select_rows(IndexState))}


async def remember(s: AsyncSession, fingerprints: Mapping[str, str], *, now: datetime) -> None:
    """Note that every index row of these types was written with these definitions."""
    if not fingerprints:
        return
    rows = [
        {"rtype": rtype, "extractor": EXTRACTOR, "fingerprint": fingerprint, "since": now}
        for rtype, fingerprint in sorted(fingerprints.items())
    ]
    statement = insert(IndexState)
    fresh = {name: statement.excluded[name] for name in ("extractor", "fingerprint", "since")}
    statement = statement.on_conflict_do_update(index_elements=[col(IndexState.rtype)], set_=fresh)
    await (await s.connection()).execute(statement, rows)


async def existing_types(s: AsyncSession, types: Collection[str]) -> set[str]:
    """Return which of these types any resource is of."""
    statement = text(
        "select name from unnest(cast(:types as text[])) as asked (name) where exists"
        " (select from records_resource where rtype = asked.name and not deleted)"
    )
    return set((await (await s.connection()).execute(statement, {"types": sorted(types)})).scalars())


async def open_parts(s: AsyncSession) -> list[ReindexPart]:
    """Return what is not finished of any run."""
    statement = select_rows(ReindexPart).where(col(ReindexPart.finished_at).is_(None))
    return list(await s.exec(statement.order_by(col(ReindexPart.run), col(ReindexPart.rtype))))


async def held(s: AsyncSession, run: str) -> Reindex | None:
    """Return a run and hold it: its steps are taken one after the other, whoever takes them."""
    return await s.get(Reindex, run, with_for_update=True, populate_existing=True)


async def found(s: AsyncSession, run: str) -> Reindex | None:
    return await s.get(Reindex, run)


async def parts(s: AsyncSession, run: str) -> list[ReindexPart]:
    statement = select_rows(ReindexPart).where(col(ReindexPart.run) == run).order_by(col(ReindexPart.rtype))
    return list(await s.exec(statement.execution_options(populate_existing=True)))


async def stuck(s: AsyncSession, *, before: datetime) -> list[Reindex]:
    """Return, held, the runs that nobody has moved since then."""
    statement = select_rows(Reindex).where(col(Reindex.finished_at).is_(None), col(Reindex.moved_at) < before)
    return list(await s.exec(statement.with_for_update(skip_locked=True)))


async def forget_runs(s: AsyncSession, *, before: datetime) -> None:
    """Delete the runs that ended before then."""
    connection = await s.connection()
    old = select(col(Reindex.id)).where(col(Reindex.finished_at) < before)
    await connection.execute(delete(ReindexPart).where(col(ReindexPart.run).in_(old)))
    await connection.execute(delete(Reindex).where(col(Reindex.finished_at) < before))


async def measure(s: AsyncSession, types: Collection[str]) -> dict[str, tuple[int, int]]:
    """Return by type how many resources there are and the number of the newest; types without any are left out."""
    connection = await s.connection()
    await connection.execute(text("set local statement_timeout = '10min'"))
    statement = select(col(Resource.rtype), func.count(), func.max(col(Resource.rid))).where(
        col(Resource.rtype).in_(sorted(types)), ~col(Resource.deleted)
    )
    rows: Any = (await connection.execute(statement.group_by(col(Resource.rtype)))).all()
    await connection.execute(text("set local statement_timeout to default"))
    return {row[0]: (row[1], row[2]) for row in rows}


async def chunk(s: AsyncSession, part: ReindexPart) -> list[Body]:
    """Return the next resources of a part, in order, without holding them."""
    size = func.octet_length(col(Resource.body))
    next_ones = (
        select(
            col(Resource.rid),
            func.coalesce(func.sum(size).over(order_by=col(Resource.rid), rows=(None, -1)), 0).label(
                "before"
            ),
        )
        .where(
            col(Resource.rtype) == part.rtype,
            ~col(Resource.deleted),
            col(Resource.rid) > part.through,
            col(Resource.rid) <= part.until,
        )
        .order_by(col(Resource.rid))
        .limit(CHUNK)
        .subquery()
    )
    statement = (
        select(col(Resource.rid), col(Resource.version), col(Resource.body))
        .join(next_ones, next_ones.c.rid == col(Resource.rid))
        .where(next_ones.c.before < CHUNK_BYTES)
        .order_by(col(Resource.rid))
    )
    rows: Any = (await (await s.connection()).execute(statement)).all()
    return [Body(row[0], row[1], bytes(row[2] or b"")) for row in rows]


async def hold_unchanged(s: AsyncSession, rids: Sequence[int]) -> dict[int, tuple[int, frozenset[int]]]:
    """Hold what of these resources no writer holds; return version and tokens of each."""
    statement = (
        select(col(Resource.rid), col(Resource.version), col(Resource.tokens))
        .where(col(Resource.rid).in_(rids))
        .order_by(col(Resource.rid))
        .with_for_update(skip_locked=True)
    )
    rows: Any = (await (await s.connection()).execute(statement)).all()
    return {row[0]: (row[1], frozenset(row[2])) for row in rows}


async def write_differences(
    s: AsyncSession, wanted: Mapping[int, Rows], tokens: Mapping[int, frozenset[int]]
) -> set[int]:
    """Make the index rows of these held resources what they should be; return which were not.

    ``tokens`` are those that the head of each says it has.
    """
    changed = await _write_tokens(s, wanted, tokens)
    for table, member, columns in _RANGES:
        changed |= await _write_ranges(s, wanted, table, member, columns)
    return changed


async def _write_tokens(
    s: AsyncSession, wanted: Mapping[int, Rows], tokens: Mapping[int, frozenset[int]]
) -> set[int]:
    connection = await s.connection()
    pairs = [(h, rid) for rid, rows in wanted.items() for h in rows.tokens | tokens[rid]]
    there = text(
        "select t.h, t.rid from unnest(cast(:h as bigint[]), cast(:rid as bigint[])) as x (h, rid)"
        " join records_ix_token t on t.h = x.h and t.rid = x.rid"
    )
    given = {"h": [h for h, _ in pairs], "rid": [rid for _, rid in pairs]}
    held = {(row[0], row[1]) for row in (await connection.execute(there, given)).all()}
    right = {(h, rid) for rid, rows in wanted.items() for h in rows.tokens}
    for statement, these in (
        ("delete from records_ix_token where h = :h and rid = :rid", held - right),
        (
            "insert into records_ix_token (h, rid) values (:h, :rid) on conflict do nothing",
            right - held,
        ),
    ):
        if these:
            await connection.execute(text(statement), [{"h": h, "rid": rid} for h, rid in sorted(these)])
    heads: list[dict[str, Any]] = [
        {"rid": rid, "tokens": sorted(rows.tokens)}
        for rid, rows in wanted.items()
        if rows.tokens != tokens[rid]
    ]
    if heads:
        await connection.execute(
            text("update records_resource set tokens = cast(:tokens as bigint[]) where rid = :rid"), heads
        )
    return {rid for _, rid in held ^ right} | {head["rid"] for head in heads}


async def _write_ranges(
    s: AsyncSession, wanted: Mapping[int, Rows], table: type[SQLModel], member: str, columns: tuple[str, ...]
) -> set[int]:
    connection, names = await s.connection(), ("rid", *columns)
    fields: list[Any] = [getattr(table, name) for name in names]
    statement = select(*fields).where(fields[0].in_(sorted(wanted)))
    held = {tuple(row) for row in (await connection.execute(statement)).all()}
    right = {(rid, *row) for rid, rows in wanted.items() for row in getattr(rows, member)}
    gone = [dict(zip((f"old_{name}" for name in names), row, strict=True)) for row in held - right]
    if gone:
        same = (field == bindparam(f"old_{name}") for name, field in zip(names, fields, strict=True))
        await connection.execute(delete(table).where(and_(*same)), gone)
    fresh = [dict(zip(names, row, strict=True)) for row in right - held]
    if fresh:
        await connection.execute(insert(table).on_conflict_do_nothing(), fresh)
    return {row[0] for row in held ^ right}


async def close_finished(s: AsyncSession, *, now: datetime, replaced: bool) -> None:
    """Finish the runs of which no part is open."""
    await s.flush()
    open_part = exists().where(
        col(ReindexPart.run) == col(Reindex.id), col(ReindexPart.finished_at).is_(None)
    )
    statement = update(Reindex).where(col(Reindex.finished_at).is_(None), ~open_part)
    await (await s.connection()).execute(statement.values(finished_at=now, replaced=replaced))
