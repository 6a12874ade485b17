"""Calls between the nurse's page and the hub, over real sockets on loopback."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from station_agent.agent import Agent, Options
from station_agent.enrolment import enrol
from station_agent.link.state import LinkState
from station_agent.store import calls
from station_agent.web.app import create_app
from tests.station_agent.conftest import NOW, signs_in
from tests.station_agent.scripted_hub import ScriptedHub

CALL = str(uuid4())


def view(state: str, rev: int, **members: Any) -> dict[str, Any]:
    return {"call": CALL, "state": state, "rev": rev, "tier": 1, "ep": 1, **members}


@contextlib.asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[int]:
    """Serve a program on a free port of loopback."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, ws="websockets-sansio", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    await until(lambda: server.started)
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listening.close()


async def until(true: Callable[[], Any], seconds: float = 8) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 what is waited for is another program's
            await asyncio.sleep(0.02)


@dataclass
class Page:
    """A page's socket: what the agent said, and asking it something."""

    socket: ClientConnection
    heard: list[dict[str, Any]] = field(default_factory=list)

    async def listen(self) -> None:
        async for frame in self.socket:
            self.heard.append(json.loads(frame))

    async def ask(self, t: str, d: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
        rid = str(uuid4())
        await self.socket.send(json.dumps({"t": t, "id": rid, "d": d or {}, **members}))
        await until(lambda: [m for m in self.heard if m.get("re") == rid])
        return next(m for m in self.heard if m.get("re") == rid)

    def states(self) -> list[str]:
        return [m["d"]["state"] for m in self.heard if m["t"] == "call.state"]


@dataclass
class Live:
    agent: Agent
    hub: ScriptedHub
    port: int
    cookie: str = ""

    @contextlib.asynccontextmanager
    async def page(self, sid: str | None = None, last_seq: int = 0) -> AsyncIterator[Page]:
        origin = f"http://localhost:{self.port}"
        url = f"ws://localhost:{self.port}/signal"
        protocols = [Subprotocol("clinicnet.signal.v1")]
        cookie = {"Cookie": self.cookie}
        async with connect(
            url, subprotocols=protocols, origin=Origin(origin), proxy=None, additional_headers=cookie
        ) as connection:
            page = Page(connection)
            listening = asyncio.create_task(page.listen())
            hello = {"proto": [1], "last_seq": last_seq, **({"sid": sid} if sid else {})}
            await connection.send(json.dumps({"t": "hello", "d": hello}))
            await until(lambda: page.heard)
            try:
                yield page
            finally:
                listening.cancel()


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    hub = ScriptedHub()
    async with serving(hub.app()) as hub_port:
        directory = tmp_path / "station"
        address = f"http://127.0.0.1:{hub_port}"
        await asyncio.to_thread(enrol, directory, hub=address, code="7K3M9QXWZ2", now=NOW)
        agent = Agent(Options(directory))
        await agent.database.run(lambda tx: calls.asked(tx, CALL, encounter="e", patient="p", now=NOW))
        async with serving(create_app(agent)) as port:
            await until(lambda: hub.sockets)
            origin = f"http://localhost:{port}"
            async with httpx.AsyncClient(
                base_url=origin, headers={"Origin": origin}, follow_redirects=True, trust_env=False
            ) as browser:
                await signs_in(browser)
                cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
            yield Live(agent, hub, port, cookie)


@pytest.mark.processes
async def test_a_page_follows_its_call_and_resumes_where_it_was(live: Live) -> None:
    async with live.page() as page:
        welcome = page.heard[0]["d"]
        assert [call["state"] for call in welcome["snapshot"]["calls"]] == ["waiting"]
        await live.hub.says("call.state", view("ringing", 2), call=CALL)
        await until(page.states)
    await live.hub.says("call.state", view("accepted", 3, accepted_by="BS. Đức"), call=CALL)
    await until(lambda: live.agent.relay.sessions.all()[0].mailbox.last_seq == 2)
    async with live.page(sid=welcome["sid"], last_seq=1) as page:
        assert page.heard[0]["d"]["resumed"] is True
        await until(page.states)
        assert page.states() == ["accepted"]
    async with live.page() as page:
        assert [call["state"] for call in page.heard[0]["d"]["snapshot"]["calls"]] == ["accepted"]


@pytest.mark.processes
async def test_a_page_joins_and_a_reloaded_one_gets_a_media_session_of_its_own(live: Live) -> None:
    async with live.page() as page:
        joined = await page.ask("call.join", call=CALL)
        assert joined["d"] == {"role": "answerer", "ep": 1, "ice": []}
        assert (await page.ask("media.answer", {"sdp": "v=0"}, call=CALL, ep=1))["t"] == "ok"
        await live.hub.says("media.offer", {"sdp": "v=0"}, call=CALL, ep=1)
        await until(lambda: [m for m in page.heard if m["t"] == "media.offer"])
    async with live.page() as page:
        assert (await page.ask("media.answer", {"sdp": "v=0"}, call=CALL, ep=1))["t"] == "err"
        joined = await page.ask("call.join", call=CALL)
        assert joined["d"]["ep"] == 2
        assert [said["t"] for said in live.hub.said if said["t"] == "media.need_offer"]


@pytest.mark.processes
async def test_a_page_may_not_do_what_is_a_doctors(live: Live) -> None:
    async with live.page() as page:
        for t in ("call.accept", "call.ringing", "call.reject", "auth.refresh"):
            answer = await page.ask(t, call=CALL)
            assert (answer["t"], answer["d"]["code"]) == ("err", "not_allowed")


@pytest.mark.processes
async def test_without_the_hub_a_page_is_told_to_ask_again(live: Live) -> None:
    live.hub.revoked = True
    for connection in list(live.hub.sockets):
        await connection.close(4002)
    await until(lambda: live.agent.link.state is LinkState.REVOKED)
    async with live.page() as page:
        answer = await page.ask("call.join", call=CALL)
        assert answer["d"]["code"] == "unavailable"
        assert answer["d"]["retry_ms"] > 0
    async with httpx.AsyncClient(trust_env=False) as browser:
        said = (await browser.get(f"http://localhost:{live.port}/api/status")).json()
    assert said["link"] == "revoked"


@pytest.mark.processes
async def test_a_poke_fetches_what_a_doctor_wrote(live: Live) -> None:
    await until(lambda: live.agent.link.state is LinkState.ONLINE)
    before = len(live.hub.reports)
    live.hub.sends_down({"resourceType": "Patient", "id": "p", "name": [{"text": "A"}]})
    for connection in live.hub.sockets:
        await connection.send_text(json.dumps({"t": "poke", "d": {"what": "sync"}}))
    await until(lambda: len(live.hub.reports) > before)


@pytest.mark.processes
@pytest.mark.parametrize("origin", ["http://evil.example", None])
async def test_another_web_site_cannot_open_the_socket(live: Live, origin: str | None) -> None:
    with pytest.raises(InvalidStatus):
        await connect(
            f"ws://localhost:{live.port}/signal", subprotocols=[Subprotocol("clinicnet.signal.v1")],
            origin=Origin(origin) if origin else None, proxy=None, additional_headers={"Cookie": live.cookie},
        )  # fmt: skip


@pytest.mark.processes
@pytest.mark.parametrize("cookie", [None, "station_session_8090=a-token-somebody-made-up"])
async def test_without_a_nurse_at_the_desk_no_socket_opens(live: Live, cookie: str | None) -> None:
    with pytest.raises(InvalidStatus):
        await connect(
            f"ws://localhost:{live.port}/signal", subprotocols=[Subprotocol("clinicnet.signal.v1")],
            origin=Origin(f"http://localhost:{live.port}"), proxy=None,
            additional_headers={"Cookie": cookie} if cookie else None,
        )  # fmt: skip
