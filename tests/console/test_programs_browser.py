"""Letting a program in, in a real browser: the page is legible, and its policy lets people go back to the program."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.async_api import Browser, expect

from clinic_net.access.oauth import clients
from clinic_net.access.principals import Role
from tests.access.programs import Program, add_patient
from tests.console.test_pages_browser import (
    CHROMIUM,
    CONTRAST,
    SMALL,
    UNLABELLED,
    WIDTHS,
    Site,
    page_of,
)
from tests.console.test_pages_browser import chromium as chromium
from tests.console.test_pages_browser import site as site

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@asynccontextmanager
async def program_at_home() -> AsyncIterator[tuple[str, list[str]]]:
    """A program's own address, on another origin than the hub, and the paths that browsers came with."""
    came: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append((await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1])
        page = b"<title>app</title><link rel=icon href=data:,><h1>app</h1>"
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(page) + page
        )
        await writer.drain()
        writer.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = await asyncio.start_server(handle, sock=listening)
        async with server:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/back", came


async def _registered(site: Site, address: str) -> Program:
    scope = "openid launch/patient offline_access patient/*.rs patient/Observation.cu"
    new = clients.NewClient("Máy đo huyết áp", scope, (address,), public=True)
    async with site.hub.sessions() as session, session.begin():
        client_id, _ = await clients.register(session, new, now=site.hub.now())
    return Program(client_id, None, scope)


@pytest.mark.parametrize("width", WIDTHS)
async def test_a_doctor_lets_a_program_in_and_comes_back_to_it(
    chromium: Browser,
    site: Site,
    width: int,
) -> None:
    name = f"Sùng Thị {'Hẹp' if width == WIDTHS[0] else 'Rộng'}"
    await add_patient(site.hub, site.people[Role.DOCTOR].user, name)
    async with program_at_home() as (address, came), page_of(chromium, site, Role.DOCTOR) as page:
        program = await _registered(site, address)
        await page.set_viewport_size({"width": width, "height": 800})
        await page.goto(program.request(redirect_uri=address, aud=f"{site.url}/fhir"))
        await page.get_by_label("tối đa 90 ngày").uncheck()
        await page.get_by_label("Họ tên, hoặc số thẻ").fill(name)
        await page.get_by_role("button", name="Tìm bệnh nhân").click()
        await expect(page.get_by_label(name)).to_be_checked()
        await page.wait_for_load_state("load")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert await page.evaluate(CONTRAST) == []
        assert await page.evaluate(UNLABELLED) == []
        assert await page.evaluate(SMALL) == []
        await expect(page.get_by_label("tối đa 90 ngày")).not_to_be_checked()
        await page.get_by_role("button", name="Cho phép", exact=True).click()
        await page.wait_for_url(f"{address}*")
    told = dict(parse_qsl(urlsplit(came[0]).query))
    assert told["state"] == program.state
    assert told["iss"] == site.url
    assert told["code"]
