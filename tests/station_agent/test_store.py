"""What was called saved is on the disk, whatever happens next."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clinic_net.protocol.sync import Lane
from station_agent.errors import NewerDatabase
from station_agent.store import Database, cipher, outbox, settings
from station_agent.store.records import Desk
from tests.station_agent.conftest import NOW

NURSE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4
from station_agent.store import Database
from station_agent.store.records import Desk

now = datetime(2026, 11, 22, tzinfo=UTC)
database = Database(Path(sys.argv[1]), now)
while True:
    rid = str(uuid4())
    with database.transaction() as tx:
        desk = Desk(tx, now=now, by="nurse")
        desk.put({"resourceType": "Patient", "id": rid, "name": [{"text": "Lò Văn Pá"}]})
        desk.put({"resourceType": "Observation", "id": rid, "subject": {"reference": "Patient/" + rid}})
    print(rid, flush=True)
"""


def saved_until_killed(path: Path, after_s: float) -> list[str]:
    """Let a nurse work and pull the plug; return what she was told is saved."""
    nurse = subprocess.Popen([sys.executable, "-c", NURSE, str(path)], stdout=subprocess.PIPE, text=True)
    assert nurse.stdout is not None
    first = nurse.stdout.readline()
    time.sleep(after_s)
    os.kill(nurse.pid, signal.SIGKILL)
    rest = nurse.stdout.read()
    nurse.wait()
    nurse.stdout.close()
    return [line.strip() for line in [first, *rest.splitlines(keepends=True)] if line.endswith("\n")]


@pytest.mark.processes
def test_nothing_that_was_called_saved_is_missing_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "station.sqlite3"
    chance = random.Random(11)
    told: list[str] = []
    for _ in range(6):
        told += saved_until_killed(path, chance.uniform(0.0, 0.15))
    database = Database(path, NOW)
    with database.transaction() as tx:
        assert tx.execute("pragma integrity_check").fetchone()[0] == "ok"
        people = {row[0] for row in tx.execute("select id from resource where rtype = 'Patient'")}
        queued = {row[0] for row in tx.execute("select id from outbox where rtype = 'Patient'")}
        measured = {row[0] for row in tx.execute("select id from outbox where rtype = 'Observation'")}
        numbers = [row[0] for row in tx.execute("select op from outbox order by op")]
    database.close()
    assert len(told) > 20
    assert set(told) <= people
    assert people == queued == measured
    assert numbers == list(range(1, len(numbers) + 1))


def test_work_that_failed_half_way_leaves_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "station.sqlite3", NOW)

    class Power(Exception):
        pass

    def half_way() -> None:
        with database.transaction() as tx:
            Desk(tx, now=NOW, by="").put({"resourceType": "Patient", "id": "p", "name": [{"text": "A"}]})
            raise Power

    with pytest.raises(Power):
        half_way()
    with database.transaction() as tx:
        assert tx.execute("select count(*) from resource").fetchone()[0] == 0
        assert outbox.counts(tx).total == 0
        assert tx.execute("select count(*) from patient_index").fetchone()[0] == 0
    database.close()


def test_commits_wait_for_the_disk(tmp_path: Path) -> None:
    database = Database(tmp_path / "station.sqlite3", NOW)
    with database.transaction() as tx:
        assert tx.execute("pragma journal_mode").fetchone()[0] == "wal"
        assert tx.execute("pragma synchronous").fetchone()[0] == 2
    database.close()


def test_the_epoch_is_made_with_the_database_and_stays(tmp_path: Path) -> None:
    epochs = []
    for _ in range(2):
        database = Database(tmp_path / "station.sqlite3", NOW)
        with database.transaction() as tx:
            epochs.append(settings.get(tx, "db_epoch"))
        database.close()
    other = Database(tmp_path / "other.sqlite3", NOW)
    with other.transaction() as tx:
        epochs.append(settings.get(tx, "db_epoch"))
    other.close()
    assert epochs[0] == epochs[1] != epochs[2]


def test_a_database_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "station.sqlite3"
    Database(path, NOW).close()
    connection = cipher.connect(path, cipher.key_of(tmp_path, records=True))
    connection.execute("pragma user_version = 99")
    connection.close()
    with pytest.raises(NewerDatabase):
        Database(path, NOW)


def test_a_number_is_never_given_twice_even_after_pruning(tmp_path: Path) -> None:
    database = Database(tmp_path / "station.sqlite3", NOW)
    with database.transaction() as tx:
        first = Desk(tx, now=NOW, by="").put({"resourceType": "Basic", "id": "a"}, lane=Lane.CARE)
    with database.transaction() as tx:
        tx.execute("delete from outbox")
    with database.transaction() as tx:
        second = Desk(tx, now=NOW, by="").put({"resourceType": "Basic", "id": "b"}, lane=Lane.CARE)
    database.close()
    assert first is not None
    assert second == first + 1
