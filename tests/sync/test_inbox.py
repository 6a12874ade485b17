"""What a station pushed is kept before it is applied, applied once for ever, and each operation has its own answer."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import BatchAnswer, Lane, PushReply
from clinic_net.records import putting
from clinic_net.sync import apply_store, portions, service
from clinic_net.sync.inbox import Inbox, inbox_of
from clinic_net.sync.taking import Forked, Missing
from tests.sync.stations import (
    Station,
    count,
    outcomes,
    patient,
    pulse,
    results,
    version_at,
    versions_of,
    visit,
)


@pytest.fixture
def station() -> Station:
    """A station of its own for every test."""
    return Station()


async def settled(hub: Hub, station: Station, lane: Lane = Lane.CARE, seq: int = 1) -> BatchAnswer:
    """Wait for a batch's last answer, however busy the machine is."""
    for _ in range(1200):
        answer = await station.answer(hub, lane, seq)
        if not answer.pending:
            return answer
        await asyncio.sleep(0.05)
    raise AssertionError("it was never applied")


async def test_a_whole_visit_is_applied_and_told_in_short(hub: Hub, station: Station) -> None:
    who, when = patient(), str(uuid4())
    ops = [
        station.op(each)
        for each in (
            who,
            visit(who["id"], when),
            *(pulse(who["id"], when, value=60 + n) for n in range(5)),
        )
    ]

    await station.push(hub, *ops)
    told = await station.answer(hub, Lane.CARE, 1)

    assert (told.runs, told.others, told.pending) == (((1, 7, 1),), (), False)
    assert await version_at(hub, "Encounter", when) is not None


async def test_the_same_batch_again_at_any_time_has_one_effect_and_one_answer(
    hub: Hub, station: Station
) -> None:
    who = patient()
    stream = station.batch(station.op(who), station.op({**who, "gender": "male"}))

    await asyncio.gather(*(station.send(hub, stream) for _ in range(5)))
    first = await settled(hub, station)
    later = await station.send(hub, stream)

    assert [result.version for result in results(first).values()] == [1, 2]
    assert await versions_of(hub, [who["id"]]) == 2
    assert isinstance(later, PushReply)
    assert later.answer == first


async def test_a_refused_visit_keeps_its_measurements_waiting_and_nothing_else(
    hub: Hub, station: Station
) -> None:
    who, other, when = patient(), patient(), str(uuid4())
    told = await station.push(
        hub,
        station.op(who, tx=1),
        station.op(visit(who["id"], when, status="no-such-status"), tx=1),
        station.op(pulse(who["id"], when), tx=1),
        station.op(other, tx=2),
        station.op(pulse(other["id"]), tx=2),
    )

    assert outcomes(told) == ["applied", "quarantined", "deferred", "applied", "applied"]
    assert (await station.answer(hub, Lane.CARE, 1)).pending
    assert [issue.code for issue in told[3].issues] == ["waits"]

    mended = await station.push(hub, station.op(visit(who["id"], when)))

    assert outcomes(mended) == ["applied"]
    answer = await station.answer(hub, Lane.CARE, 1)
    assert outcomes(results(answer)) == ["applied", "quarantined", "applied", "applied", "applied"]
    assert not answer.pending


async def test_what_came_before_the_patient_it_is_about_comes_right_when_the_patient_comes(
    hub: Hub, station: Station
) -> None:
    who, when = patient(), str(uuid4())
    first = await station.push(
        hub,
        station.op(visit(who["id"], when)),
        station.op(pulse(who["id"], when)),
        station.op(pulse(who["id"], when)),
    )
    assert outcomes(first) == ["deferred"] * 3

    await station.push(hub, station.op(who))

    assert outcomes(results(await station.answer(hub, Lane.CARE, 1))) == ["applied"] * 3
    assert (
        await count(hub, "select count(*) from sync_quarantined where site = :s", s=station.principal.site)
        == 0
    )


async def test_an_urgent_batch_overtakes_and_brings_what_it_speaks_of(
    hub: Hub, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    who, when = patient(), str(uuid4())
    monkeypatch.setattr(Inbox, "_apply_soon", lambda *_, **__: None)  # as if this process were busy for long
    await station.send(hub, station.batch(*(station.op(patient()) for _ in range(30))))
    await station.send(hub, station.batch(station.op(who), lane=Lane.ROUTINE))
    monkeypatch.undo()

    urgent = await station.send(hub, station.batch(station.op(visit(who["id"], when)), lane=Lane.URGENT))

    assert isinstance(urgent, PushReply)
    assert urgent.answer.runs == ((32, 1, 1),)
    assert (await station.answer(hub, Lane.CARE, 1)).pending
    assert not (await station.answer(hub, Lane.ROUTINE, 1)).pending


async def test_an_operation_that_a_later_one_overtook_goes_below_it(hub: Hub, station: Station) -> None:
    who = patient()
    first, second = station.op(who), station.op({**who, "gender": "male"})

    await station.push(hub, second, lane=Lane.URGENT)
    told = await station.push(hub, first)

    assert outcomes(told) == ["merged"]
    found = await version_at(hub, "Patient", who["id"])
    assert found is not None
    assert (found[0], b'"male"' in found[1]) == (3, True)
    assert told[1].version == 3
    next_told = await station.push(hub, station.op({**who, "gender": "other"}, base=3))
    assert outcomes(next_told) == ["applied"]


async def test_what_somebody_else_changed_meanwhile_is_not_overwritten_and_the_text_is_kept(
    hub: Hub, station: Station
) -> None:
    who = patient()
    copy = Station(station.principal)
    await station.push(hub, station.op(who))
    await station.push(hub, station.op({**who, "gender": "male"}, base=1))

    told = await copy.push(hub, copy.op({**who, "gender": "other"}, base=1))

    assert outcomes(told) == ["conflict"]
    found = await version_at(hub, "Patient", who["id"])
    assert found is not None
    assert b'"male"' in found[1]
    beside = "select count(*) from records_resource where rtype = :kind and patient = :patient"
    assert await count(hub, beside, kind="Binary", patient=who["id"]) >= 1
    assert await count(hub, beside, kind="Task", patient=who["id"]) == 1


async def test_a_deletion_is_applied_once_and_of_nothing_is_no_trouble(hub: Hub, station: Station) -> None:
    who = patient()
    told = await station.push(
        hub,
        station.op(who),
        station.gone("Patient", who["id"]),
        station.gone("Patient", str(uuid4())),
    )

    assert outcomes(told) == ["applied", "applied", "duplicate"]
    assert [told[op].version for op in (1, 2, 3)] == [1, 2, None]


async def test_the_trail_says_whose_each_version_is_whoever_applied_it(hub: Hub, station: Station) -> None:
    other, who, theirs = Station(), patient(), patient()
    await asyncio.gather(
        station.push(hub, station.op(who), station.gone("Patient", who["id"])),
        other.push(hub, other.op(theirs), other.gone("Patient", theirs["id"])),
    )
    for each, fid in ((station, who["id"]), (other, theirs["id"])):
        sql = (
            "select count(*) from audit_event where patient = :p and actor = :a and place = :s"
            " and actor_place = :s and purpose = 'TREAT' and action in ('record.create', 'record.delete')"
        )
        site = each.principal.site
        assert await count(hub, sql, p=fid, a=f"station:{site}", s=site) == 2


POISON = [
    "",
    "null",
    "[[[[",
    '{"resourceType":"Patient","id":"@","gender":"x"}',
    '{"resourceType":"Patient","id":"@","name":[{"text":"a\\u0000"}]}',
    '{"resourceType":"Observation","id":"@"}',
    '{"a":' * 3000,
    "\x00",
]


async def test_no_poison_keeps_anything_else_back(hub: Hub, station: Station) -> None:
    ops, good = [], [patient() for _ in POISON]
    for bad, fine in zip(POISON, good, strict=True):
        fid = str(uuid4())
        ops += [station.op(bad.replace("@", fid), rtype="Patient", fid=fid), station.op(fine)]

    told = await station.push(hub, *ops)

    assert outcomes(told) == ["quarantined", "applied"] * len(POISON)
    assert all(told[op].issues for op in range(1, 2 * len(POISON), 2))


async def test_a_record_that_the_hub_itself_stumbles_over_is_found_and_the_others_go(
    hub: Hub, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = putting._Putting._plan

    async def stumbles(self: Any, step: Any) -> None:
        if step.order.draft.resource.get("gender") == "other":
            raise RuntimeError("a fault of the hub")
        await true(self, step)

    monkeypatch.setattr(putting._Putting, "_plan", stumbles)
    told = await station.push(
        hub, station.op(patient()), station.op(patient(gender="other")), station.op(patient())
    )
    assert outcomes(told) == ["applied", "quarantined", "applied"]
    assert [issue.code for issue in told[2].issues] == ["not-storable"]

    monkeypatch.undo()  # the hub was updated
    became = await service.try_again(hub, site=station.principal.site, everything=True)

    assert became == {"applied": 1}
    assert outcomes(results(await station.answer(hub, Lane.CARE, 1))) == ["applied"] * 3


async def test_two_nodes_that_take_over_at_once_apply_each_batch_once(
    hub: Hub, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Inbox, "_apply_soon", lambda *_, **__: None
    )  # the process dies right after its commit
    people = [patient() for _ in range(12)]
    for who in people:
        told = await station.send(hub, station.batch(station.op(who), station.op({**who, "gender": "male"})))
        assert isinstance(told, PushReply)
        assert told.answer.pending
    monkeypatch.undo()

    await asyncio.gather(*(_take_over_now(hub) for _ in range(4)))

    assert await versions_of(hub, [who["id"] for who in people]) == 24
    told_now = results(await station.answer(hub, Lane.CARE, 12))
    assert [result.version for result in told_now.values()] == [1, 2]
    assert await count(hub, "select count(*) from sync_batch where raw is not null") == 0


async def _take_over_now(hub: Hub) -> None:
    async with hub.requests() as s:
        epochs = await apply_store.waiting_epochs(s, hub.now() + timedelta(seconds=1), 100)
    for epoch in epochs:
        while (await portions.apply_waiting(hub, [epoch])).batches:
            pass


async def test_a_hub_that_lost_batches_says_from_which_on(hub: Hub, station: Station) -> None:
    await station.send(hub, station.batch(station.op(patient())))

    told = await station.send(hub, station.batch(station.op(patient()), seq=5))

    assert told == Missing(expected=2)
    async with hub.sessions() as session:
        assert await service.answers(session, station.principal, station.epoch, [(Lane.CARE, 5)]) == ()


async def test_two_copies_of_a_disk_are_told_apart_and_both_keep_all_they_have(
    hub: Hub, station: Station
) -> None:
    await station.push(hub, station.op(shared := patient()))
    copy = station.copy()
    theirs, ours = patient(), patient()
    await copy.push(hub, copy.op(theirs))

    stream = station.batch(op := station.op(ours))
    told = await station.send(hub, stream)
    again = await station.send(hub, stream)

    assert isinstance(told, Forked)
    assert told == again, "the same question, the same answer"
    frozen = await copy.send(hub, copy.batch(copy.op(patient())))
    assert isinstance(frozen, Forked)
    assert frozen.epoch != told.epoch

    station.epoch, station.last = told.epoch, dict.fromkeys(Lane, 0)
    came = await station.push(hub, station.op(shared, number=1), op)
    assert outcomes(came) == ["duplicate", "applied"]
    for who in (shared, theirs, ours):
        assert await version_at(hub, "Patient", who["id"]) is not None
        assert await versions_of(hub, [who["id"]]) == 1


async def test_another_text_under_a_used_number_is_a_fork_and_leaves_no_trace(
    hub: Hub, station: Station
) -> None:
    await station.push(hub, station.op(patient()))
    other = patient()

    told = await station.send(hub, station.batch(station.op(other, number=1)))

    assert isinstance(told, Forked)
    assert await version_at(hub, "Patient", other["id"]) is None


async def test_a_disk_in_another_stations_computer_gets_an_epoch_of_its_own(hub: Hub) -> None:
    station = Station()
    await station.push(hub, station.op(patient()))
    other = Station(epoch=station.epoch)

    assert isinstance(await other.send(hub, other.batch(other.op(patient()))), Forked)
    assert outcomes(await station.push(hub, station.op(patient()))) == ["applied"], "it goes on as it was"


async def test_answers_are_for_the_station_whose_batches_they_are(hub: Hub, station: Station) -> None:
    await station.push(hub, station.op(patient()))
    async with hub.sessions() as session:
        theirs = await service.answers(session, Station().principal, station.epoch, [(Lane.CARE, 1)])
    assert theirs == ()


async def test_texts_beyond_what_is_remembered_are_read_again(
    hub: Hub, station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clinic_net.sync.inbox._REMEMBERED_BYTES", 100)
    before = dict(inbox_of(hub)._contents)
    told = await station.push(hub, *(station.op(patient()) for _ in range(3)))
    assert outcomes(told) == ["applied"] * 3
    assert inbox_of(hub)._contents == before


async def test_a_clock_that_is_off_refuses_nothing_and_is_seen(hub: Hub, station: Station) -> None:
    day = 25 * 3600 * 1000
    await station.send(hub, station.batch(station.op(patient()), offset_ms=day))
    assert (await settled(hub, station)).runs == ((1, 1, 1),)
    kept = "select offset_ms from sync_batch where db_epoch = :e"
    assert await count(hub, kept, e=station.epoch) == day


def test_the_texts_here_are_what_a_station_would_write() -> None:
    assert json.loads(Station().op(patient("x"))[1]) == {
        "resourceType": "Patient",
        "id": "x",
        "gender": "female",
    }
