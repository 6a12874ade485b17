"""People sign in with an outside provider: the whole way, with a stand-in for the mobile identity on a real port."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from joserfc.jwk import ECKey
from sqlalchemy import text

from clinic_net.access.errors import LinkTaken
from clinic_net.access.oauth import outside
from clinic_net.access.principals import Role
from clinic_net.console.elsewhere import door_of, provider_of
from clinic_net.kernel.hub import Hub
from tests.console.support import Person, add_person, app_of, browser, text_of
from tools.identity import Identity

CALLBACK = "http://hub.test/sign-in/elsewhere/back"


@pytest.fixture(scope="module")
async def identity() -> AsyncIterator[Identity]:
    """The stand-in, served."""
    listening = socket.create_server(("127.0.0.1", 0))
    issuer = f"http://127.0.0.1:{listening.getsockname()[1]}"
    made = Identity(issuer, "hub", CALLBACK, {})
    server = uvicorn.Server(uvicorn.Config(made.app(), log_level="warning", lifespan="off"))
    running = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:  # noqa: ASYNC110 -- uvicorn tells it in no other way
        await asyncio.sleep(0.01)
    yield made
    server.should_exit = True
    await running


@pytest.fixture(scope="module")
async def hub_there(district: Hub, identity: Identity) -> Hub:
    """The hub, configured for the stand-in."""
    configured = {
        "oidc_issuer": identity.issuer,
        "oidc_client_id": "hub",
        "oidc_name": "Định danh",
        "oidc_strong_acr": ("level2",),
        "outgoing_loopback": True,
    }
    return replace(district, settings=district.settings.model_copy(update=configured))


@pytest.fixture(scope="module")
def there(hub_there: Hub) -> FastAPI:
    return app_of(hub_there)


@pytest.fixture
async def linked(hub_there: Hub, identity: Identity) -> tuple[Person, str]:
    """A doctor, and what the provider calls them."""
    person, subject = await add_person(hub_there, Role.DOCTOR), f"s-{uuid4().hex[:8]}"
    identity.people[subject] = "Ai đó"
    async with hub_there.sessions() as session, session.begin():
        await outside.link(
            session,
            person.login,
            issuer=identity.issuer,
            subject=subject,
            by="user:admin",
            now=hub_there.now(),
        )
    return person, subject


async def to_the_provider(client: httpx.AsyncClient) -> dict[str, str]:
    """Go there from the hub, and return what the hub asks."""
    led = await client.get("/sign-in/elsewhere")
    assert led.status_code == 303, led.text
    return dict(httpx.URL(led.headers["location"]).params)


async def be(identity: Identity, asked: dict[str, str], subject: str, level: str = "level2") -> str:
    """Choose who to be; return the path with which the browser comes back."""
    async with httpx.AsyncClient(base_url=identity.issuer) as phone:
        page = await phone.get("/authorize", params=asked)
        assert "Định danh thử nghiệm" in page.text
        sent = await phone.post("/authorize", data={**asked, "person": f"{subject} {level}"})
    parts = urlsplit(sent.headers["location"])
    return f"{parts.path}?{parts.query}"


@asynccontextmanager
async def spoiled(identity: Identity, **changed: Any) -> AsyncIterator[None]:
    def alter(claims: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in (claims | changed).items() if value is not None}

    identity.alter = alter
    try:
        yield
    finally:
        identity.alter = lambda claims: claims


async def test_a_person_who_is_linked_is_let_in(
    there: FastAPI, identity: Identity, linked: tuple[Person, str]
) -> None:
    person, subject = linked
    async with browser(there) as client:
        assert "Đăng nhập bằng Định danh" in text_of((await client.get("/sign-in")).text)
        back = await be(identity, await to_the_provider(client), subject)
        arrived = await client.get(back)
        assert (arrived.status_code, arrived.headers["location"]) == (303, "/")
        who = await client.get("/access/v1/session", headers={"Accept": "application/json"})
        assert who.json()["login"] == person.login
        again = await client.get(back)
        assert again.status_code == 401  # the browser no longer waits for an answer


async def test_a_person_whom_nobody_linked_is_told_whom_to_ask(
    there: FastAPI, hub_there: Hub, identity: Identity
) -> None:
    identity.people["stranger"] = "Người Lạ"
    async with browser(there) as client:
        answer = await client.get(await be(identity, await to_the_provider(client), "stranger"))
        assert answer.status_code == 401
        assert "chưa có tài khoản nào ở đây được liên kết với bạn" in text_of(answer.text)
        assert (
            await client.get("/access/v1/session", headers={"Accept": "application/json"})
        ).status_code == 401
    async with hub_there.sessions() as session:
        said = await (await session.connection()).execute(
            text("select count(*) from audit_event where outcome = 'not-vouched-for'")
        )
        assert said.scalar_one() >= 1


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://other.example"},
        {"aud": "another-hub"},
        {"aud": ["hub", "another-hub"]},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": 1},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"sub": 7},
        {"nbf": 4_000_000_000},
    ],
    ids=str,
)
async def test_an_identity_token_that_is_wrong_in_one_thing_lets_nobody_in(
    there: FastAPI, identity: Identity, linked: tuple[Person, str], changed: dict[str, Any]
) -> None:
    async with browser(there) as client, spoiled(identity, **changed):
        answer = await client.get(await be(identity, await to_the_provider(client), linked[1]))
        assert answer.status_code == 401
        assert "clinic_net_session" not in client.cookies


async def test_a_token_that_another_key_signed_lets_nobody_in(
    there: FastAPI, identity: Identity, linked: tuple[Person, str]
) -> None:
    async with browser(there) as client:
        back = await be(identity, await to_the_provider(client), linked[1])
        published = identity.key
        identity.signing = ECKey.generate_key("P-256", {"kid": "identity-1"})
        try:
            assert (await client.get(back)).status_code == 401
        finally:
            identity.signing = published


async def test_an_answer_to_another_browser_s_question_is_none(
    there: FastAPI, identity: Identity, linked: tuple[Person, str]
) -> None:
    """Signing somebody in as the attacker: the answer to the attacker's question, in the victim's browser."""
    async with browser(there) as attacker, browser(there) as victim:
        theirs = await be(identity, await to_the_provider(attacker), linked[1])
        assert (await victim.get(theirs)).status_code == 401  # asked nothing
        await to_the_provider(victim)
        assert (await victim.get(theirs)).status_code == 401  # asked something else
        for other in (
            theirs.replace("iss=http", "iss=https"),
            theirs.partition("?")[0] + "?error=access_denied",
            theirs.partition("?")[0],
        ):
            await to_the_provider(attacker)
            assert (await attacker.get(other)).status_code == 401


async def test_how_sure_the_provider_is_decides_how_a_person_counts(
    hub_there: Hub, there: FastAPI, identity: Identity, linked: tuple[Person, str]
) -> None:
    provider, door = provider_of(hub_there.settings), door_of(hub_there.settings)
    for level, assurance in (("level1", "password"), ("level2", "mfa")):
        address, pending = await outside.begin(door, provider, now=hub_there.now())
        asked = dict(httpx.URL(address).params)
        told = dict(httpx.URL(await be(identity, asked, linked[1], level)).params)
        vouched = await outside.finish(door, provider, told=told, pending=pending, now=hub_there.now())
        assert (vouched.subject, vouched.assurance) == (linked[1], assurance)


async def test_a_link_is_made_once_and_taken_away(
    hub_there: Hub, there: FastAPI, identity: Identity, linked: tuple[Person, str]
) -> None:
    person, subject = linked
    other = await add_person(hub_there, Role.NURSE)
    async with hub_there.sessions() as session, session.begin():
        with pytest.raises(LinkTaken):
            await outside.link(
                session, other.login, issuer=identity.issuer, subject=subject, by="x", now=hub_there.now()
            )
        assert await outside.unlink(session, person.login, by="user:admin", now=hub_there.now()) == 1
    async with browser(there) as client:
        assert (
            await client.get(await be(identity, await to_the_provider(client), subject))
        ).status_code == 401


async def test_a_provider_that_is_away_or_another_s_is_said_so(there: FastAPI, identity: Identity) -> None:
    issuer = identity.issuer
    identity.issuer = "https://other.example"
    try:
        async with browser(there) as client:
            answer = await client.get("/sign-in/elsewhere")
    finally:
        identity.issuer = issuer
    assert answer.status_code == 503
    assert "Định danh" in text_of(answer.text)


async def test_a_hub_without_a_provider_offers_none(app: FastAPI) -> None:
    async with browser(app) as client:
        assert "/sign-in/elsewhere" not in (await client.get("/sign-in")).text
        assert (await client.get("/sign-in/elsewhere")).status_code == 404
