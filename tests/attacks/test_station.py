"""Somebody at the station's computer, or on its network, who has no PIN."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from starlette.applications import Starlette

from station_agent import keys
from station_agent.agent import Agent, Options
from station_agent.staff import pins, rules, service, store
from station_agent.store import Database, settings
from station_agent.store.database import FILE_NAME
from station_agent.web.app import create_app
from tests.station_agent.conftest import NOW

ORIGIN = "http://localhost:8090"
COOKIE = "station_session_8090"
PIN, OTHERS = "280791", "530264"
PATIENT = {
    "id": "0199b4d0-0000-7000-8000-000000000001",
    "name": "Vàng Thị Mỷ",
    "sex": "female",
    "birth_year": "1985",
}


def browser(app: Starlette, origin: str | None = ORIGIN) -> httpx.AsyncClient:
    headers = {"Origin": origin} if origin else {}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN, headers=headers)


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Starlette]:
    """A station with two nurses and a patient."""
    keys.make(tmp_path)
    keys.keep_made(tmp_path)
    database = Database(tmp_path / FILE_NAME, NOW)
    with database.transaction() as tx:
        settings.put_enrolment(
            tx,
            {"station": "03163-01", "name": "Trạm", "facility_name": "Trạm", "hub": "http://hub.test",
             "device": str(uuid4()), "token_endpoint": "/oauth/token", "audience": "http://hub.test/oauth/token"},
        )  # fmt: skip
        for name, pin in (("Lan", PIN), ("Hoa", OTHERS)):
            made = service.add(tx, name, by="first", lead=name == "Lan", now=NOW)
            store.put_pin(tx, made.id, pins.hashed(pin), must_change=False)
    database.close()
    agent = Agent(Options(tmp_path))
    made_app = create_app(agent, with_link=False)
    async with browser(made_app) as nurse:
        await nurse.post("/sign-in", data={"login": "lan", "pin": PIN})
        assert (await nurse.post("/patients", data=PATIENT)).status_code == 303
    yield made_app
    agent.close()


async def guess(client: httpx.AsyncClient, pin: str, login: str = "lan") -> int:
    return (await client.post("/sign-in", data={"login": login, "pin": pin})).status_code


async def test_guessing_from_many_browsers_at_once_gets_no_more_tries_than_from_one(
    app: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0
    fits = pins.fits

    def counting(pin: str, kept: str | None) -> bool:
        nonlocal looked
        looked += kept is not None
        return fits(pin, kept)

    monkeypatch.setattr(pins, "fits", counting)
    thieves = [browser(app) for _ in range(8)]
    answers = await asyncio.gather(*(guess(thief, f"{n:06d}") for n in range(3) for thief in thieves))
    assert looked <= rules.FREE_TRIES
    assert 303 not in answers
    assert 429 in answers
    assert await guess(thieves[0], PIN) == 429, "while it rests, the right PIN tells nothing either"
    assert await guess(thieves[1], OTHERS, "hoa") == 303, "nobody else is locked out"
    for thief in thieves:
        await thief.aclose()


async def test_a_pulled_plug_gives_no_new_tries(app: Starlette, tmp_path: Path) -> None:
    async with browser(app) as thief:
        for n in range(rules.FREE_TRIES):
            await guess(thief, f"90000{n}")
    app.state.agent.close()
    again = Agent(Options(tmp_path))
    app.state.agent = again
    restarted = create_app(again, with_link=False)
    async with browser(restarted) as thief:
        assert await guess(thief, PIN) == 429


async def test_a_flood_of_guesses_leaves_the_desk_alone(app: Starlette) -> None:
    async with browser(app) as nurse, browser(app) as thief:
        await guess(nurse, OTHERS, "hoa")
        flood = asyncio.gather(*(guess(thief, f"{n:06d}", f"nobody{n}") for n in range(40)))
        assert (await nurse.get("/patients")).status_code == 200
        assert 429 in await flood, "who comes too late is told to come back"


async def test_an_account_that_is_not_there_is_answered_like_a_wrong_pin(app: Starlette) -> None:
    async with browser(app) as thief:
        for login in ("nobody", "", "' or 1=1 --", "lan\x00", "LAN", "x" * 10_000):
            assert await guess(thief, PIN, login) == 403
        for pin in ("", "9" * 100_000, "28079１", " 280791", "280791 "):
            assert await guess(thief, pin) in (403, 429)


async def test_a_token_that_somebody_laid_out_is_never_the_nurse_s(app: Starlette) -> None:
    async with browser(app) as nurse, browser(app) as thief:
        nurse.cookies.set(COOKIE, "laid-out", domain="localhost.local")
        answer = await nurse.post("/sign-in", data={"login": "lan", "pin": PIN})
        given = answer.cookies[COOKIE]
        assert given != "laid-out"
        assert len(given) >= 43, "256 bits"
        for token in ("laid-out", given[:-1], given + "x", ""):
            asked = await thief.get("/patients", headers={"Cookie": f"{COOKIE}={token}"})
            assert asked.status_code == 303, token


async def test_the_token_changes_with_every_sign_in_and_the_former_opens_nothing(app: Starlette) -> None:
    async with browser(app) as nurse, browser(app) as thief:
        first = (await nurse.post("/sign-in", data={"login": "lan", "pin": PIN})).cookies[COOKIE]
        second = (await nurse.post("/sign-in", data={"login": "hoa", "pin": OTHERS})).cookies[COOKIE]
        assert first != second
        assert (await thief.get("/", headers={"Cookie": f"{COOKIE}={first}"})).status_code == 303


async def test_no_script_and_no_other_site_s_page_gets_the_token(app: Starlette) -> None:
    async with browser(app) as nurse:
        answer = await nurse.post("/sign-in", data={"login": "lan", "pin": PIN})
        said = answer.headers["set-cookie"].lower()
        assert "httponly" in said
        assert "samesite=strict" in said
        assert answer.cookies[COOKIE] not in (await nurse.get("/")).text


CHANGES = (
    "/sign-in",
    "/first",
    "/lock",
    "/sign-out",
    "/pin",
    "/staff",
    "/staff/hoa/pin",
    "/staff/hoa/go",
    "/patients",
)


async def test_a_page_elsewhere_makes_the_nurse_s_browser_do_nothing(app: Starlette) -> None:
    async with browser(app) as nurse, browser(app, None) as elsewhere:
        await nurse.post("/sign-in", data={"login": "lan", "pin": PIN})
        cookie = {"Cookie": f"{COOKIE}={nurse.cookies[COOKIE]}"}
        for origin in (None, "null", "http://evil.test", "http://localhost:8091", "https://localhost:8090"):
            says = {"Origin": origin} if origin else {}
            for path in CHANGES:
                answer = await elsewhere.post(
                    path, data={"login": "hoa", "pin": OTHERS}, headers=cookie | says
                )
                assert answer.status_code == 403, (path, origin)
        assert (await nurse.get("/patients")).status_code == 200


async def test_an_address_alone_changes_nothing(app: Starlette) -> None:
    async with browser(app) as nurse:
        await nurse.post("/sign-in", data={"login": "lan", "pin": PIN})
        for path in CHANGES:
            if path not in ("/sign-in", "/pin", "/staff", "/patients"):  # these have a page too
                assert (await nurse.get(path)).status_code in (404, 405), path


AROUND = (
    "/static/../patients", "/static/%2e%2e/patients", "//patients", "/./patients", "/PATIENTS", "/patients/",
    "/healthz/../patients", "/sign-in/../patients", "/browser/..%2fpatients", "/patients;x=/healthz",
    "/patients?/healthz", "/sign-in%00/../patients",
)  # fmt: skip


async def test_no_way_of_writing_an_address_leads_around_the_door(app: Starlette) -> None:
    async with browser(app) as thief:
        for path in AROUND:
            answer = await thief.request("GET", httpx.URL(ORIGIN).copy_with(raw_path=path.encode()))
            assert answer.status_code in (303, 307, 404), path
            assert "Vàng" not in answer.text


async def test_a_second_first_account_cannot_be_made(app: Starlette) -> None:
    async with browser(app) as thief:
        answer = await thief.post("/first", data={"name": "Kẻ Gian", "pin": "471108", "again": "471108"})
        assert answer.status_code == 422
        assert (await thief.get("/")).status_code == 303


async def test_what_is_shown_to_nobody_in_particular_names_no_patient(app: Starlette) -> None:
    async with browser(app) as thief:
        for path in ("/sign-in", "/api/status", "/healthz", "/language", "/static/station.js"):
            assert "Vàng" not in (await thief.get(path)).text


async def test_a_locked_desk_s_token_opens_nothing_but_the_way_back(app: Starlette) -> None:
    async with browser(app) as nurse:
        await nurse.post("/sign-in", data={"login": "lan", "pin": PIN})
        await nurse.post("/lock", data={"back": "/patients"})
        for path in (
            "/",
            "/patients",
            f"/patients/{PATIENT['id']}",
            "/waiting",
            "/staff",
            "/pin",
            "/status-bar",
        ):
            answer = await nurse.get(path)
            assert answer.status_code == 303, path
        assert (await nurse.post("/staff", data={"name": "Kẻ Gian"})).headers["location"] == "/sign-in"
