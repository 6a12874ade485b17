"""What a station is handed in frames: all that is its own, in the newest version, nothing of others, adding up."""

import asyncio
import base64
import gzip
import random
from uuid import uuid4

import pytest

from clinic_net.access import care
from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import MEDIA_TYPE, PageHead, codec, frames
from clinic_net.sync import feed_store
from clinic_net.sync.encodings import codings, dictionary_of, encoded
from clinic_net.sync.errors import NotYourStation
from clinic_net.sync.feed_store import Change
from tests.access.support import OTHER_SITE, SITE, fill
from tests.sync.support import (
    Held,
    Station,
    a_patient,
    a_station,
    enrolled,
    remove,
    served,
    store,
)


@pytest.fixture(scope="module", autouse=True)
async def filled(hub: Hub) -> None:
    await fill(hub)


async def test_a_station_gets_what_is_its_own_and_nothing_of_another(hub: Hub) -> None:
    ours, theirs = a_station(), a_station()
    patient = a_patient()
    await store(hub, ours.principal.site, patient)
    await store(hub, theirs.principal.site, a_patient())

    await ours.pull_all(hub)

    assert set(ours.held[ours.scope].records) == {("Patient", patient["id"])}
    assert theirs.scope not in ours.cursors


async def test_naming_another_station_s_scope_is_of_no_use(hub: Hub) -> None:
    ours, theirs = a_station(), a_station()
    await store(hub, theirs.principal.site, a_patient())
    ours.cursors = {theirs.scope: 0}

    head = await ours.pull(hub)

    assert head.count == 0
    assert theirs.scope not in head.cursors
    with pytest.raises(NotYourStation):
        await ours.pull(hub, station=theirs.principal.site)


async def test_a_changed_record_comes_once_and_a_deleted_one_goes(hub: Hub) -> None:
    station, first, second = a_station(), a_patient(), a_patient()
    await store(hub, station.principal.site, first)
    await store(hub, station.principal.site, second)
    await station.pull_all(hub)
    for gender in ("male", "other", "unknown"):
        await store(hub, station.principal.site, {**first, "gender": gender})
    await remove(hub, "Patient", second["id"])

    assert await station.pull_all(hub) == 2
    assert {key[1]: held[0] for key, held in station.held[station.scope].records.items()} == {first["id"]: 4}


async def test_a_text_newer_than_the_feed_says_does_not_come_under_the_older_number(hub: Hub) -> None:
    station, patient = a_station(), a_patient()
    await store(hub, station.principal.site, patient)
    await store(hub, station.principal.site, {**patient, "gender": "male"}, fed=False)

    await station.pull_all(hub)
    assert station.held[station.scope].records[("Patient", patient["id"])][0] == 1

    await hub.jobs.run_pending()
    await station.pull_all(hub)
    assert station.held[station.scope].records[("Patient", patient["id"])][0] == 2


async def test_what_stations_share_reaches_all_of_a_province_or_the_nation_and_is_about_nobody(
    hub: Hub,
) -> None:
    station, abroad = a_station(SITE), a_station(OTHER_SITE)
    form = {"resourceType": "Questionnaire", "id": str(uuid4()), "status": "active"}
    medicine = {"resourceType": "Medication", "id": str(uuid4()), "code": {"text": "amoxicillin 250 mg"}}
    await store(hub, "national", form)
    await store(hub, "national", a_patient())
    await store(hub, "11", medicine)

    await station.pull_all(hub)
    await abroad.pull_all(hub)

    for each in (station, abroad):
        assert set(each.held["nat"].records) == {("Questionnaire", form["id"])}
    provinces = {scope for scope in (*station.cursors, *abroad.cursors) if scope.startswith("prov:")}
    assert provinces
    for each in (station, abroad):
        held = each.held.get("prov:11")
        assert (held is not None and bool(held.records)) is ("prov:11" in each.cursors)


async def test_what_a_station_may_not_see_any_more_leaves_its_copy(hub: Hub) -> None:
    station, kept, stopped = a_station(), a_patient(), a_patient()
    await store(hub, station.principal.site, kept)
    await store(hub, station.principal.site, stopped)
    await station.pull_all(hub)
    async with hub.sessions() as session, session.begin():
        await care.restrict(session, stopped["id"], by="user:1", at=hub.now())
    await store(hub, station.principal.site, {**stopped, "gender": "male"})

    await station.pull_all(hub)

    assert {key[1] for key in station.held[station.scope].records} == {kept["id"]}
    assert station.checked >= 2


async def test_a_hub_restored_from_a_backup_sets_the_cursor_back_and_says_what_it_holds(hub: Hub) -> None:
    station = a_station()
    await store(hub, station.principal.site, a_patient())
    await station.pull_all(hub)
    reached = station.cursors[station.scope]
    station.cursors[station.scope] = reached + 40

    head = await station.pull(hub)

    assert head.cursors[station.scope] == reached
    assert head.sums[station.scope].count == 1


async def test_small_pages_add_up_to_the_same_as_large_ones(hub: Hub) -> None:
    site = a_station().principal.site
    for _ in range(12):
        await store(hub, site, a_patient(name=[{"text": "y" * 1500}]))
    await store(hub, "national", {"resourceType": "CodeSystem", "id": str(uuid4()), "status": "active",
                                  "content": "complete"})  # fmt: skip
    small, large = a_station(site), a_station(site)

    await small.pull_all(hub, max_bytes=4096)
    await large.pull_all(hub)

    assert small.held == large.held
    assert len(small.held[small.scope].records) == 12


async def test_an_old_copy_and_the_feed_are_a_fresh_copy_whatever_happened(hub: Hub) -> None:
    chance = random.Random(17)
    old = a_station()
    site = old.principal.site
    known = [a_patient() for _ in range(5)]
    for step in range(60):
        match chance.randrange(5):
            case 0:
                await remove(hub, "Patient", chance.choice(known)["id"]) if step > 20 else None
            case 1:
                known.append(a_patient())
                await store(hub, site, known[-1])
            case 2:
                await old.pull(hub, max_bytes=4096)
            case _:
                await store(
                    hub, site, {**chance.choice(known), "gender": chance.choice(["male", "female", "other"])},
                    fed=chance.random() < 0.7,
                )  # fmt: skip
    await hub.jobs.run_pending()
    fresh = a_station(site)

    await old.pull_all(hub, max_bytes=4096)
    await fresh.pull_all(hub)

    assert old.held[old.scope] == fresh.held[fresh.scope]
    assert old.checked
    assert fresh.checked


async def test_sums_hold_while_many_write_the_same_records(hub: Hub) -> None:
    scope = f"stn:03325-{uuid4().hex[:6]}"
    fids = [f"p{n}" for n in range(6)]

    async def write(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(15):
            changes = [
                Change(
                    chance.choice(["put", "put", "delete", "out"]),
                    "Patient",
                    chance.choice(fids),
                    chance.randrange(9),
                )
                for _ in range(4)
            ]
            async with hub.sessions() as session, session.begin():
                await feed_store.append(session, {scope: changes, f"{scope}x": changes})

    await asyncio.gather(*(write(seed) for seed in range(5)))
    async with hub.sessions() as session:
        at, entries = (await feed_store.after(session, {scope: 0}, 100))[scope]
        last, bins = await feed_store.bins(session, scope)

    held = {(e.rtype, e.fid): (e.version, b"") for e in entries if e.kind == "put"}
    assert (at.held, at.sum.sum) == Held(held).sum
    assert last == at.last_seq == max(entry.seq for entry in entries)
    assert sum(each.count for each in bins) == at.held


async def test_over_http_a_page_comes_in_frames_in_the_coding_that_was_asked_for(hub: Hub) -> None:
    async with served(hub) as client:
        device, headers = await enrolled(hub, client, SITE)
        site = SITE
        await store(hub, site, a_patient())
        body = Station(a_station(site).principal).ask().model_dump_json().encode()
        taken = {}
        for coding in ("zstd, gzip", "gzip", "identity"):
            answer = await client.post(
                "/sync/v1/pull",
                content=body if coding != "gzip" else gzip.compress(body),
                headers={
                    **headers, "Content-Type": MEDIA_TYPE, "Accept-Encoding": coding,
                    **({"Content-Encoding": "gzip"} if coding == "gzip" else {}),
                },
            )  # fmt: skip
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"] == MEDIA_TYPE
            said = answer.headers.get("content-encoding", "identity")
            assert said in coding
            stream = (
                codec.decompress(answer.content, "zstd", limit=1 << 20)
                if said == "zstd" and not answer.content.startswith(b"{")
                else answer.content
            )
            head, _ = frames.first_of(stream, PageHead)
            taken[said] = head.count
        assert device.id in next(scope for scope in head.cursors if scope.startswith("dev:"))
    assert set(taken) == {"zstd", "gzip", "identity"}
    assert len(set(taken.values())) == 1


@pytest.mark.parametrize(
    ("body", "coding", "status"),
    [(b"{", "", 400), (b"\x00\x01", "zstd", 400), (b"no", "gzip", 400), (b"x", "br", 400), (b"{}", "", 400)],
)
async def test_what_cannot_be_read_is_refused(hub: Hub, body: bytes, coding: str, status: int) -> None:
    async with served(hub) as client:
        _, headers = await enrolled(hub, client, SITE)
        more = {"Content-Encoding": coding} if coding else {}
        answer = await client.post(
            "/sync/v1/pull", content=body, headers={**headers, "Content-Type": MEDIA_TYPE, **more}
        )
    assert answer.status_code == status
    assert answer.json()["code"] == "malformed-push"


def test_a_dictionary_is_used_only_where_both_have_it() -> None:
    assert codings("dcz, zstd;q=0.5, gzip;q=0") == {"dcz", "zstd"}
    assert dictionary_of(":AAAA:") is None
    assert dictionary_of("nonsense") is None
    body, fields = encoded(b"x" * 500, {"accept-encoding": "dcz, zstd", "available-dictionary": ":AAAA:"})
    assert fields["Content-Encoding"] == "zstd"
    assert len(body) < 100
    for known in codec.dictionaries():
        named = base64.b64encode(known.digest).decode()
        _, fields = encoded(b"x" * 500, {"accept-encoding": "dcz", "available-dictionary": f":{named}:"})
        assert fields["Content-Encoding"] == "dcz"
