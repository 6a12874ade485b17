"""The bad link: what it does to requests is what it was told, and it counts every byte that passes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from clinic_net.bench.weather import BadLink, Fault, Mishap

ANSWER = "x" * 500


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[BadLink, list[bytes], httpx.AsyncClient]]:
    """Give a link to a server, what arrived there, and a client at this end."""
    heard: list[bytes] = []

    async def hear(request: Request) -> PlainTextResponse:
        heard.append(await request.body())
        return PlainTextResponse(ANSWER)

    app = Starlette(routes=[Route("/", hear, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 -- it says so in no other way
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with (
        BadLink("127.0.0.1", port).open() as link,
        httpx.AsyncClient(trust_env=False, timeout=5) as client,
    ):
        yield link, heard, client
    server.should_exit = True
    await running


async def test_in_good_weather_it_carries_and_counts_every_byte() -> None:
    async with linked() as (link, heard, client):
        for _ in range(3):
            answer = await client.post(link.url, content=b"a" * 3000)
            assert answer.text == ANSWER
        assert heard == [b"a" * 3000] * 3
        assert 9000 < link.up < 10_500
        assert 1500 < link.down < 2500
        assert link.requests == 3


@pytest.mark.parametrize(
    ("mishap", "arrives"),
    [
        (Mishap(Fault.CUT_REQUEST, 300), 0),
        (Mishap(Fault.CUT_ANSWER, 60), 1),
        (Mishap(Fault.SHORT_ANSWER, 250), 1),
        (Mishap(Fault.LATE), 0),
    ],
)
async def test_a_sender_sees_a_broken_connection_and_the_next_request_goes_through(
    mishap: Mishap, arrives: int
) -> None:
    async with linked() as (link, heard, client):
        link.weather.mishaps.append(mishap)
        with pytest.raises(httpx.TransportError):
            await client.post(link.url, content=b"first" * 500)
        assert len(heard) == arrives
        assert (await client.post(link.url, content=b"second")).text == ANSWER
        assert heard[arrives] == b"second"


async def test_what_is_late_arrives_after_the_next() -> None:
    async with linked() as (link, heard, client):
        link.weather.mishaps.append(Mishap(Fault.LATE))
        with pytest.raises(httpx.TransportError):
            await client.post(link.url, content=b"first")
        await client.post(link.url, content=b"second")
        await link.deliver_late()
        assert heard == [b"second", b"first"]


async def test_twice_is_twice_and_one_answer() -> None:
    async with linked() as (link, heard, client):
        link.weather.mishaps.append(Mishap(Fault.TWICE))
        assert (await client.post(link.url, content=b"once")).text == ANSWER
        assert heard == [b"once", b"once"]


async def test_a_captive_portal_answers_for_the_hub_and_the_hub_hears_nothing() -> None:
    async with linked() as (link, heard, client):
        link.weather.portal = True
        answer = await client.post(link.url, content=b"hello")
        assert (answer.status_code, "sign in" in answer.text) == (200, True)
        assert heard == []
        link.weather.portal = False
        assert (await client.post(link.url, content=b"hello")).text == ANSWER


async def test_silence_is_a_request_that_arrives_and_an_answer_that_does_not() -> None:
    async with linked() as (link, heard, client):
        link.weather.mishaps.append(Mishap(Fault.SILENCE))
        with pytest.raises(httpx.ReadTimeout):
            await client.post(link.url, content=b"hello", timeout=0.5)
        assert heard == [b"hello"]
