"""What the link costs, and how far it is."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from clinic_net.protocol.sync import Lane
from station_agent.store import Database, Tx, figures
from station_agent.store.figures import Progress, Spent
from tests.station_agent.conftest import NOW

TODAY = date(2026, 11, 22)


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Tx]:
    database = Database(tmp_path / "station.sqlite3", NOW)
    with database.transaction() as tx:
        yield tx
    database.close()


def test_bytes_add_up_by_day_and_lane(tx: Tx) -> None:
    figures.spent(tx, TODAY, Lane.URGENT, 300, 40)
    figures.spent(tx, TODAY, Lane.URGENT, 200, 60)
    figures.spent(tx, TODAY, Lane.CARE, 1000, 0)
    figures.spent(tx, TODAY - timedelta(days=1), Lane.CARE, 7, 7)
    today = figures.spent_on(tx, TODAY)
    assert today[Lane.URGENT] == Spent(500, 100)
    assert today[Lane.CARE].total == 1000
    assert set(today) == {int(lane) for lane in Lane}, "a lane that cost nothing is there with nothing"
    assert figures.spent_since(tx, TODAY - timedelta(days=1)) == Spent(1507, 107)


def test_days_long_past_are_forgotten(tx: Tx) -> None:
    figures.spent(tx, TODAY - figures.KEEP - timedelta(days=1), Lane.CARE, 1, 1)
    figures.spent(tx, TODAY, Lane.CARE, 1, 1)
    assert figures.prune(tx, TODAY) == 1
    assert figures.spent_since(tx, date.min).total == 2


def test_a_budget_can_be_set_and_taken_back(tx: Tx) -> None:
    assert figures.budget(tx) is None
    figures.put_budget(tx, 5_000_000)
    assert figures.budget(tx) == 5_000_000
    figures.put_budget(tx, None)
    assert figures.budget(tx) is None


def test_progress_goes_on_from_where_it_began_and_begins_anew_with_nothing_done(tx: Tx) -> None:
    later = NOW + timedelta(minutes=5)
    figures.progress(tx, "snapshot", 0, None, now=NOW)
    figures.progress(tx, "snapshot", 40, 100, now=later)
    assert figures.progresses(tx) == [Progress("snapshot", 40, 100, NOW.isoformat(), later.isoformat())]
    assert not figures.progresses(tx)[0].over
    figures.progress(tx, "snapshot", 100, 100, now=later)
    assert figures.progresses(tx)[0].over
    figures.progress(tx, "snapshot", 0, 100, now=later)
    assert figures.progresses(tx)[0].began == later.isoformat()
    figures.no_progress(tx, "snapshot")
    assert figures.progresses(tx) == []
