"""Start, watch and stop the real programs, as an operator's service manager would."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

BIN = Path(sys.executable).parent
"""Where ``clinic-net`` and ``station-agent`` were installed."""


class DemoFailed(Exception):
    """A program did not do what it must; the message says which and where its log is."""


@dataclass
class Program:
    """One running program and its log file."""

    name: str
    command: list[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    _process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it; its output goes to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,  # Ctrl-C is for the demo, which then stops its programs in order
            )

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Ask it to end, then insist."""
        if self._process is None:
            return
        if self.is_running():
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


def run(program: str, *arguments: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Run one of the two programs to its end and return the JSON it printed.

    Raises:
        DemoFailed: it exited with an error; its own words are kept.
    """
    done = subprocess.run(
        [str(BIN / program), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        check=False,
    )
    if done.returncode != 0:
        words = (done.stderr.strip().splitlines() or ["no words"])[-1]
        raise DemoFailed(f"{program} {' '.join(arguments[:3])}: {words}")
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return dict(json.loads(lines[-1])) if lines else {}


def wait_for(what: str, url: str, *, program: Program, seconds: float = 60) -> None:
    """Wait until ``url`` answers 200, saying so when it takes longer than two seconds.

    Raises:
        DemoFailed: the program ended, or did not answer in time.
    """
    said = time.monotonic() + 2
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not program.is_running():
            raise DemoFailed(f"{what} ended; its log is {program.log}")
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        if time.monotonic() > said:
            print(f"  waiting for {what} …", flush=True)
            said = time.monotonic() + 5
        time.sleep(0.1)
    raise DemoFailed(f"{what} did not answer within {seconds:.0f} s; its log is {program.log}")


def step(what: str, do: Callable[[], None]) -> None:
    """Do something and say how long it took."""
    began = time.monotonic()
    print(f"  {what} …", flush=True)
    do()
    print(f"  {what}: {time.monotonic() - began:.1f} s", flush=True)
