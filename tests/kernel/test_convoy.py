"""Requests that travel together: each gets its own answer, whatever becomes of the others."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinic_net.kernel.convoy import Convoy
from clinic_net.kernel.errors import Unavailable


class Carrier:
    """Doubles numbers, remembers what travelled together, and breaks down over negative ones."""

    def __init__(self, *, held: asyncio.Event | None = None) -> None:
        self.batches: list[list[int]] = []
        self._held = held

    async def carry(self, asked: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(asked))
        if self._held is not None:
            await self._held.wait()
        await asyncio.sleep(0)
        if min(asked) < 0:
            raise ValueError("a batch with a negative number breaks down as a whole")
        return [KeyError(number) if number == 13 else 2 * number for number in asked]


@settings(max_examples=50, deadline=None)
@given(
    asked=st.lists(st.integers(-3, 40), max_size=60),
    most=st.integers(1, 9),
    at_once=st.integers(1, 3),
)
def test_everyone_gets_the_answer_to_their_own_question(asked: list[int], most: int, at_once: int) -> None:
    async def run() -> list[int | BaseException]:
        convoy: Convoy[int, int] = Convoy(Carrier().carry, most=most, at_once=at_once)
        return await asyncio.gather(*map(convoy.join, asked), return_exceptions=True)

    for number, told in zip(asked, asyncio.run(run()), strict=True):
        if number < 0:
            assert isinstance(told, ValueError)
        elif number == 13:
            assert isinstance(told, KeyError)
        else:
            assert told == 2 * number


async def test_one_after_another_never_waits_for_a_carrier_that_has_left() -> None:
    convoy: Convoy[int, int] = Convoy(Carrier().carry, at_once=1)

    for number in range(100):
        assert await asyncio.wait_for(convoy.join(number + 20), 5) == 2 * (number + 20)


async def test_who_waits_while_a_batch_travels_travels_together_next() -> None:
    held = asyncio.Event()
    carrier = Carrier(held=held)
    convoy: Convoy[int, int] = Convoy(carrier.carry, at_once=1)

    first = asyncio.create_task(convoy.join(1))
    await asyncio.sleep(0.01)
    rest = [asyncio.create_task(convoy.join(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0.01)
    held.set()

    assert await asyncio.gather(first, *rest) == [2, 4, 6, 8]
    assert carrier.batches == [[1], [2, 3, 4]]


async def test_a_caller_that_goes_away_harms_nobody() -> None:
    held = asyncio.Event()
    carrier = Carrier(held=held)
    convoy: Convoy[int, int] = Convoy(carrier.carry, at_once=1)
    waiting = [asyncio.create_task(convoy.join(number)) for number in range(4)]
    await asyncio.sleep(0.01)

    waiting[0].cancel()
    waiting[2].cancel()
    await asyncio.sleep(0.01)
    held.set()
    told = await asyncio.gather(*waiting, return_exceptions=True)

    assert told[1::2] == [2, 6]
    assert await convoy.join(5) == 10


async def test_a_full_queue_is_refused_and_empties_again() -> None:
    held = asyncio.Event()
    convoy: Convoy[int, int] = Convoy(Carrier(held=held).carry, at_once=1, most=1, waiting=2)
    first = asyncio.create_task(convoy.join(0))
    await asyncio.sleep(0.01)
    queued = [asyncio.create_task(convoy.join(number)) for number in (1, 2)]
    await asyncio.sleep(0.01)

    with pytest.raises(Unavailable):
        await convoy.join(3)

    held.set()
    assert await asyncio.gather(first, *queued) == [0, 2, 4]
    assert await convoy.join(5) == 10


async def test_a_heavy_one_leaves_room_for_no_other() -> None:
    held = asyncio.Event()
    carrier = Carrier(held=held)
    convoy: Convoy[int, int] = Convoy(carrier.carry, at_once=1, most=10, weigh=lambda number: number)
    first = asyncio.create_task(convoy.join(1))
    await asyncio.sleep(0.01)
    rest = [asyncio.create_task(convoy.join(number)) for number in (4, 5, 6, 30, 2)]
    await asyncio.sleep(0.01)
    held.set()

    await asyncio.gather(first, *rest)
    assert carrier.batches == [[1], [4, 5], [6], [30], [2]]
