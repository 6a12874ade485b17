"""The nurse's pages of two versions in a real browser: legible on a telephone and on a desk, decided by keyboard."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn
from playwright.async_api import Page, async_playwright, expect

from station_agent.web.app import create_app
from tests.console.test_pages_browser import CHROMIUM, CONTRAST, FLAGS, SMALL, UNLABELLED, WIDTHS
from tests.station_agent.conftest import Station, sits_down
from tests.station_agent.test_conflicts import disagree
from tests.station_agent.test_pages import held

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture
async def page(station: Station) -> AsyncIterator[Page]:
    """A page of the station's program; what its console complains about fails the test."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(create_app(station.agent, with_link=False), log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
            await asyncio.sleep(0.01)
        complaints: list[str] = []
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            context = await browser.new_context(base_url=url)
            page = await context.new_page()
            page.on("pageerror", lambda error: complaints.append(str(error)))
            await sits_down(page)
            yield page
            await browser.close()
        server.should_exit = True
        await serving
        assert complaints == []


@pytest.mark.parametrize("width", WIDTHS)
async def test_two_versions_are_legible(station: Station, page: Page, width: int) -> None:
    patient, _, task = await disagree(station)
    await page.set_viewport_size({"width": width, "height": 800})
    for path in (f"/conflicts/{task}", f"/patients/{patient}", "/waiting"):
        await page.goto(path)
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert await page.evaluate(CONTRAST) == []
        assert await page.evaluate(UNLABELLED) == []
        assert await page.evaluate(SMALL) == []


async def test_two_versions_are_decided_by_keyboard(station: Station, page: Page) -> None:
    _, allergy, task = await disagree(station)
    await page.goto(f"/conflicts/{task}")
    await page.get_by_role("radio").first.focus()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("radio").nth(1)).to_be_checked()
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/waiting")

    assert (await held(station, "AllergyIntolerance", allergy))["criticality"] == "low"
