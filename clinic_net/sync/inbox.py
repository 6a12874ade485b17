"""A hub process's inbox: takes batches, durably, and applies them behind the answer; urgent ones before all others.

PostgreSQL holds what waits. What is remembered here spares reading it again, wakes whoever waits for an answer, and may
be lost: ``take_over`` finds what a dead process left.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Coroutine, Iterable, Sequence
from uuid import UUID
from weakref import WeakKeyDictionary

import structlog
from prometheus_client import Counter, Gauge

from clinic_net.kernel.convoy import Convoy
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.logging import where
from clinic_net.protocol.sync import Lane
from clinic_net.sync import apply_store as store
from clinic_net.sync.batches import Content
from clinic_net.sync.inbox_store import Arrival
from clinic_net.sync.portions import apply_waiting
from clinic_net.sync.taking import Taken, Taking, take

log = structlog.get_logger()

_BATCHES = Counter(
    "clinic_net_sync_batches_total", "Batches that stations pushed and that were kept", ["lane"]
)
_QUEUED = Gauge("clinic_net_sync_batches_waiting", "Batches that this process has yet to apply")

_REMEMBERED_BYTES = 32 * 1024 * 1024
"""Texts that are remembered for applying; of batches beyond it the database is asked."""
_APPLIERS = 2
"""While the database stores for one, the other reads and checks."""
_BUSY_PAUSE_S = 0.05
"""How long to leave a database of a station to another process that is at it."""
_LONGEST_PAUSE_S = 0.5
_AT_ONCE = 20


class Inbox:
    """The inbox of one hub process."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._taking: Convoy[Arrival, Taking] = Convoy(self._take, at_once=1, most=32)
        self._urgent: OrderedDict[UUID, None] = OrderedDict()
        self._others: OrderedDict[UUID, None] = OrderedDict()
        self._contents: dict[int, Content] = {}
        self._remembered = 0
        self._waiting: dict[int, tuple[UUID, asyncio.Event]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._appliers = {True: 0, False: 0}
        self._coming = 0

    @property
    def backlog(self) -> int:
        """How many databases of stations have something that waits here."""
        return len(self._others)

    async def take(self, arrival: Arrival, content: Content) -> Taking:
        """Take a batch; when this returns, it is durable. What is new is applied as soon as may be."""
        self._coming += 1
        try:
            taken = await self._taking.join(arrival)
        finally:
            self._coming -= 1
        if isinstance(taken, Taken) and not taken.again:
            _BATCHES.labels(int(arrival.lane)).inc()
            self._remember(taken.batch, content)
            self._waiting[taken.batch] = arrival.db_epoch, asyncio.Event()
            _QUEUED.set(len(self._waiting))
            self._apply_soon(arrival.db_epoch, urgent=arrival.lane is Lane.URGENT)
        return taken

    async def applied(self, batch: int, within: float) -> bool:
        """Wait until a batch that was taken here is applied; return whether it was, in ``within`` seconds."""
        waiting = self._waiting.get(batch)
        if waiting is None:
            return True
        try:
            await asyncio.wait_for(waiting[1].wait(), within)
        except TimeoutError:
            return False
        return True

    async def _take(self, arrivals: Sequence[Arrival]) -> list[Taking | Exception]:
        now = self._hub.now()
        answers: dict[int, Taking] = {}
        # In one order for everybody: two processes that take for the same stations never wait crosswise.
        order = sorted(range(len(arrivals)), key=lambda number: (arrivals[number].db_epoch, number))
        async with self._hub.links.begin() as s:
            for number in order:
                answers[number] = await take(s, arrivals[number], now=now)
        return [answers[number] for number in range(len(arrivals))]

    def _remember(self, batch: int, content: Content) -> None:
        if self._remembered + content.size <= _REMEMBERED_BYTES:
            self._remembered += content.size
            self._contents[batch] = content

    def _forget(self, batches: Iterable[int]) -> None:
        for batch in batches:
            content = self._contents.pop(batch, None)
            if content is not None:
                self._remembered -= content.size
            waiting = self._waiting.pop(batch, None)
            if waiting is not None:
                waiting[1].set()
        _QUEUED.set(len(self._waiting))

    def _apply_soon(self, epoch: UUID, *, urgent: bool) -> None:
        queue = self._urgent if urgent else self._others
        queue.setdefault(epoch)
        if self._appliers[urgent] < (1 if urgent else _APPLIERS):
            self._appliers[urgent] += 1
            self._begin(self._apply_all(urgent))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name="sync inbox")
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)

    async def _apply_all(self, urgent: bool) -> None:
        queue = self._urgent if urgent else self._others
        try:
            while queue:
                began = time.monotonic()
                epochs = [
                    queue.popitem(last=False)[0] for _ in range(1 if urgent else min(len(queue), _AT_ONCE))
                ]
                await self._apply_some(epochs, urgent)
                if not urgent and self._coming > 1:  # to keep what comes goes before applying what is kept
                    await asyncio.sleep(min(time.monotonic() - began, _LONGEST_PAUSE_S))
        finally:
            self._appliers[urgent] -= 1

    async def _apply_some(self, epochs: Sequence[UUID], urgent: bool) -> None:
        queue = self._urgent if urgent else self._others
        try:
            done = await apply_waiting(self._hub, epochs, contents=self._contents, urgent=urgent)
        except Exception as failure:  # noqa: BLE001 -- whatever it is, the batches are kept
            log.warning("applying_failed", error=type(failure).__name__, place=where(failure))
            if len(epochs) > 1:  # one of them must not keep the others back
                for epoch in epochs:
                    await self._apply_some([epoch], urgent)
                return
            self._forget([batch for batch, (epoch, _) in self._waiting.items() if epoch == epochs[0]])
            return
        self._forget(done.batches)
        for epoch in done.left:
            queue.setdefault(epoch)
        if done.busy:
            await asyncio.sleep(_BUSY_PAUSE_S)
            for epoch in done.busy:
                queue.setdefault(epoch)
        if not done.left and not done.busy and not done.batches:
            await self._settle_elsewhere()

    async def _settle_elsewhere(self) -> None:
        """Wake whoever waits for batches that another process has applied."""
        async with self._hub.links.begin() as s:
            self._forget(await store.settled_of(s, list(self._waiting)))


_inboxes: WeakKeyDictionary[Hub, Inbox] = WeakKeyDictionary()


def inbox_of(hub: Hub) -> Inbox:
    """Return the inbox of a hub process; the same one every time."""
    found = _inboxes.get(hub)
    if found is None:
        found = _inboxes[hub] = Inbox(hub)
    return found
