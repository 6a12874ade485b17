"""The plug is pulled between any two steps of the link: nothing is lost, nothing happens twice."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import uvicorn

from clinic_net.protocol.sync import Lane
from station_agent import clock
from station_agent.agent import KEPT_OPEN, Agent, Options
from station_agent.enrolment import enrol
from station_agent.store import Database, figures, outbox, records, scopes
from station_agent.store.records import Desk
from tests.station_agent.conftest import NOW
from tests.station_agent.scripted_hub import ScriptedHub
from tests.station_agent.test_sync import patient

AGENT = """
import asyncio, sys
from pathlib import Path
import httpx
from station_agent.agent import Agent, Options

async def main() -> None:
    agent = Agent(Options(Path(sys.argv[1])))
    await agent.link_up()
    print("up", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def served() -> Iterator[tuple[ScriptedHub, str]]:
    """A scripted hub behind a real socket."""
    hub = ScriptedHub()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(hub.app(), host="127.0.0.1", port=port, log_level="critical", timeout_keep_alive=60)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield hub, f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.mark.processes
async def test_a_kill_between_any_two_steps_loses_nothing_and_repeats_nothing(
    tmp_path: Path, served: tuple[ScriptedHub, str]
) -> None:
    hub, address = served
    data = tmp_path / "station"
    await asyncio.to_thread(enrol, data, hub=address, code="7K3M9QXWZ2", now=NOW)
    database = Database(data / "station.sqlite3", NOW)
    for lane in (1, 1, 2, 0):
        with database.transaction() as tx:
            desk = Desk(tx, now=NOW, by="nurse")
            for _ in range(45):
                desk.put(patient(), lane=Lane(lane))
    database.close()
    for number in range(30):
        hub.sends_down(patient(f"down-{number}"))
    for patience in (0.0, 0.04, 0.08, 0.16):
        await asyncio.to_thread(_agent_for, data, patience)
    hub.page_size = 50
    agent = Agent(Options(data))
    async with httpx.AsyncClient() as line:
        await agent.syncing.exchange(line)
    with agent.database.transaction() as tx:
        assert outbox.counts(tx).total == 0
        held = {(rtype, rid) for rtype, rid, _ in scopes.held_in(tx, f"stn:{hub.station}")}
        assert records.find(tx, "Patient", "down-29") is not None
    agent.close()
    assert len(hub.effects) == len(set(hub.effects)) == 180
    assert held == set(hub.holds())


def _agent_for(data: Path, seconds: float) -> None:
    """Let an agent work for a while from the moment its link is up, then pull the plug."""
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT, str(data)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert agent.stdout is not None
    assert agent.stdout.readline().strip() == "up"
    time.sleep(seconds)
    os.kill(agent.pid, signal.SIGKILL)
    agent.wait()
    agent.stdout.close()


async def test_what_is_counted_is_what_went_over_the_wire(
    tmp_path: Path, served: tuple[ScriptedHub, str]
) -> None:
    """A proxy counts the same bytes as the station, token requests and all."""
    _, address = served
    seen = {"up": 0, "down": 0, "connections": 0}

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        while data := await reader.read(65536):
            seen[way] += len(data)
            writer.write(data)
            await writer.drain()
        writer.close()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen["connections"] += 1
        up, down = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
        await asyncio.gather(carry(reader, down, "up"), carry(up, writer, "down"))

    proxy = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    data = tmp_path / "station"
    await asyncio.to_thread(enrol, data, hub=address, code="7K3M9QXWZ2", now=NOW)
    agent = Agent(Options(data, via=f"http://127.0.0.1:{port}"))
    async with httpx.AsyncClient(limits=KEPT_OPEN) as line:
        with agent.database.transaction() as tx:
            desk = Desk(tx, now=NOW, by="nurse")
            for _ in range(200):
                desk.put({**patient(), "telecom": [{"value": json.dumps(list(range(60)))}]})
        await agent.syncing.exchange(line)
        await agent.syncing.exchange(line)
    day = (clock.now() + timedelta(hours=7)).date()
    spent = await agent.database.run(lambda tx: figures.spent_since(tx, day))
    agent.close()
    proxy.close()
    assert seen["connections"] == 1
    assert abs(spent.up - seen["up"]) <= 0.02 * seen["up"] + 2
    assert abs(spent.down - seen["down"]) <= 0.02 * seen["down"] + 2
