"""Embedded servers that die while the hub runs come back by themselves."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from threading import Event

import psycopg
import pytest
from redis import Redis
from redis.exceptions import RedisError

from clinic_net.kernel.embedded import EmbeddedServices
from clinic_net.kernel.embedded.processes import ServerProcess
from clinic_net.kernel.embedded.watch import Watch

BACK_WITHIN = 5.0
"""Seconds; about one on a quiet machine, and the tests of a house share two cores."""


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder that no test leaves servers in."""
    folder = Path(tempfile.mkdtemp(prefix="embedded-"))
    folder.chmod(0o711)
    yield folder / "data"
    for process in (_database(folder / "data"), _valkey(folder / "data")):
        process.end(politely=signal.SIGQUIT, within=5)
    rmtree(folder)


def _database(data: Path) -> ServerProcess:
    return ServerProcess("postgres", data / "postgres", data / "postgres" / "postmaster.pid")


def _valkey(data: Path) -> ServerProcess:
    return ServerProcess("valkey-server", data / "valkey", data / "valkey" / "valkey.pid")


def _kill(server: ServerProcess) -> None:
    pids = server.all()
    assert pids
    for pid in pids:
        with suppress(ProcessLookupError):  # a child of the one before may be gone already
            os.kill(pid, signal.SIGKILL)


def _notes(services: EmbeddedServices) -> list[str]:
    with psycopg.connect(services.database_url.replace("+psycopg", ""), connect_timeout=1) as connection:
        return [text for (text,) in connection.execute("select text from note order by text")]


def _write(services: EmbeddedServices, text: str) -> None:
    with psycopg.connect(services.database_url.replace("+psycopg", "")) as connection:
        connection.execute("create table if not exists note (text text)")
        connection.execute("insert into note values (%s)", (text,))


def _ping(services: EmbeddedServices) -> bool:
    with Redis.from_url(services.redis_url, socket_timeout=1) as client:
        return bool(client.ping())


def _within(seconds: float, what: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if what():
                return True
        except (psycopg.Error, RedisError, OSError):
            pass
        time.sleep(0.02)
    return False


def test_a_database_that_is_killed_comes_back_at_the_same_address_with_its_data(data: Path) -> None:
    with EmbeddedServices(data) as services, services.watched():
        address = services.database_url
        _write(services, "committed")
        _kill(_database(data))
        assert _within(BACK_WITHIN, lambda: _notes(services) == ["committed"])
        assert services.database_url == address
    assert _database(data).all() == []


def test_only_the_postmaster_killed_is_enough_to_start_again(data: Path) -> None:
    with EmbeddedServices(data) as services, services.watched():
        _write(services, "committed")
        held = psycopg.connect(services.database_url.replace("+psycopg", ""))
        postmaster = _database(data).pid()
        assert postmaster is not None
        os.kill(postmaster, signal.SIGKILL)
        assert _within(BACK_WITHIN, lambda: _database(data).pid() not in (None, postmaster))
        assert _within(BACK_WITHIN, lambda: _notes(services) == ["committed"])
        held.close()


def test_a_killed_valkey_comes_back_at_the_same_address(data: Path) -> None:
    with EmbeddedServices(data, durable=False) as services, services.watched():
        _kill(_valkey(data))
        assert _within(BACK_WITHIN, lambda: _ping(services))


def test_both_killed_again_and_again_come_back_and_nothing_committed_is_lost(data: Path) -> None:
    with EmbeddedServices(data) as services, services.watched():
        for round_ in range(3):
            _write(services, f"round {round_}")
            _kill(_database(data))
            _kill(_valkey(data))
            assert _within(BACK_WITHIN, lambda: _ping(services))
            assert _within(BACK_WITHIN, lambda: bool(_notes(services)))
        assert _notes(services) == ["round 0", "round 1", "round 2"]


OTHER = """
import sys
from pathlib import Path
from clinic_net.kernel.embedded import EmbeddedServices
with EmbeddedServices(Path(sys.argv[1])) as services, services.watched():
    print("ready", flush=True)
    sys.stdin.readline()
print("left", flush=True)
"""


def test_two_hubs_that_watch_one_folder_start_one_database(data: Path) -> None:
    with EmbeddedServices(data) as services, services.watched():
        with subprocess.Popen(
            (sys.executable, "-c", OTHER, str(data)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        ) as other:  # fmt: skip
            assert other.stdout is not None
            assert any(line == "ready\n" for line in other.stdout)
            _write(services, "committed")
            _kill(_database(data))
            assert _within(BACK_WITHIN, lambda: _notes(services) == ["committed"])
            first = _database(data).pid()
            time.sleep(1)
            assert _database(data).pid() == first
            output, _ = other.communicate("\n", timeout=60)
            assert "left" in output
        assert _notes(services) == ["committed"]


def test_a_database_whose_folder_is_gone_is_never_replaced_by_an_empty_one(data: Path) -> None:
    with EmbeddedServices(data) as services, services.watched():
        _write(services, "committed")
        _kill(_database(data))
        (data / "postgres").rename(data / "moved")
        time.sleep(1)
        assert not (data / "postgres").exists()
        (data / "moved").rename(data / "postgres")
        assert _within(BACK_WITHIN, lambda: _notes(services) == ["committed"])


def test_servers_that_are_stopped_on_purpose_stay_stopped(data: Path) -> None:
    with EmbeddedServices(data, durable=False) as services, services.watched():
        pass
    time.sleep(0.6)
    assert _database(data).all() == _valkey(data).all() == []


def test_a_watch_whose_repair_fails_tries_again() -> None:
    repaired, attempts = Event(), 0

    def repair() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise OSError("the disk is full")
        repaired.set()

    watch = Watch(well=repaired.is_set, repair=repair)
    watch.start()
    assert repaired.wait(BACK_WITHIN)
    watch.stop()
    assert attempts == 2
