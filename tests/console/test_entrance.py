"""People arrive at the hub: they sign in, land on their own page, choose a language, and leave."""

import pytest
from fastapi import FastAPI

from clinic_net.access.principals import Role
from clinic_net.kernel.hub import Hub
from tests.console.support import add_person, browser, sign_in, signed_in, text_of, title_of


@pytest.mark.parametrize(
    ("role", "page"),
    [
        (Role.DOCTOR, "/doctor"),
        (Role.COORDINATOR, "/board"),
        (Role.OPERATOR, "/board"),
        (Role.AUDITOR, "/audit"),
    ],
)
async def test_each_role_arrives_at_its_own_page(district: Hub, app: FastAPI, role: Role, page: str) -> None:
    person = await add_person(district, role)
    async with browser(app) as client:
        answer = await sign_in(client, person.login)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        home = await client.get("/")
        assert home.headers["location"] == page
        assert (await client.get(page)).status_code == 200


@pytest.mark.parametrize("page", ["/", "/doctor", "/board", "/cases/6d6f1bb2-58ce-4f2a-8d27-0a4f0c1e2b3a"])
async def test_a_page_sends_whoever_is_not_signed_in_to_the_entrance(app: FastAPI, page: str) -> None:
    async with browser(app) as client:
        answer = await client.get(page)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")


async def test_an_interface_answers_401_and_does_not_redirect(app: FastAPI) -> None:
    async with browser(app) as client:
        answer = await client.get("/board", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (401, "not-signed-in")


async def test_a_part_of_a_page_leads_the_whole_page_to_the_entrance(app: FastAPI) -> None:
    async with browser(app) as client:
        answer = await client.get("/board/live", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/sign-in")


async def test_a_wrong_password_and_an_unknown_name_are_answered_alike(district: Hub, app: FastAPI) -> None:
    person = await add_person(district, Role.DOCTOR)
    async with browser(app) as client:
        wrong = await sign_in(client, person.login, "not the password")
    async with browser(app) as client:
        unknown = await sign_in(client, "nobody.here", "not the password")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text == unknown.text
    assert "Tên đăng nhập hoặc mật khẩu không đúng" in text_of(wrong.text)


async def test_who_tries_too_often_is_told_how_long_to_wait(app: FastAPI) -> None:
    async with browser(app) as client:
        for _ in range(30):
            answer = await sign_in(client, "tries.often", "not the password")
            if answer.status_code == 429:
                break
    assert answer.status_code == 429
    assert answer.headers["retry-after"] in text_of(answer.text)


async def test_signing_out_ends_the_session(district: Hub, app: FastAPI) -> None:
    async with signed_in(app, await add_person(district, Role.COORDINATOR)) as client:
        cookies = dict(client.cookies)
        assert (await client.post("/sign-out")).headers["location"] == "/sign-in"
        client.cookies.update(cookies)
        assert (await client.get("/board")).headers["location"] == "/sign-in"


async def test_a_browser_keeps_the_language_it_chose(app: FastAPI) -> None:
    async with browser(app) as client:
        vietnamese = await client.get("/sign-in")
        assert '<html lang="vi">' in vietnamese.text
        assert title_of(vietnamese.text).startswith("Đăng nhập")
        back = await client.post(
            "/language", data={"language": "en"}, headers={"Referer": "http://hub.test/sign-in?x=1"}
        )
        assert back.headers["location"] == "/sign-in"
        english = await client.get("/sign-in")
    assert '<html lang="en">' in english.text
    assert title_of(english.text).startswith("Sign in")


async def test_the_account_s_language_counts_until_the_browser_chooses(district: Hub, app: FastAPI) -> None:
    person = await add_person(district, Role.COORDINATOR)
    async with signed_in(app, person) as client:
        assert f'<html lang="{person.user.language}">' in (await client.get("/board")).text
        await client.post("/language", data={"language": "en"})
        assert '<html lang="en">' in (await client.get("/board")).text


@pytest.mark.parametrize("elsewhere", ["http://evil.test/board", "//evil.test/", "nonsense", ""])
async def test_choosing_a_language_never_leads_to_another_site(app: FastAPI, elsewhere: str) -> None:
    async with browser(app) as client:
        back = await client.post("/language", data={"language": "vi"}, headers={"Referer": elsewhere})
    assert back.headers["location"] == "/"


async def test_a_form_from_another_site_is_refused(district: Hub, app: FastAPI) -> None:
    async with signed_in(app, await add_person(district, Role.COORDINATOR)) as client:
        answer = await client.post("/sign-out", headers={"Origin": "http://evil.test"})
    assert answer.status_code == 403


async def test_browsers_are_told_to_name_the_page_a_form_comes_from(app: FastAPI) -> None:
    async with browser(app) as client:
        page = await client.get("/sign-in")
    assert page.headers["referrer-policy"] == "same-origin"
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert " style=" not in page.text
    assert "<script>" not in page.text


async def test_an_unknown_page_says_so_in_the_reader_s_language(app: FastAPI) -> None:
    async with browser(app) as client:
        vietnamese = await client.get("/nowhere")
        client.cookies.set("clinic_net_language", "en")
        english = await client.get("/nowhere")
    assert vietnamese.status_code == english.status_code == 404
    assert "Trang này không tồn tại" in text_of(vietnamese.text)
    assert "This page does not exist" in text_of(english.text)


async def test_a_wrong_role_is_told_so_and_learns_nothing(district: Hub, app: FastAPI) -> None:
    async with signed_in(app, await add_person(district, Role.DOCTOR)) as client:
        answer = await client.get("/board")
    assert answer.status_code == 403
    assert "Vai trò của bạn không được mở trang này" in text_of(answer.text)
