"""Heavy requests take turns, in the order in which they came, and are refused when theirs does not come."""

import asyncio
from datetime import timedelta

import pytest

from clinic_net.kernel.errors import Unavailable
from clinic_net.kernel.gate import Gate


async def test_no_more_than_allowed_are_inside_at_once() -> None:
    gate, inside, most = Gate(at_once=2, patience=timedelta(seconds=5)), 0, 0

    async def one() -> None:
        nonlocal inside, most
        async with gate.turn():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1

    await asyncio.gather(*(one() for _ in range(20)))
    assert (inside, most) == (0, 2)


async def test_whose_turn_does_not_come_is_refused_and_takes_nobody_elses() -> None:
    gate = Gate(at_once=1, patience=timedelta(milliseconds=20))

    async with gate.turn():
        with pytest.raises(Unavailable):
            async with gate.turn():
                pass
    async with gate.turn():
        pass


async def test_a_turn_is_given_back_by_whoever_fails_inside() -> None:
    gate = Gate(at_once=1, patience=timedelta(milliseconds=20))

    for _ in range(3):
        with pytest.raises(KeyError):
            async with gate.turn():
                raise KeyError
