"""Months are made ahead, end when their time is over, and what is left is still verified."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from clinic_net import audit
from clinic_net.audit import keeping, sealing
from clinic_net.audit.verifying import Wanted, verify
from clinic_net.kernel.hub import Hub
from tests.audit.support import events

NOW = datetime(2031, 3, 20, 4, 0, tzinfo=UTC)


async def months(hub: Hub) -> list[str]:
    async with hub.engine.connect() as connection:
        found = await connection.execute(
            text(
                "select inhrelid::regclass::text from pg_inherits where inhparent = 'audit_event'::regclass order by 1"
            )
        )
        return list(found.scalars())


async def write(hub: Hub, at: datetime, count: int) -> None:
    async with hub.sessions() as session, session.begin():
        made = [audit.Event("user:1", "record.read", f"Patient/{at.year}-{n}") for n in range(count)]
        await audit.record_many(session, made, at=at)


async def test_months_end_after_ten_years_and_the_rest_is_still_whole(hub: Hub) -> None:
    async with hub.engine.begin() as connection:
        (first,) = [name for name in await months(hub) if "until" in name]
        for statement in (
            # As after ten years: the tables of 2014 and before have come and gone, each month has its own.
            f"alter table audit_event detach partition {first}",
            f"alter table audit_event attach partition {first} for values from ('2015-01-01 00:00+00') to "
            f"('{first[-7:-3]}-{first[-2:]}-01 00:00+00')",
            "select audit_partition('2014-01-01')",
            "select audit_partition('2014-02-01')",
        ):
            await connection.execute(text(statement))
    await write(hub, datetime(2014, 1, 5, tzinfo=UTC), 400)
    await sealing.tend(hub)
    await write(hub, datetime(2014, 2, 5, tzinfo=UTC), 200)
    await sealing.tend(hub)
    await write(hub, hub.now(), 300)
    await sealing.tend(hub)
    now = datetime(2024, 2, 10, tzinfo=UTC)
    whole = await verify(hub.engine, Wanted())
    assert whole.problem is None

    gone = await keeping.forget(hub.sessions, years=10, now=now)

    assert gone == ["audit_event_2014_01"]
    assert await events(hub, "subject = 'Patient/2014-399' and at < '2014-02-01'") == []
    (told,) = await events(hub, "action = 'audit.forget'")
    assert (told["actor"], told["subject"]) == ("hub:audit", "audit:2014-02-01")
    await sealing.tend(hub)
    found = await verify(hub.engine, Wanted())
    assert (found.problem, found.begins_after) == (None, 256)
    assert found.size == whole.size + 1
    assert found.checkpoints >= 1
    assert await keeping.forget(hub.sessions, years=10, now=now) == []

    async with hub.engine.begin() as connection:  # who removes more than retention took is found
        await connection.execute(text("alter table audit_event_2014_02 disable trigger user"))
        await connection.execute(text("delete from audit_event_2014_02 where subject = 'Patient/2014-199'"))
    found = await verify(hub.engine, Wanted())
    assert found.problem == "removed"


async def test_the_months_to_come_are_there(hub: Hub) -> None:
    async with hub.engine.begin() as connection:
        assert await keeping.make_months(connection, NOW.date()) == 4
        assert await keeping.make_months(connection, NOW.date()) == 0
    made = {f"audit_event_2031_{month:02d}" for month in (3, 4, 5, 6)}
    assert made <= set(await months(hub))
    await write(hub, NOW, 1)
    async with hub.engine.connect() as connection:
        assert (await connection.execute(text("select count(*) from audit_event_2031_03"))).scalar_one() == 1


async def test_a_month_without_a_table_of_its_own_is_written_all_the_same(hub: Hub) -> None:
    await write(hub, datetime(2040, 1, 5, tzinfo=UTC), 1)
    async with hub.engine.begin() as connection:
        assert (await connection.execute(text("select count(*) from audit_event_other"))).scalar_one() == 1
        assert (await connection.execute(text("select audit_partition('2040-01-01')"))).scalar_one() == "held"
    assert len(await events(hub, "subject = 'Patient/2040-0'")) == 1


async def test_nobody_drops_what_is_younger_than_a_year(hub: Hub) -> None:
    async with hub.engine.connect() as connection:
        with pytest.raises(ProgrammingError, match="a year at least"):
            await connection.execute(text("select audit_forget(current_date)"))
        await connection.rollback()
        await write(hub, hub.now(), 1)
        await sealing.tend(hub)
        with pytest.raises(ProgrammingError, match="a year at least"):
            await connection.execute(text("select audit_forget_seals(1000000)"))
