"""Passkeys in a real browser, with the virtual authenticator of its developers' protocol."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect
from sqlmodel import select

from clinic_net.access.principals import Role
from clinic_net.access.proof.model import Passkey
from clinic_net.app import create_app
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.settings import HubSettings
from tests.console.support import PASSWORD, Person, add_person
from tests.console.test_pages_browser import CHROMIUM, CONTRAST, FLAGS, SMALL, UNLABELLED, WIDTHS
from tests.consultations.support import make_district

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@dataclass
class Site:
    """The hub, serving browsers at a name, with second factors demanded as by default."""

    hub: Hub
    url: str
    browser: Browser


@pytest.fixture(scope="module")
async def site(settings: HubSettings) -> AsyncIterator[Site]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        url = f"http://localhost:{listening.getsockname()[1]}"
        roles = ("coordinator", "operator", "auditor", "national")
        app = create_app(settings.model_copy(update={"public_url": url, "mfa_roles": roles}))
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="error", ws="websockets-sansio", timeout_graceful_shutdown=2)
        )
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
            await asyncio.sleep(0.01)
        await make_district(app.state.hub)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            yield Site(app.state.hub, url, browser)
            await browser.close()
        server.should_exit = True
        await serving


class Device:
    """A browser with a platform authenticator: what a person's own telephone or laptop is."""

    def __init__(self, context: BrowserContext, page: Page, protocol: Any, authenticator: str) -> None:
        self.context, self.page = context, page
        self._protocol, self._authenticator = protocol, authenticator

    async def verifies(self, yes: bool) -> None:
        """Say whether finger, face or PIN will be right."""
        await self._protocol.send(
            "WebAuthn.setUserVerified", {"authenticatorId": self._authenticator, "isUserVerified": yes}
        )

    async def keys(self) -> list[dict[str, Any]]:
        told = await self._protocol.send("WebAuthn.getCredentials", {"authenticatorId": self._authenticator})
        return list(told["credentials"])

    async def put(self, key: dict[str, Any]) -> None:
        await self._protocol.send(
            "WebAuthn.addCredential", {"authenticatorId": self._authenticator, "credential": key}
        )

    async def sign_in(self, person: Person) -> None:
        await self.page.goto("/sign-in")
        await self.page.get_by_label("Tên đăng nhập").fill(person.login)
        await self.page.get_by_label("Mật khẩu").fill(PASSWORD)
        await self.page.get_by_role("button", name="Đăng nhập", exact=True).click()

    async def add_key(self) -> None:
        await self.page.goto("/account")
        await self.page.get_by_role("button", name="Thêm khoá truy cập trên thiết bị này").click()
        await expect(self.page.get_by_text("Khoá truy cập", exact=True)).to_be_visible()

    async def sign_out(self) -> None:
        await self.page.get_by_role("button", name="Đăng xuất", exact=True).click()
        await self.page.wait_for_url("**/sign-in")


@asynccontextmanager
async def device(site: Site) -> AsyncIterator[Device]:
    context = await site.browser.new_context(base_url=site.url)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    protocol = await context.new_cdp_session(page)
    await protocol.send("WebAuthn.enable")
    made = await protocol.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    yield Device(context, page, protocol, made["authenticatorId"])
    await context.close()
    assert complaints == []


async def test_a_doctor_adds_a_passkey_and_signs_in_with_it_alone(site: Site) -> None:
    person = await add_person(site.hub, Role.DOCTOR)
    async with device(site) as own:
        await own.sign_in(person)
        await own.add_key()
        await own.sign_out()
        await own.page.get_by_role("button", name="Đăng nhập bằng khoá truy cập").click()
        await own.page.wait_for_url("**/doctor")
        await own.page.goto("/account")
        await expect(own.page.get_by_text("dùng lần cuối")).to_be_visible()
        async with site.hub.sessions() as session:
            kept = (await session.exec(select(Passkey).where(Passkey.user_id == person.user.id))).one()
        assert kept.sign_count == (await own.keys())[0]["signCount"] > 0


async def test_a_passkey_is_a_second_factor_and_a_fresh_proof(site: Site) -> None:
    person = await add_person(site.hub, Role.DOCTOR)
    async with device(site) as own:
        await own.sign_in(person)
        await own.add_key()
        await own.sign_out()
        await own.sign_in(person)
        await own.page.wait_for_url("**/sign-in/factor")
        await own.page.get_by_role("button", name="Dùng khoá truy cập").click()
        await own.page.wait_for_url("**/doctor")
        await own.page.goto("/verify?next=/account/password")
        await own.page.get_by_role("button", name="Dùng khoá truy cập").click()
        await own.page.wait_for_url("**/account/password")


async def test_a_coordinator_sets_a_passkey_up_at_the_first_sign_in(site: Site) -> None:
    person = await add_person(site.hub, Role.COORDINATOR)
    async with device(site) as own:
        await own.sign_in(person)
        await own.page.wait_for_url("**/sign-in/set-up")
        await own.page.get_by_role("button", name="Dùng thiết bị này thay thế").click()
        await own.page.wait_for_url("**/board")


async def test_who_is_not_verified_by_the_device_does_not_get_in(site: Site) -> None:
    person = await add_person(site.hub, Role.DOCTOR)
    async with device(site) as own:
        await own.sign_in(person)
        await own.add_key()
        await own.sign_out()
        await own.verifies(False)
        await own.page.get_by_role("button", name="Đăng nhập bằng khoá truy cập").click()
        await expect(own.page.get_by_role("alert")).to_be_visible(timeout=20_000)
        assert own.page.url.endswith("/sign-in")


async def test_a_copied_key_is_refused_by_its_counter(site: Site) -> None:
    person = await add_person(site.hub, Role.DOCTOR)
    async with device(site) as own, device(site) as thief:
        await own.sign_in(person)
        await own.add_key()
        copy = (await own.keys())[0]
        for _ in range(2):
            await own.sign_out()
            await own.page.get_by_role("button", name="Đăng nhập bằng khoá truy cập").click()
            await own.page.wait_for_url("**/doctor")
        await thief.put(copy)
        await thief.page.goto("/sign-in")
        await thief.page.get_by_role("button", name="Đăng nhập bằng khoá truy cập").click()
        await expect(thief.page.get_by_role("alert")).to_contain_text("Khoá truy cập không được chấp nhận")


async def test_an_answer_is_good_for_its_occasion_once(site: Site) -> None:
    """What the browser sent is sent again: for the same, and for something else."""
    person = await add_person(site.hub, Role.DOCTOR)
    async with device(site) as own:
        await own.sign_in(person)
        await own.add_key()
        await own.sign_out()
        async with own.page.expect_request("**/passkeys/answer") as sent:
            await own.page.get_by_role("button", name="Đăng nhập bằng khoá truy cập").click()
        await own.page.wait_for_url("**/doctor")
        body = dict((await sent.value).post_data_json or {})
        headers = {"Accept": "application/json", "Origin": site.url}
        for occasion in ("sign-in", "verify"):
            again = await own.context.request.post(
                "/passkeys/answer", data=body | {"for": occasion}, headers=headers
            )
            assert again.status == 401
            assert (await again.json())["code"] == "passkey-refused"
        elsewhere = await own.context.request.post(
            "/passkeys/options", data={"for": "sign-in"}, headers=headers | {"Origin": "http://evil.test"}
        )
        assert elsewhere.status == 403


@pytest.mark.parametrize("width", WIDTHS)
async def test_pages_of_signing_in_and_of_the_account_are_legible(site: Site, width: int) -> None:
    person = await add_person(site.hub, Role.OPERATOR)
    async with device(site) as own:
        await own.page.set_viewport_size({"width": width, "height": 800})

        async def legible(path: str) -> None:
            await own.page.goto(path)
            assert await own.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
            assert await own.page.evaluate(CONTRAST) == [], path
            assert await own.page.evaluate(UNLABELLED) == [], path
            assert await own.page.evaluate(SMALL) == [], path
            assert await own.page.locator("h1").count() == 1, path

        await legible("/sign-in")
        await own.sign_in(person)
        await legible("/sign-in/set-up")
        await own.page.get_by_role("button", name="Dùng thiết bị này thay thế").click()
        await own.page.wait_for_url("**/board")
        other = await add_person(site.hub, Role.NURSE)
        for path in (
            "/account",
            "/account/app",
            "/account/password",
            "/verify",
            "/people",
            "/people/new",
            "/approvals",
        ):
            await legible(path)
        await legible(f"/people/{other.user.id}")
        await own.sign_out()
        await own.sign_in(person)
        await own.page.wait_for_url("**/sign-in/factor")
        await legible("/sign-in/factor")
