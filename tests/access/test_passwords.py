"""Checking a password costs the same whoever is asked for, and a flood of sign-ins is bounded."""

import asyncio
import time

from clinic_net.access import passwords
from clinic_net.access.errors import SignInBusy


async def quickest(hashed: str | None) -> float:
    took = []
    for _ in range(4):
        began = time.perf_counter()
        assert not await passwords.check("not the password", hashed)
        took.append(time.perf_counter() - began)
    return min(took)


async def test_the_password_is_known_by_its_hash_only() -> None:
    hashed = await passwords.hash_of("correct horse battery")

    assert hashed.startswith("$argon2id$")
    assert await passwords.check("correct horse battery", hashed)
    assert not await passwords.check("correct horse batter", hashed)


async def test_who_does_not_exist_takes_as_long_to_refuse_as_who_does() -> None:
    hashed = await passwords.hash_of("correct horse battery")
    ratio = await quickest(None) / await quickest(hashed)

    assert 0.4 < ratio < 2.5


async def test_who_comes_behind_too_many_is_told_to_come_back() -> None:
    answers = await asyncio.gather(*(passwords.check("x", None) for _ in range(40)), return_exceptions=True)

    assert sum(isinstance(answer, SignInBusy) for answer in answers) == 15
    assert not await passwords.check("x", None)


async def test_a_flood_of_strangers_fills_one_lane_and_leaves_the_other_to_known_browsers() -> None:
    hashed = await passwords.hash_of("correct horse battery")
    flood = asyncio.gather(*(passwords.check("x", None) for _ in range(40)), return_exceptions=True)
    await asyncio.sleep(0)

    assert passwords.STRANGERS.in_hand == 25
    assert await passwords.check("correct horse battery", hashed, known=True)
    assert passwords.STRANGERS.in_hand > 15  # the known one waited for none of them
    assert sum(isinstance(answer, SignInBusy) for answer in await flood) == 15
    assert (passwords.STRANGERS.in_hand, passwords.KNOWN.in_hand) == (0, 0)
