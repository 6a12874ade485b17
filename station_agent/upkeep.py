"""What the agent does for its own store beside the work at the desk: proving its pages, and ending for repair."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from station_agent.errors import StationRefusal
from station_agent.store import Database, checking, rescue
from station_agent.store.checking import Check
from station_agent.supervisor import Tell

log = structlog.get_logger()

EVERY = timedelta(days=1)
LOOKS_AFTER_S = 5.0
"""How often it is seen whether a page was read that is not what was written, and whether a day has passed."""


class Upkeep:
    """Proves a store's pages. ``over`` is set when the agent has to end, so that the store is built anew."""

    def __init__(
        self, database: Database, directory: Path, *, clock: Callable[[], datetime], tell: Tell
    ) -> None:
        self._tell = tell
        self._database = database
        self._directory = directory
        self._clock = clock
        self.over = asyncio.Event()

    async def run(self) -> None:
        """Look again and again until the store is damaged; the link and the desk go on meanwhile."""
        self._tell("READY=1")
        while not self._database.damaged.is_set():
            with contextlib.suppress(StationRefusal):
                await self._database.run(
                    lambda _: None
                )  # who waits for ever for the store is no living agent
                self._tell("WATCHDOG=1")
            await asyncio.sleep(LOOKS_AFTER_S)
            if self.due(self._clock()):
                with contextlib.suppress(StationRefusal):
                    await self.prove()
        log.error("store_damaged_in_use")
        self.over.set()

    def due(self, now: datetime) -> bool:
        """Whether a day has passed since the last look, by a clock that may have been set back."""
        last = checking.last(self._directory)
        if last is None:
            return True
        passed = now - datetime.fromisoformat(last.at)
        return passed >= EVERY or passed <= -EVERY

    async def prove(self) -> Check:
        """Look at every page; what seems wrong is looked at again while nobody writes."""
        path, now = self._database.path, self._clock()
        check = await asyncio.to_thread(checking.look, path, now)
        if not check.whole:
            check = await self._database.run(lambda _: checking.look(path, now))
        checking.keep(self._directory, check)
        rescue.forget_old(self._directory, now)
        if not check.whole:
            self._database.damaged.set()
        return check
