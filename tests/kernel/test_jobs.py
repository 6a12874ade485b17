"""News and timers exist exactly when the transaction that announced them committed."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from clinic_net.kernel import jobs
from clinic_net.kernel.hub import Hub, open_hub
from clinic_net.kernel.settings import HubSettings

heard: list[dict[str, Any]] = []
heard_one = asyncio.Event()


@jobs.on("test.news")
async def hear(hub: Hub, payload: jobs.Payload) -> None:
    """Remember what was told; the first telling of a "fail once" fails."""
    heard.append(payload)
    heard_one.set()
    if payload.get("fail_once") and heard.count(payload) == 1:
        raise ConnectionError("the first time goes wrong")


@jobs.on("test.slow")
async def hear_slowly(hub: Hub, payload: jobs.Payload) -> None:
    """Remember when work began and when it was done."""
    heard.append(payload)
    heard_one.set()
    await asyncio.sleep(0.2)
    heard.append({"end of": payload["n"]})
    heard_one.set()


@pytest.fixture(autouse=True)
def nothing_heard() -> None:
    heard.clear()


async def test_news_of_a_committed_transaction_is_heard(hub: Hub) -> None:
    async with hub.sessions() as session, session.begin():
        await jobs.announce(session, "test.news", {"n": 1})

    await hub.jobs.run_pending()

    assert heard == [{"n": 1}]


async def test_news_of_a_rolled_back_transaction_was_never_told(hub: Hub) -> None:
    with suppress(RuntimeError):
        async with hub.sessions() as session, session.begin():
            await jobs.announce(session, "test.news", {"n": 2})
            raise RuntimeError("changed my mind")

    await hub.jobs.run_pending()

    assert heard == []


async def test_work_of_a_lane_comes_after_news_and_one_at_a_time(hub: Hub) -> None:
    async with hub.sessions() as session, session.begin():
        for n in (10, 11):
            await jobs.announce(session, "test.slow", {"n": n}, lane="slow")
        await jobs.announce(session, "test.news", {"n": 12})

    worker = asyncio.create_task(hub.jobs.run(concurrency=4))
    async with asyncio.timeout(20):
        while len(heard) < 5:
            heard_one.clear()
            await heard_one.wait()
    worker.cancel()
    with suppress(asyncio.CancelledError):
        await worker

    assert heard == [{"n": 12}, {"n": 10}, {"end of": 10}, {"n": 11}, {"end of": 11}]


async def test_a_timer_does_not_fire_early(hub: Hub) -> None:
    async with hub.sessions() as session, session.begin():
        await jobs.announce(session, "test.news", {"n": 3}, at=hub.now() + timedelta(hours=1))

    await hub.jobs.run_pending()

    assert heard == []


async def test_a_running_worker_hears_at_once_and_tries_again_what_failed(settings: HubSettings) -> None:
    async with open_hub(settings) as hub:
        worker = asyncio.create_task(hub.jobs.run())
        async with hub.sessions() as session, session.begin():
            await jobs.announce(session, "test.news", {"n": 4, "fail_once": True})
        async with asyncio.timeout(20):
            while len(heard) < 2:
                heard_one.clear()
                await heard_one.wait()
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker

    assert heard == [{"n": 4, "fail_once": True}] * 2


async def test_a_database_that_goes_away_meanwhile_is_told_like_every_failure_of_a_transaction(
    hub: Hub,
) -> None:
    async with hub.sessions() as session:
        connection = await session.connection()
        own = (await connection.execute(text("select pg_backend_pid()"))).scalar_one()
        async with hub.sessions() as other:
            await (await other.connection()).execute(
                text("select pg_terminate_backend(:own)").bindparams(own=own)
            )
        with pytest.raises(OperationalError):
            await jobs.announce(session, "test.news", {"n": 1})
        await session.invalidate()
