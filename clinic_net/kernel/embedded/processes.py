"""Servers that this process did not start, or no longer parents: do they live, are they ours, make them end.

A process id in a file proves nothing: after a restart of the machine or the container the same number may
be somebody else. Both servers make their data folder their working directory, and that can be checked.
"""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from time import sleep

from clinic_net.kernel import clock

_PROC = Path("/proc")
_LOOK_EVERY = 0.02
_DEATH_WITHIN = 10.0
"""Seconds."""


@dataclass(frozen=True)
class ServerProcess:
    """The process, or processes, of one server: those called ``program`` that work in ``folder``.

    ``pid_file`` holds the id of the first of them on its first line.
    """

    program: str
    folder: Path
    pid_file: Path

    def pid(self) -> int | None:
        """Return the process that the pid file names, if it lives and is this server."""
        try:
            pid = int(self.pid_file.read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        return pid if alive(pid) and (not _PROC.is_dir() or self._is_ours(pid)) else None

    def all(self) -> list[int]:
        """Return every living process of the server; where there is no ``/proc``, the first at most."""
        if not _PROC.is_dir():
            return [pid for pid in (self.pid(),) if pid is not None]
        numbers = [int(name) for name in os.listdir(_PROC) if name.isdigit()]
        return [pid for pid in numbers if self._is_ours(pid) and alive(pid)]

    def end(self, *, politely: signal.Signals, within: float) -> None:
        """Ask the server to end, and after ``within`` seconds kill whatever is left of it."""
        pid = self.pid()
        if pid is not None:
            _signal(pid, politely)
            gone([pid], within=within)
        left = self.all()
        for each in left:
            _signal(each, signal.SIGKILL)
        gone(left, within=_DEATH_WITHIN)

    def _is_ours(self, pid: int) -> bool:
        try:
            found, wanted = os.stat(_PROC / str(pid) / "cwd"), self.folder.stat()
            called = (_PROC / str(pid) / "comm").read_text().strip()
        except OSError:
            return False
        return called == self.program and (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino)


def alive(pid: int) -> bool:
    """Return whether a process runs; one that ended and was not yet collected by its parent does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if not _PROC.is_dir():
        return True
    try:
        state = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in ("Z", "X")


def gone(pids: list[int], *, within: float) -> bool:
    """Wait until every process has ended, at most ``within`` seconds. Returns whether they have."""
    give_up_at = clock.monotonic() + within
    while any(alive(pid) for pid in pids):
        if clock.monotonic() > give_up_at:
            return False
        sleep(_LOOK_EVERY)
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
