"""Several hub processes on one port: one that dies is replaced, and they all end with their parent."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from clinic_net.kernel.settings import HubSettings
from clinic_net.processes import environment_of
from tests.app.process import Process, serving

pytestmark = pytest.mark.processes

WITHIN_S = 30.0


def children(process: Process) -> set[int]:
    """Return the hub processes below the one that was started."""
    found = Path(f"/proc/{process.running.pid}/task/{process.running.pid}/children").read_text()
    return {int(pid) for pid in found.split()}


def until(what: str, holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < ends, f"{what} did not come"
        time.sleep(0.05)


def answers(process: Process) -> bool:
    try:
        return httpx.get(f"{process.url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_process_that_dies_is_replaced_and_the_others_answer_meanwhile(settings: HubSettings) -> None:
    with serving(settings, "--processes", "2", "--no-worker") as process:
        until("two processes", lambda: len(children(process)) == 2)
        first = children(process)
        killed = first.copy().pop()
        until("both", lambda: all(answers(process) for _ in range(5)))

        os.kill(killed, signal.SIGKILL)

        until("an answer", lambda: answers(process))
        until("another process", lambda: len(children(process) - {killed}) == 2)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_all_end_with_their_parent_however_it_ends(settings: HubSettings, how: signal.Signals) -> None:
    with serving(settings, "--processes", "2", "--no-worker") as process:
        until("two processes", lambda: len(children(process)) == 2)
        started = children(process)

        process.running.send_signal(how)

        until("the end of all", lambda: not any(map(alive, started)))
        if how == signal.SIGTERM:
            assert process.running.wait(WITHIN_S) == 0


def test_settings_reach_another_process_unchanged(
    settings: HubSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings.model_copy(update={"cors_origins": ("https://a.example", "https://b.example")})

    for name, value in environment_of(chosen).items():
        monkeypatch.setenv(name, value)

    assert HubSettings() == chosen
