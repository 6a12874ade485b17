"""How an SMS leaves: a modem's own words over a serial line, and the stand-in that writes down."""

import asyncio
import json
import os
import pty
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from station_agent.link.gateways import GatewayFailed, ModemGateway, RecordingGateway, gateway_of


class Modem:
    """A modem at the other end of a pseudo-terminal: answers commands, keeps what was sent, holds what came in."""

    def __init__(self) -> None:
        self._end, other = pty.openpty()
        tty.setraw(self._end)
        self._other = other
        self.device = os.ttyname(other)
        self.sent: list[tuple[str, str]] = []
        self.inbox: dict[int, str] = {}
        self.broken = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.write(self._other, b"STOP\r")
        self._thread.join(5)
        os.close(self._end)
        os.close(self._other)

    def _serve(self) -> None:
        heard, number = b"", ""
        while True:
            heard += os.read(self._end, 1024)
            if heard.endswith(b"\x1a"):
                self.sent.append((number, heard[:-1].decode()))
                self._say("\r\n+CMGS: 47\r\n\r\nOK\r\n")
                heard = b""
            while b"\r" in heard:
                command, _, heard = heard.partition(b"\r")
                if command == b"STOP":
                    return
                number = self._obey(command.decode()) or number

    def _obey(self, command: str) -> str:
        if self.broken:
            self._say("\r\n+CMS ERROR: 38\r\n")
        elif command.startswith("AT+CMGS="):
            self._say("\r\n> ")
            return command.split('"')[1]
        elif command.startswith("AT+CMGL"):
            listed = (f'\r\n+CMGL: {n},"REC UNREAD","+849",,"x"\r\n{said}' for n, said in self.inbox.items())
            self._say("".join(listed) + "\r\n\r\nOK\r\n")
        elif command.startswith("AT+CMGD="):
            del self.inbox[int(command.partition("=")[2])]
            self._say("\r\nOK\r\n")
        else:
            self._say("\r\nOK\r\n")
        return ""

    def _say(self, said: str) -> None:
        os.write(self._end, said.encode())


@pytest.fixture
def modem() -> Iterator[Modem]:
    modem = Modem()
    yield modem
    modem.close()


async def test_a_modem_sends_a_message_and_gives_its_reference(modem: Modem) -> None:
    assert await ModemGateway(modem.device).send("+84901234567", "CN1 abc+/") == "47"
    assert modem.sent == [("+84901234567", "CN1 abc+/")]


async def test_what_a_modem_received_is_given_once_and_leaves_its_card(modem: Modem) -> None:
    modem.inbox = {1: "CN1 first", 4: "CN1 second"}
    gateway = ModemGateway(modem.device)
    assert list(await gateway.received()) == ["CN1 first", "CN1 second"]
    assert modem.inbox == {}
    assert list(await gateway.received()) == []


async def test_a_modem_that_has_no_network_or_is_not_there_says_so(modem: Modem) -> None:
    modem.broken = True
    with pytest.raises(GatewayFailed):
        await ModemGateway(modem.device).send("+849012345", "CN1 abc")
    with pytest.raises(GatewayFailed):
        await ModemGateway("/dev/no-such-modem").received()


@pytest.mark.parametrize(
    ("number", "said"), [('1";AT', "x"), ("+84901", "a\rAT"), ("+84901", "ế"), ("", "x")]
)
async def test_nothing_that_is_said_becomes_a_command(modem: Modem, number: str, said: str) -> None:
    with pytest.raises(GatewayFailed):
        await ModemGateway(modem.device).send(number, said)
    assert modem.sent == []


async def test_the_stand_in_writes_down_what_it_would_have_sent(tmp_path: Path) -> None:
    gateway = gateway_of("record", tmp_path)
    assert isinstance(gateway, RecordingGateway)
    assert [await gateway.send("+849", "one"), await gateway.send("+849", "two")] == ["R1", "R2"]
    lines = await asyncio.to_thread((tmp_path / "sms-out.jsonl").read_text)
    assert [json.loads(line)["text"] for line in lines.splitlines()] == ["one", "two"]
    assert (tmp_path / "sms-out.jsonl").stat().st_mode & 0o777 == 0o600
