"""The station's pages on the local network: TLS with its own authority, and nobody without a certificate of it."""

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from station_agent import cli, sealing
from station_agent.lan import authority, serving
from station_agent.web.app import create_app
from tests.station_agent.conftest import NOW, Station

HOST = "127.0.0.1"


def device(directory: Path, name: str = "tablet") -> ssl.SSLContext:
    """Return what a device that was added speaks with: it trusts the station, and shows its certificate."""
    sealed, password = authority.issue(directory, name, now=NOW)
    key, certificate, _ = pkcs12.load_key_and_certificates(sealed, password.encode())
    assert key is not None
    assert certificate is not None
    held = directory / f"{name}.pem"
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    held.write_bytes(plain + certificate.public_bytes(serialization.Encoding.PEM))
    context = stranger(directory)
    context.load_cert_chain(held)
    return context


def stranger(directory: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(directory / authority.FOLDER / "authority.pem"))


@dataclass
class Door:
    url: str
    directory: Path

    async def get(self, context: ssl.SSLContext, path: str = "/healthz", **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(verify=context, timeout=10) as client:
            return await client.get(self.url + path, headers=headers)


@pytest.fixture
async def door(station: Station) -> AsyncIterator[Door]:
    async with opened(station) as found:
        yield found


@contextlib.asynccontextmanager
async def opened(station: Station) -> AsyncIterator[Door]:
    directory = station.agent.options.directory
    files = authority.prepare(directory, [HOST], now=NOW)
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    server = serving.door(create_app(station.agent, with_link=False, lan=HOST), HOST, port, files)
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield Door(f"https://{HOST}:{port}", directory)
    server.should_exit = True
    await running


async def test_a_device_that_was_added_opens_the_pages(door: Door) -> None:
    answer = await door.get(device(door.directory), "/sign-in")
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_nobody_else_is_spoken_to(door: Door, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    authority.prepare(elsewhere, [HOST], now=NOW)
    foreign = device(elsewhere)
    foreign.load_verify_locations(door.directory / authority.FOLDER / "authority.pem")
    for context in (stranger(door.directory), foreign):
        with pytest.raises(httpx.TransportError):
            await door.get(context)


async def test_a_device_that_was_lost_is_let_in_no_more_and_the_others_are(station: Station) -> None:
    directory = station.agent.options.directory
    async with opened(station) as door:
        lost, kept = device(directory, "lost"), device(directory, "kept")
        assert [(await door.get(one)).status_code for one in (lost, kept)] == [200, 200]
    with contextlib.redirect_stdout(StringIO()) as told, contextlib.redirect_stderr(StringIO()):
        assert cli.main(["device", "revoke", "stolen", "--data", str(directory)]) == cli.REFUSED
        assert cli.main(["device", "revoke", "lost", "--data", str(directory)]) == cli.OK
        told.truncate(0)
        told.seek(0)
        assert cli.main(["device", "list", "--data", str(directory)]) == cli.OK
    assert [(one["name"], one["revoked"]) for one in json.loads(told.getvalue())] == [
        ("lost", True),
        ("kept", False),
    ]
    async with opened(station) as door:
        assert (await door.get(kept)).status_code == 200
        with pytest.raises(httpx.TransportError):
            await door.get(lost)


async def test_a_device_that_does_not_know_the_station_does_not_go_on(door: Door) -> None:
    with pytest.raises(httpx.ConnectError):
        await door.get(ssl.create_default_context())


async def test_another_name_and_another_page_s_form_are_refused_over_tls_too(door: Door) -> None:
    tablet = device(door.directory)
    assert (await door.get(tablet, "/", Host="evil.example")).status_code == 421
    async with httpx.AsyncClient(verify=tablet) as client:
        for origin in ("https://evil.example", door.url.replace("https:", "http:"), "null"):
            answer = await client.post(f"{door.url}/patients", headers={"Origin": origin})
            assert answer.status_code == 403


async def test_loopback_takes_no_network_s_name(station: Station) -> None:
    transport = httpx.ASGITransport(create_app(station.agent, with_link=False, lan="192.168.1.20"))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8090") as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/healthz", headers={"Host": "192.168.1.20"})).status_code == 421


def test_the_certificate_is_made_once_and_anew_when_it_ends_or_the_address_changes(tmp_path: Path) -> None:
    first = authority.prepare(tmp_path, [HOST], now=NOW)
    chain, key = first.chain.read_bytes(), authority.fingerprint(tmp_path)
    assert authority.prepare(tmp_path, [HOST], now=NOW + timedelta(days=300)).chain.read_bytes() == chain
    moved = authority.prepare(tmp_path, ["192.168.1.21"], now=NOW).chain.read_bytes()
    assert moved != chain
    later = authority.prepare(tmp_path, ["192.168.1.21"], now=NOW + timedelta(days=380)).chain.read_bytes()
    assert later != moved
    assert authority.fingerprint(tmp_path) == key, "devices go on with what they hold"
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / authority.FOLDER).iterdir()} == {0o600}
    authority.renew(tmp_path)
    authority.prepare(tmp_path, [HOST], now=NOW)
    assert authority.fingerprint(tmp_path) != key


def test_the_authority_s_key_is_sealed_and_an_earlier_release_s_too(tmp_path: Path) -> None:
    authority.prepare(tmp_path, [HOST], now=NOW)
    folder, before = tmp_path / authority.FOLDER, authority.fingerprint(tmp_path)
    sealed = folder / "authority-key.sealed"
    assert b"PRIVATE KEY" not in sealed.read_bytes()
    plain = sealing.read(sealed, "authority of the local network", sealing.this_computer())
    sealed.unlink()
    (folder / "authority-key.pem").write_bytes(plain)
    authority.issue(tmp_path, "tablet", now=NOW)
    assert authority.fingerprint(tmp_path) == before, "devices go on with what they hold"
    assert sealed.is_file()
    assert not (folder / "authority-key.pem").exists()


def test_a_technician_adds_a_device_and_sees_the_fingerprint(station: Station, tmp_path: Path) -> None:
    directory = station.agent.options.directory
    out, told = tmp_path / "tablet.p12", StringIO()
    with contextlib.redirect_stdout(told):
        assert cli.main(["device", "add", "tablet", "--data", str(directory), "--out", str(out)]) == cli.OK
    facts = json.loads(told.getvalue())
    assert pkcs12.load_key_and_certificates(out.read_bytes(), facts["password"].encode())[1] is not None
    assert out.stat().st_mode & 0o777 == 0o600
    shown = StringIO()
    with contextlib.redirect_stdout(shown):
        cli.main(["status", "--data", str(directory)])
    assert json.loads(shown.getvalue())["lan_authority"] == facts["authority"]
