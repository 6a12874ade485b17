"""A station on a temporary directory, in front of a scripted hub."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page

from station_agent.agent import Agent, Options
from station_agent.enrolment import enrol
from station_agent.web.app import create_app
from tests.station_agent.scripted_hub import ADDRESS, ScriptedHub

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)


class _Blocking(httpx.BaseTransport):
    """The scripted hub for code that does not wait: enrolment is a command, not a server."""

    def __init__(self, hub: ScriptedHub) -> None:
        self._hub = hub

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        import asyncio
        import threading

        answer: list[httpx.Response] = []

        async def ask() -> None:
            transport = httpx.ASGITransport(self._hub.app())
            async with httpx.AsyncClient(transport=transport) as client:
                got = await client.request(
                    request.method, str(request.url), content=request.read(), headers=request.headers
                )
                answer.append(httpx.Response(got.status_code, headers=got.headers, content=got.content))

        thread = threading.Thread(target=lambda: asyncio.run(ask()))
        thread.start()
        thread.join()
        return answer[0]


@dataclass
class Station:
    """A station at work: its agent, and a client that is the nurse's browser."""

    agent: Agent
    hub: ScriptedHub
    browser: httpx.AsyncClient
    line: httpx.AsyncClient

    async def syncs(self) -> None:
        """Exchange once with the hub, as the link would."""
        await self.agent.syncing.exchange(self.line)


NURSE = {"name": "Lò Thị Lan", "pin": "280791"}
"""Who works at the station of these tests; her account is ``lan``."""


async def signs_in(browser: httpx.AsyncClient) -> None:
    """The station's first account is made, and its nurse sits at this browser from then on."""
    form = {**NURSE, "again": NURSE["pin"]}
    answer = await browser.post("/first", data=form, follow_redirects=False)
    assert answer.status_code == 303, answer.text


async def sits_down(page: Page) -> None:
    """The nurse of the station's first account sits at a real browser, whose context has a base URL."""
    await page.goto("/")
    await page.get_by_label("PIN").fill(NURSE["pin"])
    await page.get_by_role("button", name="Đăng nhập").click()
    await page.wait_for_url("**/")


@pytest.fixture
def hub() -> ScriptedHub:
    return ScriptedHub()


@pytest.fixture
def data(tmp_path: Path, hub: ScriptedHub) -> Path:
    """The data directory of an enrolled station."""
    directory = tmp_path / "station"
    enrol(directory, hub=ADDRESS, code="7K3M9QXWZ2", now=NOW, transport=_Blocking(hub))
    return directory


@pytest.fixture
def enrolling(hub: ScriptedHub) -> httpx.BaseTransport:
    return _Blocking(hub)


@pytest.fixture
def agent(data: Path) -> Iterator[Agent]:
    agent = Agent(Options(data))
    yield agent
    agent.close()


@pytest.fixture
async def station(agent: Agent, hub: ScriptedHub) -> AsyncIterator[Station]:
    app = create_app(agent, with_link=False)
    origin = "http://localhost:8090"
    async with (
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url=origin,
            headers={"Origin": origin},
            follow_redirects=True,
        ) as browser,
        httpx.AsyncClient(transport=httpx.ASGITransport(hub.app())) as line,
    ):
        await signs_in(browser)
        yield Station(agent, hub, browser, line)
