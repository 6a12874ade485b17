"""A person signs in with more than a password: an authenticator app, recovery codes, and proves anew to be there."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import httpx
import pyotp
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlmodel import select

from clinic_net.access import service as access
from clinic_net.access.browsers import HALF
from clinic_net.access.http import COOKIE
from clinic_net.access.principals import Role
from clinic_net.access.proof.model import RecoveryCode, Totp
from clinic_net.audit.model import AuditEvent
from clinic_net.kernel.hub import Hub
from tests.access.support import Clock
from tests.console.support import PASSWORD, Person, add_person, app_of, browser, sign_in, signed_in, text_of


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def strict(district: Hub, clock: Clock) -> Hub:
    """The hub as it is without a word in the settings: coordinators and administrators need a second factor."""
    roles = ("coordinator", "operator", "auditor", "national")
    return replace(district, settings=district.settings.model_copy(update={"mfa_roles": roles}), now=clock)


@pytest.fixture
def pages(strict: Hub) -> FastAPI:
    return app_of(strict)


def secret_on(page: str) -> str:
    found = re.search(r'<code class="key">([A-Z2-7 ]+)</code>', page)
    assert found is not None
    return found[1].replace(" ", "")


def code_of(secret: str, clock: Clock, *, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(int(clock().timestamp()) + 30 * steps)


async def set_up(
    client: httpx.AsyncClient, clock: Clock, path: str = "/account/app"
) -> tuple[str, list[str]]:
    """Set an authenticator app up; return its secret and the recovery codes."""
    page = await client.get(path)
    assert '<svg viewBox="0 0' in page.text
    secret = secret_on(page.text)
    done = await client.post(path, data={"code": code_of(secret, clock)})
    assert done.status_code == 200, done.text
    return secret, re.findall(r"<li><code>(\w{5}-\w{5})</code>", done.text)


async def enter(client: httpx.AsyncClient, code: str) -> httpx.Response:
    return await client.post("/sign-in/factor", data={"code": code})


@asynccontextmanager
async def half_way(pages: FastAPI, person: Person) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in which the password was right and a second factor is owed."""
    async with browser(pages) as client:
        answer = await sign_in(client, person.login)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in/factor")
        assert COOKIE not in client.cookies
        yield client


async def with_app(
    pages: FastAPI, hub: Hub, clock: Clock, role: Role = Role.DOCTOR
) -> tuple[Person, str, list[str]]:
    """Somebody who has an authenticator app, a minute later."""
    person = await add_person(hub, role)
    async with signed_in(pages, person) as client:
        secret, codes = await set_up(client, clock)
    clock.forward(timedelta(minutes=1))
    return person, secret, codes


async def test_who_has_an_app_signs_in_with_its_code(pages: FastAPI, strict: Hub, clock: Clock) -> None:
    person, secret, codes = await with_app(pages, strict, clock)
    assert len(set(codes)) == 10
    async with half_way(pages, person) as client:
        assert (await client.get("/doctor")).headers["location"] == "/sign-in"
        assert (await enter(client, "000000")).status_code == 401
        done = await enter(client, code_of(secret, clock))
        assert (done.status_code, done.headers["location"]) == (303, "/")
        assert HALF not in client.cookies
        assert (await client.get("/doctor")).status_code == 200
        async with strict.sessions() as session, session.begin():
            user = await access.signed_in(session, client.cookies[COOKIE], now=clock())
    assert (user.assurance, user.verified_at) == ("mfa", clock())


@pytest.mark.parametrize(("steps", "counts"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
async def test_a_code_counts_for_a_step_before_and_after_its_own(
    pages: FastAPI, strict: Hub, clock: Clock, steps: int, counts: bool
) -> None:
    person, secret, _ = await with_app(pages, strict, clock)
    clock.forward(timedelta(minutes=5))
    async with half_way(pages, person) as client:
        answer = await enter(client, code_of(secret, clock, steps=steps))
    assert answer.status_code == (303 if counts else 401)


async def test_a_code_is_good_for_one_sign_in(pages: FastAPI, strict: Hub, clock: Clock) -> None:
    person, secret, _ = await with_app(pages, strict, clock)
    code = code_of(secret, clock)
    async with half_way(pages, person) as first, half_way(pages, person) as second:
        assert (await enter(first, code)).status_code == 303
        again = await enter(second, code)
        assert again.status_code == 401
        assert "đã được dùng" in text_of(again.text)
        older = await enter(second, code_of(secret, clock, steps=-1))
        assert older.status_code == 401
        clock.forward(timedelta(seconds=30))
        assert (await enter(second, code_of(secret, clock))).status_code == 303


async def test_a_recovery_code_replaces_the_telephone_once(pages: FastAPI, strict: Hub, clock: Clock) -> None:
    person, _, codes = await with_app(pages, strict, clock)
    async with half_way(pages, person) as client:
        assert (await enter(client, codes[3].lower().replace("-", " "))).status_code == 303
        assert "còn 9 mã" in text_of((await client.get("/account")).text)
    async with half_way(pages, person) as client:
        assert (await enter(client, codes[3])).status_code == 401
        assert (await enter(client, codes[4])).status_code == 303


async def test_somebody_elses_recovery_code_is_none(pages: FastAPI, strict: Hub, clock: Clock) -> None:
    _, _, theirs = await with_app(pages, strict, clock)
    person, _, _ = await with_app(pages, strict, clock)
    async with half_way(pages, person) as client:
        assert (await enter(client, theirs[0])).status_code == 401


async def test_new_recovery_codes_end_the_old_ones(pages: FastAPI, strict: Hub, clock: Clock) -> None:
    person, secret, old = await with_app(pages, strict, clock)
    async with half_way(pages, person) as client:
        await enter(client, code_of(secret, clock))
        page = await client.post("/account/recovery")
        new = re.findall(r"<li><code>(\w{5}-\w{5})</code>", page.text)
    async with half_way(pages, person) as client:
        assert (await enter(client, old[0])).status_code == 401
        assert (await enter(client, new[0])).status_code == 303


async def test_what_is_stored_tells_no_secret(pages: FastAPI, strict: Hub, clock: Clock) -> None:
    person, secret, codes = await with_app(pages, strict, clock)
    async with strict.sessions() as session:
        app = (await session.exec(select(Totp).where(Totp.user_id == person.user.id))).one()
        kept = (await session.exec(select(RecoveryCode).where(RecoveryCode.user_id == person.user.id))).all()
    assert secret.encode() not in app.secret
    assert len(app.secret) == 12 + len(secret) + 16
    stored = b"".join(row.digest for row in kept)
    assert not [code for code in codes if code.replace("-", "").encode() in stored]


async def test_who_must_have_a_second_factor_sets_one_up_before_anything_opens(
    pages: FastAPI, strict: Hub, clock: Clock
) -> None:
    person = await add_person(strict, Role.COORDINATOR)
    async with browser(pages) as client:
        answer = await sign_in(client, person.login)
        assert answer.headers["location"] == "/sign-in/set-up"
        assert (await client.get("/board")).headers["location"] == "/sign-in"
        assert (await client.get("/sign-in/factor")).headers["location"] == "/sign-in/set-up"
        wrong = await client.post("/sign-in/set-up", data={"code": "123456"})
        assert wrong.status_code == 422
        assert "Mã không đúng" in text_of(wrong.text)
        _, codes = await set_up(client, clock, "/sign-in/set-up")
        assert len(codes) == 10
        assert (await client.get("/board")).status_code == 200
        clock.forward(timedelta(minutes=1))
        kept = await client.post("/account/app/remove")
        assert kept.status_code == 409
    async with half_way(pages, person):
        pass


async def test_who_need_not_have_one_may_remove_it(pages: FastAPI, strict: Hub, clock: Clock) -> None:
    person, secret, _ = await with_app(pages, strict, clock)
    async with half_way(pages, person) as client:
        await enter(client, code_of(secret, clock))
        assert (await client.post("/account/app/remove")).headers["location"] == "/account"
    async with signed_in(pages, person) as client:
        assert (await client.get("/doctor")).status_code == 200


async def test_half_a_sign_in_ends_after_ten_minutes(pages: FastAPI, strict: Hub, clock: Clock) -> None:
    person, secret, _ = await with_app(pages, strict, clock)
    async with half_way(pages, person) as client:
        clock.forward(timedelta(minutes=10))
        assert (await enter(client, code_of(secret, clock))).status_code == 401
        assert (await client.get("/sign-in/factor")).headers["location"] == "/sign-in"


async def test_a_new_password_ends_what_was_begun_with_the_old_one(
    pages: FastAPI, strict: Hub, clock: Clock
) -> None:
    person, secret, codes = await with_app(pages, strict, clock)
    async with half_way(pages, person) as owner:
        await enter(owner, code_of(secret, clock))
        async with half_way(pages, person) as thief:
            form = {"password": "bốn từ chẳng liên quan", "again": "bốn từ chẳng liên quan"}
            assert (await owner.post("/account/password", data=form)).status_code == 303
            assert (await enter(thief, codes[0])).status_code == 401
            assert COOKIE not in thief.cookies
        assert (await owner.get("/account")).status_code == 200


async def test_an_account_that_is_closed_meanwhile_does_not_open(
    pages: FastAPI, strict: Hub, clock: Clock
) -> None:
    person, secret, _ = await with_app(pages, strict, clock)
    async with half_way(pages, person) as client:
        async with strict.sessions() as session, session.begin():
            await access.disable_user(session, person.login, by="operator:terminal", now=clock())
        assert (await enter(client, code_of(secret, clock))).status_code == 401
        assert COOKIE not in client.cookies


async def test_another_site_cannot_finish_a_sign_in(pages: FastAPI, strict: Hub, clock: Clock) -> None:
    person, secret, _ = await with_app(pages, strict, clock)
    async with half_way(pages, person) as client:
        form = {"code": code_of(secret, clock)}
        answer = await client.post("/sign-in/factor", data=form, headers={"Origin": "http://evil.test"})
    assert answer.status_code == 403


async def test_an_interface_signs_in_with_password_and_code(
    pages: FastAPI, strict: Hub, clock: Clock
) -> None:
    person, secret, _ = await with_app(pages, strict, clock)
    form = {"login": person.login, "password": PASSWORD}
    async with browser(pages) as client:
        client.headers["Accept"] = "application/json"
        owed = await client.post("/access/v1/session", data=form)
        assert (owed.status_code, owed.json()["code"]) == (401, "sign-in-unfinished")
        wrong = await client.post("/access/v1/session", data=form | {"code": "000000"})
        assert (wrong.status_code, wrong.json()["code"]) == (401, "wrong-code")
        right = await client.post("/access/v1/session", data=form | {"code": code_of(secret, clock)})
        assert (right.status_code, right.json()["login"]) == (200, person.login)


# -- a fresh proof


async def test_what_needs_a_fresh_proof_leads_to_giving_one_and_back(
    pages: FastAPI, strict: Hub, clock: Clock
) -> None:
    person, secret, _ = await with_app(pages, strict, clock)
    async with half_way(pages, person) as client:
        await enter(client, code_of(secret, clock))
        assert (await client.get("/account/password")).status_code == 200
        clock.forward(timedelta(minutes=5, seconds=1))
        asked = await client.get("/account/password")
        assert asked.headers["location"] == "/verify?next=%2Faccount%2Fpassword"
        assert (await client.get(asked.headers["location"])).status_code == 200
        form = {"next": "/account/password", "proof": "000000"}
        assert (await client.post("/verify", data=form)).status_code == 401
        old = client.cookies[COOKIE]
        done = await client.post("/verify", data=form | {"proof": code_of(secret, clock)})
        assert done.headers["location"] == "/account/password"
        assert (await client.get("/account/password")).status_code == 200
        assert client.cookies[COOKIE] != old
        async with strict.sessions() as session, session.begin():
            now = await access.signed_in(session, client.cookies[COOKIE], now=clock())
            assert await access.still_valid(session, [now], now=clock()) == {now}
        client.cookies.set(COOKIE, old, domain="hub.test", path="/")
        assert (await client.get("/doctor")).headers["location"] == "/sign-in"


async def test_a_session_keeps_its_name_when_its_cookie_changes(pages: FastAPI, strict: Hub) -> None:
    """Open sockets and what is done later know a session by its name."""
    async with signed_in(pages, await add_person(strict, Role.DOCTOR)) as client:
        async with strict.sessions() as session, session.begin():
            before = await access.signed_in(session, client.cookies[COOKIE], now=strict.now())
        await client.post("/verify", data={"proof": PASSWORD})
        async with strict.sessions() as session, session.begin():
            after = await access.signed_in(session, client.cookies[COOKIE], now=strict.now())
            assert await access.still_valid(session, [before], now=strict.now()) == {before}
    assert before.session == after.session


async def test_an_interface_is_told_to_verify(pages: FastAPI, strict: Hub, clock: Clock) -> None:
    async with signed_in(pages, await add_person(strict, Role.DOCTOR)) as client:
        clock.forward(timedelta(minutes=6))
        answer = await client.get("/account/app", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (403, "verification-needed")


@pytest.mark.parametrize(
    "elsewhere", ["//evil.test/", "https://evil.test/", "/\\evil.test", "evil", "", "/a\nb"]
)
async def test_a_fresh_proof_never_leads_to_another_site(pages: FastAPI, strict: Hub, elsewhere: str) -> None:
    async with signed_in(pages, await add_person(strict, Role.DOCTOR)) as client:
        done = await client.post("/verify", data={"next": elsewhere, "proof": PASSWORD})
    assert (done.status_code, done.headers["location"]) == (303, "/")


async def test_every_proof_and_every_refused_one_is_in_the_trail(
    pages: FastAPI, strict: Hub, clock: Clock
) -> None:
    person, secret, _ = await with_app(pages, strict, clock)
    async with half_way(pages, person) as client:
        await enter(client, "000000")
        await enter(client, code_of(secret, clock))
    async with strict.sessions() as session:
        found = await session.exec(select(AuditEvent).where(AuditEvent.actor == person.user.address))
        told = [(event.action, event.outcome) for event in found.all()]
    assert {("user.totp.add", "ok"), ("user.verify", "wrong-code"), ("user.sign_in", "ok")} <= set(told)


# -- where one was going


async def test_who_was_led_to_sign_in_arrives_where_they_were_going(
    pages: FastAPI, strict: Hub, clock: Clock
) -> None:
    person, secret, _ = await with_app(pages, strict, clock)
    async with browser(pages) as client:
        await client.get("/sign-in", params={"next": "/account?from=elsewhere&x=ă"})
        await sign_in(client, person.login)
        done = await enter(client, code_of(secret, clock))
        assert done.headers["location"] == "/account?from=elsewhere&x=%C4%83"
        clock.forward(timedelta(minutes=1))
        await client.post("/sign-out")
        await sign_in(client, person.login)
        assert (await enter(client, code_of(secret, clock))).headers["location"] == "/"


@pytest.mark.parametrize("elsewhere", ["//evil.test/", "https://evil.test/", "/\\evil.test", "javascript:1"])
async def test_signing_in_never_leads_to_another_site(pages: FastAPI, strict: Hub, elsewhere: str) -> None:
    person = await add_person(strict, Role.DOCTOR)
    async with browser(pages) as client:
        await client.get("/sign-in", params={"next": elsewhere})
        assert (await sign_in(client, person.login)).headers["location"] == "/"


async def test_an_app_whose_key_is_gone_proves_nothing_and_can_be_reset(
    pages: FastAPI, strict: Hub, clock: Clock
) -> None:
    """The hub was given another token key."""
    person, secret, codes = await with_app(pages, strict, clock)
    other = replace(strict, settings=strict.settings.model_copy(update={"token_key": SecretStr("u" * 48)}))
    async with half_way(app_of(other), person) as client:
        assert (await enter(client, code_of(secret, clock))).status_code == 401
        assert (await enter(client, codes[0])).status_code == 401
    async with other.sessions() as session, session.begin():
        given = await access.reset_user(session, person.login, by="operator:terminal", now=clock())
    async with browser(app_of(other)) as client:
        answer = await client.post("/sign-in", data={"login": person.login, "password": given})
        assert answer.headers["location"] == "/sign-in/password"
