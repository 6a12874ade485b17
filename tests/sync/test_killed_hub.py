"""The hub's process dies between keeping a batch and applying it."""

import httpx
import pytest
from sqlalchemy import text

from clinic_net.kernel.hub import Hub
from clinic_net.kernel.settings import HubSettings
from clinic_net.protocol.sync import Lane, PushReply
from tests.app.process import serving
from tests.sync.stations import patient, results, version_at
from tests.sync.test_inbox import settled
from tests.sync.wire import Line

pytestmark = pytest.mark.processes


async def test_what_a_killed_process_had_kept_is_applied_by_another_once(
    district: Hub, line: Line, settings: HubSettings
) -> None:
    station, people = line.station(), [patient() for _ in range(5)]
    stream = station.batch(*(station.op(who) for who in people))
    held = text("select pg_advisory_lock(hashtextextended(:key, 0))").bindparams(key=f"push {station.epoch}")
    with serving(settings, "--no-worker") as process:
        async with district.sessions() as holding:  # nobody gets to applying while this is held
            await (await holding.connection()).execute(held)
            async with httpx.AsyncClient(base_url=process.url, timeout=60) as client:
                answer = await line.push(client, stream)
            told = PushReply.model_validate_json(answer.content).answer
            assert (told.pending, told.runs) == (True, ())
            process.running.kill()
            process.running.wait()
            await (await holding.connection()).execute(text("select pg_advisory_unlock_all()"))
    assert await version_at(district, "Patient", people[0]["id"]) is None

    with serving(settings) as process:  # its worker takes over
        answer_now = await settled(district, station)
        assert [result.version for result in results(answer_now).values()] == [1] * 5
        async with httpx.AsyncClient(base_url=process.url, timeout=60) as client:
            again = PushReply.model_validate_json((await line.push(client, stream)).content).answer
        assert again == answer_now
    assert (again.lane, again.seq) == (Lane.CARE, 1)
    for who in people:
        found = await version_at(district, "Patient", who["id"])
        assert found is not None
        assert found[0] == 1
