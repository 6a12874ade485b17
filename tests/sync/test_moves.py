"""A family moves, a commune is merged: records leave one station, reach the other, and nothing is lost between."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from clinic_net.access.policy import hub_scope
from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import Op, Outcome, Push
from clinic_net.records import service as records
from clinic_net.sync import moving, service
from clinic_net.sync.errors import NowhereToMove
from tests.access.support import OTHER_SITE, SITE, fill
from tests.sync.support import NOW, Station, a_patient, a_station, an_observation, store


@pytest.fixture(scope="module", autouse=True)
async def filled(hub: Hub) -> None:
    await fill(hub)


async def order(hub: Hub, origin: str, target: str, *patients: str) -> UUID:
    async with hub.sessions() as session, session.begin():
        ordered = await moving.order(
            session, origin, target, patients=patients or None, by="user:1", now=hub.now()
        )
    return ordered.id


async def push(
    hub: Hub, station: Station, *resources: tuple[int, int | None, dict[str, Any]]
) -> list[Outcome]:
    ops = tuple(
        Op(
            op=number,
            type=resource["resourceType"],
            id=resource["id"],
            base=base,
            at=NOW,
            body=json.dumps(resource, ensure_ascii=False),
        )
        for number, base, resource in resources
    )
    request = Push(station=station.principal.site, db_epoch=station.epoch, batch=uuid4(), ops=ops)
    answer = await service.push_form_1(hub, request, station=station.principal)
    await hub.jobs.run_pending()
    return [result.outcome for result in answer.results]


def ids(station: Station) -> set[str]:
    return {fid for _, fid in station.held[station.scope].records}


async def test_a_family_moves_and_the_rest_stays(hub: Hub) -> None:
    origin, target = a_station(), a_station(SITE)
    gone, stays = a_patient(), a_patient()
    visit = an_observation(gone["id"])
    for resource in (gone, stays, visit):
        await store(hub, origin.principal.site, resource)
    await origin.pull_all(hub)

    move = await order(hub, origin.principal.site, SITE, gone["id"])
    await hub.jobs.run_pending()
    await origin.pull_all(hub)
    await target.pull_all(hub)

    assert ids(origin) == {stays["id"]}
    assert ids(target) >= {gone["id"], visit["id"]}
    async with hub.sessions() as session:
        done = await moving.progress(session, move)
        assert (done.moved_patients, done.moved_records, done.patients) == (1, 2, 1)
        assert done.done_at is not None
        past = await records.history(session, "Patient", gone["id"], scope=hub_scope(), now=NOW)
        assert past is not None


async def test_a_commune_is_merged_in_portions_and_goes_on_where_it_was_cut_off(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "PORTION", 2)
    origin, target = a_station(), a_station(OTHER_SITE)
    patients = [a_patient() for _ in range(5)]
    place = {"resourceType": "Location", "id": str(uuid4()), "status": "active"}
    for resource in (*patients, place):
        await store(hub, origin.principal.site, resource, fed=False)
    await hub.jobs.run_pending()
    await origin.pull_all(hub)

    move = await order(hub, origin.principal.site, OTHER_SITE)
    async with hub.sessions() as session, session.begin():
        half = await moving.step(session, move, now=hub.now())
    await origin.pull_all(hub)
    await target.pull_all(hub)
    assert (half.moved_patients, half.done_at) == (2, None)
    assert len(ids(origin)) == 4
    assert not ids(origin) & ids(target)

    await hub.jobs.run_pending()
    await origin.pull_all(hub)
    await target.pull_all(hub)

    assert ids(origin) == set()
    assert ids(target) >= {place["id"], *(patient["id"] for patient in patients)}


async def test_what_waited_at_the_old_station_lands_where_the_patient_is(hub: Hub) -> None:
    origin, target = a_station(), a_station(SITE)
    patient = a_patient()
    before = an_observation(patient["id"])
    assert await push(hub, origin, (1, None, patient), (2, None, before)) == [Outcome.APPLIED] * 2
    await order(hub, origin.principal.site, SITE, patient["id"])
    await hub.jobs.run_pending()

    late = an_observation(patient["id"])
    outcomes = await push(
        hub,
        origin,
        (3, None, late),
        (4, 1, {**before, "status": "amended"}),
        (5, 1, {**patient, "gender": "male"}),
    )
    await origin.pull_all(hub)
    await target.pull_all(hub)

    assert outcomes == [Outcome.APPLIED] * 3
    assert ids(target) >= {patient["id"], before["id"], late["id"]}
    assert ids(origin) == set()
    assert json.loads(target.held[target.scope].records[("Patient", patient["id"])][1])["gender"] == "male"


async def test_who_comes_back_is_at_home_again(hub: Hub) -> None:
    origin, target = a_station(OTHER_SITE), a_station(SITE)
    patient = a_patient()
    await push(hub, origin, (1, None, patient))
    for there, here in ((OTHER_SITE, SITE), (SITE, OTHER_SITE)):
        await order(hub, there, here, patient["id"])
        await hub.jobs.run_pending()
    visit = an_observation(patient["id"])

    await push(hub, origin, (2, None, visit))
    await origin.pull_all(hub)
    await target.pull_all(hub)

    assert ids(origin) >= {patient["id"], visit["id"]}
    assert not {patient["id"], visit["id"]} & ids(target)


async def test_nobody_moves_to_where_they_are(hub: Hub) -> None:
    with pytest.raises(NowhereToMove):
        await order(hub, SITE, SITE)
