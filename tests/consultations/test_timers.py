"""The ladder in real time, driven by a worker as in production."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from clinic_net.access.principals import UserPrincipal
from clinic_net.kernel import clock
from clinic_net.kernel.hub import Hub, open_hub
from clinic_net.kernel.settings import HubSettings
from tests.consultations import support
from tests.consultations.support import CENTRAL, PROVINCIAL, ask, call_for_help, doctor, on_duty


async def _until(condition: Callable[[], Awaitable[bool]], seconds: float) -> None:
    for _ in range(int(seconds / 0.05)):
        if await condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen in time")


async def _climbs(hub: Hub) -> None:
    began = clock.now()
    near, province, nation = doctor("A"), doctor("B", PROVINCIAL), doctor("C", CENTRAL)
    await on_duty(hub, near, province, nation, now=began)
    asked = replace(call_for_help(), requested_at=began, ring_after=timedelta(seconds=1))
    case = await ask(hub, asked, clock.now())

    async def rung(person: UserPrincipal) -> bool:
        return case in await support.rings_for(hub, person)

    async def unanswered() -> bool:
        return await support.state_of(hub, case) == "unanswered"

    worker = asyncio.create_task(hub.jobs.run())
    try:
        assert await rung(near)
        await _until(lambda: rung(province), 4)
        await _until(lambda: rung(nation), 4)
        await _until(unanswered, 4)
    finally:
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker


async def test_a_worker_climbs_the_ladder_by_itself(settings: HubSettings) -> None:
    importlib.import_module("clinic_net.consultations.jobs")
    async with open_hub(settings) as hub:
        await support.make_district(hub)
        await _climbs(hub)
