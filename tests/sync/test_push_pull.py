"""A station's records reach the hub once in effect, whatever the link does; what is new comes down gap-free."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from clinic_net.access import StationPrincipal
from clinic_net.access.policy import hub_scope
from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import Op, Outcome, Pull, Push, PushAnswer, Report
from clinic_net.records import service as records
from clinic_net.sync import feed_store, service
from clinic_net.sync.errors import NotYourStation
from clinic_net.sync.feed_store import Change

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


@pytest.fixture
def station() -> StationPrincipal:
    """A station of its own for every test."""
    return StationPrincipal(site=f"03325-{uuid4().hex[:6]}", device=uuid4())


def patient(fid: str, **changed: Any) -> str:
    return json.dumps(
        {"resourceType": "Patient", "id": fid, "gender": "female", **changed}, ensure_ascii=False
    )


def an_op(number: int, text: str, *, base: int | None = None) -> Op:
    resource = json.loads(text)
    return Op(op=number, type=resource["resourceType"], id=resource["id"], base=base, at=NOW, body=text)


async def push(hub: Hub, station: StationPrincipal, epoch: UUID, *ops: Op) -> PushAnswer:
    request = Push(station=station.site, db_epoch=epoch, batch=uuid4(), ops=ops)
    return await service.push_form_1(hub, request, station=station)


async def text_at_hub(hub: Hub, fid: str) -> bytes:
    async with hub.sessions() as session, session.begin():
        return (await records.read(session, "Patient", fid, scope=hub_scope(), now=NOW)).text


async def test_the_same_push_twice_has_one_effect_and_one_answer(hub: Hub, station: StationPrincipal) -> None:
    epoch, fid = uuid4(), str(uuid4())
    op = an_op(1, patient(fid))

    first, second = await push(hub, station, epoch, op), await push(hub, station, epoch, op)

    assert first.results == second.results
    assert first.results[0].outcome == Outcome.APPLIED
    async with hub.sessions() as session, session.begin():
        assert (await records.read(session, "Patient", fid, scope=hub_scope(), now=NOW)).version == 1


async def test_two_copies_of_a_push_at_the_same_moment_have_one_effect(
    hub: Hub, station: StationPrincipal
) -> None:
    epoch, fid = uuid4(), str(uuid4())
    ops = [an_op(1, patient(fid)), an_op(2, patient(fid, gender="male"))]

    answers = await asyncio.gather(*(push(hub, station, epoch, *ops) for _ in range(4)))

    assert {answer.results for answer in answers} == {answers[0].results}
    assert [result.version for result in answers[0].results] == [1, 2]


async def test_a_bad_record_is_quarantined_with_its_place_and_the_next_still_goes(
    hub: Hub, station: StationPrincipal
) -> None:
    epoch, good = uuid4(), str(uuid4())
    bad = json.dumps(
        {"resourceType": "Patient", "id": str(uuid4()), "birthDate": "1970-02-31", "colour": "blue"}
    )

    answer = await push(hub, station, epoch, an_op(1, bad), an_op(2, patient(good)))

    quarantined, applied = answer.results
    assert quarantined.outcome == Outcome.QUARANTINED
    assert {issue.expression for issue in quarantined.issues} >= {"Patient.birthDate", "Patient.colour"}
    assert "31" not in "".join(issue.diagnostics for issue in quarantined.issues)
    assert applied.outcome == Outcome.APPLIED


async def test_a_change_of_an_older_version_is_a_conflict_and_changes_nothing(
    hub: Hub, station: StationPrincipal
) -> None:
    fid = str(uuid4())
    await push(hub, station, uuid4(), an_op(1, patient(fid)))
    await push(hub, station, uuid4(), an_op(1, patient(fid, gender="male"), base=1))

    answer = await push(hub, station, uuid4(), an_op(1, patient(fid, gender="other"), base=1))

    assert answer.results[0].outcome == Outcome.CONFLICT
    assert b'"male"' in await text_at_hub(hub, fid)


async def test_a_station_that_does_not_know_the_version_yet_may_go_on_changing_its_own_record(
    hub: Hub, station: StationPrincipal
) -> None:
    epoch, fid = uuid4(), str(uuid4())

    answer = await push(hub, station, epoch, an_op(1, patient(fid)), an_op(2, patient(fid, gender="male")))

    assert [result.outcome for result in answer.results] == [Outcome.APPLIED, Outcome.APPLIED]
    assert b'"male"' in await text_at_hub(hub, fid)


async def test_a_station_speaks_only_for_itself(hub: Hub, station: StationPrincipal) -> None:
    request = Push(station="99999-01", db_epoch=uuid4(), batch=uuid4(), ops=())
    with pytest.raises(NotYourStation):
        await service.push_form_1(hub, request, station=station)


async def pulled(hub: Hub, station: StationPrincipal, *, max_bytes: int = 65536) -> list[tuple[str, int]]:
    """Pull everything there is, page by page."""
    cursor, found = 0, []
    while True:
        request = Pull(station=station.site, cursor=cursor, max_bytes=max_bytes, report=Report(agent="0.1.0"))
        async with hub.sessions() as session, session.begin():
            page = await service.pull(session, request, station=station, now=NOW)
        found += [(entry.id, entry.version) for entry in page.entries]
        assert page.cursor > cursor or not page.more
        cursor = page.cursor
        if not page.more:
            return found


async def test_what_was_stored_comes_down_once_in_its_newest_version(
    hub: Hub, station: StationPrincipal
) -> None:
    epoch, fids = uuid4(), [str(uuid4()) for _ in range(5)]
    await push(hub, station, epoch, *(an_op(n + 1, patient(fid)) for n, fid in enumerate(fids)))
    await hub.jobs.run_pending()
    await push(hub, station, epoch, an_op(9, patient(fids[0], gender="male")))
    await hub.jobs.run_pending()

    found = await pulled(hub, station)

    assert sorted(found) == sorted([(fids[0], 2), *((fid, 1) for fid in fids[1:])])


async def test_small_pages_hold_the_same_as_one_large_page(hub: Hub, station: StationPrincipal) -> None:
    epoch = uuid4()
    text = "x" * 1500
    ops = [an_op(n, patient(str(uuid4()), name=[{"text": text}])) for n in range(1, 12)]
    await push(hub, station, epoch, *ops)
    await hub.jobs.run_pending()

    assert sorted(await pulled(hub, station, max_bytes=4096)) == sorted((op.id, 1) for op in ops)


async def test_no_sequence_number_is_skipped_while_many_write(hub: Hub) -> None:
    scope = f"stn:{uuid4().hex[:8]}"

    async def write(count: int) -> None:
        for _ in range(count):
            async with hub.sessions() as session, session.begin():
                await feed_store.append(
                    session, {scope: [Change("put", "Patient", str(uuid4()), 1) for _ in range(3)]}
                )
                await asyncio.sleep(0.001)

    seen: list[int] = []

    async def follow(until: int) -> None:
        while len(seen) < until:
            async with hub.sessions() as session:
                _, entries = (await feed_store.after(session, {scope: seen[-1] if seen else 0}, 50))[scope]
            seen.extend(entry.seq for entry in entries)

    await asyncio.gather(follow(150), *(write(10) for _ in range(5)))

    assert seen == list(range(1, 151))
