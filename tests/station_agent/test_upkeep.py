"""The agent beside the desk's work: telling the service manager, and repairing its store by itself."""

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from station_agent.store import checking
from station_agent.store.database import FILE_NAME
from station_agent.supervisor import teller
from station_agent.upkeep import EVERY
from tests.station_agent.conftest import NOW, Station
from tools.demo import sample, staff
from tools.demo.programs import BIN

SECONDS = 30.0


def until(seen: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not seen():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize("abstract", [False, True])
async def test_the_service_manager_hears_that_the_agent_is_ready_and_lives(
    station: Station, tmp_path: Path, abstract: bool
) -> None:
    address = "@clinic-net-test-notify" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + address[1:] if abstract else address)
        manager.settimeout(5)
        upkeep = station.agent.upkeep
        upkeep._tell = teller(address)
        running = asyncio.create_task(upkeep.run())
        heard = {(await asyncio.to_thread(manager.recv, 64)).decode() for _ in range(2)}
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    assert heard == {"READY=1", "WATCHDOG=1"}


def test_without_a_service_manager_nobody_is_told() -> None:
    teller(None)("READY=1")
    teller("/nowhere/at/all")("READY=1")


def test_a_day_passes_by_a_clock_that_is_set_back_too(station: Station) -> None:
    checking.keep(station.agent.options.directory, checking.Check(NOW.isoformat(), 0, 0.1))
    due = station.agent.upkeep.due
    assert not due(NOW + EVERY / 2)
    assert due(NOW + EVERY)
    assert not due(NOW - EVERY / 2)
    assert due(NOW - EVERY)


@pytest.mark.processes
def test_an_agent_that_meets_a_damaged_page_repairs_its_store_and_goes_on(
    station: Station, data: Path
) -> None:
    station.agent.close()
    sample.enter(data, NOW)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    origin = f"http://localhost:{port}"
    agent = subprocess.Popen(
        (str(BIN / "station-agent"), "run", "--data", str(data), "--port", str(port)),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with httpx.Client(base_url=origin, headers={"Origin": origin}, trust_env=False) as browser:

            def answers() -> bool:
                with contextlib.suppress(httpx.HTTPError):
                    return browser.get("/healthz").status_code == 200
                return False

            def signs_in() -> bool:
                given = {"login": staff.NURSES[0].login, "pin": staff.NURSES[0].pin}
                with contextlib.suppress(httpx.HTTPError):
                    return browser.post("/sign-in", data=given).status_code == 303
                return False

            until(answers)
            until(signs_in)
            store = bytearray((data / FILE_NAME).read_bytes())
            for page in range(6, len(store) // 4096):
                store[page * 4096 + 77] ^= 1
            (data / FILE_NAME).write_bytes(store)
            told = [browser.post("/patients/search", data={"query": "lo"}).status_code]
            told += [browser.get(path).status_code for path in ("/", "/waiting")]
            assert 503 in told
            until(lambda: any(data.glob("damaged-*")) and answers() and signs_in())
            assert browser.get("/waiting").status_code == 200
    finally:
        agent.terminate()
        agent.wait()
    check = checking.last(data)
    assert check is not None
    assert check.rescued is not None
