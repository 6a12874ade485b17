"""Erasing a person's record: every version loses its content, tombstones stay, the trail of who did what stays whole.

What was overwritten leaves the table's files at the database's next vacuum, and backups when they age out.
"""

from datetime import datetime

from sqlalchemy import func, select, text
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.policy import RecordScope
from clinic_net.records import store_writes
from clinic_net.records.index import Rows
from clinic_net.records.model import Resource
from clinic_net.records.putting import stored_by
from clinic_net.records.shapes import News, milliseconds
from clinic_net.records.store import HEAD, head_of, visible
from clinic_net.records.store_writes import Change
from clinic_net.records.writing import tell

_BATCH = 200
_ALLOW = text("select set_config('clinic_net.erasing', :on, true)")
_ERASE = text(
    "update records_version set body = null where rid = any(cast(:rids as bigint[])) and body is not null"
)
_FORGET_WORDS = text("delete from records_words where rid = any(cast(:rids as bigint[]))")
_FORGET_ANSWERS = text("delete from records_async")


async def last_change(s: AsyncSession, patient: str, *, scope: RecordScope, now: datetime) -> datetime | None:
    """Return when anything of a patient's record was last written; None when there is no such record."""
    statement = select(func.max(col(Resource.updated))).where(
        col(Resource.patient) == patient, ~col(Resource.deleted), visible(scope, now)
    )
    found: datetime | None = (await (await s.connection()).execute(statement)).scalar_one()
    return found


async def erase(s: AsyncSession, patient: str, *, scope: RecordScope, author: str, now: datetime) -> int:
    """Delete what is in a patient's record and destroy the content of all its versions. Returns how many resources.

    Requests that are answered later are forgotten with it, all of them: their answers may hold anybody's data, and
    whoever asked asks again.
    """
    assert scope.writable
    connection = await s.connection()
    statement = (
        select(*HEAD)
        .where(col(Resource.patient) == patient, visible(scope, now))
        .order_by(col(Resource.rid))
        .with_for_update(of=Resource.__table__)  # type: ignore[attr-defined]
    )
    heads = [head_of(row) for row in (await connection.execute(statement)).all()]
    news = News()
    alive = [head for head in heads if not head.deleted]
    for start in range(0, len(alive), _BATCH):
        changes = [
            Change(
                head.rid, head.rtype, head.fid, head.version + 1, "D", head.tenant, head.patient, author, None, Rows()
            )
            for head in alive[start : start + _BATCH]
        ]  # fmt: skip
        await store_writes.replace(s, changes, scope=scope, now=milliseconds(now))
        news.extend(stored_by(change, milliseconds(now)) for change in changes)
    rids = {"rids": [head.rid for head in heads]}
    await connection.execute(_ALLOW, {"on": "on"})
    await connection.execute(_ERASE, rids)
    await connection.execute(_ALLOW, {"on": ""})
    await connection.execute(_FORGET_WORDS, rids)
    await connection.execute(_FORGET_ANSWERS)
    await tell(s, news)
    return len(heads)


async def untouched_since(
    s: AsyncSession, before: datetime, *, scope: RecordScope, now: datetime, limit: int
) -> list[str]:
    """Return the ids of patients in whose records nothing was written since ``before``, at most ``limit``."""
    last = func.max(col(Resource.updated))
    statement = (
        select(col(Resource.patient))
        .where(col(Resource.patient).is_not(None), ~col(Resource.deleted), visible(scope, now))
        .group_by(col(Resource.patient))
        .having(last < before)
        .order_by(last)
        .limit(limit)
    )
    return [str(row[0]) for row in (await (await s.connection()).execute(statement)).all()]
