"""The hub that is measured: one that this module starts, with the embedded database beside it, or one that runs."""

import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import psycopg

from clinic_net.bench import machine
from clinic_net.bench.load import Client, Request
from clinic_net.kernel.embedded import EmbeddedServices
from clinic_net.kernel.settings import HubSettings

SCOPE = "system/*.cruds"
_START_WITHIN = 60
_STOP_WITHIN = 30
_SETTLE_WITHIN = 600
"""Seconds."""


class NoHub(Exception):
    """The hub did not start, or does not give a token; the message says which."""


@dataclass
class MeasuredHub:
    """A hub under measurement. What follows ``client_secret`` is known only of one that was started here."""

    url: str
    client_id: str
    client_secret: str
    database: str | None = None
    hub_process: int | None = None
    database_process: int | None = None
    settings: HubSettings | None = None

    async def headers(self) -> dict[str, str]:
        """Return the headers of a caller with a fresh token."""
        asking = Client(self.url)
        pair = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        asking.headers = {"authorization": f"Basic {pair}"}
        form = urlencode({"grant_type": "client_credentials", "scope": SCOPE}).encode()
        answer = await asking.ask(
            Request("POST", "/oauth/token", form, content_type="application/x-www-form-urlencoded")
        )
        asking.close()
        if answer.status != 200:
            raise NoHub(f"the hub gives no token: {answer.status}")
        return {"authorization": f"Bearer {json.loads(answer.body)['access_token']}"}

    def spent(self) -> tuple[float, float]:
        """Return the processor seconds of the hub and of its database so far; zeros where they are not ours."""
        if self.hub_process is None or self.database_process is None:
            return 0.0, 0.0
        return machine.spent(machine.tree(self.hub_process)), machine.spent(
            machine.tree(self.database_process)
        )

    def memory(self) -> int:
        """Return the bytes that the hub's processes hold now ; 0 of one that is not ours."""
        return 0 if self.hub_process is None else machine.resident(machine.tree(self.hub_process))

    async def settled(self) -> None:
        """Wait until hub and database have done what they do behind the writes: less than a tenth of a processor."""
        for _ in range(_SETTLE_WITHIN):
            before = sum(self.spent())
            await asyncio.sleep(1)
            if sum(self.spent()) - before < 0.1:
                return

    def written(self) -> tuple[int, int]:
        """Return the bytes of the database's journal (WAL) and of its files so far; zeros where it is not ours."""
        if self.database is None:
            return 0, 0
        with psycopg.connect(self.database) as connection:
            row = connection.execute(
                "select pg_current_wal_lsn() - '0/0'::pg_lsn, pg_database_size(current_database())"
            ).fetchone()
        assert row is not None
        return int(row[0]), int(row[1])


@asynccontextmanager
async def running(
    url: str | None,
    client: tuple[str, str] | None,
    *,
    processes: int = 2,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[MeasuredHub]:
    """Give the hub at ``url``, as this client, or start one in a folder that is deleted afterwards, with ``settings``
    (as variables of the environment) beside those of everybody.

    Raises:
        NoHub: it does not start.
    """
    if url is not None and client is not None:
        yield MeasuredHub(url.rstrip("/"), *client)
        return
    with (
        tempfile.TemporaryDirectory(prefix="clinic-net-bench-", ignore_cleanup_errors=True) as folder,
        _started(Path(folder) / "data", processes=processes, settings=settings or {}) as hub,
    ):
        await answers(hub)
        yield hub


@contextmanager
def _started(data: Path, *, processes: int, settings: Mapping[str, str]) -> Iterator[MeasuredHub]:
    with EmbeddedServices(data) as services:
        command = [sys.executable, "-m", "clinic_net.cli"]
        port = free_port()
        log = data / "bench.log"
        with log.open("wb") as written:
            serving = subprocess.Popen(  # noqa: S603 -- our own program
                [*command, "serve", "--port", str(port), "--data", str(data), "--processes", str(processes)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=written,
                env={**os.environ, **settings},  # noqa: TID251 -- a child's, handed on
            )
        try:
            yield MeasuredHub(
                f"http://127.0.0.1:{port}",
                *made_client(data),
                services.database_url.replace("postgresql+psycopg://", "postgresql://"),
                serving.pid,
                int((data / "postgres" / "postmaster.pid").read_text().split()[0]),
                HubSettings.model_validate({**services.settings, "public_url": f"http://127.0.0.1:{port}"}),
            )
        finally:
            serving.terminate()
            try:
                serving.wait(_STOP_WITHIN)
            except subprocess.TimeoutExpired:
                serving.kill()
                serving.wait()


def made_client(data: Path) -> tuple[str, str]:
    """Add the client that measures to the hub in a folder; return its id and secret."""
    made = subprocess.run(  # noqa: S603 -- our own program
        [
            sys.executable,
            "-m",
            "clinic_net.cli",
            "client",
            "add",
            "bench",
            "--scope",
            SCOPE,
            "--data",
            str(data),
        ],
        capture_output=True,
        check=True,
        text=True,
    )
    known = json.loads(made.stdout)
    return known["client_id"], known["client_secret"]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def answers(hub: MeasuredHub) -> None:
    """Wait until a hub is ready.

    Raises:
        NoHub: it does not become so.
    """
    for _ in range(_START_WITHIN * 10):
        asking = Client(hub.url)
        try:
            if (await asking.ask(Request("GET", "/readyz"))).status == 200:
                return
        except OSError:
            pass
        finally:
            asking.close()
        await asyncio.sleep(0.1)
    raise NoHub("the hub did not become ready")
