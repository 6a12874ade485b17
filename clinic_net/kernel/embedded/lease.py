"""Who uses a data folder: locks that the kernel releases when a process dies, however it dies.

Two files. ``turn`` is held for the moments in which servers are started or stopped: one process at a time.
``users`` is held, shared, by every process that uses the servers; whoever can get it alone is the last.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep

from clinic_net.kernel import clock
from clinic_net.kernel.embedded.errors import DataFolderUnusable, EmbeddedUnavailable

_TURN_WITHIN = 120.0
_LOOK_EVERY = 0.02
"""Seconds."""


class Lease:
    """One process's part in the use of a data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._users: int | None = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until no other process is starting or stopping the servers, and keep it so.

        Errors: :class:`EmbeddedUnavailable` after two minutes, :class:`DataFolderUnusable` when the folder is
        another user's.
        """
        descriptor = self._open("turn.lock")
        try:
            give_up_at = clock.monotonic() + _TURN_WITHIN
            while not _lock_alone(descriptor):
                if clock.monotonic() > give_up_at:
                    raise EmbeddedUnavailable(
                        f"another process has been starting the servers of {self._folder}"
                    )
                sleep(_LOOK_EVERY)
            yield
        finally:
            os.close(descriptor)

    def join(self) -> bool:
        """Become a user of the servers. Returns whether this process is the only one. Needs the turn."""
        assert self._users is None, "joined twice"
        self._users = self._open("users.lock")
        alone = _lock_alone(self._users)
        fcntl.flock(self._users, fcntl.LOCK_SH)
        if alone:
            (self._folder / "place").write_text(_place())
        return alone

    def sees_the_others(self) -> bool:
        """Return whether the process that began this use is in our process namespace: its ids mean ours."""
        try:
            return (self._folder / "place").read_text() == _place()
        except FileNotFoundError:
            return True

    def leave(self) -> bool:
        """Stop being a user. Returns whether this process was the last one. Needs the turn."""
        assert self._users is not None, "left without joining"
        last = _lock_alone(self._users)
        os.close(self._users)
        self._users = None
        return last

    def _open(self, name: str) -> int:
        try:
            return os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except PermissionError as problem:
            raise DataFolderUnusable(f"{self._folder} belongs to another user; run as that user") from problem


def _place() -> str:
    """Return a name of this machine's, or this container's, space of process ids."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return "one machine"


def _lock_alone(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
