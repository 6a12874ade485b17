"""The trail's months: tables for those to come, and the end of those whose time is over."""

from datetime import date, datetime

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from clinic_net import audit
from clinic_net.audit import tree
from clinic_net.audit.sealing import head_of
from clinic_net.kernel.db import Sessions
from clinic_net.kernel.hub import Hub

log = structlog.get_logger()

MONTHS_AHEAD = 3
"""A worker that is away for this long is noticed before the trail runs out of tables; then a default one takes over."""

KEEPER = "hub:audit"
"""How the trail names the hub where it drops its own months."""

_ALONE = text("select pg_try_advisory_xact_lock(7203411907)")
_PARTITION = text("select audit_partition(:month)")
_FORGET = text("select audit_forget(:before)")
_FORGET_SEALS = text("select audit_forget_seals(:through)")
_FIRST_KEPT = text("select seq from audit_seal where at >= :before order by seq limit 1")
_HASH = text("select hash from audit_seal where seq = :seq")
_CUT = text("insert into audit_cut (seq, hash, before, at) values (:seq, :hash, :before, :at)")


def _month(day: date, later: int) -> date:
    months = day.year * 12 + day.month - 1 + later
    return date(months // 12, months % 12 + 1, 1)


async def make_months(connection: AsyncConnection, today: date) -> int:
    """Make the tables of this month and those to come that are not there; return how many."""
    made = 0
    for later in range(MONTHS_AHEAD + 1):
        told = (await connection.execute(_PARTITION, {"month": _month(today, later)})).scalar_one()
        made += told == "made"
        if told == "held" and later:
            log.warning("audit_month_held", count=later)
    return made


async def forget(sessions: Sessions, *, years: int, now: datetime) -> list[str]:
    """Drop the months that ended ``years`` ago, and the chain up to there; return their tables' names.

    Where the chain now begins is kept (``audit_cut``), with the roots of the tree's whole subtrees, so that what is
    left is still verified against every checkpoint. It is an event of the trail itself.
    """
    before = _month(now.date(), -12 * years)
    async with sessions() as session, session.begin():
        connection = await session.connection()
        if not (await connection.execute(_ALONE)).scalar_one():
            return []
        gone: list[str] = (await connection.execute(_FORGET, {"before": before})).scalar_one()
        if not gone:
            return []
        first = (await connection.execute(_FIRST_KEPT, {"before": before})).scalar_one_or_none()
        kept_from = first if first is not None else (await head_of(connection))[0] + 1
        through = (kept_from - 1) // tree.WIDTH * tree.WIDTH
        if through:
            last = (await connection.execute(_HASH, {"seq": through})).scalar_one_or_none()
            if last is not None:
                cut = {"seq": through, "hash": bytes(last), "before": before, "at": now}
                await connection.execute(_CUT, cut)
                await connection.execute(_FORGET_SEALS, {"through": through})
        subject = f"audit:{before.isoformat()}"
        await audit.record(session, actor=KEEPER, action="audit.forget", subject=subject, at=now)
    return gone


async def keep(hub: Hub) -> None:
    """Make the months to come and end those whose time is over; a worker calls it once an hour."""
    now = hub.now()
    async with hub.engine.begin() as connection:
        await make_months(connection, now.date())
    gone = await forget(hub.sessions, years=hub.settings.audit_years, now=now)
    if gone:
        log.info("audit_months_dropped", count=len(gone))
