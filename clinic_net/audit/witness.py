"""A witness: somebody outside who signs a checkpoint only if it continues what they have seen before.

It knows the hub by its public addresses and by its key, and keeps one file: the last checkpoint that it signed.
"""

import os
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from clinic_net.audit import notes
from clinic_net.audit.errors import AuditUnavailable, Inconsistent, NotACheckpoint
from clinic_net.audit.merkle import consistent
from clinic_net.audit.publishing import read_proof

_TIMEOUT_S = 10


def make_key(file: Path, name: str) -> notes.Verifier:
    """Make a witness's key in a file that only its owner reads, which must not exist yet; return its public half."""
    key = Ed25519PrivateKey.generate()
    signer = notes.Signer(name, notes.WITNESS, key)
    found = notes.read_verifier(str(signer.verifier))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as writable:
        writable.write(pem)
    return found


def read_key(file: Path, name: str) -> notes.Signer:
    """Read a witness's key.

    Raises:
        NotACheckpoint: the file holds no Ed25519 key.
    """
    key = load_pem_private_key(file.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise NotACheckpoint("the key is not an Ed25519 key")
    return notes.Signer(name, notes.WITNESS, key)


@dataclass(frozen=True)
class Log:
    """A hub's trail, seen from outside: its verifier key, and how its checkpoint and its proofs are had."""

    verifier: notes.Verifier
    checkpoint: Callable[[], str]
    proof: Callable[[int, int], str]


def _fetched(url: str, body: bytes | None = None) -> str:
    if not url.startswith(("https://", "http://")):
        raise NotACheckpoint("the hub's address begins with https:// or http://")
    try:
        with urllib.request.urlopen(url, body, timeout=_TIMEOUT_S) as answer:  # noqa: S310 -- looked at above
            return str(answer.read(1_000_000).decode("utf-8", "replace"))
    except urllib.error.URLError as failure:
        raise AuditUnavailable from failure


def log_at(url: str, verifier: notes.Verifier) -> Log:
    """Return the trail of the hub at ``url``."""
    base = url.rstrip("/") + "/audit/v1"
    return Log(
        verifier,
        lambda: _fetched(f"{base}/checkpoint"),
        lambda old, new: _fetched(f"{base}/proof/{old}/{new}"),
    )


def hand_in(url: str, note: str) -> None:
    """Give a countersigned checkpoint to the hub at ``url``."""
    _fetched(url.rstrip("/") + "/audit/v1/checkpoint", note.encode())


def cosign(log: Log, state: Path, by: notes.Signer, *, now: datetime) -> str:
    """Return the newest checkpoint with this witness's signature, and remember it in ``state``.

    Raises:
        NotACheckpoint: what the hub gave is not signed by its key.
        Inconsistent: it is not the continuation of what this witness signed last.
    """
    given = log.checkpoint()
    note = notes.read_note(given)
    if note.origin != log.verifier.name or notes.signature_of(note, log.verifier) is None:
        raise NotACheckpoint("the checkpoint is not signed by the hub's key")
    if state.exists():
        seen = notes.read_note(state.read_text("utf-8"))
        if seen.origin != note.origin:
            raise Inconsistent("the checkpoint is of another trail than the one seen before")
        if seen.size > note.size:
            raise Inconsistent("the trail is shorter than it was")
        proof = read_proof(log.proof(seen.size, note.size))
        if not consistent(seen.size, note.size, seen.root, note.root, proof):
            raise Inconsistent("the trail is not the continuation of what it was")
    line = notes.cosignature(note.body, by, at=now)
    signed = given + line
    draft = state.with_suffix(".new")
    draft.write_text(signed, "utf-8")
    draft.replace(state)
    return signed
