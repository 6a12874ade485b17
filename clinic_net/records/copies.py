"""Copies of many records at once, at named versions, for places that keep them: their texts in one statement."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ARRAY, Integer, LargeBinary, Text, and_, case, func, literal, null, or_, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import RecordScope
from clinic_net.records.model import Resource, Version
from clinic_net.records.sealing import opened
from clinic_net.records.shapes import Stored
from clinic_net.records.store import labels_in, visible
from clinic_net.records.trail import noted

_OVERHEAD = 200
"""Bytes that an entry takes on the wire beside its text."""


class Named(NamedTuple):
    """A resource at a version."""

    rtype: str
    fid: str
    version: int


class Copy(NamedTuple):
    """What there is to copy. ``text`` is None where the texts before it have used up the room."""

    size: int
    text: bytes | None
    patient: str | None


class Placed(NamedTuple):
    """Where a resource is now, and whose record it is part of."""

    tenant: str
    patient: str | None
    version: int
    deleted: bool


async def placed(
    s: AsyncSession, identities: Collection[tuple[str, str]], *, scope: RecordScope, now: datetime
) -> dict[tuple[str, str], Placed]:
    """Return where these (type, id) are now, as far as they are within the scope."""
    given = (
        func.unnest(
            literal([rtype for rtype, _ in identities], ARRAY(Text)),
            literal([fid for _, fid in identities], ARRAY(Text)),
        )
        .table_valued("rtype", "fid", name="given")
        .render_derived()
    )
    statement = (
        select(
            col(Resource.rtype),
            col(Resource.fid),
            col(Resource.tenant),
            col(Resource.patient),
            col(Resource.version),
            col(Resource.deleted),
        )
        .join_from(
            given,
            Resource,
            and_(col(Resource.rtype) == given.c.rtype, col(Resource.fid) == given.c.fid),
        )
        .where(visible(scope, now))
    )
    rows = (await (await s.connection()).execute(statement)).all()
    return {(row[0], row[1]): Placed(*row[2:]) for row in rows}


async def places_of(
    s: AsyncSession, patient: str, *, scope: RecordScope, now: datetime
) -> dict[str, list[tuple[str, str]]]:
    """Return the (type, id) of what is in a patient's record, deleted or not, by the place that answers for it."""
    statement = select(col(Resource.tenant), col(Resource.rtype), col(Resource.fid)).where(
        col(Resource.patient) == patient, visible(scope, now)
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for tenant, rtype, fid in (await (await s.connection()).execute(statement)).all():
        found.setdefault(tenant, []).append((rtype, fid))
    return found


async def copies(
    s: AsyncSession,
    wanted: Sequence[Named],
    *,
    scope: RecordScope,
    now: datetime,
    by: str | None = None,
    max_bytes: int | None = None,
    subject: str = "sync",
) -> dict[Named, Copy]:
    """Return the texts of these versions, in the order given until ``max_bytes`` are used up; at least the first.

    What was deleted since, lost its content or is not within the scope is not there. An old version follows today's
    right to see the resource. It is written down as a read of each patient's record that is in it, with ``subject``
    as the detail.

    Raises:
        PolicyDisagrees: the right to see some of it has changed at this moment.
    """
    if not wanted:
        return {}
    rows = (await (await s.connection()).execute(_texts(wanted, scope, now, max_bytes))).all()
    found: dict[Named, Copy] = {}
    seen: list[Stored] = []
    for rtype, fid, version, size, text, patient, tenant, labels, updated, author in rows:
        body = None if text is None else opened(bytes(text), rtype, fid)
        found[Named(rtype, fid, version)] = Copy(size if body is None else len(body), body, patient)
        if body is not None:
            seen.append(
                Stored(
                    rtype, fid, version, updated, b"", changed=False, patient=patient, tenant=tenant,
                    author=author, labels=labels,
                )
            )  # fmt: skip
    if seen:
        await noted(s, "record.read", seen, subject=subject, scope=scope, now=now, by=by)
    return found


def _texts(wanted: Sequence[Named], scope: RecordScope, now: datetime, max_bytes: int | None):  # type: ignore[no-untyped-def]
    given = (
        func.unnest(
            literal([each.rtype for each in wanted], ARRAY(Text)),
            literal([each.fid for each in wanted], ARRAY(Text)),
            literal([each.version for each in wanted], ARRAY(Integer)),
        )
        .table_valued("rtype", "fid", "version", with_ordinality="n", name="given")
        .render_derived()
    )
    current = col(Resource.version) == given.c.version
    body = case((current, col(Resource.body)), else_=col(Version.body))
    there = (
        select(
            given.c.n.label("n"),
            given.c.version.label("version"),
            col(Resource.rid).label("rid"),
            func.octet_length(body).label("size"),
            body.label("body"),
        )
        .select_from(given)
        .join(Resource, and_(col(Resource.rtype) == given.c.rtype, col(Resource.fid) == given.c.fid))
        .outerjoin(
            Version,
            and_(col(Version.rid) == col(Resource.rid), col(Version.version) == given.c.version, ~current),
        )
        .where(visible(scope, now), ~col(Resource.deleted), body.is_not(None))
        .cte("there")
    )
    used = func.sum(there.c.size + _OVERHEAD).over(order_by=there.c.n)
    first = func.row_number().over(order_by=there.c.n) == 1
    fits = literal(True) if max_bytes is None else or_(first, used <= max_bytes)
    return (
        select(
            col(Resource.rtype),
            col(Resource.fid),
            there.c.version,
            there.c.size,
            case((fits, there.c.body), else_=null().cast(LargeBinary)),
            col(Resource.patient),
            col(Resource.tenant),
            labels_in(Resource, scope),
            col(Resource.updated),
            col(Resource.author),
        )
        .join_from(there, Resource, col(Resource.rid) == there.c.rid)
        .order_by(there.c.n)
    )
