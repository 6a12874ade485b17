"""Faults that have a name: each happens once, to stations that were at work; nothing saved is lost, nothing doubled."""

import gzip
import json
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from clinic_net.protocol.sync import Op, Outcome, Push, PushAnswer
from station_agent import clock
from station_agent.errors import Revoked
from tests.faults import people
from tests.faults.feeds import fresh_copy
from tests.faults.world import Station, World

_REAL: Callable[[], datetime] = clock.now


def demand_at_hub(world: World, *stations: Station) -> None:
    for station in stations:
        for (rtype, rid), versions in station.saved.items():
            found = world.at_hub(rtype, rid)
            assert found is not None, f"a saved {rtype} is not at the hub"
            assert found[0] == versions[-1]
            assert found[1] <= len(versions)


def a_day_at(station: Station) -> str:
    """Save a patient with two measurements; return the patient's id."""
    person = people.patient()
    station.save(person, people.pulse(person["id"]), people.pulse(person["id"], 90))
    return str(person["id"])


def test_three_days_offline_with_five_hundred_records_arrive_all_once_in_their_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = world.station()
    began = _REAL() - timedelta(hours=72)
    for number in range(250):
        monkeypatch.setattr(clock, "now", lambda number=number: began + timedelta(minutes=17 * number))
        person = people.patient()
        station.save(person, people.pulse(person["id"], 60 + number % 60))
    monkeypatch.setattr(clock, "now", _REAL)

    station.settle()

    assert len(station.saved) == 500
    demand_at_hub(world, station)
    assert list(fresh_copy(world, station)) == station.order
    assert set(fresh_copy(world, station).values()) == {1}


@pytest.mark.parametrize("hours", [24, -24])
def test_a_clock_that_is_a_day_off_keeps_nothing_back(
    world: World, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    station = world.station()
    station.stop()
    monkeypatch.setattr(clock, "now", lambda: _REAL() + timedelta(hours=hours))
    station.start()

    a_day_at(station)
    station.settle()

    demand_at_hub(world, station)
    assert station.held() == fresh_copy(world, station)


def test_a_clock_that_jumps_back_while_something_waits_keeps_nothing_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = world.station()
    a_day_at(station)
    station.settle()
    a_day_at(station)
    station.stop()
    monkeypatch.setattr(clock, "now", lambda: _REAL() - timedelta(days=1))
    station.start()

    a_day_at(station)
    station.settle()

    demand_at_hub(world, station)


def test_a_hub_that_was_restored_from_an_old_backup_gets_again_what_it_had_taken_since(world: World) -> None:
    station = world.station()
    a_day_at(station)
    station.settle()
    with world.backed_up() as restore:
        later = a_day_at(station)
        station.settle()
        assert world.at_hub("Patient", later) is not None

        restore()
        assert world.at_hub("Patient", later) is None
        a_day_at(station)
        station.settle()
        station.settle()

        demand_at_hub(world, station)


def test_two_computers_with_a_copied_disk_overwrite_nothing_of_each_other(world: World) -> None:
    first = world.station()
    a_day_at(first)
    first.settle()
    a_day_at(first)  # saved, and not sent when the disk is copied
    first.stop()
    copied = world.folder / uuid4().hex
    shutil.copytree(first.folder, copied)
    second = Station(world, first.site, copied)
    second.saved = {key: list(versions) for key, versions in first.saved.items()}
    first.start()
    second.start()

    a_day_at(first)
    a_day_at(second)
    first.settle()
    second.settle()
    a_day_at(first)
    a_day_at(second)
    second.settle()
    first.settle()

    demand_at_hub(world, first, second)


def test_a_station_revoked_while_offline_hands_over_nothing_and_after_a_new_code_everything(
    world: World,
) -> None:
    station = world.station()
    a_day_at(station)
    station.settle()
    later = a_day_at(station)
    world.revoke(station.site)

    with pytest.raises(Revoked):
        world.do(station.agent.syncing.exchange(station.client))
    assert world.at_hub("Patient", later) is None
    assert station.counts().total == 3

    station.stop()
    world.enrol(station.folder, station.site)
    station.start()
    station.settle()
    demand_at_hub(world, station)


def test_an_agent_of_one_release_before_pushes_and_pulls_as_it_always_did(world: World) -> None:
    station = world.station()
    person = people.patient()
    told = world.do(_pushed_as_before(station, person, person))

    assert [result.outcome for answer in told for result in answer.results] == [Outcome.APPLIED] * 2
    assert told[0].results == told[1].results
    found = world.at_hub("Patient", person["id"])
    assert found == (person, 1)
    world.deliver_news()
    assert fresh_copy(world, station) == {("Patient", person["id"]): 1}


async def _pushed_as_before(station: Station, *patients: people.Resource) -> list[PushAnswer]:
    """Push a patient in the form before frames, gzipped JSON; the same operation each time."""

    epoch, batch = UUID(int=uuid4().int), uuid4()
    answers = []
    async with httpx.AsyncClient(transport=station.world.transport()) as client:
        token = await station.agent.tokens.get(client)
        for person in patients:
            text = json.dumps(person)
            op = Op(op=1, type="Patient", id=person["id"], at=_REAL(), by="nurse:lan", body=text)
            push = Push(station=station.site, db_epoch=epoch, batch=batch, ops=(op,))
            headers = {
                "authorization": f"Bearer {token.text}",
                "content-type": "application/json",
                "content-encoding": "gzip",
            }
            url = f"{station.world.settings.public_url}/sync/v1/push"
            got = await client.post(
                url, content=gzip.compress(push.model_dump_json().encode()), headers=headers
            )
            assert got.status_code == 200, got.text
            answers.append(PushAnswer.model_validate_json(got.content))
    return answers
