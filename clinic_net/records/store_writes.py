"""Writing heads, the version log and index rows: many resources in one statement, one round trip (records §6.4 rule 9).

Rows travel as columns. Numbers are spelled as array literals and bodies as one string of bytes with offsets: a list
that the driver turns into parameters one by one costs more than everything else about it.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text

from clinic_net.access.policy import RecordScope
from clinic_net.kernel.arrays import numbers, texts
from clinic_net.kernel.data_keys import keyring_of
from clinic_net.kernel.links import Database, fetch
from clinic_net.records.index import Rows, address_of
from clinic_net.records.sealing import TYPES, sealed


class Change(NamedTuple):
    """What one write puts into head and log. ``method`` is C, U or D; ``rid`` None makes the resource."""

    rid: int | None
    rtype: str
    fid: str
    version: int
    method: str
    tenant: str
    patient: str | None
    author: str
    body: bytes | None
    rows: Rows
    labels: int = 0


_AT_ONCE = 50
"""Resources of one statement: to spell out a hundred takes ten milliseconds, in which nobody else is served."""

_TABLES = {
    "date": {"p": "int", "lo": "bigint", "hi": "bigint"},
    "string": {"p": "int", "folded": "text", "marked": "text"},
    "number": {"p": "int", "lo": "float8", "hi": "float8", "u": "bigint", "c": "bigint", "n": "bigint"},
    "link": {"p": "int", "address": "bigint"},
}
"""The index tables beside ``records_ix_token``: their columns in the order of ``Rows``, without ``rid``."""

_BODY = """
    case when body_size < 0 then null else substring(cast(:bodies as bytea) from body_at for body_size) end
"""

_GIVEN = """
    unnest(
        cast(:numbers as int[]), cast(:tenants as text[]), cast(:rtypes as text[]), cast(:fids as text[]),
        cast(:patients as text[]), cast(:versions as int[]), cast(:methods as text[]), cast(:authors as text[]),
        cast(:addresses as bigint[]), cast(:tokens as text[]), cast(:body_ats as int[]), cast(:body_sizes as int[]),
        cast(:rids as bigint[]), cast(:labels as int[])
    ) as g (
        no, tenant, rtype, fid, patient, version, method, author, address, tokens, body_at, body_size, known, labels)
"""

_LOG = """
    log as (
        insert into records_version (rid, version, updated, method, tenant, rtype, author, body)
        select h.rid, h.version, :now, g.method, h.tenant, h.rtype, h.author, h.body
        from head h join given g on g.rid = h.rid)
"""


def _columns(kind: str) -> str:
    return ", ".join(_TABLES[kind])


def _rows(kind: str) -> str:
    """The new index rows of one table, with the ``rid`` that each belongs to."""
    arrays = ", ".join(f"cast(:{kind}_{name} as {type_}[])" for name, type_ in _TABLES[kind].items())
    return f"""
    {kind} as materialized (
        select g.rid, {", ".join(f"x.{name}" for name in _TABLES[kind])}
        from unnest(cast(:{kind}_no as int[]), {arrays}) as x (no, {_columns(kind)})
        join given g on g.no = x.no join head h on h.rid = g.rid),
    new_{kind} as (
        insert into records_ix_{kind} (rid, {_columns(kind)}) select rid, {_columns(kind)} from {kind}
        on conflict do nothing)
    """  # noqa: S608 -- only constants of this module are put together


def _gone(kind: str) -> str:
    """The index rows of one table that the new version no longer has."""
    same = " and ".join(
        f"n.{name} = d.{name}{' collate pg_catalog.' + chr(34) + 'C' + chr(34) if type_ == 'text' else ''}"
        for name, type_ in _TABLES[kind].items()
    )
    return f"""
    gone_{kind} as (
        delete from records_ix_{kind} d where d.rid = any(cast(:rids as bigint[]))
        and not exists (select from {kind} n where n.rid = d.rid and {same}))
    """  # noqa: S608 -- only constants of this module are put together


CREATE = text(
    f"""
    with given as materialized (
        select nextval('records_resource_rid_seq') as rid, g.* from {_GIVEN}),
    head as (
        insert into records_resource
            (rid, tenant, rtype, fid, patient, version, updated, deleted, author, address, labels, tokens, body)
        overriding system value
        select rid, tenant, rtype, fid, patient, version, :now, false, author, address, labels,
            cast(tokens as bigint[]), {_BODY}
        from given order by no
        on conflict (rtype, fid) do nothing
        returning rid, tenant, rtype, version, author, tokens, body),
    {_LOG},
    new_token as (insert into records_ix_token (h, rid) select unnest(tokens), rid from head),
    {", ".join(_rows(kind) for kind in _TABLES)}
    select g.no from head h join given g on g.rid = h.rid
    """  # noqa: S608 -- only constants of this module are put together
)

_REPLACE = text(
    f"""
    with given as materialized (select known as rid, g.* from {_GIVEN}),
    before as materialized (
        select r.rid, unnest(r.tokens) as h from records_resource r where r.rid = any(cast(:rids as bigint[]))),
    after as materialized (select rid, unnest(cast(tokens as bigint[])) as h from given),
    head as (
        update records_resource r set
            patient = g.patient, version = g.version, updated = :now, deleted = (g.method = 'D'),
            author = g.author, labels = g.labels, tokens = cast(g.tokens as bigint[]), body = {_BODY}
        from given g where r.rid = g.rid and r.rid = any(cast(:rids as bigint[]))
        returning r.rid, r.tenant, r.rtype, r.version, r.author, r.body),
    {_LOG},
    gone_token as (
        delete from records_ix_token t using (select rid, h from before except select rid, h from after) o
        where t.h = o.h and t.rid = o.rid),
    new_token as (
        insert into records_ix_token (h, rid)
        select h, rid from (select h, rid from after except select h, rid from before) n on conflict do nothing),
    {", ".join(f"{_rows(kind)}, {_gone(kind)}" for kind in _TABLES)}
    select no from given
    """  # noqa: S608 -- only constants of this module are put together
)


def _as_stored(s: Database, changes: Sequence[Change]) -> list[Change]:
    """Return the changes with what is national in their bodies sealed: here, and nowhere else, on their way in."""
    keyring = keyring_of(s)
    return [
        change
        if change.body is None or change.rtype not in TYPES
        else change._replace(body=sealed(change.body, change.rtype, change.fid, keyring))
        for change in changes
    ]


def parameters(changes: Sequence[Change], now: datetime) -> dict[str, Any]:
    """Return what the statements ask for: every column of all changes, bodies as they are to be stored."""
    sizes = [-1 if change.body is None else len(change.body) for change in changes]
    return {
        "now": now,
        "numbers": numbers(range(len(changes))),
        "rids": numbers([change.rid for change in changes]),
        "labels": numbers([change.labels for change in changes]),
        "tenants": texts([change.tenant for change in changes]),
        "rtypes": texts([change.rtype for change in changes]),
        "fids": texts([change.fid for change in changes]),
        "patients": texts([change.patient for change in changes]),
        "versions": numbers([change.version for change in changes]),
        "methods": texts([change.method for change in changes]),
        "authors": texts([change.author for change in changes]),
        "addresses": numbers([address_of(change.rtype, change.fid) for change in changes]),
        "tokens": texts([numbers(change.rows.tokens) for change in changes]),
        "bodies": b"".join([change.body or b"" for change in changes]),
        "body_ats": numbers(_starts(sizes)),
        "body_sizes": numbers(sizes),
        **_index_columns(changes),
    }


def _starts(sizes: Sequence[int]) -> Iterator[int]:
    """Where each body begins in all of them; SQL counts from 1."""
    at = 1
    for size in sizes:
        yield at
        at += max(size, 0)


def _index_columns(changes: Sequence[Change]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind, columns in _TABLES.items():
        rows = [
            (number, *row)
            for number, change in enumerate(changes)
            for row in getattr(change.rows, f"{kind}s")
        ]
        values: list[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * (len(columns) + 1)
        for (name, type_), column in zip({"no": "int", **columns}.items(), values, strict=True):
            found[f"{kind}_{name}"] = texts(column) if type_ == "text" else numbers(column)
    return found


async def create(
    s: Database, changes: Sequence[Change], *, scope: RecordScope, now: datetime
) -> frozenset[int]:
    """Insert resources; return the positions of those whose type and id were free, for this scope and any other."""
    assert scope.writable
    free: set[int] = set()
    for begin in range(0, len(changes), _AT_ONCE):
        part = changes[begin : begin + _AT_ONCE]
        free |= {begin + row[0] for row in await fetch(s, CREATE, parameters(_as_stored(s, part), now))}
    return frozenset(free)


async def replace(s: Database, changes: Sequence[Change], *, scope: RecordScope, now: datetime) -> None:
    """Write the next versions of resources that ``lock`` returned; only index rows that differ are touched."""
    assert scope.writable
    for begin in range(0, len(changes), _AT_ONCE):
        part = changes[begin : begin + _AT_ONCE]
        await fetch(s, _REPLACE, parameters(_as_stored(s, part), now))
