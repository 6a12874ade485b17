"""Heavy requests take turns, so that light ones always find a connection and a moment of the processor."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from clinic_net.kernel.errors import Unavailable

BREATH = 32
"""Pieces of work after which a long computation lets other requests on (``breathe``): a few milliseconds."""


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
        try:
            yield
        finally:
            self._turns.release()


async def breathe(done: int) -> None:
    """Let other requests on, once in ``BREATH`` pieces of work."""
    if done % BREATH == BREATH - 1:
        await asyncio.sleep(0)
