"""Every read and write of heads, versions and conditions. Each carries the caller's scope into its SQL.

A write is one statement: head, version log and index rows go together in one round trip (records §6.4 rule 9).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Text, and_, literal, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import RecordScope, predicate
from clinic_net.records.index import Rows, address_of
from clinic_net.records.model import ConditionRow, Resource, Version


class Head(NamedTuple):
    """A resource as it is now. ``body`` is None when it is deleted."""

    rid: int
    rtype: str
    fid: str
    version: int
    updated: datetime
    deleted: bool
    tenant: str
    patient: str | None
    author: str
    body: bytes | None


class Logged(NamedTuple):
    """One version. ``method`` is C, U or D."""

    version: int
    updated: datetime
    method: str
    author: str
    body: bytes | None


class Change(NamedTuple):
    """What one write puts into head and log. ``method`` is C, U or D."""

    rtype: str
    fid: str
    version: int
    method: str
    tenant: str
    patient: str | None
    author: str
    body: bytes | None
    rows: Rows


HEAD: tuple[Any, ...] = (
    col(Resource.rid),
    col(Resource.rtype),
    col(Resource.fid),
    col(Resource.version),
    col(Resource.updated),
    col(Resource.deleted),
    col(Resource.tenant),
    col(Resource.patient),
    col(Resource.author),
    col(Resource.body),
)


def head_of(row: Any) -> Head:
    return Head(*row[: len(HEAD)])


def visible(scope: RecordScope, now: datetime, resource: type[Resource] = Resource) -> ColumnElement[bool]:
    """The condition under which a row of ``records_resource`` (or of an alias of it) exists for this scope."""
    return predicate(scope, tenant=col(resource.tenant), patient=col(resource.patient), now=now)


async def permitted(
    s: AsyncSession, *, tenant: str, patient: str | None, scope: RecordScope, now: datetime
) -> bool:
    """Whether a record of this tenant and patient would be within the scope."""
    if scope.tenants is None:
        return True
    condition = predicate(scope, tenant=literal(tenant, Text), patient=literal(patient, Text), now=now)
    return bool((await (await s.connection()).execute(select(condition))).scalar_one())


async def find(s: AsyncSession, rtype: str, fid: str, *, scope: RecordScope, now: datetime) -> Head | None:
    """Return a head, deleted or not, if it is within the scope."""
    statement = select(*HEAD).where(
        col(Resource.rtype) == rtype, col(Resource.fid) == fid, visible(scope, now)
    )
    row = (await (await s.connection()).execute(statement)).one_or_none()
    return None if row is None else head_of(row)


async def lock(
    s: AsyncSession, identities: Sequence[tuple[str, str]], *, scope: RecordScope, now: datetime
) -> dict[tuple[str, str], Head]:
    """Return the heads of these (type, id) within the scope and hold their rows, in one order for everybody.

    Two writers of one resource take turns here; the second sees the first one's version.
    """
    statement = (
        select(*HEAD)
        .where(tuple_(col(Resource.rtype), col(Resource.fid)).in_(list(identities)), visible(scope, now))
        .order_by(col(Resource.rid))
        .with_for_update(of=Resource.__table__)  # type: ignore[attr-defined]
    )
    rows = (await (await s.connection()).execute(statement)).all()
    return {(head.rtype, head.fid): head for head in map(head_of, rows)}


async def find_many(
    s: AsyncSession, identities: Sequence[tuple[str, str]], *, scope: RecordScope, now: datetime, limit: int
) -> list[Head]:
    """Return the heads of these (type, id) that exist within the scope, at most ``limit``."""
    statement = (
        select(*HEAD)
        .where(
            tuple_(col(Resource.rtype), col(Resource.fid)).in_(list(identities)),
            ~col(Resource.deleted),
            visible(scope, now),
        )
        .order_by(col(Resource.rid))
        .limit(limit)
    )
    return [head_of(row) for row in (await (await s.connection()).execute(statement)).all()]


async def of_patient(
    s: AsyncSession, patient: str, *, scope: RecordScope, now: datetime, limit: int
) -> list[Head]:
    """Return what is in a patient's record, newest first."""
    statement = (
        select(*HEAD)
        .where(col(Resource.patient) == patient, ~col(Resource.deleted), visible(scope, now))
        .order_by(col(Resource.updated).desc(), col(Resource.rid).desc())
        .limit(limit)
    )
    return [head_of(row) for row in (await (await s.connection()).execute(statement)).all()]


async def versions(
    s: AsyncSession, rid: int, *, scope: RecordScope, now: datetime, before: int | None, limit: int
) -> list[Logged]:
    """Return the versions of a resource, newest first, below ``before``. Old ones follow the current right."""
    statement = (
        _logged()
        .where(col(Version.rid) == rid, visible(scope, now))
        .order_by(col(Version.version).desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(col(Version.version) < before)
    return [Logged(*row) for row in (await (await s.connection()).execute(statement)).all()]


async def version(
    s: AsyncSession, rid: int, number: int, *, scope: RecordScope, now: datetime
) -> Logged | None:
    """Return one version of a resource."""
    statement = _logged().where(col(Version.rid) == rid, col(Version.version) == number, visible(scope, now))
    row = (await (await s.connection()).execute(statement)).one_or_none()
    return None if row is None else Logged(*row)


def _logged() -> Any:
    return select(
        col(Version.version),
        col(Version.updated),
        col(Version.method),
        col(Version.author),
        col(Version.body),
    ).join(Resource, and_(col(Resource.rid) == col(Version.rid)))


_INDEX_ROWS = """
    new_token as (
        insert into records_ix_token (h, rid) select h, rid from head, unnest(cast(:new_tokens as bigint[])) as h),
    new_date as (
        insert into records_ix_date (rid, p, lo, hi) select rid, p, lo, hi
        from head, unnest(cast(:date_p as int[]), cast(:date_lo as bigint[]), cast(:date_hi as bigint[]))
            as x (p, lo, hi)
        on conflict do nothing),
    new_string as (
        insert into records_ix_string (rid, p, folded, marked) select rid, p, folded, marked
        from head, unnest(cast(:string_p as int[]), cast(:string_folded as text[]), cast(:string_marked as text[]))
            as x (p, folded, marked)
        on conflict do nothing),
    new_number as (
        insert into records_ix_number (rid, p, lo, hi, u, c, n) select rid, p, lo, hi, u, c, n
        from head, unnest(cast(:number_p as int[]), cast(:number_lo as float8[]), cast(:number_hi as float8[]),
            cast(:number_u as bigint[]), cast(:number_c as bigint[]), cast(:number_n as bigint[]))
            as x (p, lo, hi, u, c, n)
        on conflict do nothing),
    new_link as (
        insert into records_ix_link (rid, p, address) select rid, p, address
        from head, unnest(cast(:link_p as int[]), cast(:link_address as bigint[])) as x (p, address)
        on conflict do nothing)
"""

_LOG = """
    log as (
        insert into records_version (rid, version, updated, method, tenant, rtype, author, body)
        select rid, :version, :now, :method, :tenant, :rtype, :author, cast(:body as bytea) from head)
"""

_CREATE = text(
    f"""
    with head as (
        insert into records_resource
            (tenant, rtype, fid, patient, version, updated, deleted, author, address, tokens, body)
        values (:tenant, :rtype, :fid, :patient, :version, :now, false, :author, :address,
            cast(:tokens as bigint[]), cast(:body as bytea))
        on conflict (rtype, fid) do nothing
        returning rid),
    {_LOG}, {_INDEX_ROWS}
    select rid from head
    """  # noqa: S608 -- only constants of this module are put together
)

_REPLACE = text(
    f"""
    with before as (select tokens from records_resource where rid = :rid),
    head as (
        update records_resource set
            patient = :patient, version = :version, updated = :now, deleted = (:method = 'D'), author = :author,
            tokens = cast(:tokens as bigint[]), body = cast(:body as bytea)
        where rid = :rid
        returning rid),
    gone_token as (
        delete from records_ix_token where rid = :rid and h in (
            select unnest(tokens) from before except select unnest(cast(:tokens as bigint[])))),
    gone_date as (
        delete from records_ix_date where rid = :rid and (p, lo, hi) not in (
            select * from unnest(cast(:date_p as int[]), cast(:date_lo as bigint[]), cast(:date_hi as bigint[])))),
    gone_string as (
        delete from records_ix_string where rid = :rid and (p, folded, marked) not in (
            select p, folded collate "C", marked collate "C" from unnest(cast(:string_p as int[]),
                cast(:string_folded as text[]), cast(:string_marked as text[])) as x (p, folded, marked))),
    gone_number as (
        delete from records_ix_number where rid = :rid and (p, lo, hi, u, c, n) not in (
            select * from unnest(cast(:number_p as int[]), cast(:number_lo as float8[]), cast(:number_hi as float8[]),
                cast(:number_u as bigint[]), cast(:number_c as bigint[]), cast(:number_n as bigint[])))),
    gone_link as (
        delete from records_ix_link where rid = :rid and (p, address) not in (
            select * from unnest(cast(:link_p as int[]), cast(:link_address as bigint[])))),
    {_LOG}, {
        _INDEX_ROWS.replace(
            "unnest(cast(:new_tokens as bigint[])) as h",
            '''(
        select unnest(cast(:tokens as bigint[])) as h except select unnest(tokens) from before) as fresh''',
        )
    }
    select rid from head
    """  # noqa: S608 -- only constants of this module are put together
)


def _parameters(change: Change, now: datetime) -> dict[str, Any]:
    rows = change.rows
    dates = tuple(zip(*rows.dates, strict=True)) or ((), (), ())
    strings = tuple(zip(*rows.strings, strict=True)) or ((), (), ())
    numbers = tuple(zip(*rows.numbers, strict=True)) or ((), (), (), (), (), ())
    links = tuple(zip(*rows.links, strict=True)) or ((), ())
    return {
        "tenant": change.tenant,
        "rtype": change.rtype,
        "fid": change.fid,
        "patient": change.patient,
        "version": change.version,
        "method": change.method,
        "now": now,
        "author": change.author,
        "body": change.body,
        "tokens": list(rows.tokens),
        **_columns("date", ("p", "lo", "hi"), dates),
        **_columns("string", ("p", "folded", "marked"), strings),
        **_columns("number", ("p", "lo", "hi", "u", "c", "n"), numbers),
        **_columns("link", ("p", "address"), links),
    }


def _columns(kind: str, names: Sequence[str], columns: Sequence[Sequence[object]]) -> Mapping[str, object]:
    return {f"{kind}_{name}": list(column) for name, column in zip(names, columns, strict=True)}


async def create(s: AsyncSession, change: Change, *, scope: RecordScope, now: datetime) -> bool:
    """Insert a resource; False when one of that type and id exists, for this scope or another."""
    assert scope.writable
    parameters = _parameters(change, now)
    parameters["new_tokens"] = parameters["tokens"]
    parameters["address"] = address_of(change.rtype, change.fid)
    return (await (await s.connection()).execute(_CREATE, parameters)).first() is not None


async def replace(s: AsyncSession, rid: int, change: Change, *, scope: RecordScope, now: datetime) -> None:
    """Write the next version of a resource that ``lock`` returned; only index rows that differ are touched."""
    assert scope.writable
    parameters = _parameters(change, now)
    parameters["rid"] = rid
    del parameters["fid"]
    await (await s.connection()).execute(_REPLACE, parameters)


async def hold_conditions(s: AsyncSession, keys: Sequence[int], *, scope: RecordScope, now: datetime) -> None:
    """Let only one transaction at a time create under each of these criteria.

    A second one waits at the primary key until the first has committed, and then finds what it made. The keys
    are taken in one order for everybody.
    """
    assert scope.writable
    statement = insert(ConditionRow).on_conflict_do_update(
        index_elements=[col(ConditionRow.k)], set_={"at": now}
    )
    for key in sorted(set(keys)):
        await (await s.connection()).execute(statement, {"k": key, "at": now})
