"""Sockets, calls and the relay under attack: 51 to 58 of the checklist; with the real coturn where it is installed."""

import asyncio
import json
import secrets
import socket
import struct
import subprocess
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from hashlib import md5
from hmac import digest as hmac_digest
from pathlib import Path
from shutil import which
from typing import Any
from uuid import uuid4

import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from clinic_net.access.http import COOKIE
from clinic_net.protocol.signalling import CloseCode
from clinic_net.protocol.signalling.messages import MAX_FRAME_BYTES, MAX_SDP_BYTES
from clinic_net.signalling import turn
from tests.app.callers import Callers
from tests.app.process import Process
from tests.attacks.raw import exchange, status

HELLO = json.dumps({"t": "hello", "d": {"proto": [1]}})
PAGE = "http://hub.test"


async def _end(one: ClientConnection, within: float = 20.0) -> int | None:
    with suppress(websockets.ConnectionClosed):
        async with asyncio.timeout(within):
            async for _ in one:
                pass
    return one.close_code


async def _greeted(served: Process, headers: dict[str, str], origin: str | None = None) -> ClientConnection:
    one = await served.open(headers, origin)
    await one.send(HELLO)
    assert json.loads(await one.recv())["t"] == "welcome"
    return one


# -- 51: getting in


@pytest.mark.parametrize(
    "query", ["token={token}", "access_token={token}", "ticket={token}", "bearer={token}"]
)
async def test_a_token_in_an_address_opens_nothing(served: Process, callers: Callers, query: str) -> None:
    """Attack 51: addresses are logged by others; a credential in one is not read, for sockets and for requests."""
    token = callers.bearers["station"]
    one = await websockets.connect(
        f"ws://127.0.0.1:{served.port}/signal?{query.format(token=token)}",
        subprotocols=[websockets.Subprotocol("clinicnet.signal.v1")],
        proxy=None,
    )
    assert await _end(one) == CloseCode.UNAUTHENTICATED
    answer = await exchange(served, f"GET /fhir/Patient?{query.format(token=callers.bearers['client'])} HTTP/1.1\r\n"
                            "Host: hub.test\r\nConnection: close\r\n\r\n".encode())  # fmt: skip
    assert status(answer) in (400, 401)


@pytest.mark.parametrize(
    "origin",
    [
        "https://hub.test.evil.example",
        "http://evil.example",
        "null",
        "file://",
        "http://hub.test:81",
        "chrome-extension://x",
        "",
    ],
)
async def test_a_page_elsewhere_opens_no_socket_with_a_cookie(
    served: Process, callers: Callers, origin: str
) -> None:
    """Attack 51: the door is shut before the upgrade."""
    with pytest.raises(websockets.InvalidStatus) as refused:
        await served.open(await callers.headers_of("doctor"), origin)
    assert refused.value.response.status_code == 403


async def test_two_cookies_are_not_a_way_past_one(served: Process, callers: Callers) -> None:
    """Attack 51: a forged session beside a good one gives neither."""
    good = callers.sessions["doctor"]
    one = await served.open({"Cookie": f"{COOKIE}=forged; {COOKIE}=forged2"}, PAGE)
    assert await _end(one) == CloseCode.UNAUTHENTICATED
    assert good


# -- 52: somebody else's call


async def _ask(one: ClientConnection, t: str, **more: Any) -> dict[str, Any]:
    id_ = str(uuid4())
    await one.send(json.dumps({"t": t, "id": id_, **more}))
    async with asyncio.timeout(10):
        while True:
            heard: dict[str, Any] = json.loads(await one.recv())
            if heard.get("re") == id_:
                return heard


SDP = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
IN_A_CALL: dict[str, dict[str, Any]] = {
    "call.accept": {}, "call.join": {}, "call.seen": {}, "call.ringing": {}, "call.reject": {"reason": "busy"},
    "call.end": {"reason": "completed"}, "call.media": {"flowing": True}, "media.need_offer": {},
    "media.offer": {"sdp": SDP}, "media.answer": {"sdp": SDP}, "media.cand": {"c": [{"candidate": "x"}]},
}  # fmt: skip


@pytest.mark.parametrize("t", IN_A_CALL)
@pytest.mark.parametrize("who", ["doctor", "nurse", "station", "auditor"])
async def test_nobody_speaks_in_a_call_that_is_not_theirs(
    served: Process, callers: Callers, who: str, t: str
) -> None:
    """Attack 52 and 57: every message is checked by itself; a third participant cannot come in, and learns nothing."""
    origin = None if who == "station" else PAGE
    one = await _greeted(served, await callers.headers_of(who), origin)
    more = {
        "call": str(uuid4()),
        "ep": 1,
        "d": {**IN_A_CALL[t], "from": "user:somebody", "to": "station:11-11"},
    }
    answer = await _ask(one, t, **more)
    assert answer["t"] == "err"
    assert answer["d"]["code"] in ("not_found", "not_allowed", "bad_state", "malformed")
    await one.close()


@pytest.mark.parametrize(
    "t", ["record.start", "call.record", "media.record", "call.add", "call.invite", "call.state"]
)
async def test_a_recording_and_a_third_seat_are_not_to_be_had(
    served: Process, callers: Callers, t: str
) -> None:
    """Attacks 57 and 58: no message starts a recording or adds somebody, with or without a consent that is claimed."""
    one = await _greeted(served, await callers.headers_of("doctor"), PAGE)
    answer = await _ask(one, t, call=str(uuid4()), d={"consent": True, "who": "user:x"})
    assert (answer["t"], answer["d"]["code"]) == ("err", "malformed")
    await one.close()


# -- 53: too much


async def test_a_flood_is_slowed_and_ended_while_others_are_answered(
    served: Process, callers: Callers
) -> None:
    """Attack 53: a thousand messages a second end their socket; others wait at most twice as long."""
    other = await _greeted(served, await callers.headers_of("nurse"), PAGE)

    async def typical() -> float:
        took = []
        for _ in range(10):
            at = time.monotonic()
            await _ask(other, "ice.get")
            took.append(time.monotonic() - at)
        return sorted(took)[5]

    quiet = await typical()
    loud = await _greeted(served, await callers.headers_of("doctor"), PAGE)

    async def flood() -> None:
        with suppress(websockets.ConnectionClosed):
            for _ in range(3000):
                await loud.send(json.dumps({"t": "nothing", "id": str(uuid4())}))

    flooding = asyncio.create_task(flood())
    busy = await typical()
    await flooding
    assert await _end(loud) == CloseCode.PROTOCOL_ERROR
    assert busy < max(2 * quiet, 0.5)
    await other.close()


@pytest.mark.parametrize(
    ("frame", "codes"),
    [
        ("x" * (MAX_FRAME_BYTES + 1), {1009, CloseCode.PROTOCOL_ERROR}),
        (b"\0\1\2", {CloseCode.PROTOCOL_ERROR, 1003}),
        ("not json", {CloseCode.PROTOCOL_ERROR}),
        ("[" * 60_000, {CloseCode.PROTOCOL_ERROR}),
        (json.dumps({"t": "hello", "d": {"proto": [99]}}), {CloseCode.VERSION}),
        (json.dumps({"t": "call.accept", "id": str(uuid4())}), {CloseCode.PROTOCOL_ERROR}),
        ('{"t":"hello","d":{"sid":"' + "a" * 5000 + '"}}', {CloseCode.PROTOCOL_ERROR}),
        ('{"t":"hello","d":{"last_seq":' + "9" * 5000 + "}}", {CloseCode.PROTOCOL_ERROR}),
        ('{"t":"hello","t":"hello","d":{"proto":[1],"proto":[]}}', {CloseCode.PROTOCOL_ERROR, CloseCode.VERSION}),
        ('{"t":"\\u0000"}', {CloseCode.PROTOCOL_ERROR}),
    ],
    ids=["large", "bytes", "words", "deep", "version", "no hello", "long id", "long number", "twice", "nul"],
)  # fmt: skip
async def test_a_frame_that_is_none_ends_its_socket(
    served: Process, callers: Callers, frame: str | bytes, codes: set[int]
) -> None:
    """Attack 53: too large, not text, not a message."""
    one = await served.open(await callers.headers_of("station"))
    with suppress(websockets.ConnectionClosed):
        await one.send(frame)
    assert await _end(one) in codes


def _frame(opcode: int, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
    first = (0x80 if fin else 0) | (0x40 if rsv1 else 0) | opcode
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + struct.pack("!H", size)
    return bytes([first]) + length + b"\0\0\0\0" + payload  # a mask of zeros changes nothing


async def _upgraded(served: Process, token: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    writer.write(
        f"GET /signal HTTP/1.1\r\nHost: hub.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{extension}"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: clinicnet.signal.v1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert b" 101 " in head
    assert b"permessage-deflate" not in head, "it costs 42 KiB a socket and lets a bomb in"
    return reader, writer


@pytest.mark.parametrize(
    "sent",
    [
        _frame(1, b"{", fin=False) + _frame(0, b" ", fin=False) * 100_000,
        _frame(9, b"") * 50_000,
        _frame(9, b"x" * 126),
        _frame(1, zlib.compress(b" " * 10_000_000)[2:-4], rsv1=True),
        _frame(3, b"x"),
        b"\x81\x05hello",
        _frame(8, b"\x00"),
        b"\x81\xff" + struct.pack("!Q", 2**62) + b"\0\0\0\0",
    ],
    ids=["fragments", "pings", "long ping", "compressed", "reserved", "unmasked", "half a close", "huge"],
)
async def test_frames_that_no_browser_sends_end_in_bounded_time(
    served: Process, callers: Callers, sent: bytes
) -> None:
    """Attack 53: fragments without end, floods of pings, a compressed bomb, what RFC 6455 forbids."""
    reader, writer = await _upgraded(served, callers.bearers["station"])
    heard = 0
    try:
        with suppress(ConnectionError):
            writer.write(sent)
            async with asyncio.timeout(35):  # ten seconds until a hello, ten for the goodbye
                await writer.drain()
                while chunk := await reader.read(65536):
                    heard += len(chunk)
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()
    assert heard < 2 * len(sent) + 100_000


# -- 54: what is handed on


@pytest.mark.parametrize(
    "d",
    [
        {"sdp": "v=0\r\n" + "m=audio 9 RTP/AVP 0\r\n" * 2000}, {"sdp": "x" * (MAX_SDP_BYTES + 1)}, {"sdp": None},
        {"sdp": ["v=0"]}, {"sdp": {"a": 1}}, {}, {"c": "x"}, {"c": [1]},
        {"c": [{}] * 65}, {"c": [{"candidate": "x" * 60_000}]},
    ],
    ids=range(10),
)  # fmt: skip
async def test_a_description_that_is_none_is_refused_and_nothing_falls_over(
    served: Process, callers: Callers, d: dict[str, Any]
) -> None:
    """Attack 54: descriptions are handed on unread, bounded in size, and to nobody but the other party."""
    one = await _greeted(served, await callers.headers_of("doctor"), PAGE)
    t = "media.cand" if "c" in d else "media.offer"
    answer = await _ask(one, t, call=str(uuid4()), ep=1, d=d)
    assert answer["t"] == "err"
    assert (await _ask(one, "ice.get"))["t"] == "ok", "the socket is as it was"
    await one.close()


# -- 55 and 56: the relay

TURNSERVER = which("turnserver")
relay = pytest.mark.skipif(TURNSERVER is None, reason="coturn is not installed on this machine")
CONF = Path(__file__).parents[2] / "docker" / "coturn" / "turnserver.conf"
SECRET = secrets.token_hex(16)
COOKIE_STUN = 0x2112A442


class Relay:
    """A TURN client of forty lines (RFC 8656): allocate, permit, read the error code."""

    def __init__(self, port: int, username: str, credential: str) -> None:
        self._address = ("127.0.0.1", port)
        self._user, self._password = username, credential
        self._realm = self._nonce = b""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(3)

    def close(self) -> None:
        self._socket.close()

    def _send(
        self, method: int, attributes: list[tuple[int, bytes]], transaction: bytes = b""
    ) -> tuple[int, dict[int, bytes]]:
        transaction = transaction or secrets.token_bytes(12)
        if self._nonce:
            attributes = [
                *attributes,
                (0x0006, self._user.encode()),
                (0x0014, self._realm),
                (0x0015, self._nonce),
            ]
        body = b"".join(
            struct.pack("!HH", kind, len(value)) + value + b"\0" * (-len(value) % 4)
            for kind, value in attributes
        )
        head = struct.pack("!HHI", method, len(body) + (24 if self._nonce else 0), COOKIE_STUN) + transaction
        if self._nonce:
            key = md5(f"{self._user}:{self._realm.decode()}:{self._password}".encode()).digest()
            body += struct.pack("!HH", 0x0008, 20) + hmac_digest(key, head + body, "sha1")
        self._socket.sendto(head + body, self._address)
        answer = self._socket.recv(4096)
        kind, size = struct.unpack("!HH", answer[:4])
        found, at = {}, 20
        while at < 20 + size:
            name, length = struct.unpack("!HH", answer[at : at + 4])
            found[name] = answer[at + 4 : at + 4 + length]
            at += 4 + length + (-length % 4)
        return kind, found

    @staticmethod
    def _code(kind: int, found: dict[int, bytes]) -> int:
        return 200 if kind & 0x0110 == 0x0100 else found[0x0009][2] * 100 + found[0x0009][3]

    def allocate(self) -> int:
        udp = [(0x0019, b"\x11\0\0\0")]
        kind, found = self._send(0x0003, udp)
        if self._code(kind, found) == 401:
            self._realm, self._nonce = found[0x0014], found[0x0015]
            kind, found = self._send(0x0003, udp)
        return self._code(kind, found)

    def permit(self, peer: str) -> int:
        transaction = secrets.token_bytes(12)
        family = socket.AF_INET6 if ":" in peer else socket.AF_INET
        plain, mask = socket.inet_pton(family, peer), struct.pack("!I", COOKIE_STUN) + transaction
        masked = bytes(a ^ b for a, b in zip(plain, mask, strict=False))  # RFC 8489 §14.2
        head = struct.pack("!HH", 2 if ":" in peer else 1, 9 ^ (COOKIE_STUN >> 16))
        return self._code(*self._send(0x0008, [(0x0012, head + masked)], transaction))


@pytest.fixture(scope="module")
def coturn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """coturn with the configuration of production, on a port of its own, without its TLS."""
    assert TURNSERVER is not None
    folder = tmp_path_factory.mktemp("coturn")
    gone = (
        "cert=",
        "pkey=",
        "listening-port=",
        "tls-listening-port=",
        "pidfile=",
        "log-file=",
        "user-quota=",
    )
    lines = [line for line in CONF.read_text().splitlines() if not line.startswith(gone)]
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    conf = folder / "turnserver.conf"
    ours = [f"listening-port={port}", "listening-ip=127.0.0.1", "relay-ip=127.0.0.1", "no-tls", "no-dtls",
            "user-quota=4", f"static-auth-secret={SECRET}", f"pidfile={folder}/pid"]  # fmt: skip
    conf.write_text("\n".join([*lines, *ours]))
    running = subprocess.Popen(
        (TURNSERVER, "-c", conf, "--log-file", "stdout"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    try:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with suppress(OSError), closing(Relay(port, "x", "x")) as probe_:
                probe_.allocate()
                break
            time.sleep(0.1)
        yield port
    finally:
        running.terminate()
        running.wait(10)


def _credentials(minutes: int = 60) -> tuple[str, str]:
    lifetime = timedelta(minutes=minutes)
    return turn.credentials(SECRET, f"station:{uuid4().hex[:8]}", now=datetime.now(UTC), lifetime=lifetime)


@relay
@pytest.mark.parametrize(
    "peer",
    ["10.0.0.1", "127.0.0.1", "169.254.169.254", "192.168.1.1", "172.16.0.1", "0.0.0.0", "224.0.0.1", "100.64.0.1",
     "255.255.255.255", "198.51.100.1"],
)  # fmt: skip
def test_the_relay_reaches_into_no_network(coturn: int, peer: str) -> None:
    """Attack 55: loopback, private networks, the metadata address, multicast: 403 from coturn itself."""
    with closing(Relay(coturn, *_credentials())) as client:
        assert client.allocate() == 200
        assert client.permit(peer) == 403


@relay
@pytest.mark.parametrize(
    "peer", ["::1", "fc00::1", "::ffff:10.0.0.1", "fe80::1", "64:ff9b::a00:1", "2002:a00:1::"]
)
def test_nor_by_the_other_version_of_addresses(coturn: int, peer: str) -> None:
    """Attack 55: IPv6 and addresses of IPv4 written in it."""
    with closing(Relay(coturn, *_credentials())) as client:
        assert client.allocate() == 200
        assert client.permit(peer) in (403, 443)


@relay
def test_a_place_on_the_open_internet_may_be_reached(coturn: int) -> None:
    with closing(Relay(coturn, *_credentials())) as client:
        assert client.allocate() == 200
        assert client.permit("8.8.8.8") == 200


@relay
@pytest.mark.parametrize(
    "credentials",
    [
        lambda: _credentials(-1),
        lambda: (_credentials()[0], "x"),
        lambda: ("nobody", _credentials()[1]),
        lambda: (_credentials(999_999)[0], _credentials()[1]),
    ],
    ids=["ended", "no password", "no user", "longer"],
)
def test_a_credential_that_ended_or_was_changed_opens_nothing(coturn: int, credentials: Any) -> None:
    """Attack 56: the time is in the signed name; coturn refuses it afterwards."""
    with closing(Relay(coturn, *credentials())) as client:
        assert client.allocate() == 401


@relay
def test_one_user_has_a_bounded_number_of_allocations(coturn: int) -> None:
    """Attack 56: the quota of a user."""
    user = _credentials()
    clients = [Relay(coturn, *user) for _ in range(6)]
    try:
        codes = [client.allocate() for client in clients]
    finally:
        for client in clients:
            client.close()
    assert codes == [200] * 4 + [486] * 2


def test_production_s_relay_has_quotas_and_no_doors_to_the_side() -> None:
    """Attacks 55 and 56: what the test above changed is in the file that production uses."""
    lines = CONF.read_text().splitlines()
    assert {"no-multicast-peers", "no-tcp-relay", "no-cli", "use-auth-secret"} <= set(lines)
    assert any(line.startswith("user-quota=") for line in lines)
    assert any(line.startswith("total-quota=") for line in lines)
