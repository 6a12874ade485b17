"""Reads of the version log. Old versions follow today's right to the resource, so each joins its head."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.orm import aliased
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import RecordScope
from clinic_net.records.model import Resource, Version
from clinic_net.records.sealing import opened
from clinic_net.records.shapes import Stored
from clinic_net.records.store import labels_in, visible


@dataclass(frozen=True)
class Wanted:
    """Which versions: of one resource (``rid``), of some types, or (both None) of all.

    ``since`` inclusive; ``at`` is a half-open range of time in some instant of which they were current.
    """

    rid: int | None = None
    rtypes: Sequence[str] | None = None
    since: datetime | None = None
    at: tuple[datetime, datetime] | None = None


async def page(
    s: AsyncSession, wanted: Wanted, *, scope: RecordScope, now: datetime, behind: int | None, limit: int
) -> list[tuple[int, str, Stored]]:
    """Return at most ``limit`` (number in the log, interaction, version), newest first, ``behind`` that number."""
    statement = (
        select(
            col(Version.vseq),
            col(Version.method),
            col(Version.version),
            col(Version.updated),
            col(Version.author),
            col(Version.body),
            col(Resource.rtype),
            col(Resource.fid),
            col(Resource.patient),
            col(Resource.tenant),
            labels_in(Resource, scope).label("labels"),
        )
        .join(Resource, col(Resource.rid) == col(Version.rid))
        .where(visible(scope, now))
        .order_by(col(Version.vseq).desc())
        .limit(limit)
    )
    if wanted.rid is not None:
        statement = statement.where(col(Version.rid) == wanted.rid)
    if wanted.rtypes is not None:
        statement = statement.where(col(Version.rtype).in_(wanted.rtypes))
    if behind is not None:
        statement = statement.where(col(Version.vseq) < behind)
    if wanted.since is not None:
        statement = statement.where(col(Version.updated) >= wanted.since)
    if wanted.at is not None:
        later = aliased(Version)
        followed = exists().where(
            col(later.rid) == col(Version.rid),
            col(later.version) == col(Version.version) + 1,
            col(later.updated) <= wanted.at[0],
        )
        statement = statement.where(col(Version.updated) < wanted.at[1], ~followed)
    rows = (await (await s.connection()).execute(statement)).all()
    return [
        (
            row.vseq,
            row.method,
            Stored(
                rtype=row.rtype,
                fid=row.fid,
                version=row.version,
                updated=row.updated,
                text=opened(row.body or b"", row.rtype, row.fid),
                changed=False,
                patient=row.patient,
                tenant=row.tenant,
                author=row.author,
                deleted=row.body is None,
                labels=row.labels,
            ),
        )
        for row in rows
    ]
