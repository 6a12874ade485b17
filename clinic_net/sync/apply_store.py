"""Every query of applying: batches that wait, what operations became, texts that are set aside.

Their scope is the database epochs, and the sites, of the batches at hand.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from clinic_net.kernel.arrays import numbers, texts
from clinic_net.kernel.links import Database, fetch
from clinic_net.protocol.sync import Lane, OpHead, OpIssue
from clinic_net.sync.inbox_store import PENDING


class Waiting(NamedTuple):
    """A batch that has not been applied."""

    id: int
    db_epoch: UUID
    site: str
    device: UUID
    lane: Lane
    form: int
    coding: str
    ops: Sequence[int]


class Before(NamedTuple):
    """What became of a database's operations on one record: the last before, and the first after, the one at hand."""

    op: int | None
    outcome: str | None
    version: int | None
    later: int | None
    later_version: int | None


NOTHING_BEFORE = Before(None, None, None, None, None)


class Aside(NamedTuple):
    """An operation whose text is set aside. ``resource`` is the record that is not there without it, ``waits_for``
    the one that it waits for."""

    site: str
    db_epoch: UUID
    op: int
    resource: str | None
    waits_for: str | None


@dataclass(frozen=True)
class AsideText:
    """The same with all that is needed to try again."""

    site: str
    db_epoch: UUID
    head: OpHead
    text: bytes


@dataclass(frozen=True)
class Became:
    """What became of an operation."""

    db_epoch: UUID
    op: int
    outcome: str
    version: int | None
    issues: Sequence[OpIssue]


async def lock_epochs(s: Database, epochs: Iterable[UUID]) -> list[UUID]:
    """Hold these databases until the transaction ends, and return those that nobody else holds: operations of one
    database are applied in their order. Older releases take the same lock."""
    rows = await fetch(
        s,
        "select e from unnest(cast(%(epochs)s as uuid[])) as g (e)"
        " where pg_try_advisory_xact_lock(hashtextextended('push ' || e, 0))",
        {"epochs": texts([str(epoch) for epoch in epochs])},
    )
    return [row[0] for row in rows]


_WAITING = """
    select id, db_epoch, site, device, lane, form, coding, ops from sync_batch
    where settled_at is null and db_epoch = any(cast(%(epochs)s as uuid[]))
    order by lane > 0, id limit 500
"""


async def waiting(s: Database, epochs: Iterable[UUID]) -> list[Waiting]:
    """Return the batches of these databases that have not been applied, urgent ones first, then as they came."""
    rows = await fetch(s, _WAITING, {"epochs": texts([str(epoch) for epoch in epochs])})
    return [Waiting(row[0], row[1], row[2], row[3], Lane(row[4]), *row[5:]) for row in rows]


async def waiting_epochs(s: Database, before: datetime, limit: int) -> list[UUID]:
    """Return databases with batches that have waited since ``before``, the longest first."""
    rows = await fetch(
        s,
        "select db_epoch from sync_batch where settled_at is null and received_at < %(before)s"
        " group by db_epoch order by min(lane), min(id) limit %(limit)s",
        {"before": before, "limit": limit},
    )
    return [row[0] for row in rows]


async def raw_of(s: Database, batches: Iterable[int]) -> dict[int, bytes]:
    """Return batches as they came."""
    rows = await fetch(
        s,
        "select id, raw from sync_batch where id = any(cast(%(ids)s as bigint[])) and raw is not null",
        {"ids": numbers(batches)},
    )
    return {row[0]: bytes(row[1]) for row in rows}


async def holding(s: Database, epoch: UUID, resources: Iterable[str], but: Iterable[int]) -> set[int]:
    """Return the batches in which operations on these resources (``Type/id``) wait."""
    split = [resource.split("/", 1) for resource in resources]
    rows = await fetch(
        s,
        f"""select distinct o.batch from unnest(cast(%(rtypes)s as text[]), cast(%(fids)s as text[])) as g (rtype, fid)
            join sync_applied_op o on o.db_epoch = %(epoch)s and o.rtype = g.rtype and o.fid = g.fid
            where o.outcome = '{PENDING}' and o.batch <> all(cast(%(but)s as bigint[]))""",  # noqa: S608 -- a constant
        {
            "epoch": epoch,
            "rtypes": texts([rtype for rtype, _ in split]),
            "fids": texts([fid for _, fid in split]),
            "but": numbers(but),
        },
    )
    return {row[0] for row in rows}


async def pending_of(s: Database, batches: Sequence[Waiting]) -> dict[tuple[UUID, int], bytes | None]:
    """Return the operations of batches that have no outcome yet, with their hashes."""
    rows = await fetch(
        s,
        f"""select b.db_epoch, o.op, o.hash from sync_batch b
            join sync_applied_op o on o.db_epoch = b.db_epoch and o.op = any(b.ops)
            where b.id = any(cast(%(ids)s as bigint[])) and o.outcome = '{PENDING}'""",  # noqa: S608 -- a constant
        {"ids": numbers([batch.id for batch in batches])},
    )
    return {(row[0], row[1]): None if row[2] is None else bytes(row[2]) for row in rows}


_BEFORE = """
    select g.no, b.op, b.outcome, b.version, l.op, l.version
    from unnest(cast(%(nos)s as int[]), cast(%(epochs)s as uuid[]), cast(%(rtypes)s as text[]),
        cast(%(fids)s as text[]), cast(%(ops)s as bigint[])) as g (no, db_epoch, rtype, fid, op)
    left join lateral (
        select o.op, o.outcome, o.version from sync_applied_op o
        where o.db_epoch = g.db_epoch and o.rtype = g.rtype and o.fid = g.fid and o.op < g.op
          and o.outcome in ('applied', 'duplicate', 'merged', 'conflict')
        order by o.op desc limit 1) b on true
    left join lateral (
        select o.op, o.version from sync_applied_op o
        where o.db_epoch = g.db_epoch and o.rtype = g.rtype and o.fid = g.fid and o.op > g.op
          and o.outcome in ('applied', 'duplicate', 'merged', 'conflict')
        order by o.op desc limit 1) l on true
    where b.op is not null or l.op is not null
"""


async def before(s: Database, ops: Sequence[tuple[UUID, OpHead]]) -> dict[int, Before]:
    """Return, by position, what became of other operations of the same databases on the same records."""
    rows = await fetch(
        s,
        _BEFORE,
        {
            "nos": numbers(range(len(ops))),
            "epochs": texts([str(epoch) for epoch, _ in ops]),
            "rtypes": texts([head.type for _, head in ops]),
            "fids": texts([head.id for _, head in ops]),
            "ops": numbers([head.op for _, head in ops]),
        },
    )
    return {row[0]: Before(*row[1:]) for row in rows}


_BECAME = """
    update sync_applied_op o set outcome = g.outcome, version = g.version, issues = cast(g.issues as jsonb)
    from unnest(cast(%(epochs)s as uuid[]), cast(%(ops)s as bigint[]), cast(%(outcomes)s as text[]),
        cast(%(versions)s as int[]), cast(%(issues)s as text[])) as g (db_epoch, op, outcome, version, issues)
    where o.db_epoch = g.db_epoch and o.op = g.op
"""


async def remember(s: Database, all_: Sequence[Became]) -> None:
    """Write down what operations became."""
    if all_:
        issues = [
            orjson.dumps([issue.model_dump() for issue in one.issues]).decode() if one.issues else "[]"
            for one in all_
        ]
        given = {
            "epochs": texts([str(one.db_epoch) for one in all_]),
            "ops": numbers([one.op for one in all_]),
            "outcomes": texts([one.outcome for one in all_]),
            "versions": numbers([one.version for one in all_]),
            "issues": texts(issues),
        }
        await fetch(s, _BECAME, given)


async def settle(s: Database, batches: Iterable[int], now: datetime) -> None:
    """Let go of the bytes of batches all of which has an outcome."""
    await fetch(
        s,
        "update sync_batch set settled_at = %(at)s, raw = null where id = any(cast(%(ids)s as bigint[]))",
        {"ids": numbers(batches), "at": now},
    )


async def settled_of(s: Database, batches: Iterable[int]) -> list[int]:
    """Return those of these batches that have been applied."""
    rows = await fetch(
        s,
        "select id from sync_batch where id = any(cast(%(ids)s as bigint[])) and settled_at is not null",
        {"ids": numbers(batches)},
    )
    return [row[0] for row in rows]


async def asides(s: Database, sites: Iterable[str]) -> list[Aside]:
    """Return what is set aside of these sites and was not mended since."""
    rows = await fetch(
        s,
        "select site, db_epoch, op, resource, waits_for from sync_quarantined"
        " where site = any(cast(%(sites)s as text[])) and mended_at is null and head is not null",
        {"sites": texts(sites)},
    )
    return [Aside(*row) for row in rows]


async def set_aside(s: Database, aside: Aside, head: Mapping[str, Any], text: bytes, now: datetime) -> None:
    """Keep the text of an operation that is not in the records."""
    await fetch(
        s,
        """insert into sync_quarantined (db_epoch, op, site, text, at, head, resource, waits_for, tried_at)
           values (%(epoch)s, %(op)s, %(site)s, %(text)s, %(at)s, cast(%(head)s as jsonb), %(resource)s,
               %(waits_for)s, %(at)s)
           on conflict (db_epoch, op) do update
           set waits_for = excluded.waits_for, resource = excluded.resource, tried_at = excluded.tried_at""",
        {
            "epoch": aside.db_epoch,
            "op": aside.op,
            "site": aside.site,
            "text": text.decode("utf-8", "replace").replace("\0", "\ufffd"),
            "head": orjson.dumps(head).decode(),
            "resource": aside.resource,
            "waits_for": aside.waits_for,
            "at": now,
        },
    )


async def texts_of(s: Database, wanted: Iterable[tuple[UUID, int]]) -> list[AsideText]:
    """Return set-aside operations with their texts, in their order."""
    pairs = list(wanted)
    rows = await fetch(
        s,
        """select q.site, q.db_epoch, q.head, q.text from sync_quarantined q
           join unnest(cast(%(epochs)s as uuid[]), cast(%(ops)s as bigint[])) as g (db_epoch, op)
             on q.db_epoch = g.db_epoch and q.op = g.op
           where q.mended_at is null and q.head is not null
           order by q.db_epoch, q.op for update of q""",
        {"epochs": texts([str(epoch) for epoch, _ in pairs]), "ops": numbers([op for _, op in pairs])},
    )
    return [
        AsideText(site, epoch, OpHead.model_validate(head), text.encode("utf-8", "surrogatepass"))
        for site, epoch, head, text in rows
    ]


async def landed(s: Database, ops: Sequence[tuple[UUID, int]]) -> None:
    """Forget the set-aside texts of operations that are in the records now."""
    await fetch(
        s,
        """delete from sync_quarantined q
           using unnest(cast(%(epochs)s as uuid[]), cast(%(ops)s as bigint[])) as g (db_epoch, op)
           where q.db_epoch = g.db_epoch and q.op = g.op""",
        {"epochs": texts([str(epoch) for epoch, _ in ops]), "ops": numbers([op for _, op in ops])},
    )


async def mended(s: Database, ops: Sequence[tuple[UUID, int]], now: datetime) -> None:
    """Note that a later operation said anew what these said; their texts stay."""
    await fetch(
        s,
        """with given as (
               select * from unnest(cast(%(epochs)s as uuid[]), cast(%(ops)s as bigint[])) as g (db_epoch, op)),
           over as (
               update sync_applied_op o set outcome = 'quarantined' from given g
               where o.db_epoch = g.db_epoch and o.op = g.op and o.outcome = 'deferred')
           update sync_quarantined q set mended_at = %(at)s from given g
           where q.db_epoch = g.db_epoch and q.op = g.op""",
        {
            "epochs": texts([str(epoch) for epoch, _ in ops]),
            "ops": numbers([op for _, op in ops]),
            "at": now,
        },
    )


async def give_up(s: Database, ops: Sequence[tuple[UUID, int]]) -> None:
    """Let operations whose texts are gone wait no longer."""
    if ops:
        await fetch(
            s,
            """update sync_applied_op o set outcome = 'quarantined'
               from unnest(cast(%(epochs)s as uuid[]), cast(%(ops)s as bigint[])) as g (db_epoch, op)
               where o.db_epoch = g.db_epoch and o.op = g.op and o.outcome = 'deferred'""",
            {"epochs": texts([str(epoch) for epoch, _ in ops]), "ops": numbers([op for _, op in ops])},
        )


_AGAIN_AFTER = timedelta(hours=1)
"""How often what waits is tried by itself, though nothing that it waits for came: a right may have come instead."""


async def to_try_again(
    s: Database, now: datetime, *, site: str | None, all_: bool, limit: int
) -> list[tuple[UUID, int]]:
    """Return set-aside operations to try again: those that wait and were not tried for an hour, or ``all_``."""
    rows = await fetch(
        s,
        """select q.db_epoch, q.op from sync_quarantined q
           join sync_applied_op o on o.db_epoch = q.db_epoch and o.op = q.op
           where q.mended_at is null and q.head is not null and o.outcome in ('deferred', 'quarantined')
             and (cast(%(site)s as text) is null or q.site = %(site)s)
             and (%(all)s and q.tried_at < %(now)s or q.waits_for is not null and q.tried_at < %(due)s)
           order by q.tried_at limit %(limit)s""",
        {"site": site, "all": all_, "now": now, "due": now - _AGAIN_AFTER, "limit": limit},
    )
    return [(row[0], row[1]) for row in rows]
