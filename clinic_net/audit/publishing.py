"""Checkpoints to the outside: the newest with its cosignatures, proofs between two, and cosignatures that come back."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from clinic_net.audit import notes, tree
from clinic_net.audit.errors import Inconsistent, NotACheckpoint
from clinic_net.audit.sealing import origin_of, signer_of
from clinic_net.kernel.settings import HubSettings

_NEWEST = text("select size, at, note from audit_checkpoint order by size desc limit 1")
_OF_SIZE = text("select size, note from audit_checkpoint where size = :size")
_WITNESSES = text("select witness from audit_cosignature where size = :size order by witness")
_LINES = text("select line from audit_cosignature where size = :size order by witness")
_KEEP = text("""
    insert into audit_cosignature (size, witness, line, at) values (:size, :witness, :line, :at)
    on conflict (size, witness) do nothing
""")


async def newest(connection: AsyncConnection) -> str | None:
    """Return the newest checkpoint with the cosignatures that it has so far; None where nothing is sealed yet."""
    row = (await connection.execute(_NEWEST)).one_or_none()
    if row is None:
        return None
    lines = (await connection.execute(_LINES, {"size": row.size})).scalars()
    return str(row.note) + "".join(lines)


@dataclass(frozen=True)
class Status:
    """How the chain stands: the newest checkpoint's size and time, and who countersigned it."""

    size: int
    at: datetime
    witnesses: tuple[str, ...]


async def status(connection: AsyncConnection) -> Status | None:
    """Return how the chain stands; None where nothing is sealed yet."""
    row = (await connection.execute(_NEWEST)).one_or_none()
    if row is None:
        return None
    names = (await connection.execute(_WITNESSES, {"size": row.size})).scalars()
    return Status(row.size, row.at, tuple(names))


async def proof(connection: AsyncConnection, old: int, new: int) -> str:
    """Return the proof that the tree of size ``new`` begins with that of size ``old``, a hash in base64 on each line.

    Raises:
        Inconsistent: there are no trees of these sizes.
    """
    row = (await connection.execute(_NEWEST)).one_or_none()
    if not 0 <= old <= new <= (0 if row is None else row.size):
        raise Inconsistent("the trail has no trees of these sizes")
    hashes = await tree.proof(connection, old, new)
    return "".join(base64.b64encode(each).decode() + "\n" for each in hashes)


def read_proof(text: str) -> list[bytes]:
    """Read what ``proof`` writes.

    Raises:
        NotACheckpoint: it is not of the form.
    """
    try:
        return [base64.b64decode(line, validate=True) for line in text.split()]
    except ValueError:
        raise NotACheckpoint("a line of the proof is not base64") from None


def read_outside(text: str, settings: HubSettings, key: str | None = None) -> notes.Note:
    """Read a checkpoint that was kept outside, signed by this hub's key or by ``key`` (a verifier key).

    Raises:
        NotACheckpoint: it is none of this trail, or the signature is not valid.
    """
    note = notes.read_note(text)
    verifier = signer_of(settings).verifier if key is None else notes.read_verifier(key)
    if note.origin != verifier.name or notes.signature_of(note, verifier) is None:
        raise NotACheckpoint("the checkpoint is not signed by this trail's key")
    return note


async def take_cosignatures(
    connection: AsyncConnection, given: str, settings: HubSettings, *, now: datetime
) -> Sequence[str]:
    """Keep a known witness's cosignatures under a checkpoint of ours; return the witnesses' names.

    Raises:
        NotACheckpoint: it is none of ours.
        WitnessUnknown: no known witness has signed it.
    """
    note = notes.read_note(given)
    row = (await connection.execute(_OF_SIZE, {"size": note.size})).one_or_none()
    if note.origin != origin_of(settings) or row is None or notes.read_note(row.note).body != note.body:
        raise NotACheckpoint("the checkpoint is none of this trail")
    lines = notes.cosigned_by(note, map(notes.read_verifier, settings.audit_witnesses))
    for witness, line in lines.items():
        await connection.execute(_KEEP, {"size": note.size, "witness": witness, "line": line, "at": now})
    return sorted(lines)
