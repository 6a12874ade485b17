"""A station's disk was copied into a second computer: one key, two databases that both believe to be the one."""

import httpx
from fastapi import FastAPI
from prometheus_client import REGISTRY

from clinic_net.access.principals import Role
from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import Fork, PushReply
from tests.console.support import add_person, browser, sign_in
from tests.consultations.support import CENTRE, SITE
from tests.sync.stations import Station, count, patient
from tests.sync.test_push_wire import last_runs
from tests.sync.wire import Line


async def push(line: Line, client: httpx.AsyncClient, stream: bytes) -> Fork | PushReply:
    answer = await line.push(client, stream)
    if answer.status_code == 409:
        return Fork.model_validate_json(answer.content)
    assert answer.status_code == 200, answer.text
    return PushReply.model_validate_json(answer.content)


async def test_two_agents_with_one_key_are_found_out_the_epoch_is_frozen_and_operators_see_it(
    district: Hub, app: FastAPI, line: Line
) -> None:
    """Attack 9: the second batch of a number is answered 409, nothing of it is kept under that epoch, the epoch takes
    no more from either, an alarm is raised, and each copy goes on under an epoch of its own with all it has."""
    forks = REGISTRY.get_sample_value("clinic_net_sync_forks_total") or 0.0
    station = line.station()
    async with browser(app) as client:
        await push(line, client, station.batch(station.op(patient())))
        copy = station.copy()
        theirs = copy.batch(of_copy := copy.op(patient()))
        ours = station.batch(station.op(patient()))
        assert isinstance(await push(line, client, ours), PushReply)

        told = await push(line, client, theirs)
        assert isinstance(told, Fork)
        assert await push(line, client, theirs) == told
        stolen = await push(line, client, station.batch(last := station.op(patient())))
        assert isinstance(stolen, Fork)
        assert stolen.epoch != told.epoch
        assert isinstance(await push(line, client, ours), PushReply), "what was taken keeps its answer"

        for fork, op in ((told, of_copy), (stolen, last)):
            goes_on = Station(station.principal, fork.epoch)
            assert await last_runs(line, client, goes_on.batch(op)) == ((op[0].op, 1, 1),)

    assert REGISTRY.get_sample_value("clinic_net_sync_forks_total") == forks + 2
    here = "select count(*) from sync_batch where db_epoch = :e"
    assert await count(district, here, e=station.epoch) == 2
    trail = "select count(*) from audit_event where action = 'sync.fork' and subject = :s"
    assert await count(district, trail, s=f"station:{SITE}") == 2
    operator = await add_person(district, Role.OPERATOR, facility=CENTRE)
    async with browser(app) as client:
        await sign_in(client, operator.login)
        seen = (await client.get("/fleet/v1/stations", headers={"Accept": "application/json"})).json()
    assert [each["copied_at"] is not None for each in seen if each["site"] == SITE] == [True]
