"""The pages in a real browser: they fit a telephone, read well, obey their own security policy, and stay fresh."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
import uvicorn
from playwright.async_api import Browser, Page, async_playwright, expect
from sqlalchemy import text

from clinic_net.access.principals import Role
from clinic_net.app import create_app
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.settings import HubSettings
from clinic_net.privacy import breaches
from clinic_net.privacy import service as privacy
from clinic_net.privacy.breaches import Found
from clinic_net.privacy.rules import Kind
from tests.console.support import (
    PASSWORD,
    Person,
    add_person,
    ask_for_a_doctor,
    go_on_duty,
    hear_from_station,
)
from tests.consultations.support import make_district
from tools.chromium import find_chromium

CHROMIUM = find_chromium()
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
WIDTHS = (360, 1440)
FIRST_VIEW = 200_000

CONTRAST = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.body.querySelectorAll("*")) {
    const says = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!says || !element.checkVisibility() || element.matches(".unseen, .skip, :disabled")) continue;
    const [a, b] = [luminance(rgb(getComputedStyle(element).color)), luminance(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${element.tagName}.${element.className} ${ratio.toFixed(1)}`);
  }
  return poor;
}"""
"""WCAG 1.4.3: 4.5 to 1."""

UNLABELLED = """() => [...document.querySelectorAll("input, select, textarea, button, a")]
  .filter((element) => element.checkVisibility() && element.type !== "hidden")
  .filter((element) => !(element.labels?.length || element.ariaLabel || element.innerText?.trim()))
  .map((element) => element.outerHTML)"""

SMALL = """() => [...document.querySelectorAll("button, input:not([type=radio], [type=checkbox]), select, a.button")]
  .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 44)
  .map((element) => element.outerHTML)"""


@dataclass
class Site:
    """The hub, serving a browser, with a case that nobody answers."""

    hub: Hub
    url: str
    case: UUID
    people: dict[Role, Person]


async def _owe_something(hub: Hub, case: UUID) -> None:
    """Enter what the privacy page shows: a request that is late, one that is not, a hold and a breach."""
    async with hub.sessions() as s, s.begin():
        found = await (await s.connection()).execute(
            text("select patient from consultation where id = :id"), {"id": case}
        )
        patient = found.scalar_one()
        for kind, ago in ((Kind.ERASURE, 40), (Kind.COPY, 0)):
            asked = privacy.Asked(kind, patient)
            await privacy.receive(s, asked, by="user:x", now=hub.now() - timedelta(days=ago))
        await privacy.place_hold(s, patient, reason="court-order", by="user:x", now=hub.now())
        lost = Found("lost-device", ["health", "contact"], 12, "Máy tính để quên trên xe.", hub.now())
        await breaches.enter(s, lost, by="user:x", now=hub.now())


@pytest.fixture(scope="module")
async def site(settings: HubSettings) -> AsyncIterator[Site]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        app = create_app(settings.model_copy(update={"public_url": url}))
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="error", ws="websockets-sansio", timeout_graceful_shutdown=2)
        )
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
            await asyncio.sleep(0.01)
        hub: Hub = app.state.hub
        await make_district(hub)
        people = {
            role: await add_person(hub, role) for role in (Role.COORDINATOR, Role.DOCTOR, Role.OPERATOR)
        }
        await go_on_duty(hub, await add_person(hub, Role.DOCTOR, specialties=("dental", "burns")))
        await hear_from_station(hub, waiting=3)
        case = await ask_for_a_doctor(hub)
        await _owe_something(hub, case)
        yield Site(hub, url, case, people)
        server.should_exit = True
        await serving


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def page_of(chromium: Browser, site: Site, role: Role | None = None) -> AsyncIterator[Page]:
    """A page of somebody who signed in; what its console complains about fails the test."""
    context = await chromium.new_context(base_url=site.url)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    await page.goto("/sign-in")
    if role is not None:
        await page.get_by_label("Tên đăng nhập").fill(site.people[role].login)
        await page.get_by_label("Mật khẩu").fill(PASSWORD)
        await page.get_by_role("button", name="Đăng nhập").click()
        await expect(page.get_by_role("button", name="Đăng xuất")).to_be_visible()
    yield page
    await context.close()
    assert complaints == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    ("role", "path"),
    [
        (None, "/sign-in"),
        (Role.COORDINATOR, "/board"),
        (Role.COORDINATOR, "/cases/{case}"),
        (Role.OPERATOR, "/board"),
        (Role.OPERATOR, "/privacy"),
        (Role.DOCTOR, "/doctor"),
    ],
)
async def test_a_page_is_legible(
    chromium: Browser, site: Site, role: Role | None, path: str, width: int
) -> None:
    async with page_of(chromium, site, role) as page:
        await page.set_viewport_size({"width": width, "height": 800})
        await page.goto(path.format(case=site.case))
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert await page.evaluate(CONTRAST) == []
        assert await page.evaluate(UNLABELLED) == []
        assert await page.evaluate(SMALL) == []
        assert await page.locator("h1").count() == 1


@pytest.mark.parametrize(
    ("role", "path"), [(None, "/sign-in"), (Role.COORDINATOR, "/board"), (Role.DOCTOR, "/doctor")]
)
async def test_the_first_view_is_light(chromium: Browser, site: Site, role: Role | None, path: str) -> None:
    async with page_of(chromium, site, role) as page:
        sizes: list[int] = []

        async def weigh(url: str) -> None:
            answer = await page.request.get(url)
            sizes.append(len(await answer.body()))

        urls: set[str] = set()
        page.on("request", lambda request: urls.add(request.url))
        await page.goto(path)
        await page.wait_for_load_state("load")
        for url in sorted(urls):
            await weigh(url)
        assert urls
        assert all(url.startswith(site.url) for url in urls)
        assert sum(sizes) < FIRST_VIEW


async def test_a_new_case_appears_on_the_board_by_itself(chromium: Browser, site: Site) -> None:
    async with page_of(chromium, site, Role.COORDINATOR) as page:
        await page.goto("/board")
        await expect(page.get_by_role("status")).to_contain_text("Trực tiếp")
        before = await page.locator("li.case").count()
        await ask_for_a_doctor(site.hub, "orange")
        await expect(page.locator("li.case")).to_have_count(before + 1, timeout=4_000)
        await expect(page).to_have_title(f"({before + 1}) Ca đang mở · clinic-net")


async def test_waiting_times_count_on_between_refreshes(chromium: Browser, site: Site) -> None:
    async with page_of(chromium, site, Role.COORDINATOR) as page:
        await page.goto("/board")
        waiting = page.locator('[data-tick="up"]').first
        before = await waiting.inner_text()
        await expect(waiting).not_to_have_text(before, timeout=3_000)


async def test_a_coordinator_rings_somebody_by_keyboard(chromium: Browser, site: Site) -> None:
    case = await ask_for_a_doctor(site.hub, "yellow")
    async with page_of(chromium, site, Role.COORDINATOR) as page:
        await page.goto(f"/cases/{case}")
        await page.get_by_role("radio").first.focus()
        await page.keyboard.press("Space")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Điều phối viên chỉ định bác sĩ")).to_be_visible()
        await expect(page.get_by_role("group").get_by_text("Đang đổ chuông")).to_be_visible()


async def test_the_language_is_switched_where_one_stands(chromium: Browser, site: Site) -> None:
    async with page_of(chromium, site, Role.COORDINATOR) as page:
        await page.goto(f"/cases/{site.case}")
        await page.get_by_role("button", name="English").click()
        await expect(page).to_have_url(f"{site.url}/cases/{site.case}")
        await expect(page.get_by_role("heading", name="The case")).to_be_visible()
