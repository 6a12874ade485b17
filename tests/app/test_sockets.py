"""The served hub's sockets: who may open one, and that a hub that stops lets its peers go in order."""

import json
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
import websockets
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection

from clinic_net.access.http import COOKIE
from clinic_net.access.principals import Role
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.settings import HubSettings
from clinic_net.protocol.signalling import CloseCode, PeerHalf
from tests.app.callers import Callers, callers_of
from tests.app.process import Process, serving
from tests.consultations.support import CENTRE

START_WITHIN_S = 60.0


@pytest.fixture(scope="module")
def served(district: Hub, settings: HubSettings) -> Iterator[Process]:
    with serving(settings, "--no-worker") as process:
        yield process


@pytest.fixture(scope="module")
async def callers(district: Hub, app: FastAPI) -> Callers:
    return await callers_of(district, app, facility=CENTRE)


def _hello() -> str:
    half = PeerHalf(uuid4)
    half.opened(now=0.0)
    (frame,) = half.take(now=0.0)
    return frame


async def _greet(socket: ClientConnection) -> dict[str, Any]:
    await socket.send(_hello())
    answer: dict[str, Any] = json.loads(await socket.recv())
    return answer


@pytest.mark.parametrize("role", Role)
async def test_a_signed_in_person_may_open_a_socket_from_a_page_of_the_hub(
    callers: Callers, served: Process, role: Role
) -> None:
    socket = await served.open(await callers.headers_of(role), callers.hub.settings.public_url)
    assert (await _greet(socket))["t"] == "welcome"
    await socket.close()


async def test_a_station_may_open_a_socket(callers: Callers, served: Process) -> None:
    socket = await served.open(await callers.headers_of("station"))
    assert (await _greet(socket))["t"] == "welcome"
    await socket.close()


@pytest.mark.parametrize(
    ("who", "code"),
    [
        ("nobody", CloseCode.UNAUTHENTICATED),
        ("forged token", CloseCode.UNAUTHENTICATED),
        ("forged cookie", CloseCode.UNAUTHENTICATED),
        ("system client", CloseCode.REVOKED),
    ],
)
async def test_nobody_else_is_heard(callers: Callers, served: Process, who: str, code: CloseCode) -> None:
    headers = {
        "nobody": {},
        "forged token": {"Authorization": "Bearer forged"},
        "forged cookie": {"Cookie": f"{COOKIE}=forged"},
        "system client": await callers.headers_of("client"),
    }[who]
    socket = await served.open(headers, callers.hub.settings.public_url)
    with pytest.raises(websockets.ConnectionClosed):
        await socket.recv()
    assert socket.close_code == code
    assert (socket.close_reason or "") in ("", "revoked")


@pytest.mark.parametrize("origin", [None, "http://elsewhere.test", "null"])
async def test_a_cookie_from_another_site_s_page_opens_nothing(
    callers: Callers, served: Process, origin: str | None
) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await served.open(await callers.headers_of("doctor"), origin)
    assert refused.value.response.status_code == 403
    assert refused.value.response.body in (b"", None)


async def test_a_hub_that_is_told_to_stop_says_bye_before_it_closes(
    callers: Callers, served: Process
) -> None:
    """Last in this module: it ends the process."""
    headers = await callers.headers_of("station")
    sockets = [await served.open(headers) for _ in range(6)]
    for one in sockets:
        assert (await _greet(one))["t"] == "welcome"
    served.running.send_signal(signal.SIGTERM)
    delays = []
    for one in sockets:
        heard: list[dict[str, Any]] = []
        with suppress(websockets.ConnectionClosedError):  # anything but 1000 and 1001 counts as an error
            async for frame in one:
                heard.append(json.loads(frame))
        bye = next(message for message in heard if message["t"] == "bye")
        assert bye["d"]["action"] == "reconnect"
        assert 0 <= bye["d"]["delay_ms"] < 5000
        delays.append(bye["d"]["delay_ms"])
        assert one.close_code == CloseCode.BYE
    assert len(set(delays)) > 1, "they come back spread, not all at once"
    assert served.running.wait(15) == 0
