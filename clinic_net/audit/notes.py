"""Signed checkpoints as text: C2SP signed-note, tlog-checkpoint and tlog-cosignature (Ed25519).

A note is its body (origin, size, root in base64, each on a line), an empty line, and a line for each signature.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from clinic_net.audit.errors import NotACheckpoint, WitnessUnknown

LOG, WITNESS = 1, 4
"""Signature types: Ed25519 over a note's body, and an Ed25519 cosignature with its time."""

LONGEST = 10_000
"""Characters of a checkpoint with the cosignatures of all its witnesses."""

_NAME = re.compile(r"[^\s+]{1,200}")
_DASH = "\N{EM DASH} "


@dataclass(frozen=True)
class Verifier:
    """A public key with its name and signature type."""

    name: str
    kind: int
    key: bytes

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.key).digest()[:4]

    def __str__(self) -> str:
        """Return the verifier key (vkey) of C2SP signed-note."""
        return f"{self.name}+{self.id.hex()}+{_base64(bytes([self.kind]) + self.key)}"


@dataclass(frozen=True)
class Signer:
    """A private key with its name and signature type."""

    name: str
    kind: int
    key: Ed25519PrivateKey

    @property
    def verifier(self) -> Verifier:
        public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return Verifier(self.name, self.kind, public)


@dataclass(frozen=True)
class Note:
    """A checkpoint as it was read. ``signatures`` are name, key id and the rest of each signature line."""

    origin: str
    size: int
    root: bytes
    body: str
    signatures: tuple[tuple[str, bytes, bytes], ...]


def _base64(given: bytes) -> str:
    return base64.b64encode(given).decode()


def _unbase64(given: str) -> bytes:
    try:
        return base64.b64decode(given, validate=True)
    except binascii.Error:
        raise NotACheckpoint("a line of the checkpoint is not base64") from None


def read_verifier(vkey: str) -> Verifier:
    """Read a verifier key.

    Raises:
        NotACheckpoint: it is none, or its id is not that of its name and key.
    """
    name, _, rest = vkey.strip().partition("+")
    identity, _, key = rest.partition("+")
    material = _unbase64(key)
    if not _NAME.fullmatch(name) or len(material) != 33 or material[0] not in (LOG, WITNESS):
        raise NotACheckpoint("not a verifier key")
    found = Verifier(name, material[0], material[1:])
    if found.id.hex() != identity:
        raise NotACheckpoint("the verifier key's id is not that of its name and key")
    return found


def derived_signer(name: str, secret: str) -> Signer:
    """Return the log's key, which a secret of the settings gives (HKDF-SHA-256, RFC 5869)."""
    derive = HKDF(hashes.SHA256(), 32, salt=None, info=b"clinic-net audit checkpoints 1")
    return Signer(name, LOG, Ed25519PrivateKey.from_private_bytes(derive.derive(secret.encode())))


def body_of(origin: str, size: int, root: bytes) -> str:
    return f"{origin}\n{size}\n{_base64(root)}\n"


def _line(name: str, identity: bytes, signature: bytes) -> str:
    return f"{_DASH}{name} {_base64(identity + signature)}\n"


def signed(body: str, by: Signer) -> str:
    """Return the note with the log's signature."""
    return f"{body}\n{_line(by.name, by.verifier.id, by.key.sign(body.encode()))}"


def cosignature(body: str, by: Signer, *, at: datetime) -> str:
    """Return a witness's signature line for a checkpoint that it has found to continue what it knew."""
    seconds = int(at.timestamp())
    signature = by.key.sign(_cosigned(body, seconds))
    return _line(by.name, by.verifier.id, seconds.to_bytes(8, "big") + signature)


def _cosigned(body: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{body}".encode()


def read_note(text: str) -> Note:
    """Read a checkpoint, whoever signed it.

    Raises:
        NotACheckpoint: it is not of the form.
    """
    body, empty, lines = text.partition("\n\n")
    rows = body.split("\n")
    if len(text) > LONGEST or not empty or len(rows) < 3 or not lines.endswith("\n"):
        raise NotACheckpoint("not a checkpoint")
    origin, size, root = rows[:3]
    digits = re.fullmatch(r"0|[1-9][0-9]{0,18}", size, re.ASCII)
    if not origin or digits is None or len(_unbase64(root)) != 32:
        raise NotACheckpoint("not a checkpoint")
    signatures = tuple(_read_line(line) for line in lines.removesuffix("\n").split("\n"))
    return Note(origin, int(size), _unbase64(root), body + "\n", signatures)


def _read_line(line: str) -> tuple[str, bytes, bytes]:
    name, _, signature = line.removeprefix(_DASH).partition(" ")
    found = _unbase64(signature)
    if not line.startswith(_DASH) or not _NAME.fullmatch(name) or len(found) < 5:
        raise NotACheckpoint("not a signature line")
    return name, found[:4], found[4:]


def signature_of(note: Note, by: Verifier) -> str | None:
    """Return the valid signature line of this key under a note, or None."""
    for name, identity, signature in note.signatures:
        if (name, identity) != (by.name, by.id):
            continue
        message, given = note.body.encode(), signature
        if by.kind == WITNESS:
            message, given = _cosigned(note.body, int.from_bytes(signature[:8], "big")), signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(by.key).verify(given, message)
        except InvalidSignature:
            continue
        return _line(name, identity, signature)
    return None


def cosigned_by(note: Note, witnesses: Iterable[Verifier]) -> dict[str, str]:
    """Return the valid signature lines of known witnesses under a note, by their names.

    Raises:
        WitnessUnknown: there is none.
    """
    found = {witness.name: signature_of(note, witness) for witness in witnesses if witness.kind == WITNESS}
    lines = {name: line for name, line in found.items() if line is not None}
    if not lines:
        raise WitnessUnknown("no witness that this hub knows has signed this checkpoint")
    return lines
