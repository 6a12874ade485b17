"""The station's own certificate authority: made once, on this computer, trusted by this station's devices only."""

import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from station_agent import sealing
from station_agent.lan import revoking
from station_agent.lan.revoking import Device

FOLDER = "lan"
_KEY = "authority-key.sealed"
_PLAIN_KEY = "authority-key.pem"
"""Where releases before sealing kept it; it is sealed when it is read."""
_PURPOSE = "authority of the local network"
_CA_LIFETIME = timedelta(days=3650)
_LIFETIME = timedelta(days=397)
"""Browsers take no certificate of a longer life (CA/Browser Forum, ballot SC31)."""
_RENEW_BEFORE = timedelta(days=30)
_CLOCKS = timedelta(days=2)
"""How far a device's clock may be behind this one's."""

_Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Files:
    """PEM files of the server's certificate and key, and of the authority that devices must hold a certificate of.

    ``trusted`` holds the authority and whom it has revoked.
    """

    chain: Path
    key: Path
    authority: Path
    trusted: Path


def prepare(directory: Path, names: list[str], *, now: datetime) -> Files:
    """Make what is not there yet: the authority, and a certificate for these names or addresses.

    The certificate is made anew when it soon ends or the names have changed.
    """
    folder = directory / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    files = Files(
        folder / "server.pem", folder / "server-key.pem", folder / "authority.pem", folder / "trusted.pem"
    )
    key, authority = _authority(folder, now)
    revoked = revoking.revocations(revoking.devices(folder), authority, key, now=now)
    _write(files.trusted, authority.public_bytes(serialization.Encoding.PEM) + revoked)
    wanted = _alternatives(names)
    if not _serves(files.chain, wanted, authority, now):
        made = ec.generate_private_key(ec.SECP256R1())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        certificate = _signed(made, names[0], authority, key, usage, now).add_extension(
            wanted, critical=False
        )
        _write(files.key, _pem(made))
        _write(files.chain, certificate.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return files


def issue(directory: Path, name: str, *, now: datetime) -> tuple[bytes, str]:
    """Make a key and a certificate for a device. Returns a PKCS #12 file and the password that opens it."""
    folder = directory / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    key, authority = _authority(folder, now)
    made = ec.generate_private_key(ec.SECP256R1())
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    certificate = _signed(made, name, authority, key, usage, now).sign(key, hashes.SHA256())
    device = Device(name, certificate.serial_number, now.date().isoformat())
    _write(folder / "devices.json", revoking.listed([*revoking.devices(folder), device]))
    password = secrets.token_urlsafe(9)
    sealed = serialization.BestAvailableEncryption(password.encode())
    return pkcs12.serialize_key_and_certificates(
        name.encode(), made, certificate, [authority], sealed
    ), password


def revoke(directory: Path, name: str) -> None:
    """Let a device of this name in no more, once the station has been started again.

    Raises:
        UnknownDevice: no device of this name is let in.
    """
    folder = directory / FOLDER
    _write(folder / "devices.json", revoking.listed(revoking.without(revoking.devices(folder), name)))


def renew(directory: Path) -> None:
    """Forget the authority: no device's certificate counts any more, once the station has been started again."""
    folder = directory / FOLDER
    for name in (
        "authority.pem",
        _KEY,
        _PLAIN_KEY,
        "server.pem",
        "server-key.pem",
        "trusted.pem",
        "devices.json",
    ):
        (folder / name).unlink(missing_ok=True)


def fingerprint(directory: Path) -> str | None:
    """Return the SHA-256 of the authority's certificate in pairs, to be compared by eye; None if there is none."""
    path = directory / FOLDER / "authority.pem"
    if not path.is_file():
        return None
    return x509.load_pem_x509_certificate(path.read_bytes()).fingerprint(hashes.SHA256()).hex(":").upper()


def _authority(folder: Path, now: datetime) -> tuple[_Key, x509.Certificate]:
    path, sealer = folder / "authority.pem", sealing.this_computer()
    if (folder / _PLAIN_KEY).is_file():
        sealing.write(folder / _KEY, (folder / _PLAIN_KEY).read_bytes(), _PURPOSE, sealer)
        sealing.wipe(folder / _PLAIN_KEY)
    if path.is_file() and (folder / _KEY).is_file():
        held = serialization.load_pem_private_key(sealing.read(folder / _KEY, _PURPOSE, sealer), None)
        assert isinstance(held, _Key)
        return held, x509.load_pem_x509_certificate(path.read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Station {secrets.token_hex(4)}")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS)
        .not_valid_after(now + _CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    sealing.write(folder / _KEY, _pem(key), _PURPOSE, sealer)
    _write(path, certificate.public_bytes(serialization.Encoding.PEM))
    return key, certificate


def _signed(
    key: _Key, name: str, authority: x509.Certificate, by: _Key, usage: x509.ExtendedKeyUsage, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs=False), critical=True)
        .add_extension(usage, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _alternatives(names: list[str]) -> x509.SubjectAlternativeName:
    def general(name: str) -> x509.GeneralName:
        try:
            return x509.IPAddress(ip_address(name))
        except ValueError:
            return x509.DNSName(name)

    return x509.SubjectAlternativeName([general(name) for name in names])


def _serves(
    path: Path, wanted: x509.SubjectAlternativeName, authority: x509.Certificate, now: datetime
) -> bool:
    if not path.is_file():
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    lasts = certificate.not_valid_after_utc - now.astimezone(UTC) > _RENEW_BEFORE
    return lasts and held == wanted and certificate.issuer == authority.subject


def _pem(key: _Key) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def _write(path: Path, content: bytes) -> None:
    pending = path.with_suffix(".new")
    pending.unlink(missing_ok=True)
    with open(os.open(pending, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    pending.replace(path)
