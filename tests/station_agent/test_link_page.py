"""The page of the link, and what a technician is told."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.protocol.sync import Lane
from station_agent import cli, clock, lock
from station_agent.condition import needs_a_person, status
from station_agent.store import Tx, figures, settings
from station_agent.store.figures import Progress, Queue, Spent
from station_agent.web.link_view import Facts, Verdict, clock_is_wrong, course, link_view
from station_agent.web.words import size_text
from tests.station_agent.conftest import NOW, NURSE, Station
from tests.station_agent.test_pages import registered

NOTHING = Facts(
    queues={int(lane): Queue() for lane in Lane}, spent={}, month=0, budget=None, progresses=(), needs_you=0,
    last_contact=NOW.isoformat(),
)  # fmt: skip
queue = st.builds(Queue, st.integers(0, 3), st.integers(0, 3))
progress = st.builds(
    Progress, st.sampled_from(["snapshot", "file:1"]), st.integers(0, 5), st.one_of(st.none(), st.integers(0, 5)),
    st.just(""), st.just(""),
)  # fmt: skip


@given(
    queues=st.fixed_dictionaries({int(lane): queue for lane in Lane}), needs_you=st.integers(0, 2),
    progresses=st.lists(progress, max_size=3), contact=st.one_of(st.none(), st.just(NOW.isoformat())),
)  # fmt: skip
def test_all_is_there_only_when_all_that_was_saved_was_taken(
    queues: dict[int, Queue], needs_you: int, progresses: list[Progress], contact: str | None
) -> None:
    facts = replace(NOTHING, queues=queues, needs_you=needs_you, progresses=progresses, last_contact=contact)
    open_work = (
        sum(each.total for each in queues.values()) or needs_you or any(not each.over for each in progresses)
    )
    assert (link_view(facts).verdict is Verdict.ALL_THERE) == (not open_work and contact is not None)
    if needs_you:
        assert link_view(facts).verdict is Verdict.NEEDS_YOU


def test_the_pace_until_now_tells_how_long_it_will_take() -> None:
    began = Progress("snapshot", 25, 100, NOW.isoformat(), (NOW + timedelta(minutes=5)).isoformat())
    assert course(began).left_minutes == 15
    for unknown in (replace(began, total=None), replace(began, done=0), replace(began, at="", began="")):
        assert course(unknown).left_minutes is None


def test_a_day_that_cost_its_budget_is_told() -> None:
    facts = replace(NOTHING, spent={0: Spent(300, 200), 1: Spent(400, 0)}, budget=900)
    assert link_view(facts).over_budget
    assert not link_view(replace(facts, budget=901)).over_budget
    assert not link_view(replace(facts, budget=None)).over_budget


@pytest.mark.parametrize(
    ("offset", "minutes"), [(None, None), ("300", None), ("301", 5), ("-86400", -1440), ("x", None)]
)
def test_a_clock_counts_as_wrong_past_five_minutes(offset: str | None, minutes: int | None) -> None:
    assert clock_is_wrong(offset) == minutes


def test_bytes_are_told_as_people_read_them() -> None:
    assert [size_text(size, "vi") for size in (0, 999, 3_400, 12_000_000, 5_000_000_000_000)] == [
        "0 B", "999 B", "3,4 kB", "12,0 MB", "5000,0 GB",
    ]  # fmt: skip
    assert size_text(3_400, "en") == "3.4 kB"


async def test_the_page_says_what_waits_what_it_cost_and_what_comes_in(station: Station) -> None:
    await registered(station)
    today = figures.day_of(clock.now())

    def fill(tx: Tx) -> None:
        figures.put_budget(tx, 2_000)
        figures.spent(tx, today, Lane.CARE, 1_500, 600)
        figures.progress(tx, "snapshot", 40, 100, now=NOW)

    await station.agent.database.run(fill)
    page = (await station.browser.get("/waiting")).text
    assert 'data-verdict="first-copy"' in page
    assert "40 / 100" in page
    assert "Hôm nay 2,1 kB trên 2,0 kB" in page
    assert "Đã dùng hết dung lượng trong ngày" in page
    await station.agent.database.run(lambda tx: figures.progress(tx, "snapshot", 100, 100, now=NOW))
    assert 'data-verdict="waits"' in (await station.browser.get("/waiting")).text
    await station.syncs()
    assert 'data-verdict="all-there"' in (await station.browser.get("/waiting")).text


async def test_who_leads_sets_what_a_day_may_cost(station: Station) -> None:
    for text, kept in (("5", 5_000_000), ("", None), ("120", 120_000_000)):
        answer = await station.browser.post("/waiting/budget", data={"megabytes": text})
        assert answer.status_code == 200
        assert await station.agent.database.run(figures.budget) == kept
    for wrong in ("0", "-5", "5.5", "x", "9999999", "٥"):
        assert (await station.browser.post("/waiting/budget", data={"megabytes": wrong})).status_code == 404
    assert await station.agent.database.run(figures.budget) == 120_000_000


async def test_what_was_refused_is_never_called_done(station: Station) -> None:
    station.hub.refuses = lambda op: "structure" if op["type"] == "AllergyIntolerance" else None
    await registered(station)
    await station.syncs()
    page = (await station.browser.get("/waiting")).text
    assert 'data-verdict="needs-you"' in page
    assert "Mọi thứ đã lưu ở đây đều đã được tuyến trên tiếp nhận." not in page


async def test_a_technician_is_told_everything_but_patients_with_the_agent_and_without(
    station: Station, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await registered(station)
    await station.agent.database.run(lambda tx: settings.put(tx, "clock_offset", "2"))
    running = (await station.browser.get("/api/status")).json()
    assert lock.is_held(data)
    station.agent.close()
    assert cli.main(["status", "--data", str(data)]) == cli.OK
    text = capsys.readouterr().out
    told = json.loads(text)
    assert told["link"] == "stopped"
    assert told.keys() >= {
        "waiting", "refused", "conflicts", "bytes_today", "budget_bytes", "progress", "last_contact", "clock_offset_s",
        "versions", "store", "accounts", "lan_authority", "db_epoch",
    }  # fmt: skip
    assert told["store"].keys() == running["store"].keys()
    assert told["store"]["bytes"] > 4096
    assert told["store"]["sealed"] == told["store"]["device_key_sealed"] == "machine-id"
    assert told["store"]["check"]["problems"] == 0
    assert told["waiting_total"] == running["waiting_total"] == 2
    for word in ("Vàng", "Mỷ", "002185012345", "Penicillin", NURSE["pin"]):
        assert word not in text
    assert not needs_a_person(status(data))


def test_a_lead_who_forgot_the_pin_is_helped_by_the_technician(
    station: Station, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["staff", "reset", "lan", "--data", str(data)]) == cli.ALREADY_RUNNING
    station.agent.close()
    capsys.readouterr()
    assert cli.main(["staff", "reset", "lan", "--data", str(data)]) == cli.OK
    given = json.loads(capsys.readouterr().out)
    assert given["pin"].isdecimal()
    assert cli.main(["staff", "reset", "nobody", "--data", str(data)]) == cli.NEEDS_ATTENTION
    capsys.readouterr()
    assert cli.main(["staff", "list", "--data", str(data)]) == cli.OK
    assert json.loads(capsys.readouterr().out) == [
        {"login": "lan", "name": "Lò Thị Lan", "leads": True, "active": True, "has_pin": True}
    ]
