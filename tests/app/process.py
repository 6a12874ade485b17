"""The hub as an operator runs it: a process of its own, with production's logs."""

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.typing import Origin, Subprotocol

from clinic_net.kernel.settings import HubSettings
from clinic_net.protocol.signalling import SUBPROTOCOL
from tests import canary

_START_WITHIN_S = 60.0


@dataclass
class Process:
    """``clinic-net serve`` on a port."""

    port: int
    running: "subprocess.Popen[bytes]"
    trusted: ssl.SSLContext | bool = True
    """Whom a caller believes, when the hub speaks TLS."""

    @property
    def url(self) -> str:
        return f"{'http' if self.trusted is True else 'https'}://127.0.0.1:{self.port}"

    async def open(self, headers: Mapping[str, str], origin: str | None = None) -> ClientConnection:
        """Open a signalling socket."""
        return await websockets.connect(
            f"ws://127.0.0.1:{self.port}/signal",
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            additional_headers=headers,
            origin=None if origin is None else Origin(origin),
            proxy=None,
            open_timeout=60,
        )


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ready(process: Process) -> bool:
    assert process.running.poll() is None, "the hub ended while it started"
    try:
        return httpx.get(f"{process.url}/readyz", timeout=5, verify=process.trusted).status_code == 200
    except httpx.TransportError:
        return False


def environment(settings: HubSettings, *, named: bool = True) -> dict[str, str]:
    """Return what a process needs to know of a hub. One that is not ``named`` has no public URL."""
    given = {
        "database": settings.database,
        "redis": settings.redis,
        "token_key": settings.token_key.get_secret_value(),
        "identifier_key": settings.identifier_key.get_secret_value(),
        "turn_secret": settings.turn_secret.get_secret_value(),
        **({"public_url": settings.public_url} if named else {}),
        **({} if settings.files is None else {"files": str(settings.files)}),
        **({"sms_number": settings.sms_number} if settings.sms_number else {}),
    }
    return os.environ | {f"CLINIC_NET_{name.upper()}": value for name, value in given.items()}


@contextmanager
def serving(
    settings: HubSettings,
    *options: str,
    log: Path = Path(os.devnull),
    named: bool = True,
    trusted: ssl.SSLContext | bool = True,
) -> Iterator[Process]:
    """Run the hub with these settings; what it writes goes to ``log``."""
    port = _free_port()
    traces = canary.folder()
    if traces is not None and log == Path(os.devnull):
        log = traces / f"hub-{uuid4().hex}.log"
    with log.open("ab") as output:
        running = subprocess.Popen(
            (sys.executable, "-m", "clinic_net.cli", "serve", "--port", str(port), *options),
            env=environment(settings, named=named),
            stdout=output,
            stderr=output,
        )
    process = Process(port, running, trusted)
    try:
        until = time.monotonic() + _START_WITHIN_S
        while not _ready(process) and time.monotonic() < until:
            time.sleep(0.1)
        yield process
    finally:
        running.kill()
        running.wait()
