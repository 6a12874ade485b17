"""One program at a time works on a data directory."""

import fcntl
import os
from pathlib import Path
from typing import IO

from station_agent.errors import AlreadyRunning, NotEnrolled


def hold(directory: Path) -> IO[bytes]:
    """Hold the data directory until what this returns is closed, so that no two number operations in one database.

    Raises:
        AlreadyRunning: another program holds it.
        NotEnrolled: there is no such directory.
    """
    if not directory.is_dir():
        raise NotEnrolled("there is no data here: run station-agent enrol first")
    file = open(directory / "agent.lock", "ab")  # noqa: SIM115 held while the agent lives
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise AlreadyRunning("another station-agent works on this data directory") from None
    file.truncate(0)
    file.write(str(os.getpid()).encode())
    file.flush()
    return file


def is_held(directory: Path) -> bool:
    """Whether a program works on this data directory now."""
    try:
        hold(directory).close()
    except AlreadyRunning:
        return True
    except NotEnrolled:
        return False
    return False
