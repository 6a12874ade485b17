"""What the mains, the disk and the clock do to a station's store."""

import contextlib
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest

from clinic_net.protocol.sync import Lane
from station_agent import clock
from station_agent.agent import Agent, Options
from station_agent.condition import needs_a_person, status
from station_agent.errors import StoreFull
from station_agent.staff import service as staff
from station_agent.staff import store as accounts
from station_agent.store import Database, checking, cipher, outbox, records, rescue, settings
from station_agent.store.database import FILE_NAME
from station_agent.store.records import Desk
from tests.station_agent.conftest import NOW, Station
from tests.station_agent.test_pages import PATIENT, registered

SECTOR = 512
"""What a disk writes whole, if anything."""


def put(database: Database, number: int) -> None:
    """One piece of work: a patient and a measurement, saved and queued together."""
    with database.transaction() as tx:
        desk = Desk(tx, now=NOW, by="nurse:lan")
        name = [{"text": f"Vàng Thị {'x' * (number * 37 % 900)}"}]
        desk.put({"resourceType": "Patient", "id": f"p{number}", "name": name})
        desk.put(
            {
                "resourceType": "Observation",
                "id": f"p{number}",
                "subject": {"reference": f"Patient/p{number}"},
            }
        )


def operations(tx: object) -> list[int]:
    return [row[0] for row in tx.execute("select op from outbox order by op")]  # type: ignore[attr-defined]


# -- The mains


@dataclass(frozen=True)
class State:
    """Both files as they are when a piece of work was called saved."""

    store: bytes
    log: bytes


def worked(path: Path, pieces: int) -> Iterator[State]:
    """Do pieces of work and yield the files after each; the log is carried into the store every few pages."""
    database = Database(path, NOW)
    log = path.with_name(f"{path.name}-wal")
    with database.transaction() as tx:
        tx.execute("pragma wal_autocheckpoint = 16")
    yield State(path.read_bytes(), log.read_bytes())
    for number in range(pieces):
        put(database, number)
        yield State(path.read_bytes(), log.read_bytes())
    database.close()


def sectors(old: bytes, new: bytes) -> list[int]:
    """Return the offsets of what differs, as a disk writes it."""
    size = max(len(old), len(new))
    return [at for at in range(0, size, SECTOR) if old[at : at + SECTOR] != new[at : at + SECTOR]]


def partly(old: bytes, new: bytes, written: list[int], *, torn: int = SECTOR) -> bytes:
    """Return a file of which these sectors were written; of the last one its first ``torn`` bytes only."""
    mixed = bytearray(old.ljust(len(new), b"\0"))
    for at in written:
        end = at + (torn if at == written[-1] else SECTOR)
        mixed[at:end] = new[at : min(end, len(new))]
    last = max([len(old), *(min(at + SECTOR, len(new)) for at in written)])
    return bytes(mixed[:last])


class Disk:
    """Opens what the mains left, again and again."""

    def __init__(self, folder: Path, key: bytes) -> None:
        self.path = folder / FILE_NAME
        self._key = key

    def holds(self, store: bytes, log: bytes) -> int:
        """Return how many pieces of work are there; each is whole, and none is missing before another."""
        for end, content in (("", store), ("-wal", log)):
            self.path.with_name(self.path.name + end).write_bytes(content)
        self.path.with_name(f"{self.path.name}-shm").unlink(missing_ok=True)
        with contextlib.closing(cipher.connect(self.path, self._key)) as tx:
            done = operations(tx)
            people = {row[0] for row in tx.execute("select id from resource where rtype = 'Patient'")}
            indexed = {row[0] for row in tx.execute("select id from patient_index")}
            assert tx.execute("pragma quick_check").fetchone()[0] == "ok"
        assert done == list(range(1, len(done) + 1))
        assert people == indexed == {f"p{number}" for number in range(len(done) // 2)}
        assert len(done) % 2 == 0
        return len(done) // 2


def test_a_power_cut_at_any_write_loses_nothing_that_was_called_saved(tmp_path: Path) -> None:
    """Before each commit the log is written, in any order until it is on the disk; then, at times, the store itself."""
    work, cut = tmp_path / "work", tmp_path / "cut"
    work.mkdir()
    cut.mkdir()
    states = list(worked(work / FILE_NAME, 12))
    disk = Disk(cut, cipher.key_of(work, records=True))
    chance, cases, carried = random.Random(5), 0, 0
    for saved, (before, after) in enumerate(pairwise(states)):
        changed = sectors(before.log, after.log)
        for count in range(0, len(changed) + 1, 3):
            torn = chance.randint(1, SECTOR)
            found = disk.holds(before.store, partly(before.log, after.log, changed[:count], torn=torn))
            assert found in (saved, saved + 1)
            cases += 1
        for _ in range(3):
            some = sorted(chance.sample(changed, chance.randint(0, len(changed))))
            assert disk.holds(before.store, partly(before.log, after.log, some)) in (saved, saved + 1)
            cases += 1
        assert disk.holds(before.store, after.log) == saved + 1, "the log alone holds what was called saved"
        moved = sectors(before.store, after.store)
        carried += bool(moved)
        for count in range(0, len(moved) + 1, 5):
            torn = chance.randint(1, SECTOR)
            assert (
                disk.holds(partly(before.store, after.store, moved[:count], torn=torn), after.log)
                == saved + 1
            )
            cases += 1
    assert cases > 150
    assert carried >= 2, "the log was carried into the store while it was watched"


def test_rubbish_after_the_end_of_the_log_is_not_read(tmp_path: Path) -> None:
    work, cut = tmp_path / "work", tmp_path / "cut"
    work.mkdir()
    cut.mkdir()
    states = list(worked(work / FILE_NAME, 5))
    disk, chance = Disk(cut, cipher.key_of(work, records=True)), random.Random(9)
    for saved, state in enumerate(states):
        for size in (1, 24, 4096, 4120, 9000):
            assert disk.holds(state.store, state.log + chance.randbytes(size)) >= saved


# -- The disk is full


async def test_a_full_disk_is_told_to_the_nurse_and_nothing_is_half_saved(station: Station) -> None:
    database = station.agent.database

    def room(pages: int | None) -> object:
        with database.transaction() as tx:
            most = 1_000_000 if pages is None else tx.execute("pragma page_count").fetchone()[0] + pages
            return tx.execute(f"pragma max_page_count = {most}").fetchone()

    await registered(station)
    room(2)
    answer, refused, saved = None, "", 1
    for number in range(60):
        refused = str(uuid4())
        form = {"id": refused, **PATIENT, "name": f"Lò Thị Bình {number}", "cccd": "", "address": "x" * 180}
        answer = await station.browser.post("/patients", data={**form, "confirmed": "1"})
        if answer.status_code != 200:
            break
        saved += 1
    assert answer is not None
    assert answer.status_code == 507
    assert "CHƯA lưu" in answer.text
    assert "Lò Thị Bình" not in answer.text
    assert (await station.browser.get(f"/patients/{refused}")).status_code == 404

    def whole(tx: object) -> bool:
        people = tx.execute("select count(*) from resource where rtype = 'Patient'").fetchone()[0]  # type: ignore[attr-defined]
        queued = tx.execute("select count(*) from outbox where rtype = 'Patient'").fetchone()[0]  # type: ignore[attr-defined]
        return bool(people == queued == saved)

    assert await database.run(whole)
    assert (await station.browser.get("/patients/new")).status_code == 200, "the pages go on"
    room(None)
    again = await station.browser.post(
        "/patients", data={"id": refused, **PATIENT, "cccd": "", "confirmed": "1"}
    )
    assert again.url.path == f"/patients/{refused}"
    await station.syncs()
    assert (await station.browser.get("/api/status")).json()["waiting_total"] == 0


FULL = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from station_agent.errors import StoreFull
from station_agent.store import Database
from station_agent.store.records import Desk

now = datetime(2026, 11, 22, tzinfo=UTC)
database = Database(Path(sys.argv[1]), now)
def put(number):
    with database.transaction() as tx:
        Desk(tx, now=now, by="nurse").put({"resourceType": "Basic", "id": f"b{number}", "x": "x" * 3000})
put(0)
size = Path(sys.argv[1] + "-wal").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 150_000, resource.RLIM_INFINITY))
saved, number = 1, 1
try:
    while number < 500:
        put(number); saved += 1; number += 1
except StoreFull:
    pass
else:
    raise SystemExit("never full")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
put(number); saved += 1
with database.transaction() as tx:
    held = tx.execute("select count(*) from resource").fetchone()[0]
    ops = [row[0] for row in tx.execute("select op from outbox order by op")]
    assert tx.execute("pragma integrity_check").fetchone()[0] == "ok"
assert held == saved == len(ops), (held, saved, len(ops))
print(saved)
"""


@pytest.mark.processes
def test_a_disk_that_refuses_to_write_undoes_the_piece_of_work_and_the_next_one_is_saved(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        (sys.executable, "-c", FULL, str(tmp_path / FILE_NAME)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 2


def test_a_store_on_a_disk_without_room_says_so_and_not_that_it_is_damaged(tmp_path: Path) -> None:
    database = Database(tmp_path / FILE_NAME, NOW)

    def fill() -> None:
        with database.transaction() as tx:
            tx.execute(f"pragma max_page_count = {tx.execute('pragma page_count').fetchone()[0]}")
            Desk(tx, now=NOW, by="").put({"resourceType": "Basic", "id": "b", "x": "x" * 50_000})

    with pytest.raises(StoreFull):
        fill()
    assert not database.damaged.is_set()
    database.close()


# -- The disk forgets


def station_with(directory: Path, pieces: int) -> None:
    """A station with accounts and unsent work; some of it was taken by the hub."""
    database = Database(directory / FILE_NAME, NOW)
    with database.transaction() as tx:
        settings.put_enrolment(tx, {"station": "03163-01", "hub": "http://hub.test"})
        staff.first(tx, "Lò Thị Lan", "a-hash", now=NOW)
        rescue.keep(tx, directory)
    for number in range(pieces):
        put(database, number)
    with database.transaction() as tx:
        tx.execute("update outbox set leg = 'applied', text = '' where op <= 4")
        tx.execute("update outbox set leg = 'quarantined' where op = 6")
        settings.put(tx, "cursor", "77")
    database.close()


def flip(path: Path, page: int, chance: random.Random) -> None:
    with path.open("r+b") as file:
        at = (page - 1) * 4096 + chance.randrange(4096)
        file.seek(at)
        held = file.read(1)
        file.seek(at)
        file.write(bytes([held[0] ^ 1 << chance.randrange(8)]))


def test_a_flipped_bit_on_any_page_is_found_and_the_store_is_built_anew(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    station_with(whole, 16)
    pages = (whole / FILE_NAME).stat().st_size // 4096
    before = Database(whole / FILE_NAME, NOW)
    with before.transaction() as tx:
        epoch = settings.get(tx, "db_epoch")
        unsent = {row[0] for row in tx.execute("select op from outbox where leg != 'applied'")}
        data_pages = tx.execute("pragma page_count").fetchone()[0]
    before.close()
    assert pages == data_pages > 20
    chance, complete = random.Random(3), 0
    for page in range(1, pages + 1):
        directory = tmp_path / "station"
        shutil.copytree(whole, directory)
        flip(directory / FILE_NAME, page, chance)
        opened = rescue.open_store(directory, NOW)
        with opened.database.transaction() as tx:
            kept = operations(tx)
            enrolment, people = settings.enrolment(tx), accounts.may_sign_in(tx)
            assert settings.get(tx, "db_epoch") != epoch, "to the hub it is another database"
            assert settings.cursor(tx) == 0, "everything is pulled again"
            assert outbox.counts(tx).total + outbox.counts(tx).refused == len(kept)
            assert all(records.find(tx, w.rtype, w.id) for w in outbox.listing(tx))
        opened.database.close()
        assert enrolment is not None
        assert enrolment["station"] == "03163-01"
        assert [account.id for account in people] == ["lan"]
        assert opened.check.problems >= 1
        assert opened.check.rescued == len(kept)
        assert set(kept) <= unsent
        complete += set(kept) == unsent
        assert len(list(directory.glob("damaged-*"))) == 1
        assert checking.look(directory / FILE_NAME, NOW).whole
        shutil.rmtree(directory)
    assert complete >= pages * 2 // 3, "most pages hold no unsent work"


def test_a_whole_store_is_left_as_it_is(tmp_path: Path) -> None:
    station_with(tmp_path, 5)
    opened = rescue.open_store(tmp_path, NOW)
    with opened.database.transaction() as tx:
        assert settings.cursor(tx) == 77
        assert len(operations(tx)) == 10
    opened.database.close()
    assert opened.check.whole
    assert opened.check.rescued is None
    assert not list(tmp_path.glob("damaged*"))


def test_pages_that_are_as_written_and_contradict_each_other_are_found_and_repaired_too(
    tmp_path: Path,
) -> None:
    station_with(tmp_path, 5)
    with contextlib.closing(
        cipher.connect(tmp_path / FILE_NAME, cipher.key_of(tmp_path, records=True))
    ) as store:
        store.execute("pragma writable_schema = on")
        store.execute(
            """update sqlite_schema set rootpage = (select rootpage from sqlite_schema where name = 'outbox_unsent')
               where name = 'resource_by_day'"""
        )
    assert checking.look(tmp_path / FILE_NAME, NOW, thorough=False).whole
    found = checking.look(tmp_path / FILE_NAME, NOW)
    assert not found.whole
    checking.keep(tmp_path, found)  # as the daily look does, before it ends the agent
    opened = rescue.open_store(tmp_path, NOW)
    with opened.database.transaction() as tx:
        assert len(operations(tx)) == 6
    opened.database.close()
    assert opened.check.rescued == 6
    assert checking.look(tmp_path / FILE_NAME, NOW).whole


def test_a_store_that_was_set_aside_is_not_kept_for_ever(tmp_path: Path) -> None:
    station_with(tmp_path, 3)
    flip(tmp_path / FILE_NAME, 2, random.Random(1))
    rescue.open_store(tmp_path, NOW).database.close()
    assert len(list(tmp_path.glob("damaged-*"))) == 1
    rescue.open_store(tmp_path, NOW + rescue.KEEP).database.close()
    assert len(list(tmp_path.glob("damaged-*"))) == 1
    rescue.open_store(tmp_path, NOW + rescue.KEEP + timedelta(seconds=1)).database.close()
    assert not list(tmp_path.glob("damaged-*")), "it may hold patients whom the hub has taken away since"


def test_what_had_left_without_an_answer_leaves_again(tmp_path: Path) -> None:
    station_with(tmp_path, 6)
    database = Database(tmp_path / FILE_NAME, NOW)
    with database.transaction() as tx:
        tx.execute("update outbox set leg = 'sent' where op in (7, 8)")
    database.close()
    rescue.set_aside(tmp_path, NOW)
    opened = rescue.open_store(tmp_path, NOW)
    with opened.database.transaction() as tx:
        legs = dict(tx.execute("select op, leg from outbox").fetchall())
        states = dict(tx.execute("select id, state from resource where rtype = 'Patient'").fetchall())
    opened.database.close()
    assert legs == {5: "waiting", 6: "quarantined"} | dict.fromkeys(range(7, 13), "waiting")
    assert states == dict.fromkeys(("p2", "p3", "p4", "p5"), "local")


@pytest.mark.parametrize("moved", ["nothing", "the log", "both"])
def test_the_mains_may_go_while_a_damaged_store_is_set_aside(tmp_path: Path, moved: str) -> None:
    station_with(tmp_path, 10)
    flip(tmp_path / FILE_NAME, 2, random.Random(1))
    (tmp_path / f"{FILE_NAME}-wal").write_bytes(b"")
    part = tmp_path / "damaged.part"
    part.mkdir()
    for end in {"nothing": (), "the log": ("-wal",), "both": ("-wal", "")}[moved]:
        (tmp_path / (FILE_NAME + end)).rename(part / (FILE_NAME + end))
    for _ in range(2):  # and once more, as after the next cut
        opened = rescue.open_store(tmp_path, NOW)
        with opened.database.transaction() as tx:
            assert len(operations(tx)) >= 10
            assert settings.enrolment(tx) is not None
        opened.database.close()
    assert len(list(tmp_path.glob("damaged-*"))) == 1


async def test_a_page_that_goes_bad_while_the_agent_runs_ends_it_for_repair(station: Station) -> None:
    await registered(station)
    agent = station.agent
    agent.database._connection.execute("pragma wal_checkpoint(truncate)")
    assert (await agent.upkeep.prove()).whole
    flip(agent.database.path, 9, random.Random(2))
    assert not (await agent.upkeep.prove()).whole
    assert agent.database.damaged.is_set()
    found = status(agent.options.directory)
    assert found["store"]["problem"] == "store-damaged"
    assert needs_a_person(found)


async def test_after_the_repair_the_hub_gives_back_what_it_had_and_gets_what_it_had_not(
    station: Station, data: Path
) -> None:
    taken = await registered(station)
    await station.syncs()
    station.hub.sends_down({"resourceType": "Patient", "id": taken, "name": [{"text": "Vàng Thị Mỷ"}]})
    unsent = await registered(station, name="Lò Văn Chưa Gửi", cccd="")
    station.agent.close()
    flip(data / FILE_NAME, 3, random.Random(4))
    again = Agent(Options(data))
    try:
        await again.syncing.exchange(station.line)
        names = await again.database.run(
            lambda tx: [records.find(tx, "Patient", rid) for rid in (taken, unsent)]
        )
        assert all(names)
        assert await again.database.run(lambda tx: outbox.counts(tx).total) == 0
        assert any(op["id"] == unsent for _, ops in station.hub.pushes for op in ops)
    finally:
        again.close()


# -- The clock


@pytest.mark.parametrize("shift", [timedelta(days=1), timedelta(days=-1)], ids=["ahead", "behind"])
async def test_a_clock_that_jumps_a_day_at_the_desk_loses_and_reorders_nothing(
    station: Station, monkeypatch: pytest.MonkeyPatch, shift: timedelta
) -> None:
    first = await registered(station)
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + shift)
    second = await registered(station, name="Lò Văn Sau", cccd="")
    monkeypatch.setattr(clock, "now", real)
    third = await registered(station, name="Lò Văn Nữa", cccd="")
    order = await station.agent.database.run(
        lambda tx: [w.id for w in outbox.listing(tx) if w.rtype == "Patient" and w.lane == Lane.CARE]
    )
    assert order == [first, second, third]
    await station.syncs()
    assert (await station.browser.get("/api/status")).json()["waiting_total"] == 0


async def test_a_wrong_clock_is_told_to_the_nurse_and_to_the_technician(station: Station, data: Path) -> None:
    await station.agent.database.run(lambda tx: settings.put(tx, "clock_offset", str(-86_400)))
    page = (await station.browser.get("/waiting")).text
    assert "nhanh 1440 phút" in page
    found = status(data)
    assert found["clock_offset_s"] == -86_400
    assert needs_a_person(found)
