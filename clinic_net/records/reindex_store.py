"""The queries of reindexing. It is the hub's own work and goes through every tenant; nothing of it reaches a caller."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, delete, exists, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import SQLModel, col
from sqlmodel import select as select_rows
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.labels import labels_of
from clinic_net.fhir import parse
from clinic_net.kernel.errors import Refusal
from clinic_net.records.fingerprints import EXTRACTOR
from clinic_net.records.index import Rows
from clinic_net.records.model import DateRow, LinkRow, NumberRow, Resource, StringRow, TokenRow
from clinic_net.records.reindex_model import IndexState, Reindex, ReindexPart
from clinic_net.records.sealing import opened
from clinic_net.records.store import MENTIONED

CHUNK = 200
"""Resources of one transaction: those that differ are held for the time it takes to write that."""
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
    """A resource as it was read for reindexing, with the tokens that its head says it has."""

    rid: int
    version: int
    body: bytes
    tokens: frozenset[int]


Row = tuple[Any, ...]
"""An index row as a value: the resource's number first, then the columns of its table."""


@dataclass
class Differences:
    """What is not as it should be: by table the rows too many and too few, and heads with other tokens."""

    tokens: tuple[set[Row], set[Row]]
    ranges: list[tuple[set[Row], set[Row]]]
    heads: dict[int, list[int]]

    @property
    def rids(self) -> set[int]:
        """The resources of which anything differs."""
        rows = (row[0] for pair in (self.tokens, *self.ranges) for rows in pair for row in rows)
        return {*rows, *self.heads}


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
        select(
            col(Resource.rid),
            col(Resource.version),
            col(Resource.body),
            col(Resource.tokens),
            col(Resource.fid),
        )
        .join(next_ones, next_ones.c.rid == col(Resource.rid))
        .where(next_ones.c.before < CHUNK_BYTES)
        .order_by(col(Resource.rid))
    )
    rows: Any = (await (await s.connection()).execute(statement)).all()
    return [
        Body(row[0], row[1], opened(row[2] or b"", part.rtype, row[4]), frozenset(row[3])) for row in rows
    ]


async def differences(
    s: AsyncSession, wanted: Mapping[int, Rows], tokens: Mapping[int, frozenset[int]]
) -> Differences:
    """Compare the index rows of resources with those they should have; ``tokens`` as their heads say."""
    return Differences(
        tokens=await _differing_tokens(s, wanted, tokens),
        ranges=[await _differing_rows(s, wanted, *table) for table in _RANGES],
        heads={rid: sorted(rows.tokens) for rid, rows in wanted.items() if rows.tokens != tokens[rid]},
    )


async def _differing_tokens(
    s: AsyncSession, wanted: Mapping[int, Rows], tokens: Mapping[int, frozenset[int]]
) -> tuple[set[Row], set[Row]]:
    pairs = [(h, rid) for rid, rows in wanted.items() for h in rows.tokens | tokens[rid]]
    statement = text(
        "select t.rid, t.h from unnest(cast(:h as bigint[]), cast(:rid as bigint[])) as x (h, rid)"
        " join records_ix_token t on t.h = x.h and t.rid = x.rid"
    )
    given = {"h": [h for h, _ in pairs], "rid": [rid for _, rid in pairs]}
    held: set[Row] = {tuple(row) for row in (await (await s.connection()).execute(statement, given)).all()}
    right: set[Row] = {(rid, h) for rid, rows in wanted.items() for h in rows.tokens}
    return held - right, right - held


async def _differing_rows(
    s: AsyncSession, wanted: Mapping[int, Rows], table: type[SQLModel], member: str, columns: tuple[str, ...]
) -> tuple[set[Row], set[Row]]:
    fields: list[Any] = [getattr(table, name) for name in ("rid", *columns)]
    statement = select(*fields).where(fields[0].in_(sorted(wanted)))
    held: set[Row] = {tuple(row) for row in (await (await s.connection()).execute(statement)).all()}
    right: set[Row] = {(rid, *row) for rid, rows in wanted.items() for row in getattr(rows, member)}
    return held - right, right - held


async def hold(s: AsyncSession, rids: Collection[int]) -> dict[int, int]:
    """Hold what of these resources no writer holds; return the version of each."""
    statement = (
        select(col(Resource.rid), col(Resource.version))
        .where(col(Resource.rid).in_(sorted(rids)))
        .order_by(col(Resource.rid))
        .with_for_update(skip_locked=True)
    )
    rows: Any = (await (await s.connection()).execute(statement)).all()
    return {row[0]: row[1] for row in rows}


async def write(s: AsyncSession, found: Differences, rids: Collection[int]) -> None:
    """Make the index rows of these held resources what they should be."""
    connection = await s.connection()
    await _write_rows(s, TokenRow, ("h",), _of(found.tokens, rids))
    for (table, _, columns), pair in zip(_RANGES, found.ranges, strict=True):
        await _write_rows(s, table, columns, _of(pair, rids))
    heads = [{"rid": rid, "tokens": tokens} for rid, tokens in found.heads.items() if rid in rids]
    if heads:
        await connection.execute(
            text("update records_resource set tokens = cast(:tokens as bigint[]) where rid = :rid"), heads
        )


async def label(s: AsyncSession, bodies: Sequence[Body]) -> None:
    """Write down the security labels of what an older release wrote, unless somebody has changed it since."""
    for body in bodies:
        if MENTIONED not in body.body:
            continue
        try:
            labels = labels_of(parse(body.body))
        except Refusal:
            continue
        statement = update(Resource).where(
            col(Resource.rid) == body.rid,
            col(Resource.version) == body.version,
            col(Resource.labels).is_(None),
        )
        await (await s.connection()).execute(statement.values(labels=labels))


def _of(pair: tuple[set[Row], set[Row]], rids: Collection[int]) -> tuple[list[Row], list[Row]]:
    gone, fresh = ([row for row in rows if row[0] in rids] for rows in pair)
    return gone, fresh


async def _write_rows(
    s: AsyncSession, table: type[SQLModel], columns: tuple[str, ...], pair: tuple[list[Row], list[Row]]
) -> None:
    connection, names = await s.connection(), ("rid", *columns)
    gone, fresh = pair
    if gone:
        fields: list[Any] = [getattr(table, name) for name in names]
        same = (field == bindparam(f"old_{name}") for name, field in zip(names, fields, strict=True))
        rows = [dict(zip((f"old_{name}" for name in names), row, strict=True)) for row in gone]
        await connection.execute(delete(table).where(and_(*same)), rows)
    if fresh:
        rows = [dict(zip(names, row, strict=True)) for row in fresh]
        await connection.execute(insert(table).on_conflict_do_nothing(), rows)


async def close_finished(s: AsyncSession, *, now: datetime, replaced: bool) -> None:
    """Finish the runs of which no part is open."""
    await s.flush()
    open_part = exists().where(
        col(ReindexPart.run) == col(Reindex.id), col(ReindexPart.finished_at).is_(None)
    )
    statement = update(Reindex).where(col(Reindex.finished_at).is_(None), ~open_part)
    await (await s.connection()).execute(statement.values(finished_at=now, replaced=replaced))
