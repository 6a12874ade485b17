"""The link: nothing that was saved is lost, nothing happens twice, one bad record blocks nobody."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.protocol.sync import Lane
from station_agent.errors import LinkError, Revoked
from station_agent.link.backoff import honoured, wait_before
from station_agent.link.state import LinkState
from station_agent.store import Tx, calls, feed, outbox, records, scopes, settings
from station_agent.store.records import Desk
from tests.station_agent.conftest import NOW, Station
from tests.station_agent.scripted_hub import ScriptedHub


@pytest.fixture(params=[2, 1], ids=["frames", "older-hub"])
def hub(request: pytest.FixtureRequest) -> ScriptedHub:
    """A hub of today, and one that was not updated yet."""
    return ScriptedHub(form=request.param)


def patient(rid: str | None = None, name: str = "Lò Văn Pá") -> dict[str, Any]:
    return {"resourceType": "Patient", "id": rid or str(uuid4()), "name": [{"text": name}]}


def observation(subject: str) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": str(uuid4()), "subject": {"reference": f"Patient/{subject}"}}


async def put(station: Station, *resources: dict[str, Any], lane: Lane = Lane.CARE) -> list[int | None]:
    """Save resources at the desk in one transaction."""

    def save(tx: Tx) -> list[int | None]:
        desk = Desk(tx, now=NOW, by="nurse")
        return [desk.put(resource, lane=lane) for resource in resources]

    return await station.agent.database.run(save)


async def counts(station: Station) -> outbox.Counts:
    return await station.agent.database.run(outbox.counts)


async def how_far(station: Station) -> int:
    """Return how much of the station's own scope has come down."""
    if station.hub.form == 1:
        return await station.agent.database.run(settings.cursor)
    return (await station.agent.database.run(scopes.cursors))[f"stn:{station.hub.station}"]


async def state_of(station: Station, rtype: str, rid: str) -> str:
    held = await station.agent.database.run(lambda tx: records.read(tx, rtype, rid))
    return held.state


async def test_what_was_saved_reaches_the_hub_byte_for_byte_and_is_forgotten(station: Station) -> None:
    person = patient()
    await put(station, person)
    assert await state_of(station, "Patient", person["id"]) == "local"
    await station.syncs()
    assert station.hub.stored[("Patient", person["id"])] == person
    assert (await counts(station)).total == 0
    assert await state_of(station, "Patient", person["id"]) == "synced"
    assert station.agent.link.state is LinkState.ONLINE


async def test_the_urgent_lane_leaves_first_and_its_order_is_kept(station: Station) -> None:
    routine, someone = patient(), patient()
    await put(station, routine)
    await put(station, someone)
    await put(station, observation(someone["id"]), lane=Lane.URGENT)
    await station.agent.database.run(lambda tx: outbox.promote(tx, [("Patient", someone["id"])], Lane.URGENT))
    await station.syncs()
    order = [(lane, op["type"], op["id"]) for lane, ops in station.hub.pushes for op in ops]
    assert [lane for lane, _, _ in order] == [0, 0, 1]
    assert order[0][2] == someone["id"]
    assert order[2][2] == routine["id"]


async def test_an_urgent_change_never_overtakes_the_record_it_changes(station: Station) -> None:
    person = patient()
    await put(station, person, lane=Lane.ROUTINE)
    await put(station, {**person, "active": True}, lane=Lane.URGENT)
    await station.syncs()
    # In frames both leave together, and the hub takes the version that the first of them made.
    assert [op["base"] for _, ops in station.hub.pushes for op in ops] == [
        None,
        1 if station.hub.form == 1 else None,
    ]
    assert station.hub.stored[("Patient", person["id"])]["active"] is True


async def test_one_record_that_the_hub_cannot_store_stops_no_other(station: Station) -> None:
    people = [patient() for _ in range(20)]
    bad = people[7]["id"]
    station.hub.refuses = lambda op: "required" if op["id"] == bad else None
    await put(station, *people)
    await station.syncs()
    assert len(station.hub.stored) == 19
    assert await state_of(station, "Patient", bad) == "refused"
    listed = await station.agent.database.run(outbox.listing)
    assert [(w.leg, w.issues[0]["code"]) for w in listed] == [("quarantined", "required")]


async def test_a_record_that_the_hub_cannot_even_read_stops_no_other(station: Station) -> None:
    people = [patient() for _ in range(5)]
    station.hub.unreadable = lambda op: op["id"] == people[2]["id"]
    await put(station, *people)
    await station.syncs()
    assert len(station.hub.stored) == 4
    assert (await counts(station)).refused == 1


@pytest.mark.parametrize(
    ("column", "value"), [("rtype", "patient"), ("id", "a/b"), ("at", "yesterday"), ("by", "n" * 200)]
)
async def test_operations_that_no_message_can_carry_stop_no_other(
    station: Station, column: str, value: str
) -> None:
    await put(station, *[patient() for _ in range(60)])
    spoil = f"update outbox set {column} = ? where op <= 55"
    await station.agent.database.run(lambda tx: tx.execute(spoil, (value,)))
    await station.syncs()
    assert len(station.hub.stored) == 5
    found = await counts(station)
    assert (found.total, found.refused) == (0, 55)


async def test_a_hub_that_reads_nothing_at_all_refuses_no_record(station: Station) -> None:
    await put(station, *[patient() for _ in range(3)])
    station.hub.statuses = [(400, {})] * 20
    with pytest.raises(LinkError):
        await station.syncs()
    assert (await counts(station)).refused == 0
    assert (await counts(station)).total == 3


async def test_a_mended_record_goes_and_the_refusal_is_over(station: Station) -> None:
    person = patient()
    station.hub.refuses = lambda op: None if "active" in op["body"] else "required"
    await put(station, person)
    await station.syncs()
    await put(station, {**person, "active": True})
    await station.syncs()
    assert (await counts(station)).refused == 0
    assert await state_of(station, "Patient", person["id"]) == "synced"


@pytest.mark.parametrize("cuts", [1, 3])
async def test_an_answer_that_was_cut_off_leads_to_one_effect(station: Station, cuts: int) -> None:
    people = [patient() for _ in range(10)]
    await put(station, *people)
    station.hub.cut_answers = cuts
    for _ in range(cuts):
        with pytest.raises(httpx.HTTPError):
            await station.syncs()
        assert (await counts(station)).total == 10
    await station.syncs()
    assert len(station.hub.effects) == 10
    assert (await counts(station)).total == 0
    if station.hub.form == 1:
        assert [ops for _, ops in station.hub.pushes[:1]] == [ops for _, ops in station.hub.pushes[1:2]]
    else:
        assert len(station.hub.batches) == cuts + 1
        assert len({(raw, headers["sync-signature"]) for _, raw, headers in station.hub.batches}) == 1


async def test_both_versions_of_a_clash_are_kept_until_a_person_decides(station: Station) -> None:
    person = patient()
    await put(station, person)
    await station.syncs()
    record = ("Patient", person["id"])
    station.hub.versions[record], theirs = 2, {**person, "gender": "female"}
    station.hub.sends_down(theirs, version=2)
    ours = {**person, "active": True}
    await put(station, ours)
    await station.syncs()
    held = await station.agent.database.run(lambda tx: records.read(tx, *record))
    assert (held.state, held.resource) == ("conflict", ours)
    assert await station.agent.database.run(lambda tx: records.hub_copy(tx, *record)) == (2, theirs)

    shown = await station.browser.get("/waiting")
    op = (await station.agent.database.run(outbox.listing))[0].op
    assert f"/waiting/{op}" in shown.text
    await station.browser.post(f"/waiting/{op}", data={"keep": "ours"})
    await station.syncs()
    assert station.hub.stored[record] == ours
    assert station.hub.versions[record] == 3
    assert (await counts(station)).conflicts == 0


async def test_the_hubs_version_can_be_taken_instead(station: Station) -> None:
    person = patient()
    await put(station, person)
    await station.syncs()
    record = ("Patient", person["id"])
    station.hub.versions[record], theirs = 2, {**person, "gender": "female"}
    station.hub.sends_down(theirs, version=2)
    await put(station, {**person, "active": True})
    await station.syncs()
    op = (await station.agent.database.run(outbox.listing))[0].op
    await station.browser.post(f"/waiting/{op}", data={"keep": "theirs"})
    await station.syncs()
    held = await station.agent.database.run(lambda tx: records.read(tx, *record))
    assert (held.state, held.resource, held.hub_version) == ("synced", theirs, 2)


async def test_what_doctors_write_comes_down_page_by_page(station: Station) -> None:
    person = patient()
    station.hub.sends_down(person)
    for number in range(7):
        station.hub.sends_down(
            {
                "resourceType": "MedicationRequest", "id": str(uuid4()), "authoredOn": f"2026-11-22T02:1{number}:00Z",
                "subject": {"reference": f"Patient/{person['id']}"},
                "medicationCodeableConcept": {"text": f"Thuốc {number}"}, "dosageInstruction": [{"text": "1 viên"}],
            }
        )  # fmt: skip
    await station.syncs()
    assert await how_far(station) == 8
    shown = (await station.browser.get(f"/patients/{person['id']}")).text
    assert shown.index("Thuốc 6") < shown.index("Thuốc 0")
    await station.syncs()
    assert await how_far(station) == 8


async def test_a_request_is_received_once_the_hub_has_taken_it(station: Station) -> None:
    request = {"resourceType": "ServiceRequest", "id": str(uuid4()), "status": "active"}
    await station.agent.database.run(
        lambda tx: calls.asked(tx, request["id"], encounter="e", patient="p", now=NOW)
    )
    await put(station, request, lane=Lane.URGENT)
    await station.syncs()
    call = await station.agent.database.run(lambda tx: calls.find(tx, request["id"]))
    assert call is not None
    assert call.state == "received"


async def test_a_revoked_device_says_so_and_keeps_its_records(station: Station) -> None:
    await put(station, patient())
    station.hub.revoked = True
    with pytest.raises(Revoked):
        await station.syncs()
    await station.agent.syncing._round(station.line)
    assert station.agent.link.state is LinkState.REVOKED
    assert 'class="bar revoked"' in (await station.browser.get("/status-bar")).text
    await put(station, patient())
    assert (await counts(station)).total == 2
    station.hub.revoked = False
    await station.syncs()
    assert (await counts(station)).total == 0


async def test_a_clock_that_is_a_day_off_does_not_keep_the_station_out(station: Station) -> None:
    for days in (1, -1):
        station.hub.clock_offset_s = timedelta(days=days).total_seconds()
        station.agent.tokens.forget()
        await put(station, patient())
        await station.syncs()
        assert (await counts(station)).total == 0


async def test_an_ended_token_is_renewed_without_a_word(station: Station) -> None:
    await station.syncs()
    station.hub.statuses = [(401, {})]
    await put(station, patient())
    await station.syncs()
    assert (await counts(station)).total == 0
    assert station.hub.tokens_issued == 2


@pytest.mark.parametrize("status", [429, 503])
async def test_the_hubs_wish_to_wait_is_honoured(station: Station, status: int) -> None:
    await put(station, patient())
    station.hub.statuses = [(status, {"Retry-After": "40"})]
    wait = await station.agent.syncing._round(station.line)
    assert 35 <= wait <= 44  # the time that was spent is taken off
    assert station.agent.link.state is LinkState.OFFLINE


async def test_a_captive_portal_is_no_hub(station: Station) -> None:
    await put(station, patient())
    portal = httpx.MockTransport(lambda _: httpx.Response(200, text="<html>Accept the terms</html>"))
    async with httpx.AsyncClient(transport=portal) as line:
        with pytest.raises(LinkError):
            await station.agent.syncing.exchange(line)
    assert (await counts(station)).total == 1


async def test_the_hub_is_told_how_the_station_is(station: Station) -> None:
    station.hub.refuses = lambda op: "value"
    await put(station, patient())
    await station.syncs()
    assert station.hub.reports[-1]["refused"] == 1
    assert station.hub.reports[-1]["waiting"] == {"0": 0, "1": 0, "2": 0, "3": 0}


async def test_a_feed_page_that_comes_twice_changes_nothing(station: Station) -> None:
    from clinic_net.protocol.sync import Entry, Page

    person = patient()
    import json

    page = Page(
        entries=(Entry(seq=1, type="Patient", id=person["id"], version=1, body=json.dumps(person)),), cursor=1
    )
    database = station.agent.database
    assert await database.run(lambda tx: feed.store(tx, page, NOW)) == [("Patient", person["id"])]
    assert await database.run(lambda tx: feed.store(tx, page, NOW)) == []


@given(attempt=st.integers(1, 10_000), random=st.floats(0, 1, exclude_max=True))
def test_the_back_off_grows_to_five_minutes_and_no_further(attempt: int, random: float) -> None:
    assert 0 <= wait_before(attempt, lambda: random) <= 300
    assert wait_before(1, lambda: 1.0) == 2


@given(wish=st.floats(0, 1e9), random=st.floats(0, 1))
def test_a_wish_to_wait_is_honoured_within_bounds(wish: float, random: float) -> None:
    assert 1 <= honoured(wish, lambda: random) < 991


async def test_a_batch_has_one_operation_a_record_and_a_bounded_size(station: Station) -> None:
    person = patient()
    await put(station, person)
    for number in range(3):
        await put(station, {**person, "multipleBirthInteger": number})
    await put(station, *[patient(name="x" * 3000) for _ in range(30)])
    batch = await station.agent.database.run(lambda tx: outbox.next_batch(tx, max_ops=50, max_bytes=16_384))
    assert batch is not None
    _, ops = batch
    assert len({op.id for op in ops}) == len(ops)
    assert sum(len(op.body) for op in ops) <= 16_384
    await station.syncs()
    assert station.hub.stored[("Patient", person["id"])]["multipleBirthInteger"] == 2
    assert len(station.hub.stored) == 31
