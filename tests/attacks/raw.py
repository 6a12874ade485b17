"""Bytes on a connection, as no client library would send them."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from tests.app.process import Process


async def exchange(process: Process, sent: bytes, *, within: float = 10.0) -> bytes:
    """Send bytes and return all that comes back until the hub closes, or until ``within`` seconds have passed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
    heard = b""
    try:
        writer.write(sent)
        await writer.drain()
        async with asyncio.timeout(within):
            while chunk := await reader.read(65536):
                heard += chunk
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()
    return heard


def status(answer: bytes) -> int:
    """Return the status of the first answer; 0 when the connection ended without one."""
    line = answer.split(b"\r\n", 1)[0].split()
    return int(line[1]) if len(line) > 1 else 0


def resident(process: Process) -> int:
    """Return the memory that the hub's process holds, in bytes (``VmRSS``)."""
    for line in Path(f"/proc/{process.running.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(os.listdir(f"/proc/{process.running.pid}"))
