"""Several hub processes on one machine and one port: Python uses one processor a process.

Each is a node like any other, with a socket of its own on the shared port (``SO_REUSEPORT``: the system spreads new
connections). The parent serves nothing. It holds the embedded servers, starts a process again that ended, and takes
them all with it when it ends, however it ends.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import structlog
from pydantic import SecretStr, TypeAdapter

from clinic_net.kernel import clock
from clinic_net.kernel.settings import HubSettings

log = structlog.get_logger()

_STOP_WITHIN = 20.0
"""Seconds; sockets' peers are let go in 10 (``serving.HOW``)."""
_AGAIN_AFTER = 1.0
"""Seconds before a process that ended is started again."""
_LOOK_EVERY = 0.2


class AddressTaken(Exception):
    """Somebody else listens on the port, or it may not be had; the message names it."""


def shared_socket(host: str, port: int) -> socket.socket:
    """Return a socket bound to a port that other processes of this hub share.

    Raises:
        AddressTaken: it cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
    except OSError as problem:
        bound.close()
        raise AddressTaken(f"{host}:{port} cannot be used: {problem.strerror}") from problem
    return bound


def environment_of(settings: HubSettings) -> dict[str, str]:
    """Return the environment in which another process reads these settings."""
    found = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if value is None:
            continue
        if isinstance(value, SecretStr):
            told = value.get_secret_value()
        elif isinstance(value, str):
            told = value
        else:
            told = TypeAdapter(object).dump_json(value).decode().strip('"')
        found[f"CLINIC_NET_{name.upper()}"] = told
    return found


def end_with_parent(lifeline: int) -> None:
    """End this process in order as soon as the other end of ``lifeline`` is closed: when the parent has gone."""

    def wait() -> None:
        with suppress(OSError):
            os.read(lifeline, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def run(command: Sequence[str], *, first: Sequence[str], count: int, environment: Mapping[str, str]) -> int:
    """Run ``count`` processes of this program until told to stop; return the exit code.

    ``command`` are the arguments of each but the first, which gets ``first``. A process that ends is started again.
    """
    lifeline, held = os.pipe()
    commands = [first, *[command] * (count - 1)]

    def start(number: int) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(  # noqa: S603 -- this program
            [sys.executable, "-m", "clinic_net.cli", *commands[number], "--lifeline", str(lifeline)],
            env={**os.environ, **environment},  # noqa: TID251 -- what the child inherits
            pass_fds=[lifeline],
            start_new_session=True,  # Ctrl-C is for the parent, which stops them in order
        )

    running = [start(number) for number in range(count)]
    again: dict[int, float] = {}
    try:
        while True:
            for number, process in enumerate(running):
                if process.poll() is None:
                    continue
                if number not in again:
                    log.warning("process_ended", code=process.returncode)
                    again[number] = clock.monotonic() + _AGAIN_AFTER
                elif clock.monotonic() >= again[number]:
                    del again[number]
                    running[number] = start(number)
            time.sleep(_LOOK_EVERY)
    except KeyboardInterrupt:
        return 0
    finally:
        os.close(held)
        _stop(running)


def _stop(running: "Sequence[subprocess.Popen[bytes]]") -> None:
    until = clock.monotonic() + _STOP_WITHIN
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(max(0.1, until - clock.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
