"""Two versions side by side in a real browser: legible on a telephone and on a desk, decided by keyboard."""

import pytest
from playwright.async_api import Browser, expect

from clinic_net.access.principals import Role
from tests.console.test_conflicts import Disagreement, disagree
from tests.console.test_pages_browser import (
    CHROMIUM,
    CONTRAST,
    SMALL,
    UNLABELLED,
    WIDTHS,
    Site,
    chromium,
    page_of,
    site,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]

_ = chromium, site  # fixtures


@pytest.fixture
async def disagreement(site: Site) -> Disagreement:
    made = await disagree(site.hub)
    site.people[Role.DOCTOR] = made.doctor
    return made


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", ["/conflicts", "/conflicts/{task}"])
async def test_two_versions_are_legible(
    chromium: Browser,
    site: Site,
    disagreement: Disagreement,
    path: str,
    width: int,
) -> None:
    async with page_of(chromium, site, Role.DOCTOR) as page:
        await page.set_viewport_size({"width": width, "height": 800})
        await page.goto(path.format(task=disagreement.task))
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert await page.evaluate(CONTRAST) == []
        assert await page.evaluate(UNLABELLED) == []
        assert await page.evaluate(SMALL) == []
        assert await page.locator("h1").count() == 1


async def test_two_versions_are_decided_by_keyboard(
    chromium: Browser,
    site: Site,
    disagreement: Disagreement,
) -> None:
    async with page_of(chromium, site, Role.DOCTOR) as page:
        await page.goto(f"/conflicts/{disagreement.task}")
        await page.get_by_role("radio").first.focus()
        await page.keyboard.press("ArrowDown")
        await expect(page.get_by_role("radio").nth(1)).to_be_checked()
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/conflicts")

    assert (await disagreement.at_hub())["criticality"] == "low"
