"""The framed form: batches are sent again byte for byte, copies add up, what differs is mended, what must go goes."""

import json
import sqlite3
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import zstandard
from joserfc.jwk import ECKey

from clinic_net.protocol.sync import EntryHead, Lane, OpHead, PageHead, PushHead, codec, frames
from station_agent import clock
from station_agent.agent import Agent, Options
from station_agent.errors import LinkError
from station_agent.link.pushing import LIMITS
from station_agent.store import (
    Tx,
    batches,
    erasing,
    figures,
    outbox,
    pages,
    records,
    scopes,
    settings,
    snapshots,
)
from station_agent.store.schema import STEPS
from tests.station_agent.conftest import NOW, Station
from tests.station_agent.test_sync import counts, observation, patient, put, state_of

OWN = "stn:03163-01"


async def run(station: Station, work: Any) -> Any:
    return await station.agent.database.run(work)


def everything_in(data: Path) -> bytes:
    """Return all bytes of the store's files."""
    return b"".join(path.read_bytes() for path in data.iterdir() if path.name.startswith("station.sqlite3"))


async def agrees(station: Station, scope: str = OWN) -> bool:
    """Whether the station holds exactly what the hub's scope holds, and its sums say so."""

    def look(tx: Tx) -> tuple[dict[tuple[str, str], int], scopes.Scope]:
        held = {(rtype, rid): version for rtype, rid, version in scopes.held_in(tx, scope)}
        return held, scopes.every(tx)[scope]

    held, known = await run(station, look)
    told = station.hub._sum(scope)
    return bool(held == station.hub.holds(scope) and known.agrees(told) and not known.suspect)


async def test_fifty_records_leave_in_one_signed_batch(station: Station) -> None:
    await put(station, *[patient() for _ in range(50)])
    await put(station, patient(), lane=Lane.URGENT)
    await station.syncs()
    assert [(lane, len(ops)) for lane, ops in station.hub.pushes] == [(0, 1), (1, 50)]
    _, _, headers = station.hub.batches[1]
    assert set(headers) == {
        "host", "authorization", "content-type", "content-encoding", "sync-signature", "content-length",
    }  # fmt: skip
    assert await agrees(station)


async def test_what_was_saved_together_is_not_parted(station: Station) -> None:
    await put(station, *[patient() for _ in range(30)])
    await put(station, *[patient() for _ in range(30)])
    await station.syncs()
    assert [len(ops) for _, ops in station.hub.pushes] == [30, 30]


async def test_a_batch_is_small_enough_that_an_urgent_one_does_not_wait(station: Station) -> None:
    noise = [{**patient(), "text": {"div": uuid4().hex * 120}} for _ in range(20)]
    await put(station, *noise)
    await station.syncs()
    assert len(station.hub.stored) == 20
    for coding, raw, _ in station.hub.batches:
        stream = codec.decompress(raw, coding, limit=1 << 22)
        assert len(raw) <= LIMITS[Lane.CARE].wire * 1.1 or frames.first_of(stream, PushHead)[0].count == 1


async def test_a_batch_without_an_answer_goes_again_before_the_next_of_its_lane(station: Station) -> None:
    await put(station, patient())
    station.hub.lost_answers = 1
    with pytest.raises(httpx.HTTPError):
        await station.syncs()
    await put(station, patient())
    await station.syncs()
    sent = [raw for _, raw, _ in station.hub.batches]
    assert len(sent) == 3
    assert sent[0] == sent[1] != sent[2]
    assert len(station.hub.effects) == 2


async def test_an_urgent_change_is_not_held_up_by_a_batch_of_another_lane_that_got_no_answer(
    station: Station,
) -> None:
    person = patient()
    await put(station, person)
    station.hub.lost_answers = 1
    with pytest.raises(httpx.HTTPError):
        await station.syncs()
    await put(station, *[patient() for _ in range(3)], lane=Lane.ROUTINE)
    await put(station, {**person, "active": True}, lane=Lane.URGENT)
    await station.syncs()
    assert [frames.first_of(codec.decompress(raw, c, limit=1 << 22), PushHead)[0].lane for c, raw, _ in
            station.hub.batches] == [1, 1, 0, 2]  # fmt: skip
    assert station.hub.stored[("Patient", person["id"])]["active"] is True


async def test_what_the_hub_has_not_applied_yet_is_asked_for_later(station: Station) -> None:
    person = patient()
    station.hub.pending = True
    await put(station, person)
    station.hub.defers = lambda op: True
    await station.syncs()
    assert (await counts(station)).total == 1
    assert await state_of(station, "Patient", person["id"]) == "local"
    station.hub.defers = lambda op: False
    await run(station, lambda tx: tx.execute("update batch set asked_at = '2020-01-01'"))
    await station.syncs()
    assert (await counts(station)).total == 0
    assert len(station.hub.batches) == 1
    await station.syncs()
    assert station.hub.asked[-1].asks == ()
    assert await agrees(station)


async def test_a_merged_change_keeps_its_base_until_the_merged_record_comes(station: Station) -> None:
    person = patient()
    await put(station, person)
    await station.syncs()
    station.hub._apply = lambda epoch, op: _merges(station, epoch, op)  # type: ignore[method-assign]
    await put(station, {**person, "active": True})
    await station.syncs()
    held = await run(station, lambda tx: records.read(tx, "Patient", person["id"]))
    assert (held.state, held.hub_version, held.resource["gender"]) == ("synced", 7, "female")


def _merges(station: Station, epoch: str, op: dict[str, Any]) -> dict[str, Any]:
    merged = {**json.loads(op["body"]), "gender": "female"}
    station.hub.feed_put((op["type"], op["id"]), 7, json.dumps(merged).encode())
    answer = {"op": op["op"], "outcome": "merged", "version": 7}
    station.hub.records.answers[(epoch, op["op"])] = answer
    return answer


async def test_a_hub_brought_back_from_a_backup_gets_everything_again(station: Station) -> None:
    await put(station, *[patient() for _ in range(4)])
    await station.syncs()
    backup = station.hub.backup()
    for _ in range(3):
        await put(station, patient(), patient())
        await station.syncs()
    station.hub.restore(backup)
    await put(station, patient())
    await station.syncs()
    await station.syncs()
    assert len(station.hub.stored) == 11
    assert (await counts(station)).total == 0
    assert await agrees(station)


async def test_what_a_restored_hub_lost_and_no_batch_holds_any_more_is_found_by_its_sums(
    station: Station,
) -> None:
    backup = station.hub.backup()
    await put(station, *[patient() for _ in range(9)])
    await station.syncs()
    station.hub.restore(backup)
    await run(station, lambda tx: tx.execute("delete from batch"))
    await run(station, lambda tx: tx.execute("delete from outbox"))
    await station.syncs()
    await station.syncs()
    assert len(station.hub.stored) == 9
    assert await agrees(station)


async def test_a_copied_database_goes_on_under_another_name_and_loses_nothing(station: Station) -> None:
    first = [patient() for _ in range(3)]
    await put(station, *first)
    await station.syncs()
    epoch = await run(station, lambda tx: settings.get(tx, "db_epoch"))
    # The other copy has sent its own second batch under the same name.
    station.hub.records.chains[(epoch, 1)].append("of the other copy")
    mine = patient()
    await put(station, mine)
    await station.syncs()
    assert await run(station, lambda tx: settings.get(tx, "db_epoch")) == station.hub.records.forks[epoch]
    assert station.hub.stored[("Patient", mine["id"])] == mine
    assert (await counts(station)).total == 0
    assert await run(station, lambda tx: settings.get(tx, "forked_at")) is not None


async def test_a_hub_without_our_dictionary_is_written_to_without_it(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = b"resourceType Patient name text " * 40
    known = codec.Dictionary(1, sha256(raw).digest(), zstandard.ZstdCompressionDict(raw), {})
    monkeypatch.setattr(codec, "dictionaries", lambda: (known,))
    station.hub.no_dictionary = True
    await put(station, patient())
    await station.syncs()
    await put(station, patient())
    await station.syncs()
    assert [coding for coding, _, _ in station.hub.batches] == ["dcz", "zstd", "zstd"]
    station.hub.no_dictionary = False
    await run(station, lambda tx: settings.put(tx, "plain_until", ""))
    await put(station, patient())
    await station.syncs()
    assert station.hub.batches[-1][0] == "dcz"
    assert len(station.hub.stored) == 3


# -- down


async def test_a_copy_that_differs_is_mended_bin_by_bin(station: Station) -> None:
    for number in range(40):
        station.hub.sends_down(patient(f"p{number}"))
    await station.syncs()
    assert await agrees(station)

    def spoil(tx: Tx) -> None:
        tx.execute("delete from held where id in ('p3', 'p4')")
        tx.execute("delete from resource where id in ('p3', 'p4')")
        tx.execute("insert into held values (?, 'Patient', 'ghost', 1)", (OWN,))
        scopes.bins(tx, OWN)

    await run(station, spoil)
    await station.syncs()
    await station.syncs()
    assert await agrees(station)
    assert await run(station, lambda tx: records.find(tx, "Patient", "p3")) is not None
    asked = [len(ask.bins) for ask in station.hub.repairs]
    assert asked[0] == 0
    assert max(asked) <= 3


async def test_what_left_the_scope_goes_once_nothing_about_it_waits(station: Station) -> None:
    person, other = patient(), patient()
    for each in (person, other):
        station.hub.sends_down(each)
    await station.syncs()
    key = ("Patient", person["id"])
    station.hub.refuses = lambda op: "required" if op["id"] == person["id"] else None
    await put(station, {**person, "active": True})
    station.hub.feed_out(key)
    await station.syncs()
    assert await run(station, lambda tx: records.find(tx, *key)) is not None
    op = (await run(station, outbox.listing))[0].op
    await run(station, lambda tx: outbox.settle(tx, op))
    await station.syncs()
    assert await run(station, lambda tx: records.find(tx, *key)) is None
    assert await run(station, lambda tx: records.find(tx, "Patient", other["id"])) is not None
    assert await agrees(station)


async def test_a_record_of_two_scopes_stays_when_it_leaves_one(station: Station) -> None:
    person = patient()
    key, text = ("Patient", person["id"]), json.dumps(person).encode()
    station.hub.feed_put(key, 1, text)
    station.hub.feed_put(key, 1, text, scope="nat")
    await station.syncs()
    station.hub.feed_out(key)
    await station.syncs()
    assert await run(station, lambda tx: records.find(tx, *key)) is not None
    station.hub.feed_out(key, scope="nat", kind="delete")
    await station.syncs()
    assert await run(station, lambda tx: records.find(tx, *key)) is None


async def test_an_erased_patient_is_in_no_byte_of_the_files_and_a_receipt_says_so(
    station: Station, data: Path
) -> None:
    name = "Vàng Thị Xuyến Chi"
    person = patient(name=name)
    key = ("Patient", person["id"])
    measured = observation(person["id"])
    await put(station, person, measured)
    for _ in range(30):
        await put(station, patient(), patient())
    await station.syncs()
    await put(station, {**person, "active": True})
    station.hub.departed.add(key)
    station.hub.feed_out(key)  # this copy leaves as any that left does; the order finds what else there is
    station.hub.feed_put(key, 0, b"", scope=f"dev:{station.hub.device}")
    station.hub.records.scopes[f"dev:{station.hub.device}"][key].kind = "purge"
    await station.syncs()
    assert station.hub.stored[key]["active"] is True  # what was unsent went first
    [receipt] = station.hub.receipts
    assert (receipt["patient"], receipt["erased"], receipt["device"]) == (person["id"], 1, station.hub.device)
    station.hub.feed_out(("Observation", measured["id"]))
    await station.syncs()
    assert len(station.hub.receipts) == 1
    assert await agrees(station)
    station.agent.database._tidy()
    left = everything_in(data)
    assert (left.count(name.encode()), left.count(person["id"].encode())) == (0, 0)
    kept = await run(station, lambda tx: tx.execute("select body, coding from batch").fetchall())
    for row in kept:
        assert person["id"].encode() not in codec.decompress(row["body"], row["coding"], limit=1 << 22)


async def test_a_device_that_the_hub_signs_off_erases_all_but_what_only_it_has(
    station: Station, data: Path
) -> None:
    await put(station, *[patient(name="Giàng A Páo") for _ in range(5)])
    station.hub.sends_down(patient(name="Giàng A Páo"))
    await station.syncs()
    await put(station, patient("mine"))
    station.hub.revoked = True
    for _ in range(2):
        await station.agent.syncing._round(station.line)
    [receipt] = station.hub.receipts
    assert (receipt["patient"], receipt["seq"], receipt["erased"]) == ("*", 77, 7)
    assert everything_in(data).count("Giàng A Páo".encode()) == 0
    assert await run(station, lambda tx: tx.execute("select count(*) from resource").fetchone()[0]) == 0
    assert (await counts(station)).total == 1
    station.hub.revoked = False  # somebody lets it in again
    await station.syncs()
    assert ("Patient", "mine") in station.hub.stored


async def test_a_refusal_that_the_hub_did_not_sign_erases_nothing(station: Station) -> None:
    await put(station, patient())
    await station.syncs()
    station.hub.revoked = True
    station.hub.signing_key = ECKey.generate_key("P-256", private=True)
    await station.agent.syncing._round(station.line)
    assert await run(station, lambda tx: tx.execute("select count(*) from resource").fetchone()[0]) == 1


async def test_a_station_that_waited_shows_the_hubs_ticket(station: Station) -> None:
    await put(station, patient())
    station.hub.statuses = [(429, {"Retry-After": "1", "Sync-Ticket": "slot.1"})]
    await station.agent.syncing._round(station.line)
    station.agent.syncing.half.__init__(station.hub.station)  # type: ignore[misc]  # the time has passed
    await station.syncs()
    assert station.hub.batches[0][2]["sync-ticket"] == "slot.1"


async def test_a_commune_comes_as_a_prepared_copy_part_by_part(station: Station) -> None:
    for number in range(60):
        station.hub.sends_down(patient(f"p{number}"))
    station.hub.prepare_snapshot(OWN, per_segment=20)
    station.hub.sends_down(patient("p7", "Lò Thị Mới"), version=2)  # newer than the copy
    station.hub.sends_down(patient("late"))
    station.hub.feed_out(("Patient", "p9"))
    await station.syncs()
    await station.syncs()
    assert await agrees(station)
    assert await run(station, lambda tx: records.find(tx, "Patient", "p9")) is None
    held = await run(station, lambda tx: records.read(tx, "Patient", "p7"))
    assert held.resource["name"][0]["text"] == "Lò Thị Mới"
    [progress] = await run(station, figures.progresses)
    assert (progress.scope, progress.done, progress.total) == (OWN, 60, 60)
    assert not await run(station, snapshots.pending)


async def test_the_first_part_of_a_copy_is_there_while_the_others_are_not(station: Station) -> None:
    for number in range(60):
        station.hub.sends_down(patient(f"p{number}"))
    station.hub.prepare_snapshot(OWN, per_segment=20)
    assert station.hub.snapshot is not None
    whole = station.hub.snapshot[1][1]
    station.hub.snapshot[1][1] = b"x" * len(whole)
    with pytest.raises(LinkError, match="snapshot-damaged"):
        await station.syncs()
    assert await run(station, lambda tx: tx.execute("select count(*) from resource").fetchone()[0]) == 20
    station.hub.snapshot[1][1] = whole
    await station.syncs()
    assert await agrees(station)
    assert [n for n, _ in station.hub.segments_asked] == [0, 1, 1, 2]  # the first was not fetched again


async def test_a_copy_that_the_hub_did_not_sign_is_not_taken(station: Station) -> None:
    for number in range(5):
        station.hub.sends_down(patient(f"p{number}"))
    station.hub.prepare_snapshot(OWN, per_segment=20)
    station.hub.signing_key = ECKey.generate_key("P-256", private=True)
    with pytest.raises(LinkError, match="not-signed"):
        await station.syncs()
    assert await run(station, lambda tx: tx.execute("select count(*) from resource").fetchone()[0]) == 0
    # A hub that changed its key says so over the line that it is trusted on.
    station.hub.published_key = station.hub.signing_key
    await station.syncs()
    assert await agrees(station)


# -- what it costs


async def test_bytes_are_counted_by_lane_and_day(station: Station) -> None:
    await put(station, *[patient() for _ in range(5)])
    await put(station, patient(), lane=Lane.URGENT)
    await station.syncs()
    day = (clock.now() + timedelta(hours=7)).date()
    spent = await run(station, lambda tx: figures.spent_on(tx, day))
    assert spent[Lane.URGENT].up > 300
    assert spent[Lane.CARE].up > spent[Lane.URGENT].up
    assert spent[Lane.CARE].down > 0
    assert spent[Lane.BULK].total == 0


async def test_the_hub_sets_the_days_budget_unless_a_technician_did(station: Station) -> None:
    station.hub.config = {"day_bytes": 5_000_000, "pull_every_s": 10, "later": {"x": 1}}
    await station.syncs()
    assert await run(station, figures.budget) == 5_000_000
    assert station.agent.syncing.half.pull_every_s == 15.0
    await run(station, lambda tx: settings.put(tx, "budget_is_local", "1"))
    await run(station, lambda tx: figures.put_budget(tx, 7))
    await station.syncs()
    assert await run(station, figures.budget) == 7


async def test_routine_work_waits_for_tomorrow_when_the_day_is_spent_and_care_does_not(
    station: Station,
) -> None:
    await run(station, lambda tx: figures.put_budget(tx, 1000))
    day = (clock.now() + timedelta(hours=7)).date()
    await run(station, lambda tx: figures.spent(tx, day, Lane.CARE, 900, 200))
    await put(station, patient("routine"), lane=Lane.ROUTINE)
    await put(station, patient("care"))
    await put(station, patient("urgent"), lane=Lane.URGENT)
    await station.syncs()
    assert {rid for _, rid in station.hub.stored} == {"care", "urgent"}
    await run(station, lambda tx: figures.put_budget(tx, None))
    await station.syncs()
    assert len(station.hub.stored) == 3


# -- an older program's data


async def test_work_of_an_earlier_release_goes_on(data: Path, station: Station) -> None:
    """The database as the first release left it: something answered, something sent, something waiting."""
    settings_of = "select key, value from setting"
    kept = await station.agent.database.run(lambda tx: dict(map(tuple, tx.execute(settings_of).fetchall())))
    station.agent.close()
    path = data / "station.sqlite3"
    path.unlink()
    old = sqlite3.connect(path)
    for statement in STEPS[0]:
        old.execute(statement)
    old.execute("pragma user_version = 1")
    old.executemany("insert into setting values (?, ?)", [*kept.items()])
    station.hub.sends_down(patient("down"))
    old.execute("update setting set value = '1' where key = 'cursor'")
    rows = [
        ("done", "applied", 1, "synced"),
        ("sent", "sent", None, "local"),
        ("new", "waiting", None, "local"),
    ]
    for rid, leg, version, state in rows:
        text = json.dumps(patient(rid))
        old.execute(
            "insert into resource values ('Patient', ?, ?, ?, ?, ?, null, '')",
            (rid, text, version, state, rid),
        )
        old.execute(
            """insert into outbox (tx, lane, kind, rtype, id, at, by, text, leg)
               values (1, 1, 'put', 'Patient', ?, ?, 'nurse', ?, ?)""",
            (rid, NOW.isoformat(), text, leg),
        )
    text = json.dumps(patient("down"))
    old.execute("insert into resource values ('Patient', 'down', ?, 1, 'synced', 'down', null, '')", (text,))
    old.commit()
    old.close()
    done = patient("done")
    station.hub.records.stored[("Patient", "done")] = done
    station.hub.records.versions[("Patient", "done")] = 1
    station.hub.feed_put(("Patient", "done"), 1, json.dumps(done).encode())
    agent = Agent(Options(data))
    try:
        await agent.syncing.exchange(station.line)
        await agent.syncing.exchange(station.line)
        assert set(station.hub.stored) == {("Patient", rid) for rid in ("done", "sent", "new")}
        assert (await agent.database.run(outbox.counts)).total == 0
        assert await agrees(Station(agent, station.hub, station.browser, station.line))
        assert await agent.database.run(lambda tx: records.find(tx, "Patient", "down")) is not None
    finally:
        agent.close()


def test_pruning_keeps_what_a_restored_hub_may_ask_for(agent: Agent) -> None:
    maker = batches.Maker("03163-01", "0", lambda stream: "s")
    with agent.database.transaction() as tx:
        records.Desk(tx, now=NOW, by="").put(patient("p"))
        made = batches.next_of(tx, Lane.CARE, maker, LIMITS[Lane.CARE], now=NOW)
        assert made is not None
        head, start = frames.first_of(batches.stream_of(made), PushHead)
        assert [op.op for op, _ in frames.frames_of(batches.stream_of(made), start, OpHead, head.count)] == [
            1
        ]
        tx.execute("update batch set state = 'settled', settled_at = ?", (NOW.isoformat(),))
        assert batches.prune(tx, NOW + timedelta(days=29)) == 0
        assert batches.prune(tx, NOW + timedelta(days=31)) == 1


def test_a_page_that_comes_late_or_twice_changes_nothing(agent: Agent) -> None:
    text = json.dumps(patient("p")).encode()
    entry = (EntryHead(scope=OWN, seq=1, type="Patient", id="p", version=1, size=len(text)), text)
    head = PageHead(cursors={OWN: 1}, count=1)
    with agent.database.transaction() as tx:
        scopes.begin(tx, [OWN], OWN)
        assert pages.store(tx, head, [entry], {OWN: 0}, NOW).changed == [("Patient", "p")]
        assert pages.store(tx, head, [entry], {OWN: 0}, NOW).changed == []
        assert erasing.due(tx) == []
