"""Attacks that make a hub call for somebody (#66 of the list): real sockets, and names that lead inside."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.kernel.outgoing import (
    MOST_BYTES,
    TIMEOUT_S,
    HostNotAllowed,
    Outgoing,
    OutgoingFailed,
    is_public,
)

NAME = "identity.example"
PUBLIC = "93.184.215.14"


@dataclass
class Server:
    """A server on this computer that counts who comes."""

    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[Server]:
    server = Server()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        try:
            await answer(writer)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(handle, "127.0.0.1", 0)
    server.port = running.sockets[0].getsockname()[1]
    async with running:
        yield server


def saying(text: str) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(text.encode())

    return answer


def json(text: str) -> str:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}"


def to(server: Server) -> Outgoing:
    return Outgoing(frozenset({server.host}), loopback=True)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "not an address",
    ],
)  # fmt: skip
async def test_a_name_that_leads_inside_is_not_called(address: str) -> None:
    assert not is_public(address)
    door = Outgoing(frozenset({NAME}), resolve=lambda host, port: [address])
    with pytest.raises(HostNotAllowed):
        await door.fetch(f"https://{NAME}/keys")


async def test_one_inner_address_among_many_is_enough_to_refuse() -> None:
    door = Outgoing(frozenset({NAME}), resolve=lambda host, port: [PUBLIC, "127.0.0.1"])
    with pytest.raises(HostNotAllowed):
        door.target(f"https://{NAME}/")
    assert (
        Outgoing(frozenset({NAME}), resolve=lambda host, port: [PUBLIC]).target(f"https://{NAME}/").address
        == PUBLIC
    )


async def test_a_name_is_looked_up_once_and_what_was_checked_is_what_is_called() -> None:
    """DNS rebinding: the second answer would lead inside, and is never asked for."""
    asked: list[str] = []

    async with serving(saying(json('{"inside": true}'))) as inside:

        def rebinding(host: str, port: int) -> list[str]:
            asked.append(host)
            return [PUBLIC] if len(asked) == 1 else ["127.0.0.1"]

        name = f"{NAME}:{inside.port}"
        door = Outgoing(frozenset({name}), resolve=rebinding)
        assert door.target(f"https://{name}/").address == PUBLIC
        with pytest.raises(HostNotAllowed):
            await door.fetch(f"https://{name}/")
        assert asked == [NAME, NAME]
        assert inside.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/",
        f"http://{NAME}/",
        f"https://{NAME}.evil.test/",
        f"https://{NAME}@evil.test/",
        f"https://evil.test/{NAME}",
        f"https://{NAME}:8443/",
        f"ftp://{NAME}/",
        f"file://{NAME}/etc/passwd",
        f"//{NAME}/",
        "https://[::1/",
        f"https://{NAME}:notaport/",
        "",
    ],
)
async def test_only_what_is_configured_is_called_and_only_over_tls(url: str) -> None:
    door = Outgoing(frozenset({NAME}), resolve=lambda host, port: [PUBLIC])
    with pytest.raises(HostNotAllowed):
        await door.fetch(url)


async def test_loopback_is_open_only_where_it_is_meant() -> None:
    async with serving(saying(json('{"a": 1}'))) as server:
        assert await to(server).fetch(f"http://{server.host}/x?y=1") == {"a": 1}
        assert server.asked[0].startswith("GET /x?y=1 HTTP/1.1\r\n")
        with pytest.raises(HostNotAllowed):
            await Outgoing(frozenset({server.host})).fetch(f"http://{server.host}/")
        inner = Outgoing(frozenset({"box.lan"}), loopback=True, resolve=lambda host, port: ["10.0.0.1"])
        with pytest.raises(HostNotAllowed):
            await inner.fetch("http://box.lan/")
    assert len(server.asked) == 1


async def test_a_redirect_is_not_followed() -> None:
    async with serving(saying(json('{"inside": true}'))) as inside:
        there = f"HTTP/1.1 302 Found\r\nLocation: http://{inside.host}/\r\nContent-Length: 0\r\n\r\n"
        async with serving(saying(there)) as server:
            with pytest.raises(OutgoingFailed):
                await to(server).fetch(f"http://{server.host}/")
    assert (len(server.asked), len(inside.asked)) == (1, 0)


@pytest.mark.parametrize(
    "text",
    [
        json('{"a": "' + "x" * MOST_BYTES + '"}'),
        json("[1]"),
        json("not json"),
        "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\n{}",
        "nonsense\r\n\r\n",
        "",
    ],
    ids=["too large", "a list", "no json", "an error", "no http", "nothing"],
)
async def test_an_answer_that_is_none_is_not_taken(text: str) -> None:
    async with serving(saying(text)) as server:
        with pytest.raises(OutgoingFailed):
            await to(server).fetch(f"http://{server.host}/")


async def test_a_server_that_drips_is_left_in_time() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.2)

    async with serving(drip) as server:
        began = time.monotonic()
        with pytest.raises(OutgoingFailed):
            await to(server).fetch(f"http://{server.host}/")
        assert time.monotonic() - began < TIMEOUT_S + 1


@given(st.text(max_size=80))
def test_no_text_is_taken_for_an_address_that_may_be_called(url: str) -> None:
    with pytest.raises(HostNotAllowed):
        Outgoing(frozenset({NAME}), resolve=lambda host, port: [PUBLIC]).target(url)
