"""A hub that is given a folder: real servers, unprivileged, that survive whatever happens to the hub."""

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

import psycopg
import pytest
from redis import Redis

from clinic_net.kernel.embedded import Account, DataFolderUnusable, EmbeddedServices
from clinic_net.kernel.embedded.processes import ServerProcess, alive, gone

NOBODY = 65534

HUB = """
import sys
from pathlib import Path
from clinic_net.kernel.embedded import EmbeddedServices
services = EmbeddedServices(Path(sys.argv[1]), durable=False)
services.start()
print("ready", flush=True)
sys.stdin.readline()
services.stop()
print("left", flush=True)
"""


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder that any account can reach, and that no test leaves servers in."""
    folder = Path(tempfile.mkdtemp(prefix="embedded-"))
    folder.chmod(0o711)
    yield folder / "data"
    for process in _servers(folder / "data"):
        process.end(politely=signal.SIGQUIT, within=5)
    rmtree(folder)


def _servers(data: Path) -> tuple[ServerProcess, ServerProcess]:
    return (
        ServerProcess("postgres", data / "postgres", data / "postgres" / "postmaster.pid"),
        ServerProcess("valkey-server", data / "valkey", data / "valkey" / "valkey.pid"),
    )


def _running(data: Path) -> list[int]:
    return [pid for server in _servers(data) for pid in server.all()]


def _sql(services: EmbeddedServices, statement: str) -> list[tuple[object, ...]]:
    address = services.database_url.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def _redis_answers(services: EmbeddedServices) -> bool:
    with Redis.from_url(services.redis_url) as client:
        return bool(client.ping())


class Process:
    """Another hub process on the same folder."""

    def __init__(self, data: Path) -> None:
        self._running = subprocess.Popen(
            (sys.executable, "-c", HUB, str(data)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.expect("ready")

    def expect(self, word: str) -> None:
        """Read the program's output up to a line that is ``word``."""
        assert self._running.stdout is not None
        assert any(line.strip() == word for line in self._running.stdout)

    def leave(self) -> None:
        """Let it stop as a hub does."""
        self._running.communicate("\n", timeout=60)
        assert self._running.returncode == 0

    def kill(self) -> None:
        """Let it die without a chance to do anything."""
        self._running.kill()
        self._running.communicate()


@pytest.fixture
def another(data: Path) -> Iterator[Callable[[], Process]]:
    """Start another hub process; whatever still runs at the end is killed."""
    started: list[Process] = []

    def start() -> Process:
        started.append(Process(data))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def test_both_servers_answer_and_are_gone_afterwards(data: Path) -> None:
    with EmbeddedServices(data) as services:
        assert _sql(services, "select current_setting('fsync'), current_setting('synchronous_commit')") == [
            ("on", "on")
        ]
        assert _redis_answers(services)
        assert len(_running(data)) > 1
    assert _running(data) == []


def test_the_servers_run_without_the_rights_of_root(data: Path) -> None:
    with EmbeddedServices(data, durable=False):
        pids = _running(data)
        statuses = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
        namespaces = [os.readlink(f"/proc/{pid}/ns/user") for pid in pids]
    for status, namespace in zip(statuses, namespaces, strict=True):
        uid = int(status.split("Uid:")[1].split()[0])
        assert uid != 0 or namespace != os.readlink("/proc/self/ns/user")


def test_the_hub_is_the_owner_of_its_database_and_no_superuser(data: Path) -> None:
    with EmbeddedServices(data, durable=False) as services:
        assert _sql(services, "select usesuper from pg_user where usename = current_user") == [(False,)]
        _sql(services, "create extension pg_trgm")
        _sql(services, "create database another_one")


def test_nobody_else_can_read_the_keys_or_reach_the_sockets(data: Path) -> None:
    with EmbeddedServices(data, durable=False):
        assert stat.S_IMODE((data / "secrets.json").stat().st_mode) == 0o600
        for folder in ("sockets", "postgres", "valkey", "run"):
            assert stat.S_IMODE((data / folder).stat().st_mode) & 0o077 == 0
        for line in _running(data):
            words = Path(f"/proc/{line}/cmdline").read_text()
            assert not any(key in words for key in json.loads((data / "secrets.json").read_text()).values())


def test_records_and_keys_survive_a_restart(data: Path) -> None:
    with EmbeddedServices(data) as services:
        _sql(services, "create table note (text text)")
        _sql(services, "insert into note values ('kept')")
        keys, settings = services.keys, services.settings
    with EmbeddedServices(data) as services:
        assert _sql(services, "select text from note") == [("kept",)]
        assert services.keys == keys
        assert services.settings == settings


def test_the_servers_of_a_killed_hub_are_adopted_with_their_data(
    data: Path, another: Callable[[], Process]
) -> None:
    another().kill()
    orphans = _running(data)
    assert orphans
    with EmbeddedServices(data, durable=False) as services:
        assert set(orphans) <= set(_running(data))
        _sql(services, "create table note (text text)")
        assert _redis_answers(services)
    assert _running(data) == []


def test_a_killed_database_is_started_again_and_lost_nothing(data: Path) -> None:
    database, redis = _servers(data)
    first = EmbeddedServices(data)
    first.start()
    _sql(first, "create table note (text text)")
    _sql(first, "insert into note values ('committed')")
    for pid in (*database.all(), *redis.all()):
        with suppress(ProcessLookupError):  # a child of the one before may be gone already
            os.kill(pid, signal.SIGKILL)
    with EmbeddedServices(data) as second:
        assert _sql(second, "select text from note") == [("committed",)]
        assert _redis_answers(second)
        first.stop()
        assert _redis_answers(second)
    assert _running(data) == []


def test_a_database_that_hangs_is_ended_and_started_again(data: Path, another: Callable[[], Process]) -> None:
    another().kill()
    _, redis = _servers(data)
    pid = redis.pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    with EmbeddedServices(data, durable=False) as services:
        assert _redis_answers(services)
        assert redis.pid() != pid


def test_a_pid_file_that_names_somebody_else_does_not_stop_a_start(data: Path) -> None:
    with EmbeddedServices(data, durable=False):
        pass
    database, _ = _servers(data)
    content = f"{os.getpid()}\n{data / 'postgres'}\n0\n5432\n{data / 'sockets'}\n\n  12345  67890\nready   \n"
    database.pid_file.write_text(content)
    (data / "sockets" / ".s.PGSQL.5432.lock").write_text(content)
    with EmbeddedServices(data, durable=False) as services:
        assert _sql(services, "select 1") == [(1,)]
    assert alive(os.getpid())


def test_the_last_process_to_leave_stops_the_servers(data: Path, another: Callable[[], Process]) -> None:
    first, second = another(), another()
    first.leave()
    assert _running(data)
    second.leave()
    assert _running(data) == []


def test_processes_that_start_at_the_same_moment_share_one_database(data: Path) -> None:
    command = (sys.executable, "-c", HUB, str(data))
    together = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in together:
        output, _ = process.communicate("\n", timeout=120)
        assert "left" in output
    assert gone(_running(data), within=0)


def test_a_folder_with_a_long_or_strange_name_will_do(data: Path) -> None:
    strange = data / "trạm y tế 'số' \"$(1)\", 100%" / ("x" * 80)
    try:
        for _ in range(2):
            with EmbeddedServices(strange, durable=False) as services:
                assert _sql(services, "select 1") == [(1,)]
                assert _redis_answers(services)
        assert _running(strange) == []
    finally:
        rmtree((strange / "run" / "sockets").read_text())


def test_damaged_keys_are_reported_and_never_replaced(data: Path) -> None:
    data.mkdir()
    (data / "secrets.json").write_text("{")
    with pytest.raises(DataFolderUnusable, match="restore"):
        EmbeddedServices(data, durable=False).start()
    assert (data / "secrets.json").read_text() == "{"


def test_keys_of_another_database_are_reported(data: Path, another: Callable[[], Process]) -> None:
    another().leave()
    keys = json.loads((data / "secrets.json").read_text())
    (data / "secrets.json").write_text(json.dumps(keys | {"database_admin_password": "of another one"}))
    with pytest.raises(DataFolderUnusable, match="same backup"):
        EmbeddedServices(data, durable=False).start()
    assert _running(data) == []


def test_a_folder_of_another_major_version_is_reported(data: Path, another: Callable[[], Process]) -> None:
    another().leave()
    (data / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(DataFolderUnusable, match="pg_dump"):
        EmbeddedServices(data, durable=False).start()


def test_keys_are_never_printed(data: Path) -> None:
    with EmbeddedServices(data, durable=False) as services:
        assert services.keys.token_key not in repr(services.keys)
        assert len(services.keys.token_key) >= 43


def test_a_throwaway_leaves_nothing() -> None:
    with EmbeddedServices.throwaway() as services:
        folder = services.settings["data"]
        assert isinstance(folder, Path)
        assert _sql(services, "select 1") == [(1,)]
    assert not folder.exists()


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@as_root
def test_root_uses_the_user_nobody_where_namespaces_are_forbidden(data: Path) -> None:
    nobody = Account.nobody()
    with EmbeddedServices(data, durable=False, account=nobody) as services:
        assert _sql(services, "select 1") == [(1,)]
        assert _redis_answers(services)
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in _running(data)} == {nobody.owner}
    with EmbeddedServices(data, durable=False) as services:
        assert _sql(services, "select 1") == [(1,)]


@as_root
def test_a_folder_that_nobody_cannot_reach_is_named(data: Path) -> None:
    closed = data.parent / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(DataFolderUnusable, match=str(closed)):
        EmbeddedServices(closed / "data", durable=False, account=Account.nobody()).start()


@as_root
def test_an_ordinary_user_starts_the_servers_as_herself(data: Path) -> None:
    data.mkdir()
    os.chown(data, NOBODY, NOBODY)
    become = f"""
import os, sys
from pathlib import Path
import psycopg, redis
from clinic_net.kernel.embedded import EmbeddedServices
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
with EmbeddedServices(Path(sys.argv[1]), durable=False) as services:
    assert psycopg.connect(services.database_url.replace("+psycopg", "")).execute("select 1").fetchone() == (1,)
    assert redis.Redis.from_url(services.redis_url).ping()
"""
    subprocess.run(
        (sys.executable, "-W", "ignore", "-c", become, str(data)), check=True, timeout=120, cwd="/"
    )
    assert {path.stat().st_uid for path in data.iterdir()} == {NOBODY}
    assert _running(data) == []
