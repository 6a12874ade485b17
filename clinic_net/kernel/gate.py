"""Heavy requests take turns, so that light ones always find a connection and a moment of the processor."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

from clinic_net.kernel.errors import Unavailable

BREATH = 16
"""Pieces of work after which a long computation lets other requests on (``breathe``): a millisecond, or two."""


class Gate:
    """Lets ``at_once`` requests through at a time, in the order in which they came; who waits too long is refused."""

    def __init__(self, *, at_once: int, patience: timedelta) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._patience = patience.total_seconds()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and hold it.

        Raises:
            Unavailable: it did not come within the gate's patience.
        """
        try:
            async with asyncio.timeout(self._patience):
                await self._turns.acquire()
        except TimeoutError:
            raise Unavailable("the hub is busy; try again") from None
        global _heavy
        _heavy += 1
        try:
            yield
        finally:
            _heavy -= 1
            self._turns.release()


_PAUSE = 0.003
"""Seconds that a heavy request leaves to light ones that are under way: a round trip to the database, or two."""

_light = 0
_heavy = 0


def busy() -> bool:
    """Whether requests are under way here that work in the background should leave the processor to."""
    return _light > 0 or _heavy > 0


LONGEST_PAUSE_S = 2.0
"""How long background work leaves the processor to requests at most, between two of its portions."""


async def leave_room(spent: float) -> None:
    """Pause after a portion of background work that took ``spent`` seconds, if requests are under way: such work has
    a tenth of the time then, and catches up when there is less to do."""
    if busy():
        await asyncio.sleep(min(9 * spent, LONGEST_PAUSE_S))


@contextmanager
def lightly() -> Iterator[None]:
    """Say that a light request is under way: while one is, heavy ones make longer pauses."""
    global _light
    _light += 1
    try:
        yield
    finally:
        _light -= 1


async def breathe(done: int) -> None:
    """Let other requests on, once in ``BREATH`` pieces of work."""
    if done % BREATH == BREATH - 1:
        await asyncio.sleep(_PAUSE if _light else 0)
