"""The hub speaks TLS by itself where no proxy does: modern versions only, and pages that say they are https."""

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from clinic_net import cli
from clinic_net.kernel.settings import HubSettings
from tests.app.process import Process, serving


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that its own key signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hub.test")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "hub.pem", folder / "hub.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths


@pytest.fixture(scope="module")
def secured(settings: HubSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    chain, key = certificate(tmp_path_factory.mktemp("tls"))
    trusted = ssl.create_default_context(cafile=str(chain))
    options = ("--no-worker", "--tls-cert", str(chain), "--tls-key", str(key))
    public = settings.model_copy(update={"public_url": "https://hub.test"})
    with serving(public, *options, trusted=trusted) as process:
        yield process


def test_who_trusts_the_certificate_is_served(secured: Process) -> None:
    answer = httpx.get(f"{secured.url}/sign-in", verify=secured.trusted)
    assert answer.status_code == 200
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_versions_that_are_broken_are_not_spoken(secured: Process, version: ssl.TLSVersion) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = version
    with socket.create_connection(("127.0.0.1", secured.port)) as plain, pytest.raises(OSError):  # noqa: PT011
        old.wrap_socket(plain)


def test_plain_http_to_the_same_port_is_answered_by_nobody(secured: Process) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{secured.port}/sign-in")


def test_half_of_a_key_pair_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", "--tls-cert", "hub.pem"]) == cli.REFUSED
    assert "belong together" in capsys.readouterr().err
