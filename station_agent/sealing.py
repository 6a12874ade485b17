"""Secrets that open on this computer only: the store's key and the device's key lie on the disk sealed.

A station comes back by itself after a power cut, so nobody is asked for anything: what opens the seal is the computer.
``MachineSealer`` binds to the identity that the operating system was given at its installation (machine-id(5)). It
holds against a disk, a backup or a copied folder that turns up at another computer; it does not hold against somebody
who takes the whole computer, or copies its system partition too. A chip (TPM 2.0) does more: it is another ``Sealer``.
"""

import base64
import json
import os
import secrets
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from station_agent.errors import OtherComputer, SealBroken

MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
"""Where the identity of an installation is; the first that holds one counts."""

_SALT_BYTES = 32
_NONCE_BYTES = 12
"""As NIST SP 800-38D recommends for GCM. Each seal has a key of its own, by its salt."""


class Sealer(Protocol):
    """Binds secrets to this computer. ``how`` is a word for a technician, and stands in what was sealed."""

    @property
    def how(self) -> str: ...

    def seal(self, secret: bytes, purpose: str) -> dict[str, str]:
        """Return the secret sealed, as texts that may be kept on the disk."""

    def unseal(self, sealed: dict[str, str], purpose: str) -> bytes:
        """Return the secret.

        Raises:
            OtherComputer: it was sealed on another one.
            SealBroken: it was damaged, or sealed for another purpose.
        """


class MachineSealer:
    """AES-256-GCM with a key that HKDF (RFC 5869) draws from what is known of the computer only."""

    def __init__(self, identity: bytes) -> None:
        self._identity = identity

    @property
    def how(self) -> str:
        return "machine-id" if self._identity else "nothing"

    def seal(self, secret: bytes, purpose: str) -> dict[str, str]:
        salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
        text = AESGCM(self._drawn(salt, purpose)).encrypt(nonce, secret, purpose.encode())
        marks = {"salt": salt, "mark": self._mark(salt), "nonce": nonce, "text": text}
        return {name: base64.b64encode(value).decode() for name, value in marks.items()}

    def unseal(self, sealed: dict[str, str], purpose: str) -> bytes:
        try:
            salt, mark, nonce, text = (
                base64.b64decode(sealed[name], validate=True) for name in ("salt", "mark", "nonce", "text")
            )
        except (KeyError, ValueError):
            raise SealBroken("a sealed key of this station is damaged") from None
        if not secrets.compare_digest(mark, self._mark(salt)):
            raise OtherComputer(
                "these records belong to another computer and do not open here: "
                "enrol this computer anew, with an empty directory"
            )
        try:
            return AESGCM(self._drawn(salt, purpose)).decrypt(nonce, text, purpose.encode())
        except (InvalidTag, ValueError):
            raise SealBroken("a sealed key of this station is damaged") from None

    def _drawn(self, salt: bytes, purpose: str) -> bytes:
        return HKDF(SHA256(), 32, salt, f"clinic-net station seal: {purpose}".encode()).derive(self._identity)

    def _mark(self, salt: bytes) -> bytes:
        """Tell this computer from another without telling which it is."""
        return HKDF(SHA256(), 16, salt, b"clinic-net station seal mark").derive(self._identity)


def this_computer() -> MachineSealer:
    """Return the sealer of this computer; bound to nothing where the system has no identity (a bare container)."""
    for path in MACHINE_IDS:
        try:
            identity = path.read_bytes().strip()
        except OSError:
            continue
        if identity:
            return MachineSealer(identity)
    return MachineSealer(b"")


def write(path: Path, secret: bytes, purpose: str, sealer: Sealer) -> None:
    """Seal a secret into a file (0600), on the disk when this returns; what was there before is replaced at once."""
    text = json.dumps({"v": 1, "how": sealer.how, **sealer.seal(secret, purpose)})
    write_through(path, text.encode())


def write_through(path: Path, content: bytes) -> None:
    """Replace a file (0600) so that a power cut leaves the old or the new one, never a part."""
    pending = path.with_name(f"{path.name}.part")
    pending.unlink(missing_ok=True)
    with open(os.open(pending, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    pending.replace(path)
    settle(path.parent)


def settle(directory: Path) -> None:
    """Put the names in a directory on the disk (fsync(2): a file's fsync does not cover its entry)."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def wipe(path: Path) -> None:
    """Overwrite a file and remove it. A disk that moves its blocks (SSD) may keep a copy all the same."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        left = path.stat().st_size
        while left > 0:
            left -= file.write(bytes(min(left, 1 << 20)))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
    settle(path.parent)


def read(path: Path, purpose: str, sealer: Sealer) -> bytes:
    """Return the secret in a file.

    Raises:
        FileNotFoundError: there is none.
        OtherComputer, SealBroken: see ``Sealer.unseal``.
    """
    held = _held(path)
    if held.get("how") == "nothing":
        sealer = MachineSealer(b"")
    return sealer.unseal({name: str(value) for name, value in held.items()}, purpose)


def how(path: Path) -> str | None:
    """Return how a file is sealed, or None when there is no such file or it cannot be read."""
    try:
        return str(_held(path)["how"])
    except (OSError, KeyError, SealBroken):
        return None


def _held(path: Path) -> dict[str, Any]:
    try:
        held = json.loads(path.read_bytes())
    except ValueError:
        raise SealBroken("a sealed key of this station is damaged") from None
    if not isinstance(held, dict):
        raise SealBroken("a sealed key of this station is damaged")
    return held
