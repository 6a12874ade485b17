"""One's own account: where one is signed in, the password, for what one works; strangers at one's door."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from clinic_net.access import service as access
from clinic_net.access.http import COOKIE
from clinic_net.access.people import NewUser
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.kernel.hub import Hub
from tests.access.support import Clock
from tests.console.support import Person, add_person, app_of, browser, sign_in, signed_in, text_of
from tests.consultations.support import PROVINCIAL

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
ANDROID = "Mozilla/5.0 (Linux; Android 14; SM-A155F) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hub_now(district: Hub, clock: Clock) -> Hub:
    return replace(district, now=clock)


@pytest.fixture
def pages(hub_now: Hub) -> FastAPI:
    return app_of(hub_now)


@asynccontextmanager
async def at(pages: FastAPI, person: Person, agent: str) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(pages) as client:
        client.headers["User-Agent"] = agent
        assert (await sign_in(client, person.login)).status_code == 303
        yield client


async def who(hub: Hub, client: httpx.AsyncClient) -> UserPrincipal:
    async with hub.sessions() as session, session.begin():
        return await access.signed_in(session, client.cookies[COOKIE], now=hub.now())


async def is_in(client: httpx.AsyncClient) -> bool:
    return (await client.get("/account")).status_code == 200


async def test_one_sees_where_one_is_signed_in_and_signs_out_there(pages: FastAPI, hub_now: Hub) -> None:
    person = await add_person(hub_now, Role.DOCTOR)
    async with at(pages, person, WINDOWS) as desk, at(pages, person, ANDROID) as phone:
        page = await desk.get("/account")
        text = text_of(page.text)
        assert "Chrome, Windows" in text
        assert "Chrome, Android" in text
        assert "SM-A155F" not in page.text
        assert text.count("máy này") == 1
        ends = re.findall(r'name="end" value="([0-9a-f]{64})"', page.text)
        assert len(ends) == 1
        assert (await desk.post("/account/sessions", data={"end": ends[0]})).status_code == 303
        assert not await is_in(phone)
        assert await is_in(desk)


async def test_one_signs_out_everywhere_else(pages: FastAPI, hub_now: Hub) -> None:
    person = await add_person(hub_now, Role.DOCTOR)
    async with (
        at(pages, person, WINDOWS) as desk,
        at(pages, person, ANDROID) as phone,
        at(pages, person, "") as other,
    ):
        await desk.post("/account/sessions", data={"end": "others"})
        assert [await is_in(client) for client in (desk, phone, other)] == [True, False, False]


async def test_somebody_elses_session_is_not_ended_by_its_name(pages: FastAPI, hub_now: Hub) -> None:
    theirs, mine = await add_person(hub_now, Role.DOCTOR), await add_person(hub_now, Role.DOCTOR)
    async with signed_in(pages, theirs) as victim, signed_in(pages, mine) as client:
        for end in ((await who(hub_now, victim)).session, "zz", ""):
            assert (await client.post("/account/sessions", data={"end": end})).status_code in (303, 422)
        assert await is_in(victim)


async def test_what_a_list_shows_of_a_session_opens_nothing(pages: FastAPI, hub_now: Hub) -> None:
    async with signed_in(pages, await add_person(hub_now, Role.DOCTOR)) as client:
        name = (await who(hub_now, client)).session
    async with browser(pages) as thief:
        for value in (name, bytes.fromhex(name).decode("latin-1").encode("unicode_escape").decode()):
            answer = await thief.get("/account", headers={"Cookie": f"{COOKIE}={value}"})
            assert answer.headers["location"] == "/sign-in"


# -- the password


async def test_a_new_password_signs_one_out_everywhere_else(pages: FastAPI, hub_now: Hub) -> None:
    person, new = await add_person(hub_now, Role.NURSE), "mưa rơi trên mái lá cọ"
    async with at(pages, person, WINDOWS) as desk, at(pages, person, ANDROID) as phone:
        done = await desk.post("/account/password", data={"password": new, "again": new})
        assert done.headers["location"] == "/account"
        assert (await is_in(desk), await is_in(phone)) == (True, False)
        assert (await sign_in(phone, person.login)).status_code == 401
        assert (await sign_in(phone, person.login, new)).status_code == 303


@pytest.mark.parametrize(
    ("password", "again", "says"),
    [
        ("ngắn quá", "ngắn quá", "ít nhất 12 ký tự"),
        ("một mật khẩu dài", "một mật khẩu khác", "không giống nhau"),
        ("Benhvien@2026!", "Benhvien@2026!", "dễ đoán"),
        ("p4ssw0rd123456", "p4ssw0rd123456", "dễ đoán"),
        ("matkhau matkhau matkhau", "matkhau matkhau matkhau", "dễ đoán"),
        ("doctor thử nghiệm 99", "doctor thử nghiệm 99", "dễ đoán"),
        ("qwertyuiop123", "qwertyuiop123", "dễ đoán"),
    ],
)
async def test_a_password_that_others_try_first_is_refused(
    pages: FastAPI, hub_now: Hub, password: str, again: str, says: str
) -> None:
    async with signed_in(pages, await add_person(hub_now, Role.DOCTOR)) as client:
        answer = await client.post("/account/password", data={"password": password, "again": again})
    assert answer.status_code == 422
    assert says in text_of(answer.text)
    assert password not in answer.text


async def test_a_password_that_was_given_is_good_for_one_sign_in(pages: FastAPI, hub_now: Hub) -> None:
    new = NewUser("duoc.cap", Role.NURSE, PROVINCIAL, must_change=True)
    async with hub_now.sessions() as session, session.begin():
        given = await access.add_account(session, new, by="operator:terminal", now=hub_now.now())
    own = {"password": "bốn từ chẳng liên quan", "again": "bốn từ chẳng liên quan"}
    async with browser(pages) as client:
        assert (await sign_in(client, "duoc.cap", given)).headers["location"] == "/sign-in/password"
        assert not await is_in(client)
        assert (await client.get("/sign-in/password")).status_code == 200
        assert (await client.post("/sign-in/password", data=own | {"again": "x"})).status_code == 422
        assert (await client.post("/sign-in/password", data=own)).headers["location"] == "/"
        assert await is_in(client)
    async with browser(pages) as client:
        assert (await sign_in(client, "duoc.cap", given)).status_code == 401
        assert (await sign_in(client, "duoc.cap", own["password"])).headers["location"] == "/"


# -- for what one works


async def test_one_says_for_what_one_works_and_the_page_shows_it(pages: FastAPI, hub_now: Hub) -> None:
    async with signed_in(pages, await add_person(hub_now, Role.COORDINATOR)) as client:
        assert (await who(hub_now, client)).purpose == "TREAT"
        assert "Khám chữa bệnh" in text_of((await client.get("/board")).text)
        referer = {"Referer": "http://hub.test/board"}
        done = await client.post("/account/purpose", data={"purpose": "HOPERAT"}, headers=referer)
        assert done.headers["location"] == "/board"
        assert (await who(hub_now, client)).purpose == "HOPERAT"
        assert "Vận hành dịch vụ" in text_of((await client.get("/board")).text)
        for refused in ("ETREAT", "PATRQT", "", "BTG"):
            assert (await client.post("/account/purpose", data={"purpose": refused})).status_code == 422


@pytest.mark.parametrize(
    ("role", "purpose"),
    [
        (Role.DOCTOR, "TREAT"),
        (Role.OPERATOR, "HOPERAT"),
        (Role.NATIONAL, "HOPERAT"),
        (Role.AUDITOR, "HOPERAT"),
        (Role.CITIZEN, "PATRQT"),
    ],
)
async def test_each_role_works_for_something_unless_it_says_otherwise(
    pages: FastAPI, hub_now: Hub, role: Role, purpose: str
) -> None:
    async with signed_in(pages, await add_person(hub_now, role)) as client:
        assert (await who(hub_now, client)).purpose == purpose


# -- strangers at one's door


async def test_a_browser_that_one_used_before_opens_while_strangers_hammer(
    pages: FastAPI, hub_now: Hub, clock: Clock
) -> None:
    person = await add_person(hub_now, Role.DOCTOR)
    async with signed_in(pages, person) as own:
        await own.post("/sign-out")
        for _ in range(40):
            async with browser(pages) as stranger:
                if (await sign_in(stranger, person.login, "not the password")).status_code == 429:
                    break
        else:
            pytest.fail("nobody was slowed down")
        async with browser(pages) as elsewhere:
            assert (await sign_in(elsewhere, person.login)).status_code == 429
        assert (await sign_in(own, person.login)).status_code == 303


async def test_the_mark_of_a_known_browser_cannot_be_made_or_lent(pages: FastAPI, hub_now: Hub) -> None:
    first, second = await add_person(hub_now, Role.DOCTOR), await add_person(hub_now, Role.DOCTOR)
    async with signed_in(pages, first) as client:
        mark = next(value for name, value in client.cookies.items() if name.startswith("clinic_net_known_"))
    async with signed_in(pages, second) as client:
        theirs = next(name for name in client.cookies if name.startswith("clinic_net_known_"))
    nonce, born, digest = mark.split(".")
    forged = (mark, f"{nonce}x.{born}.{digest}", f"{nonce}.{int(born) + 1}.{digest}", "a.b.c", "é.1.2", "..")
    for value in forged:
        async with browser(pages) as thief:
            thief.cookies.set(theirs, value if value.isascii() else "e.1.2")
            for _ in range(6):
                answer = await sign_in(thief, second.login, "not the password")
            assert answer.status_code == 429
            pair_only = await sign_in(thief, second.login, "not the password")
            assert pair_only.status_code == 429


async def test_a_known_browser_is_not_believed_for_ever_and_guesses_no_more_than_others(
    pages: FastAPI, hub_now: Hub, clock: Clock
) -> None:
    person = await add_person(hub_now, Role.DOCTOR)
    async with signed_in(pages, person) as client:
        answers = [(await sign_in(client, person.login, "not the password")).status_code for _ in range(7)]
        assert answers == [401] * 5 + [429] * 2
        clock.forward(timedelta(seconds=31))
        assert (await sign_in(client, person.login)).status_code == 303


async def test_addresses_of_one_subscriber_count_as_one(pages: FastAPI, hub_now: Hub) -> None:
    person = await add_person(hub_now, Role.DOCTOR)
    answers = []
    for number in range(7):
        transport = httpx.ASGITransport(pages, client=(f"2001:db8:7:7::{number:x}", 50000))
        async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as client:
            client.headers.update({"Accept": "text/html", "Origin": "http://hub.test"})
            answers.append((await sign_in(client, person.login, "not the password")).status_code)
    assert answers == [401] * 5 + [429] * 2
