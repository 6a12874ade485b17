"""Attacks on signing in and on administration, tried against the whole application."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from clinic_net.access import passwords
from clinic_net.access import service as access
from clinic_net.access.principals import Role
from clinic_net.kernel.hub import Hub
from tests.access.support import Clock
from tests.console.support import add_person, app_of, browser, sign_in, signed_in
from tests.console.test_second_factor import code_of, enter, half_way, with_app
from tests.consultations.support import PROVINCIAL, SITE, make_district


@pytest.fixture(scope="module")
async def district(hub: Hub) -> Hub:
    await make_district(hub)
    return hub


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def victim(district: Hub, clock: Clock) -> Hub:
    return replace(district, now=clock)


@pytest.fixture
async def pages(victim: Hub) -> AsyncIterator[FastAPI]:
    yield app_of(victim)
    assert passwords.STRANGERS.in_hand == passwords.KNOWN.in_hand == 0


def from_address(pages: FastAPI, address: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(pages, client=(address, 50000))
    headers = {"Accept": "text/html", "Origin": "http://hub.test"}
    return httpx.AsyncClient(transport=transport, base_url="http://hub.test", headers=headers)


async def test_a_flood_of_guesses_at_one_account_is_slowed_down_per_account(
    pages: FastAPI, victim: Hub
) -> None:
    """Attack 12: a botnet, an address a guess. The account answers 429 with Retry-After, and waits grow."""
    person = await add_person(victim, Role.DOCTOR)
    answers = []
    for number in range(34):
        async with from_address(pages, f"203.0.113.{number}") as bot:
            answers.append(await sign_in(bot, person.login, "not the password"))
    assert [answer.status_code for answer in answers] == [401] * 30 + [429] * 4
    assert int(answers[-1].headers["retry-after"]) > 0


async def test_a_flood_of_guesses_from_one_network_is_slowed_down_per_network(
    pages: FastAPI, victim: Hub
) -> None:
    """Attack 12: one machine, an account a guess (password spraying), through every address of its network."""
    answers = []
    for number in range(63):
        async with from_address(pages, f"2001:db8:bad:1::{number:x}") as bot:
            answers.append((await sign_in(bot, f"nobody.{number}", "Matkhau@123456")).status_code)
    assert answers == [401] * 60 + [429] * 3


async def test_others_find_a_free_way_while_a_flood_of_passwords_is_checked(
    pages: FastAPI, victim: Hub
) -> None:
    """Attack 12: argon2 as a weapon. The flood gets one thread and a bounded queue; who uses a known browser waits for
    none of it, and pages that need no password are answered meanwhile."""
    person = await add_person(victim, Role.DOCTOR)
    async with signed_in(pages, person) as own:
        bots = [from_address(pages, f"198.51.100.{number}") for number in range(60)]
        flood = asyncio.gather(*(sign_in(bot, f"bot.{n}", "x" * 200) for n, bot in enumerate(bots)))
        while passwords.STRANGERS.in_hand < 25:  # noqa: ASYNC110 -- the flood has no event for it
            await asyncio.sleep(0)
        assert (await own.get("/doctor")).status_code == 200
        assert (await sign_in(own, person.login)).status_code == 303
        assert passwords.STRANGERS.in_hand > 10  # neither waited for the flood to end
        answers = [answer.status_code for answer in await flood]
        for bot in bots:
            await bot.aclose()
    assert set(answers) <= {401, 503}
    assert answers.count(503) >= 60 - 25 - 10
    assert passwords.STRANGERS.in_hand == 0


async def test_guessing_codes_ends_after_five_tries_and_keeps_the_owner_in(
    pages: FastAPI, victim: Hub, clock: Clock
) -> None:
    """Attack 12: TOTP brute force by somebody who has the password. Beginning again does not help; the owner's own
    browser is counted by itself."""
    person, secret, _ = await with_app(pages, victim, clock)
    async with half_way(pages, person) as own:
        assert (await enter(own, code_of(secret, clock))).status_code == 303
        clock.forward(timedelta(minutes=1))
        async with half_way(pages, person) as thief:
            answers = [(await enter(thief, f"{guess:06}")).status_code for guess in range(4)]
        async with half_way(pages, person) as thief:
            answers += [(await enter(thief, f"{guess:06}")).status_code for guess in range(4, 7)]
            slowed = await enter(thief, code_of(secret, clock))  # not even the right one
        assert answers == [401] * 5 + [429] * 2
        assert (slowed.status_code, int(slowed.headers["retry-after"]) > 0) == (429, True)
        await own.post("/sign-out")
        assert (await sign_in(own, person.login)).headers["location"] == "/sign-in/factor"
        assert (await enter(own, code_of(secret, clock))).status_code == 303


async def test_a_day_of_guessing_codes_is_a_hundred_guesses(
    pages: FastAPI, victim: Hub, clock: Clock
) -> None:
    """Attack 12: patience. With the waits obeyed, about a hundred of a million codes are tried in a day."""
    person, _, _ = await with_app(pages, victim, clock)
    tries, end = 0, clock() + timedelta(days=1)
    while clock() < end:
        async with half_way(pages, person) as thief:
            answer = await enter(thief, "000000")
        if answer.status_code == 429:
            clock.forward(timedelta(seconds=int(answer.headers["retry-after"])))
            continue
        assert answer.status_code == 401
        tries += 1
    assert 90 < tries < 130


# -- administration


@pytest.mark.parametrize("role", [Role.NURSE, Role.DOCTOR, Role.COORDINATOR, Role.AUDITOR, Role.CITIZEN])
async def test_administration_refuses_whoever_is_no_administrator(
    pages: FastAPI, victim: Hub, role: Role
) -> None:
    """Attack 73: administration's pages and interfaces with a nurse's session."""
    other = await add_person(victim, Role.NURSE)
    async with signed_in(pages, await add_person(victim, role)) as client:
        for path in (
            "/people",
            "/people/new",
            f"/people/{other.user.id}",
            "/approvals",
            "/fleet/v1/stations",
        ):
            assert (await client.get(path)).status_code == 403, path
        for path, form in (
            ("/people/new", {"login": "x.y", "name": "X", "role": "nurse", "facility": PROVINCIAL}),
            (f"/people/{other.user.id}/role", {"role": "operator"}),
            (f"/people/{other.user.id}/disable", {}),
            (f"/people/{other.user.id}/factors", {}),
            (f"/people/{other.user.id}/password", {}),
            ("/approvals/codes", {"sites": SITE}),
            (f"/fleet/v1/stations/{SITE}/codes", {}),
            (f"/fleet/v1/stations/{SITE}/revoke", {}),
        ):
            assert (await client.post(path, data=form)).status_code == 403, path


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.NATIONAL])
async def test_nobody_changes_themselves(pages: FastAPI, victim: Hub, role: Role) -> None:
    """Attack 73: one's own role, second factor, password by the administrator's door, or account."""
    person = await add_person(victim, role)
    async with signed_in(pages, person) as client:
        for what in ("role", "factors", "password", "disable", "sign-out"):
            answer = await client.post(f"/people/{person.user.id}/{what}", data={"role": "national"})
            assert answer.status_code == 403, what
    async with victim.sessions() as session:
        assert (await access.user(session, person.user.id)).role is role


async def test_an_operator_makes_no_national_administrator(pages: FastAPI, victim: Hub) -> None:
    """Attack 73: more rights than one has, for somebody else who then shares them."""
    friend = await add_person(victim, Role.NURSE)
    async with signed_in(pages, await add_person(victim, Role.OPERATOR)) as client:
        answer = await client.post(f"/people/{friend.user.id}/role", data={"role": "national"})
    assert answer.status_code == 403


async def test_the_last_national_administrator_is_not_removed(pages: FastAPI, victim: Hub) -> None:
    """Attack 73: by another administrator's hand the network would have nobody left above the provinces; two who
    remove each other at once leave one."""
    first, second = await add_person(victim, Role.NATIONAL), await add_person(victim, Role.NATIONAL)
    async with victim.sessions() as session, session.begin():
        for each in await access.people(session, role=Role.NATIONAL):
            if each.id not in (first.user.id, second.user.id):
                await access.disable_user(session, each.login, by="operator:terminal", now=victim.now())
    async with signed_in(pages, first) as one, signed_in(pages, second) as two:
        answers = await asyncio.gather(
            one.post(f"/people/{second.user.id}/disable"), two.post(f"/people/{first.user.id}/disable")
        )
    won, lost = sorted(answer.status_code for answer in answers)
    assert won == 303
    assert lost in (401, 403)  # refused, or signed out by then
    async with victim.sessions() as session:
        assert len(await access.people(session, role=Role.NATIONAL)) == 1


async def test_a_page_of_another_site_administers_nobody(pages: FastAPI, victim: Hub) -> None:
    """Attack 73: an administrator is lured to a page that posts forms."""
    nurse = await add_person(victim, Role.NURSE)
    async with signed_in(pages, await add_person(victim, Role.OPERATOR)) as client:
        for what in ("disable", "role", "password"):
            answer = await client.post(
                f"/people/{nurse.user.id}/{what}",
                data={"role": "operator"},
                headers={"Origin": "https://evil.test"},
            )
            assert answer.status_code == 403
    async with browser(pages) as theirs:
        assert (await sign_in(theirs, nurse.login)).status_code == 303
