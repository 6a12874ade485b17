"""The second line: what the database itself keeps from a request, whatever the request asks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import service as access
from clinic_net.access.lines import UnsafeDatabase, demand_second_line, narrow
from clinic_net.access.policy import EVERYWHERE, NOTHING, RecordScope
from clinic_net.kernel.hub import Hub
from clinic_net.records.model import Resource, Version
from tests.access.support import NOW

TENANTS = [f"{number:05d}" for number in range(50)]


@pytest.fixture(scope="module")
async def filled(hub: Hub) -> Hub:
    """A record with a version for each of fifty places, the first of them about patient p0."""
    async with hub.sessions() as session, session.begin():
        for number, tenant in enumerate(TENANTS):
            row = Resource(
                tenant=tenant, rtype="Basic", fid=f"f{number}", patient=f"p{number}", version=1, updated=NOW,
                author="test", address=number, labels=0, tokens=[], body=b"{}",
            )  # fmt: skip
            session.add(row)
            await session.flush()
            session.add(
                Version(
                    rid=row.rid or 0,
                    version=1,
                    updated=NOW,
                    method="C",
                    tenant=tenant,
                    rtype="Basic",
                    author="test",
                    body=b"{}",
                )
            )
    return hub


@asynccontextmanager
async def request(hub: Hub, scope: RecordScope | None) -> AsyncIterator[AsyncSession]:
    async with hub.requests() as session, session.begin():
        if scope is not None:
            await narrow(session, scope, now=NOW)
        yield session


async def places(session: AsyncSession, table: str = "records_resource") -> list[str]:
    rows = await (await session.connection()).execute(text(f"select tenant from {table} order by 1"))
    return list(rows.scalars())


def of(tenant: str) -> RecordScope:
    return RecordScope(frozenset({tenant}), f"user:{tenant}", writable=True)


@pytest.mark.parametrize("table", ["records_resource", "records_version"])
async def test_30_who_has_not_said_who_they_are_or_reaches_nothing_sees_nothing(
    filled: Hub, table: str
) -> None:
    """#30: no setting, an empty tenant set, ``''``."""
    for scope in (None, NOTHING, RecordScope(frozenset({""}), None, writable=True)):
        async with request(filled, scope) as session:
            assert await places(session, table) == []


@pytest.mark.parametrize("table", ["records_resource", "records_version"])
async def test_a_request_sees_its_own_place_and_whom_it_cares_for(filled: Hub, table: str) -> None:
    until = NOW + timedelta(hours=1)
    async with filled.sessions() as session, session.begin():
        for patient, ends in (("p7", until), ("p8", NOW)):
            await access.grant_care(
                session, patient=patient, grantee="user:00003", basis="ring", purpose="TREAT",
                since=NOW - timedelta(hours=2), until=ends,
            )  # fmt: skip
    async with request(filled, of("00003")) as session:
        assert await places(session, table) == ["00003", "00007"]
    async with request(filled, RecordScope(frozenset(), None, writable=False, own="p9")) as session:
        assert await places(session, table) == ["00009"]
    async with request(filled, EVERYWHERE) as session:
        assert await places(session, table) == TENANTS


async def test_a_request_writes_nothing_of_another_place(filled: Hub) -> None:
    insert = text(
        "insert into records_resource (tenant, rtype, fid, version, updated, deleted, author, address, tokens)"
        " values (:tenant, 'Basic', :fid, 1, now(), false, 'test', 1, '{}')"
    )
    for scope in (None, NOTHING, of("00001")):
        with pytest.raises(ProgrammingError, match="row-level security"):
            async with request(filled, scope) as session:
                await (await session.connection()).execute(insert, {"tenant": "00002", "fid": "x"})
    async with request(filled, of("00001")) as session:
        changed = await (await session.connection()).execute(
            text("update records_resource set author = 'me'")
        )
        assert changed.rowcount == 1
        await (await session.connection()).execute(insert, {"tenant": "00001", "fid": "own"})
        await session.rollback()


async def test_a_request_s_role_owns_nothing_and_changes_no_policy(filled: Hub) -> None:
    for statement in (
        "alter table records_resource disable row level security",
        "drop policy request on records_resource",
        "truncate records_resource",
        "update records_version set author = 'me'",
        "delete from audit_event",
        "create table mine (x int)",
    ):
        with pytest.raises(ProgrammingError):
            async with request(filled, EVERYWHERE) as session:
                await (await session.connection()).execute(text(statement))


async def test_31_a_connection_that_is_used_again_remembers_nobody(filled: Hub) -> None:
    """#31: 2,000 interleaved requests of fifty places over ten connections: no foreign row, nothing left behind."""

    async def one(number: int) -> None:
        tenant = TENANTS[number % len(TENANTS)]
        async with filled.requests() as session, session.begin():
            left = await (await session.connection()).execute(
                text("select current_setting('app.tenants', true), current_setting('app.scope', true)")
            )
            assert not any(left.one())
            await narrow(session, RecordScope(frozenset({tenant}), None, writable=False), now=NOW)
            assert await places(session) == [tenant]

    for start in range(0, 2000, 100):
        await asyncio.gather(*(one(number) for number in range(start, start + 100)))


async def test_the_hub_does_not_start_on_a_database_that_is_not_guarded(filled: Hub) -> None:
    await demand_second_line(filled)
    for undo, redo in (
        ("no force row level security", "force row level security"),
        ("disable row level security", "enable row level security"),
    ):
        async with filled.sessions() as session, session.begin():
            await (await session.connection()).execute(text(f"alter table records_version {undo}"))
        with pytest.raises(UnsafeDatabase, match="records_version"):
            await demand_second_line(filled)
        async with filled.sessions() as session, session.begin():
            await (await session.connection()).execute(text(f"alter table records_version {redo}"))
    await demand_second_line(filled)
    with pytest.raises(UnsafeDatabase, match="owns"):
        await demand_second_line(replace(filled, requests=filled.sessions))
