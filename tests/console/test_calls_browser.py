"""A doctor's calls in a real browser: the page rings, is seen, is answered; nothing that was typed is lost."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import pytest
import uvicorn
from playwright.async_api import Page, async_playwright, expect

from clinic_net.access.policy import scope_of
from clinic_net.access.principals import Role
from clinic_net.app import create_app
from clinic_net.consultations import service as consultations
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.settings import HubSettings
from clinic_net.records import service as records
from tests.console import patients
from tests.console.support import PASSWORD, STATION_DEVICE, Person, add_person
from tests.consultations.support import SITE, make_district
from tools.chromium import find_chromium

CHROMIUM = find_chromium()
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip

OVERFLOW = "document.documentElement.scrollWidth - innerWidth"


@dataclass
class Site:
    """The hub with its worker, serving browsers, and two cardiologists."""

    hub: Hub
    url: str
    doctor: Person
    colleague: Person

    async def call_for_help(self) -> UUID:
        """Have the station send a patient with a request; the worker makes it ring."""
        written = patients.chest_pain(self.hub.now())
        async with self.hub.sessions() as session, session.begin():
            for resource in written.resources:
                await records.put(
                    session,
                    json.dumps(resource).encode(),
                    rtype=resource["resourceType"],
                    fid=resource["id"],
                    scope=scope_of(STATION_DEVICE),
                    author=STATION_DEVICE.address,
                    tenant=SITE,
                    now=self.hub.now(),
                    if_match=None,
                )
        return written.request

    async def steps(self, case: UUID) -> list[str]:
        async with self.hub.sessions() as session:
            return [entry.step for entry in await consultations.timeline(session, case)]

    async def until(self, case: UUID, step: str) -> None:
        for _ in range(100):
            if step in await self.steps(case):
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"the case never got to {step!r}")


@pytest.fixture(scope="module")
async def site(settings: HubSettings) -> AsyncIterator[Site]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    app = create_app(settings.model_copy(update={"public_url": url}))
    server = uvicorn.Server(uvicorn.Config(app, ws="websockets-sansio", log_config=None))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    for _ in range(400):
        if server.started:
            break
        await asyncio.sleep(0.05)
    hub: Hub = app.state.hub
    await make_district(hub)
    doctors = [await add_person(hub, Role.DOCTOR, specialties=("cardiology",)) for _ in range(2)]
    yield Site(hub, url, doctors[0], doctors[1])
    server.should_exit = True
    await serving
    listening.close()


@asynccontextmanager
async def desk(site: Site, person: Person, *, width: int = 360) -> AsyncIterator[Page]:
    """A doctor at their page, on duty and connected; a script error or a broken policy fails the test."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await browser.new_context(
            viewport={"width": width, "height": 740}, locale="vi-VN", permissions=["camera", "microphone"]
        )
        page = await context.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: complaints.append(said.text) if "Security Policy" in said.text else None,
        )
        await page.goto(f"{site.url}/sign-in")
        await page.fill("[name=login]", person.login)
        await page.fill("[name=password]", PASSWORD)
        await page.click("main button")
        await expect(page.locator("#link")).to_have_attribute("data-state", "online")
        if await page.get_attribute("#duty-switch", "aria-checked") == "false":
            await page.click("#duty-switch")
        await expect(page.locator("#duty-switch")).to_have_attribute("aria-checked", "true")
        yield page
        if page.url.endswith("/doctor"):
            await page.click("#duty-switch")
            await expect(page.locator("#duty-switch")).to_have_attribute("aria-checked", "false")
        assert complaints == []
        await browser.close()


async def accept(page: Page, case: UUID) -> None:
    await page.locator(f"[data-call='{case}'] .accept button").click()
    await page.wait_for_url(f"**/consultations/{case}")


async def finish(page: Page) -> None:
    """Hang up and decide, so that the doctor is free for the next test."""
    await page.click("#end")
    await page.click("#end")
    await expect(page.locator("#call")).to_have_attribute("data-phase", "ended")
    await page.click("#decision button[value=advice]")
    await expect(page.locator("#decision button[value=advice]")).to_have_attribute("aria-pressed", "true")
    await page.goto(page.url.split("/consultations")[0] + "/doctor")
    await expect(page.locator("#duty-switch")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1440])
async def test_a_call_rings_is_seen_and_is_answered_and_the_doctor_writes(site: Site, width: int) -> None:
    async with desk(site, site.doctor, width=width) as page:
        case = await site.call_for_help()
        card = page.locator(f"[data-call='{case}']")
        await expect(card).to_contain_text(patients.REASON)
        await site.until(case, "seen")
        assert await page.evaluate(OVERFLOW) == 0
        await accept(page, case)
        await expect(page.locator("h1")).to_have_text(patients.NAME)
        await expect(page.locator("#call")).to_have_attribute("data-phase", "waiting")
        await site.until(case, "joined")
        assert await page.evaluate(OVERFLOW) == 0
        await page.click("#note button.primary")
        await expect(page.locator("#note .notice.bad")).to_be_visible()
        await page.fill("#note [name=assessment]", "Theo dõi nhồi máu cơ tim")
        await page.click("#note button.primary")
        await expect(page.locator("#record")).to_contain_text("Theo dõi nhồi máu cơ tim")
        await page.click("#prescription .add")
        assert await page.locator("#prescription .rows .medicine-row").count() == 2
        await page.locator("#prescription .remove").last.click()
        assert await page.locator("#prescription .rows .medicine-row").count() == 1
        await finish(page)


async def test_a_case_counts_as_seen_only_when_its_page_can_be_seen(site: Site) -> None:
    async with desk(site, site.doctor) as page:
        hide = "Object.defineProperty(document, 'visibilityState', {value: '%s', configurable: true})"
        await page.evaluate(hide % "hidden")
        case = await site.call_for_help()
        await expect(page.locator(f"[data-call='{case}']")).to_contain_text(patients.REASON)
        await asyncio.sleep(1)
        assert "seen" not in await site.steps(case)
        await page.evaluate(hide % "visible")
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await site.until(case, "seen")
        await accept(page, case)
        await finish(page)


async def test_the_slower_doctor_reads_who_was_faster(site: Site) -> None:
    async with desk(site, site.doctor) as faster, desk(site, site.colleague) as slower:
        case = await site.call_for_help()
        await expect(slower.locator(f"[data-call='{case}']")).to_be_visible()
        await accept(faster, case)
        await expect(slower.locator(f"#gone-{case}")).to_contain_text(site.doctor.user.name)
        await expect(slower.locator(".accept")).to_have_count(0)
        await finish(faster)


async def test_what_was_typed_is_not_lost_without_a_warning(site: Site) -> None:
    async with desk(site, site.doctor) as page:
        case = await site.call_for_help()
        await accept(page, case)
        await page.fill("#note [name=plan]", "Chuyển tuyến")
        await page.route("**/note", lambda route: route.abort())
        await page.click("#note button.primary")
        await expect(page.locator("#failure")).to_be_visible()
        await expect(page.locator("#note [name=plan]")).to_have_value("Chuyển tuyến")
        warned: list[str] = []

        async def stay(dialog: object) -> None:
            warned.append(dialog.type)  # type: ignore[attr-defined]  # playwright's Dialog
            await dialog.dismiss()  # type: ignore[attr-defined]  # playwright's Dialog

        page.once("dialog", stay)
        await page.evaluate("setTimeout(() => location.assign('/doctor'))")
        for _ in range(100):
            if warned:
                break
            await asyncio.sleep(0.05)
        assert warned == ["beforeunload"]
        await page.unroute("**/note")
        await page.click("#note button.primary")
        await expect(page.locator("#note .notice.good")).to_be_visible()
        await expect(page.locator("#failure")).to_be_hidden()
        await finish(page)
