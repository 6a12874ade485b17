"""Every read of heads, versions and conditions, and the locks. Each carries the caller's scope into its SQL."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Integer,
    LargeBinary,
    Text,
    and_,
    any_,
    case,
    column,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.labels import EVERY
from clinic_net.access.policy import Columns, Record, RecordScope, predicate
from clinic_net.kernel.links import Database, fetch
from clinic_net.records.index import address_of
from clinic_net.records.model import ConditionRow, Resource, Version
from clinic_net.records.sealing import TYPES, opened


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
    labels: int | None
    body: bytes | None


class Logged(NamedTuple):
    """One version. ``method`` is C, U or D."""

    version: int
    updated: datetime
    method: str
    author: str
    body: bytes | None


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
    col(Resource.labels),
    col(Resource.body),
)


def head_of(row: Any) -> Head:
    """Return a row that begins with ``HEAD``; what is sealed in its body is opened here."""
    head = Head(*row[: len(HEAD)])
    if head.rtype in TYPES and head.body is not None:
        return head._replace(body=opened(head.body, head.rtype, head.fid))
    return head


def visible(scope: RecordScope, now: datetime, resource: type[Resource] = Resource) -> ColumnElement[bool]:
    """The condition under which a row of ``records_resource`` (or of an alias of it) exists for this scope."""
    columns = Columns(
        col(resource.tenant),
        col(resource.patient),
        col(resource.rtype),
        labels_in(resource, scope),
    )
    return predicate(scope, columns, now=now)


@lru_cache(maxsize=64)
def _seen_now(scope: RecordScope, now: datetime) -> ColumnElement[bool]:
    """``visible``, kept: several statements of a moment ask it, and putting it together costs as much as asking."""
    return visible(scope, now)


MENTIONED = b'"security"'
"""Without it a text has no labels."""


def labels_in(resource: type[Resource], scope: RecordScope) -> ColumnElement[Any]:
    """A row's labels; every one where an older release wrote it and its text may hold some. 0 where none counts."""
    if not scope.minds_labels:
        return literal(0)
    said = func.position(literal(MENTIONED, LargeBinary).op("in")(col(resource.body)))
    return func.coalesce(col(resource.labels), case((said > 0, EVERY), else_=0), type_=Integer)


def labels_said(head: Head) -> int:
    """Return a head's labels as ``visible`` reads them."""
    if head.labels is not None:
        return head.labels
    return EVERY if head.body is not None and MENTIONED in head.body else 0


async def permitted(s: Database, record: Record, *, scope: RecordScope, now: datetime) -> bool:
    """Whether such a record would be within the scope."""
    if scope.everywhere:
        return True
    columns = Columns(
        literal(record.tenant, Text),
        literal(record.patient, Text),
        literal(record.rtype, Text),
        literal(record.labels, Integer),
    )
    condition = predicate(scope, columns, now=now)
    return bool((await (await session_of(s).connection()).execute(select(condition))).scalar_one())


async def permitted_many(
    s: Database, records: Sequence[Record], *, scope: RecordScope, now: datetime
) -> dict[Record, bool]:
    """Return, for each of these records, whether it would be within the scope: ``permitted``, in one statement."""
    if scope.everywhere or not records:
        return dict.fromkeys(records, True)
    given = (
        func.unnest(
            literal(list(range(len(records))), ARRAY(Integer)),
            literal([record.tenant for record in records], ARRAY(Text)),
            literal([record.patient for record in records], ARRAY(Text)),
            literal([record.rtype for record in records], ARRAY(Text)),
            literal([record.labels for record in records], ARRAY(Integer)),
        )
        .table_valued(
            column("no", Integer),
            column("tenant", Text),
            column("patient", Text),
            column("rtype", Text),
            column("labels", Integer),
        )
        .render_derived()
    )
    columns = Columns(given.c.tenant, given.c.patient, given.c.rtype, given.c.labels)
    statement = select(given.c.no).where(predicate(scope, columns, now=now))
    allowed = set((await (await session_of(s).connection()).execute(statement)).scalars())
    return {record: number in allowed for number, record in enumerate(records)}


async def find(s: AsyncSession, rtype: str, fid: str, *, scope: RecordScope, now: datetime) -> Head | None:
    """Return a head, deleted or not, if it is within the scope."""
    statement = select(*HEAD).where(
        col(Resource.rtype) == rtype, col(Resource.fid) == fid, visible(scope, now)
    )
    row = (await (await s.connection()).execute(statement)).one_or_none()
    return None if row is None else head_of(row)


def _identified(identities: Sequence[tuple[str, str]]) -> ColumnElement[bool]:
    """The condition for one of many (type, id): by one array of hashes, so that its SQL is the same for any number."""
    addresses = sorted({address_of(rtype, fid) for rtype, fid in identities})
    return col(Resource.address) == any_(literal(addresses, ARRAY(BigInteger)))


async def lock(
    s: Database, identities: Sequence[tuple[str, str]], *, scope: RecordScope, now: datetime
) -> dict[tuple[str, str], Head]:
    """Return the heads of these (type, id) within the scope and hold their rows, in one order for everybody.

    Two writers of one resource take turns here; the second sees the first one's version.
    """
    if scope.everywhere:
        rows = await fetch(s, _LOCKED, _addresses(identities))
    else:
        statement = (
            select(*HEAD)
            .where(_identified(identities), _seen_now(scope, now))
            .order_by(col(Resource.rid))
            .with_for_update(of=Resource.__table__)  # type: ignore[attr-defined]
        )
        rows = (await (await session_of(s).connection()).execute(statement)).all()
    return {(head.rtype, head.fid): head for head in map(head_of, rows)}


_EACH = (
    f"select {', '.join(column.key for column in HEAD)} from records_resource"  # noqa: S608 -- our own columns
    " where address = any(cast(%(addresses)s as bigint[]))"
)
"""For callers who see every tenant; as text, because most requests are theirs."""

_EXISTING = f"select * from ({_EACH} and not deleted offset 0) found order by rid limit %(limit)s"  # noqa: S608
"""``offset 0`` keeps the order from the planner, which would walk through all rows by ``rid`` to find these few."""
_LOCKED = f"{_EACH} order by rid for update"


def _addresses(identities: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {"addresses": "{" + ",".join(str(address_of(rtype, fid)) for rtype, fid in identities) + "}"}


def session_of(s: Database) -> AsyncSession:
    """Links carry only what callers ask who see every tenant."""
    assert isinstance(s, AsyncSession), "a narrow scope needs a session"
    return s


async def find_each(
    s: Database, identities: Sequence[tuple[str, str]], *, scope: RecordScope, now: datetime
) -> dict[tuple[str, str], Head]:
    """Return the heads of these (type, id), deleted or not, that are within the scope."""
    if scope.everywhere:
        rows = await fetch(s, _EACH, _addresses(identities))
    else:
        statement = select(*HEAD).where(_identified(identities), _seen_now(scope, now))
        rows = (await (await session_of(s).connection()).execute(statement)).all()
    return {(head.rtype, head.fid): head for head in map(head_of, rows)}


async def find_many(
    s: Database, identities: Sequence[tuple[str, str]], *, scope: RecordScope, now: datetime, limit: int
) -> list[Head]:
    """Return the heads of these (type, id) that exist within the scope: the first ``limit``."""
    if scope.everywhere:
        rows = await fetch(s, _EXISTING, {**_addresses(identities), "limit": limit})
    else:
        found = (
            select(*HEAD)
            .where(_identified(identities), ~col(Resource.deleted), _seen_now(scope, now))
            .offset(0)  # as above
            .subquery()
        )
        statement = select(found).order_by(found.c.rid).limit(limit)
        rows = (await (await session_of(s).connection()).execute(statement)).all()
    return [head_of(row) for row in rows]


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
    return [_logged_of(row) for row in (await (await s.connection()).execute(statement)).all()]


async def version(
    s: AsyncSession, rid: int, number: int, *, scope: RecordScope, now: datetime
) -> Logged | None:
    """Return one version of a resource."""
    statement = _logged().where(col(Version.rid) == rid, col(Version.version) == number, visible(scope, now))
    row = (await (await s.connection()).execute(statement)).one_or_none()
    return None if row is None else _logged_of(row)


def _logged() -> Any:
    return select(
        col(Version.version),
        col(Version.updated),
        col(Version.method),
        col(Version.author),
        col(Version.body),
        col(Resource.rtype),
        col(Resource.fid),
    ).join(Resource, and_(col(Resource.rid) == col(Version.rid)))


def _logged_of(row: Any) -> Logged:
    body = None if row.body is None else opened(row.body, row.rtype, row.fid)
    return Logged(row.version, row.updated, row.method, row.author, body)


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
