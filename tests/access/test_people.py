"""Signing in and out, over HTTP and a real database."""

import asyncio
import re
import zlib
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlmodel import col, select

from clinic_net.access import service
from clinic_net.access.errors import LoginMalformed, LoginTaken, PasswordWeak
from clinic_net.access.http import COOKIE
from clinic_net.access.model import Session, User
from clinic_net.access.people import NewUser
from clinic_net.access.principals import Role
from clinic_net.audit.model import AuditEvent
from clinic_net.directory.errors import UnknownFacility
from clinic_net.kernel.hub import Hub
from tests.access.support import (
    HOSPITAL,
    NOW,
    PAGE,
    PASSWORD,
    Clock,
    add_person,
    app_of,
    browser,
    fill,
    sign_in,
)


@pytest.fixture(scope="module", autouse=True)
async def filled(hub: Hub) -> None:
    await fill(hub)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(hub: Hub, clock: Clock) -> FastAPI:
    return app_of(hub, clock)


@pytest.fixture
async def page(app: FastAPI, request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(app, remote_of(request.node.name)) as client:
        yield client


def remote_of(test: str) -> str:
    """An address for each test, so that their tries are not counted together."""
    return f"2001:db8::{zlib.crc32(test.encode()):x}"


async def who(client: httpx.AsyncClient) -> httpx.Response:
    return await client.get("/access/v1/session")


async def test_a_doctor_signs_in_is_known_and_signs_out(hub: Hub, page: httpx.AsyncClient) -> None:
    login = await add_person(hub, Role.DOCTOR)

    assert (await who(page)).status_code == 401
    signed_in = await sign_in(page, f"  {login.upper()} ")
    assert signed_in.status_code == 200
    assert (await who(page)).json() == {
        "login": login, "name": login, "role": "doctor", "facility": HOSPITAL, "language": "vi"
    }  # fmt: skip
    assert (await page.delete("/access/v1/session", headers=PAGE)).status_code == 204
    assert (await who(page)).status_code == 401


async def test_the_cookie_is_kept_from_scripts_and_other_sites_and_stored_only_as_a_digest(
    hub: Hub, page: httpx.AsyncClient
) -> None:
    answer = await sign_in(page, await add_person(hub, Role.DOCTOR))

    header = answer.headers["set-cookie"].lower()
    assert "httponly" in header
    assert "samesite=lax" in header
    assert "path=/" in header
    assert "secure" not in header  # the hub of the tests is http
    token = page.cookies[COOKIE]
    async with hub.sessions() as session:
        stored = (await session.exec(select(Session.token))).all()
    assert all(token.encode() not in bytes(row) for row in stored)


async def test_a_cookie_that_was_signed_out_opens_nothing_when_it_comes_back(
    hub: Hub, page: httpx.AsyncClient
) -> None:
    await sign_in(page, await add_person(hub, Role.DOCTOR))
    token = page.cookies[COOKIE]
    await page.delete("/access/v1/session", headers=PAGE)

    page.cookies.set(COOKIE, token)
    assert (await who(page)).json()["code"] == "not-signed-in"


async def test_signing_in_again_ends_the_session_that_the_browser_held(
    hub: Hub, page: httpx.AsyncClient
) -> None:
    login = await add_person(hub, Role.DOCTOR)
    await sign_in(page, login)
    former = page.cookies[COOKIE]
    await sign_in(page, login)

    assert page.cookies[COOKIE] != former
    page.cookies.clear()
    page.cookies.set(COOKIE, former)
    assert (await who(page)).status_code == 401


async def test_a_session_ends_with_the_shift(hub: Hub, page: httpx.AsyncClient, clock: Clock) -> None:
    await sign_in(page, await add_person(hub, Role.DOCTOR))
    for _ in range(12):
        clock.forward(timedelta(minutes=59))
        assert (await who(page)).status_code == 200
    clock.forward(timedelta(minutes=11))
    assert (await who(page)).status_code == 200
    clock.forward(timedelta(minutes=1))
    assert (await who(page)).status_code == 401


async def test_a_session_that_nobody_uses_for_an_hour_ends(
    hub: Hub, page: httpx.AsyncClient, clock: Clock
) -> None:
    await sign_in(page, await add_person(hub, Role.DOCTOR))
    clock.forward(timedelta(minutes=59))
    assert (await who(page)).status_code == 200
    clock.forward(timedelta(minutes=60))
    assert (await who(page)).status_code == 401


async def test_an_administrators_session_ends_sooner_and_a_page_that_asks_by_itself_is_no_use(
    hub: Hub, page: httpx.AsyncClient, clock: Clock
) -> None:
    await sign_in(page, await add_person(hub, Role.OPERATOR))
    clock.forward(timedelta(minutes=14))
    assert (await page.get("/access/v1/session", headers={"HX-Request": "true"})).status_code == 200
    clock.forward(timedelta(minutes=1))
    assert (await who(page)).status_code == 401
    await sign_in(page, await add_person(hub, Role.OPERATOR))
    for _ in range(34):
        clock.forward(timedelta(minutes=14))
        assert (await who(page)).status_code == 200
    clock.forward(timedelta(minutes=4))  # eight hours
    assert (await who(page)).status_code == 401


async def test_an_unknown_login_and_a_wrong_password_get_the_same_answer(
    hub: Hub, page: httpx.AsyncClient
) -> None:
    known = await sign_in(page, await add_person(hub, Role.DOCTOR), "not the password")
    unknown = await sign_in(page, "nobody-of-this-name", "not the password")
    impossible = await sign_in(page, "'; drop table", "not the password")

    assert known.status_code == unknown.status_code == impossible.status_code == 401
    assert known.content == unknown.content == impossible.content


async def test_a_disabled_account_cannot_sign_in_and_its_session_ends(
    hub: Hub, page: httpx.AsyncClient
) -> None:
    login = await add_person(hub, Role.DOCTOR)
    await sign_in(page, login)
    async with hub.sessions() as session, session.begin():
        await service.disable_user(session, login, by="user:operator", now=NOW)

    assert (await who(page)).status_code == 401
    assert (await sign_in(page, login)).json()["code"] == "wrong-credentials"


async def test_after_five_wrong_passwords_each_wait_is_twice_the_last_one(
    hub: Hub, page: httpx.AsyncClient, clock: Clock
) -> None:
    login = await add_person(hub, Role.DOCTOR)
    for _ in range(5):
        assert (await sign_in(page, login, "not the password")).status_code == 401

    waits = []
    for _ in range(7):
        closed = await sign_in(page, login)
        assert (closed.status_code, closed.json()["code"]) == (429, "too-many")
        waits.append(int(closed.headers["retry-after"]))
        clock.forward(timedelta(seconds=waits[-1]))
        assert (await sign_in(page, login, "not the password")).status_code == 401
    assert waits == [31, 61, 121, 241, 481, 901, 901]
    clock.forward(timedelta(seconds=901))
    assert (await sign_in(page, login)).status_code == 200
    assert (await sign_in(page, login, "not the password")).status_code == 401  # who proved it begins anew


async def test_somebody_elsewhere_cannot_lock_a_doctor_out_with_five_tries(hub: Hub, app: FastAPI) -> None:
    login = await add_person(hub, Role.DOCTOR)
    async with browser(app, "203.0.113.9") as stranger:
        for _ in range(6):
            await sign_in(stranger, login, "not the password")
    async with browser(app, "10.9.9.9") as doctor:
        assert (await sign_in(doctor, login)).status_code == 200


async def test_wrong_passwords_tried_at_once_are_all_counted(hub: Hub, page: httpx.AsyncClient) -> None:
    login = await add_person(hub, Role.DOCTOR)
    answers = await asyncio.gather(*(sign_in(page, login, "not the password") for _ in range(12)))

    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 7


async def test_right_passwords_are_not_counted(hub: Hub, page: httpx.AsyncClient) -> None:
    login = await add_person(hub, Role.DOCTOR)
    answers = [await sign_in(page, login) for _ in range(7)]

    assert {answer.status_code for answer in answers} == {200}


async def test_every_sign_in_and_every_refused_one_is_in_the_trail(hub: Hub, page: httpx.AsyncClient) -> None:
    login = await add_person(hub, Role.DOCTOR)
    await sign_in(page, login, "not the password")
    await sign_in(page, login)

    async with hub.sessions() as session:
        user = (await session.exec(select(User).where(User.login == login))).one()
        actor = f"address:{remote_of(test_every_sign_in_and_every_refused_one_is_in_the_trail.__name__)}"
        refused = (await session.exec(select(AuditEvent).where(AuditEvent.actor == actor))).all()
        done = (
            await session.exec(
                select(AuditEvent)
                .where(AuditEvent.actor == f"user:{user.id}")
                .where(col(AuditEvent.action) == "user.sign_in")
            )
        ).all()
    assert [(event.action, event.outcome) for event in refused] == [("user.sign_in", "wrong-credentials")]
    assert [event.outcome for event in done] == ["ok"]
    assert login not in refused[0].subject


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://hub.test.evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({}, 403),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 204),
        ({"Origin": "http://hub.test"}, 204),
        ({"Origin": "https://hub.test"}, 204),  # the same host behind a proxy that ends TLS
    ],
)
async def test_only_a_page_of_this_hub_can_act_with_a_persons_cookie(
    hub: Hub, page: httpx.AsyncClient, headers: dict[str, str], expected: int
) -> None:
    await sign_in(page, await add_person(hub, Role.DOCTOR))

    assert (await page.delete("/access/v1/session", headers=headers)).status_code == expected


async def test_another_site_cannot_sign_a_browser_in(hub: Hub, page: httpx.AsyncClient) -> None:
    form = {"login": await add_person(hub, Role.DOCTOR), "password": PASSWORD}
    answer = await page.post("/access/v1/session", data=form, headers={"Origin": "https://evil.example"})

    assert (answer.status_code, answer.json()["code"]) == (403, "cross-site")


async def test_a_made_password_has_a_hundred_bits_and_can_be_read_out(
    hub: Hub, page: httpx.AsyncClient
) -> None:
    async with hub.sessions() as session, session.begin():
        made = await service.add_user(session, login="made", role=Role.NURSE, facility=HOSPITAL, now=NOW)
        other = await service.add_user(session, login="made2", role=Role.NURSE, facility=HOSPITAL, now=NOW)

    assert re.fullmatch(r"([0-9a-hjkmnp-tv-z]{4}-){4}[0-9a-hjkmnp-tv-z]{4}", made)
    assert made != other
    assert (await sign_in(page, "made", made)).status_code == 200


@pytest.mark.parametrize(
    ("new", "refusal"),
    [
        (NewUser("x", Role.DOCTOR, HOSPITAL), LoginMalformed),
        (NewUser("bác sĩ", Role.DOCTOR, HOSPITAL), LoginMalformed),
        (NewUser("short", Role.DOCTOR, HOSPITAL, password="12345678901"), PasswordWeak),
        (NewUser("long", Role.DOCTOR, HOSPITAL, password="x" * 257), PasswordWeak),
        (NewUser("nowhere", Role.DOCTOR, "99999"), UnknownFacility),
        (NewUser("TWICE", Role.DOCTOR, HOSPITAL), LoginTaken),
    ],
)
async def test_an_account_that_cannot_be_is_refused(hub: Hub, new: NewUser, refusal: type[Exception]) -> None:
    async with hub.sessions() as session, session.begin():
        if await session.scalar(select(User.id).where(User.login == "twice")) is None:
            await service.add_user(session, login="twice", role=Role.NURSE, facility=HOSPITAL, now=NOW)
    async with hub.sessions() as session:
        with pytest.raises(refusal):
            await service.add_account(session, new, by="user:operator", now=NOW)
