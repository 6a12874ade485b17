"""Which devices hold a certificate of the station's authority, and which of them are let in no more.

The authority's list of revoked certificates (a CRL, RFC 5280 §5) stands behind its own certificate in the file that the
door reads when the station starts.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_DEVICES = "devices.json"
_LASTS = timedelta(days=3650)
"""Nobody fetches a newer list: the station is the only one that reads it."""
_CLOCKS = timedelta(days=2)
"""How far this computer's clock may go back."""


class UnknownDevice(Exception):
    """No device of this name was added; the message is for the technician."""


@dataclass(frozen=True)
class Device:
    """A device that was added. ``serial`` is its certificate's; ``revoked`` whether it is let in no more."""

    name: str
    serial: int
    added: str
    revoked: bool = False


def devices(folder: Path) -> list[Device]:
    """Return the devices that were added, in that order; those of an older release are not known by name."""
    path = folder / _DEVICES
    if not path.is_file():
        return []
    return [Device(**each) for each in json.loads(path.read_text("utf-8"))]


def listed(known: list[Device]) -> bytes:
    """Return what ``devices`` reads, for the file ``devices.json``."""
    return json.dumps([vars(each) for each in known], indent=1).encode()


def without(known: list[Device], name: str) -> list[Device]:
    """Return the list with every device of this name revoked.

    Raises:
        UnknownDevice: there is none that is let in.
    """
    if not any(each.name == name and not each.revoked for each in known):
        raise UnknownDevice(f"no device named {name} is let in; see: station-agent device list")
    return [
        Device(each.name, each.serial, each.added, revoked=each.revoked or each.name == name)
        for each in known
    ]


def revocations(
    known: list[Device], authority: x509.Certificate, key: EllipticCurvePrivateKey, *, now: datetime
) -> bytes:
    """Return the authority's list of revoked certificates, as PEM."""
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update(now - _CLOCKS)
        .next_update(now + _LASTS)
    )
    for each in known:
        if each.revoked:
            revoked = x509.RevokedCertificateBuilder().serial_number(each.serial)
            made = made.add_revoked_certificate(revoked.revocation_date(now - _CLOCKS).build())
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
