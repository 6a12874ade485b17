"""Adding a picture in a real browser: made small on the page, without what the camera wrote, nothing typed lost."""

import asyncio
import io
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import uvicorn
from PIL import Image
from playwright.async_api import Page, async_playwright, expect

from station_agent.agent import Agent
from station_agent.store import files
from station_agent.store import records as held
from station_agent.web.app import create_app
from tests.console.test_pages_browser import CHROMIUM, CONTRAST, FLAGS, UNLABELLED
from tests.station_agent.conftest import Station, sits_down

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]

MAKER = 271
"""EXIF tag: who made the camera. A picture that keeps it keeps the place too."""


@asynccontextmanager
async def pages(agent: Agent) -> AsyncIterator[str]:
    """Serve a station's pages on a port of their own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(create_app(agent, with_link=False), port=port, log_level="warning", lifespan="off")
    )
    running = asyncio.create_task(server.serve())
    for _ in range(500):
        if server.started:
            break
        await asyncio.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await running


@asynccontextmanager
async def browsing(url: str) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await (await browser.new_context(base_url=url)).new_page()
        await sits_down(page)
        yield page
        await browser.close()


def a_photograph(path: Path) -> Path:
    """Write a photograph of some megabytes, with what a telephone writes beside it."""
    exif = Image.Exif()
    exif[MAKER] = "Cameramaker"
    noise = Image.frombytes("RGB", (800, 600), os.urandom(800 * 600 * 3)).resize((3200, 2400))
    noise.save(path, "JPEG", quality=92, exif=exif)
    return path


async def test_a_photograph_is_made_small_and_nameless_before_it_is_kept(
    station: Station, tmp_path: Path
) -> None:
    patient, visit = str(uuid4()), str(uuid4())
    form = {"id": patient, "name": "Lò Thị Thử", "sex": "female", "birth_year": "1985", "confirmed": "1"}
    await station.browser.post("/patients", data=form)
    await station.browser.post(f"/patients/{patient}/visits", data={"id": visit, "reason": "Bỏng"})
    photograph = a_photograph(tmp_path / "photo.jpg")
    assert photograph.stat().st_size > 1_000_000

    async with pages(station.agent) as url, browsing(url) as page:
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        await page.goto(f"/visits/{visit}")
        await page.fill("#spo2", "93")
        await page.fill("#picture-words", "Cẳng tay trái")
        await page.locator("input.picture").first.set_input_files(photograph)
        await expect(page.locator(".shots img")).to_be_visible(timeout=20_000)
        assert await page.input_value("#spo2") == "93"
        for width in (360, 1440):
            await page.set_viewport_size({"width": width, "height": 900})
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert await page.evaluate(UNLABELLED) == []
        assert [each for each in await page.evaluate(CONTRAST) if "shots" in each or "picture" in each] == []
        assert wrong == []

    with station.agent.database.transaction() as tx:
        [document] = held.of_patient(tx, patient, ("DocumentReference",))
        kept = files.content(tx, document.id)
    assert kept is not None
    assert len(kept) <= 200 * 1024
    with Image.open(io.BytesIO(kept)) as picture:
        assert max(picture.size) <= 1600
        assert MAKER not in picture.getexif()
    small = document.resource["content"][1]["attachment"]
    assert len(small["data"]) <= 16_400
    assert document.resource["description"] == "Cẳng tay trái"
