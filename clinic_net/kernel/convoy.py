"""Requests that wait at the same moment travel together: one transaction, one commit, for many of them.

A durable commit costs the same for one row as for fifty, and so does a round trip. While a batch is on its way the next
one gathers by itself; an idle hub carries a request alone and at once, so nothing is ever delayed on purpose.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Generic, TypeVar

from clinic_net.kernel.errors import Unavailable

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")

Carry = Callable[[Sequence[Ask]], Awaitable[Sequence[Answer | Exception]]]
"""Does what was asked, in one transaction, and returns an answer or an exception for each."""


class Convoy(Generic[Ask, Answer]):
    """Gathers what is asked and has it carried, up to ``most`` at a time, by up to ``at_once`` carriers.

    ``weigh`` says how much of ``most`` an ask takes up; a heavier one travels alone.

    When a batch fails as a whole each of its members is carried alone, so that one bad request spoils no other; a
    carrier must therefore leave nothing behind when it raises; what meets everybody alike (``Unavailable.for_all``) is
    told to all at once. At most ``waiting`` may queue.
    """

    def __init__(
        self,
        carry: "Carry[Ask, Answer]",
        *,
        most: int = 64,
        at_once: int = 2,
        waiting: int = 2000,
        weigh: Callable[[Ask], int] = lambda ask: 1,
    ) -> None:
        self._carry = carry
        self._weigh = weigh
        self._most = most
        self._at_once = at_once
        self._waiting = waiting
        self._queue: deque[tuple[Ask, asyncio.Future[Answer]]] = deque()
        self._travelling = 0
        self._carriers: set[asyncio.Task[None]] = set()

    async def join(self, ask: Ask) -> Answer:
        """Return the answer to ``ask``.

        Raises:
            Unavailable: too many are waiting.
            Exception: what the carrier answered or met.
        """
        if len(self._queue) >= self._waiting:
            raise Unavailable("the hub is busy; try again")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append((ask, answer))
        if self._travelling < self._at_once:
            self._travelling += 1
            self._begin(self._travel())
        return await answer

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name="convoy")
        self._carriers.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._carriers.discard)

    async def _travel(self) -> None:
        try:
            await self._carry_on()
        finally:
            # Here, with nothing in between: who joins next must see that no carrier will look into the queue again.
            self._travelling -= 1

    async def _carry_on(self) -> None:
        while self._queue:
            batch: list[tuple[Ask, asyncio.Future[Answer]]] = []
            weight = 0
            while self._queue and (not batch or weight + self._weigh(self._queue[0][0]) <= self._most):
                ask, answer = self._queue.popleft()
                if not answer.cancelled():
                    weight += self._weigh(ask)
                    batch.append((ask, answer))
            await self._carry_all(batch)

    async def _carry_all(self, batch: "list[tuple[Ask, asyncio.Future[Answer]]]") -> None:
        if not batch:
            return
        try:
            answers = await self._carry([ask for ask, _ in batch])
        except Exception as failure:  # noqa: BLE001 -- whatever it is belongs to whoever asked
            if len(batch) == 1 or (isinstance(failure, Unavailable) and failure.for_all):
                for _, answer in batch:
                    _tell(answer, failure)
                return
            # Beside the convoy, not in it: what one of them waits for must not hold up who comes next.
            for member in batch:
                self._begin(self._carry_all([member]))
            return
        for (_, answer), told in zip(batch, answers, strict=True):
            _tell(answer, told)


def _tell(answer: "asyncio.Future[Answer]", told: Answer | Exception) -> None:
    if answer.done():  # its caller has gone
        return
    if isinstance(told, Exception):
        answer.set_exception(told)
    else:
        answer.set_result(told)
