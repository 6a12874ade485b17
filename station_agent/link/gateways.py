"""How an SMS leaves the station: a modem with AT commands, or a stand-in that writes down what it would have sent."""

import asyncio
import json
import os
import re
import select
import termios
import time
import tty
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

RECORDING = "record"
"""The word that asks for the stand-in instead of a modem's device."""

_ANSWER_S = 30.0
"""Within which a network takes a message (3GPP TS 27.005 names none; operators' own limits are below)."""
_SHORT_S = 5.0


class GatewayFailed(Exception):
    """The message was not taken. The text is for a technician."""


class SmsGateway(Protocol):
    """Takes messages, and gives those that came in since."""

    async def send(self, number: str, text: str) -> str:
        """Hand a message over and return the gateway's reference. Raises GatewayFailed."""
        ...

    async def received(self) -> Sequence[str]:
        """Return the texts that came in and were not given before. Raises GatewayFailed."""
        ...


def gateway_of(said: str, directory: Path) -> SmsGateway:
    """Return the gateway that the command line names: ``record``, or a modem's device (``/dev/ttyUSB0``)."""
    return RecordingGateway(directory) if said == RECORDING else ModemGateway(said)


class RecordingGateway:
    """Sends nothing: writes each message as a line of JSON to ``sms-out.jsonl`` and reads ``sms-in.jsonl``.

    For demonstrations and tests; a page says "sent" of what stands there.
    """

    def __init__(self, directory: Path) -> None:
        self._out, self._in = directory / "sms-out.jsonl", directory / "sms-in.jsonl"
        self._read = 0

    async def send(self, number: str, text: str) -> str:
        return await asyncio.to_thread(self._write, number, text)

    def _write(self, number: str, text: str) -> str:
        with open(os.open(self._out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as file:
            file.write(json.dumps({"to": number, "text": text}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return f"R{len(self._out.read_text().splitlines())}"

    async def received(self) -> Sequence[str]:
        def look() -> list[str]:
            lines = self._in.read_text().splitlines() if self._in.exists() else []
            new, self._read = lines[self._read :], len(lines)
            return [str(json.loads(line)["text"]) for line in new if line]

        return await asyncio.to_thread(look)


class ModemGateway:
    """A GSM modem in text mode (3GPP TS 27.005 §3). One command at a time, off the event loop."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._turn = asyncio.Lock()

    async def send(self, number: str, text: str) -> str:
        if not re.fullmatch(r"\+?\d{3,15}", number) or not text.isascii() or not text.isprintable():
            raise GatewayFailed("a number or text that no modem takes")
        async with self._turn:
            return await asyncio.to_thread(self._send, number, text)

    def _send(self, number: str, text: str) -> str:
        with _Line(self._device) as line:
            line.say("ATE0", "AT+CMGF=1", 'AT+CSCS="GSM"')
            line.write(f'AT+CMGS="{number}"\r')
            line.until(b"> ", _SHORT_S)
            line.write(f"{text}\x1a")
            taken = re.search(rb"\+CMGS: (\d+)", line.until(b"OK", _ANSWER_S))
        if taken is None:
            raise GatewayFailed("the modem gave no reference")
        return taken[1].decode()

    async def received(self) -> Sequence[str]:
        async with self._turn:
            return await asyncio.to_thread(self._received)

    def _received(self) -> list[str]:
        """Read what is new, and delete what was read: a card holds twenty messages."""
        with _Line(self._device) as line:
            line.say("ATE0", "AT+CMGF=1", 'AT+CSCS="GSM"')
            line.write('AT+CMGL="REC UNREAD"\r')
            told = line.until(b"OK", _SHORT_S).decode("ascii", "replace")
            found = re.findall(r"\+CMGL: (\d+),[^\r\n]*\r?\n([^\r\n]*)", told)
            line.say(*(f"AT+CMGD={index}" for index, _ in found))
        return [text for _, text in found]


class _Line:
    """A modem's serial line, opened for one exchange."""

    def __init__(self, device: str) -> None:
        self._device = device

    def __enter__(self) -> "_Line":
        try:
            self._file = os.open(self._device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            tty.setraw(self._file)
            termios.tcflush(self._file, termios.TCIOFLUSH)
        except (OSError, termios.error) as error:
            raise GatewayFailed(f"no modem: {type(error).__name__}") from None
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def write(self, text: str) -> None:
        try:
            os.write(self._file, text.encode("ascii"))
        except OSError as error:
            raise GatewayFailed(f"the modem is gone: {type(error).__name__}") from None

    def say(self, *commands: str) -> None:
        """Give commands, each answered by OK before the next."""
        for command in commands:
            self.write(f"{command}\r")
            self.until(b"OK", _SHORT_S)

    def until(self, wanted: bytes, seconds: float) -> bytes:
        """Return what the modem says up to ``wanted``. Raises GatewayFailed on ERROR, and when it takes too long."""
        said, end = b"", time.monotonic() + seconds
        while wanted not in said:
            if b"ERROR" in said:
                raise GatewayFailed("the modem says ERROR")
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._file], [], [], left)[0]:
                raise GatewayFailed("the modem does not answer")
            try:
                said += os.read(self._file, 1024)
            except OSError as error:
                raise GatewayFailed(f"the modem is gone: {type(error).__name__}") from None
        return said
