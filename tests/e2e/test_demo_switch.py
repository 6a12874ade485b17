"""The demonstration's switch cuts a station's link, and connects it again."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing
from socket import create_connection, create_server, socket

import httpx
import pytest

from tools.demo.link import Link
from tools.demo.switch import Switch


def echo(server: socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.sendall(connection.recv(100))


@pytest.fixture
def link() -> Iterator[Link]:
    with create_server(("127.0.0.1", 0)) as hub:
        threading.Thread(target=echo, args=(hub,), daemon=True).start()
        made = Link(hub.getsockname()[1])
        made.start()
        yield made
        made.stop()


def said_back(link: Link) -> bytes:
    with closing(create_connection(("127.0.0.1", link.port), 5)) as line:
        line.sendall(b"xin chao")
        return line.recv(100)


async def test_the_page_cuts_the_link_and_connects_it_again(link: Link) -> None:
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    switch = Switch(link, station="03325-01", port=port)
    switch.start()
    try:
        async with httpx.AsyncClient(base_url=switch.url, follow_redirects=True) as page:
            for _ in range(100):
                try:
                    assert "Đang nối" in (await page.get("/")).text
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.05)
            assert await asyncio.to_thread(said_back, link) == b"xin chao"
            assert "Đã cắt" in (await page.post("/", data={"turn": "cut"})).text
            with pytest.raises(ConnectionRefusedError):
                await asyncio.to_thread(said_back, link)
            assert "64 kbit/s" in (await page.post("/", data={"turn": "slow"})).text
            assert await asyncio.to_thread(said_back, link) == b"xin chao"
            assert switch.state == "slow"
    finally:
        await asyncio.to_thread(switch.stop)
