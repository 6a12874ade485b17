"""What travels about attachments beside the bytes themselves, which go by tus 1.0 (``/sync/v1/files``)."""

import re
from typing import Annotated

from pydantic import Field

from clinic_net.protocol.sync.messages import Message

MAX_FILE_BYTES = 10 * 1024 * 1024
"""One attachment. A station's page makes pictures of 200 kB (sync §4.7: 25 s at 64 kbit/s)."""

MAX_CHUNK_BYTES = 1024 * 1024
"""One PATCH."""

FIRST_CHUNK, LEAST_CHUNK, MOST_CHUNK = 16 * 1024, 8 * 1024, 256 * 1024
"""Bytes of a chunk at a station: the first, and its bounds (sync §4.7)."""

_QUICK_S, _SLOW_S = 1.0, 2.0
"""A chunk that took less may grow; one that took longer would let an urgent request wait (sync §4.7: 2 s)."""

FILES_PATH = "/sync/v1/files"
STORED_PATH = "/sync/v1/stored"

DIGEST = re.compile(r"[0-9a-f]{64}")
"""SHA-256 in lower-case hexadecimal: the name of an attachment, and the id of its ``Binary``."""

_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9\-.]{1,64}$")]


class FileAsk(Message):
    """``POST /sync/v1/stored``: does the hub hold these bytes of this station already? If so it notes that this
    ``DocumentReference`` of this ``Patient`` (FHIR ids) points to them too."""

    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    document: _Id
    patient: _Id


class FileAnswer(Message):
    stored: bool


def next_chunk(size: int, seconds: float) -> int:
    """Return how many bytes the next chunk may have, after one of ``size`` bytes took so long."""
    if seconds < _QUICK_S:
        return min(size * 2, MOST_CHUNK)
    if seconds > _SLOW_S:
        return max(size // 2, LEAST_CHUNK)
    return size


def binary_url(digest: str) -> str:
    """Return what an ``Attachment.url`` says of bytes with this digest."""
    return f"Binary/{digest}"


def digest_of(url: object) -> str | None:
    """Return the digest that an ``Attachment.url`` names, or None if it names something else."""
    text = url.removeprefix("Binary/") if isinstance(url, str) and url.startswith("Binary/") else ""
    return text if DIGEST.fullmatch(text) else None
