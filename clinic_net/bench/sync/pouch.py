"""PouchDB from npm, replicating the same records to an express-pouchdb server through the same counting link.

Its packages come from their lock (``../pouchdb``) with the environment's npm, into a folder that is deleted; where
there is no npm the comparison is left out, and says so.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from clinic_net.bench.communes import Resource
from clinic_net.bench.weather import BadLink

SOURCE = Path(__file__).parents[1] / "pouchdb"
_INSTALL_WITHIN_S = 300.0
_STAGES = ("opened", "steady push", "nothing new", "pull")


class NoPouch(Exception):
    """It cannot be run here; the message says why."""


async def measure(records: Sequence[Resource], *, batch: int) -> dict[str, Any]:
    """Return bytes and time of pushing and of pulling these records.

    Raises:
        NoPouch: there is no npm, or it does not run.
    """
    with TemporaryDirectory(prefix="clinic-net-pouchdb-") as folder:
        place = Path(folder)
        shutil.copytree(SOURCE, place, dirs_exist_ok=True)
        await _run(
            _tool("npm"), "ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", at=place
        )
        documents = place / "documents.ndjson"
        documents.write_text("".join(f"{_document(each)}\n" for each in records), "utf-8")
        return await _replicate(place, documents, batch)


def _document(resource: Resource) -> str:
    # A "_rev" is PouchDB's own; everything else goes as it is.
    named = {"_id": f"{resource['resourceType']}:{resource['id']}", **resource}
    return json.dumps(named, ensure_ascii=False, separators=(",", ":"))


def _tool(name: str) -> str:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise NoPouch(f"there is no {name} here")
    return found


def _environment() -> dict[str, str]:
    inherited = dict(os.environ)  # noqa: TID251 -- a child's, handed on
    return inherited | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{inherited.get('PATH', '')}"}


async def _run(*command: str, at: Path) -> None:
    running = await asyncio.create_subprocess_exec(
        *command,
        cwd=at,
        env=_environment(),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await asyncio.wait_for(running.communicate(), _INSTALL_WITHIN_S)
    except TimeoutError:
        running.kill()
        raise NoPouch("npm did not end") from None
    if running.returncode:
        raise NoPouch(f"npm ended with {running.returncode}: {said.decode(errors='replace')[-300:]}")


async def _replicate(place: Path, documents: Path, batch: int) -> dict[str, Any]:
    server = await _node(place, "server.mjs")
    client = None
    try:
        port = (await _line(server))["port"]
        async with BadLink("127.0.0.1", port).open() as link:
            client = await _node(place, "client.mjs", str(documents), f"{link.url}/records", str(batch))
            told: dict[str, Any] = {}
            for stage in _STAGES:
                up, down = link.up, link.down
                said = await _line(client)
                if said.get("stage") != stage:
                    raise NoPouch(f"it did not come to {stage}")
                told[stage] = _figures(said, link.up - up, link.down - down)
                assert client.stdin is not None
                client.stdin.write(b"\n")
            return told
    finally:
        for running in (client, server):
            if running is not None and running.returncode is None:
                os.killpg(
                    running.pid, signal.SIGKILL
                )  # the environment's node is a program that starts the real one
                await running.wait()


def _figures(said: dict[str, Any], up: int, down: int) -> dict[str, Any]:
    figures = {"bytes_up": up, "bytes_down": down, "seconds": round(said["seconds"], 2)}
    if said["documents"]:
        figures |= {
            "documents": said["documents"],
            "bytes_per_record": round((up + down) / said["documents"], 1),
            "per_second": round(said["documents"] / said["seconds"], 1),
        }
    return figures


async def _node(place: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        _tool("node"),
        *arguments,
        cwd=place,
        env=_environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


async def _line(running: asyncio.subprocess.Process) -> dict[str, Any]:
    assert running.stdout is not None
    line = await running.stdout.readline()
    if not line:
        raise NoPouch("it ended early")
    return dict(json.loads(line))
