"""Two real browsers in a call through a real hub: they see and hear each other, by decoded frames and energy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import websockets
from playwright.async_api import Browser, BrowserContext, Page, async_playwright
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

import clinic_net.protocol
from clinic_net.access.http import COOKIE
from clinic_net.consultations import service as consultations
from tests.signalling.support import SUBPROTOCOL, Server, call_for_help, enrol, on_duty, sign_in
from tools.chromium import SKIPPED, find_chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason=SKIPPED),
]

BROWSER = Path(clinic_net.protocol.__file__).parent / "browser"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream", "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip

PAGE = """<!doctype html><meta charset=utf-8><title>call</title>
<video id=local muted playsinline></video><video id=remote playsinline></video>
<script type=module src=/page.js></script>"""

SCRIPT = """
import { CallClient } from "/browser/call.js";
import { RingTone } from "/browser/ring.js";
import { SignalPeer } from "/browser/signal.js";
const asked = new URLSearchParams(location.search);
const signal = new SignalPeer({ url: asked.get("signal") ?? undefined });
signal.start();
window.states = [];
window.signal = signal;
window.RingTone = RingTone;
window.client = new CallClient(signal, asked.get("call"), {
  localVideo: document.getElementById("local"), remoteVideo: document.getElementById("remote"),
  onState: (state) => window.states.push(state.phase),
});
window.accept = () => signal.ask("call.accept", { call: asked.get("call") });
"""


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        yield launched
        await launched.close()


@asynccontextmanager
async def as_the_agent_does(server: Server, token: str) -> AsyncIterator[str]:
    """A local door to the hub's signalling that adds the station's token: what its agent is for a nurse's page."""

    async def door(page: websockets.ServerConnection) -> None:
        async with websockets.connect(
            server.url,
            subprotocols=[SUBPROTOCOL],
            additional_headers={"Authorization": f"Bearer {token}"},
            proxy=None,
        ) as hub:

            async def pipe(source: Any, sink: Any) -> None:
                async for frame in source:
                    await sink.send(frame)

            done, _ = await asyncio.wait(
                [asyncio.create_task(pipe(page, hub)), asyncio.create_task(pipe(hub, page))],
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                task.exception()

    async with websockets.serve(door, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL]) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/signal"


@pytest.fixture
async def pages(server: Server, browser: Browser) -> AsyncIterator[tuple[Page, Page, UUID]]:
    """A doctor's page and a nurse's page, each on the same call, which the doctor has accepted."""
    _serve_the_page(server)
    _, who, cookie = await sign_in(server.hub)
    _, _, token = await enrol(server.hub)
    await on_duty(server.hub, who)
    call = await call_for_help(server.hub)
    origin = server.url.replace("ws:", "http:").removesuffix("/signal")
    async with as_the_agent_does(server, token) as door:
        doctor = await _context(browser)
        await doctor.add_cookies([{"name": COOKIE, "value": cookie, "url": origin}])
        nurse = await _context(browser)
        doctors, nurses = await doctor.new_page(), await nurse.new_page()
        await doctors.goto(f"{origin}/page?call={call}")
        await nurses.goto(f"{origin}/page?call={call}&signal={door}")
        await doctors.evaluate("() => accept()")
        yield doctors, nurses, call
        for context in (doctor, nurse):
            await context.close()


def _serve_the_page(server: Server) -> None:
    if any(getattr(route, "path", "") == "/page" for route in server.app.routes):
        return
    server.app.router.routes += [
        Route("/page", lambda _: HTMLResponse(PAGE)),
        Route("/page.js", lambda _: HTMLResponse(SCRIPT, media_type="text/javascript")),
        Mount("/browser", StaticFiles(directory=BROWSER)),
    ]


async def _context(browser: Browser) -> BrowserContext:
    return await browser.new_context(permissions=["camera", "microphone"])


async def media_flows(page: Page, *, epoch: int = 1) -> None:
    """Wait until the page decodes ever more frames and ever more sound, in this epoch or a later one."""
    await page.wait_for_function(
        f"() => clinicCall.stats().ep >= {epoch} && clinicCall.state().media.video", timeout=20_000
    )
    before = await page.evaluate("() => clinicCall.stats()")
    await page.wait_for_function(
        "(before) => { const now = clinicCall.stats(); return now.framesDecoded > before.framesDecoded + 5"
        " && now.audioEnergy > before.audioEnergy && now.width > 0; }",
        arg=before,
        timeout=20_000,
    )


async def test_doctor_and_nurse_see_and_hear_each_other(
    server: Server, pages: tuple[Page, Page, UUID]
) -> None:
    doctor, nurse, call = pages
    await asyncio.gather(doctor.evaluate("() => client.start()"), nurse.evaluate("() => client.start()"))
    await asyncio.gather(media_flows(doctor), media_flows(nurse))
    await doctor.wait_for_function("() => client.state.call?.state === 'active'")
    assert await doctor.evaluate("() => document.getElementById('remote').videoWidth") > 0

    await doctor.evaluate("() => client.end()")
    await nurse.wait_for_function("() => client.state.phase === 'ended'")
    async with server.hub.sessions() as session:
        steps = [entry.step for entry in await consultations.timeline(session, call)]
    assert "media" in steps
    assert steps[-1] == "ended"


async def test_a_reloaded_page_is_back_in_the_call(pages: tuple[Page, Page, UUID]) -> None:
    doctor, nurse, _ = pages
    await asyncio.gather(doctor.evaluate("() => client.start()"), nurse.evaluate("() => client.start()"))
    await asyncio.gather(media_flows(doctor), media_flows(nurse))
    await nurse.reload()
    await nurse.wait_for_function("() => window.client !== undefined")
    await nurse.evaluate("() => client.start()")

    await asyncio.gather(media_flows(doctor, epoch=2), media_flows(nurse, epoch=2))


async def test_losing_the_signalling_socket_leaves_picture_and_sound(
    server: Server, pages: tuple[Page, Page, UUID]
) -> None:
    doctor, nurse, _ = pages
    await asyncio.gather(doctor.evaluate("() => client.start()"), nurse.evaluate("() => client.start()"))
    await asyncio.gather(media_flows(doctor), media_flows(nurse))
    await server.kill()
    await doctor.wait_for_function("() => signal.state !== 'online'")
    await asyncio.gather(media_flows(doctor), media_flows(nurse))
    await doctor.wait_for_function("() => signal.state === 'online'")

    assert await doctor.evaluate("() => clinicCall.stats().ep") == 1
    await doctor.evaluate("() => client.mute(true)")
    assert await doctor.evaluate("() => client.state.muted") is True


async def test_the_ring_sounds_without_a_file(pages: tuple[Page, Page, UUID]) -> None:
    doctor, _, _ = pages
    assert await doctor.evaluate(
        "async () => { const r = new RingTone(); const on = await r.start(); r.stop(); return on; }"
    )
