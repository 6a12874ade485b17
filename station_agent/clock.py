"""The only module of the station that reads the clock. Everything else takes the time as an argument."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the current instant, aware, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Return seconds on a clock that never goes back; only differences mean anything."""
    return time.monotonic()


def since_boot() -> float:
    """Return seconds since this computer was started, those in which it slept too: no clock that is set changes it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
