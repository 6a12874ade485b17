"""Whether a device may still speak, asked with its key alone: what a station does whose tokens are refused.

A bare refusal could come from anybody on the way; what makes a station erase itself is signed by its hub.
"""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from clinic_net.protocol.sync.messages import Message

STANDING = "clinicnet-standing+jws"
"""``typ`` of the hub's signed answer, a compact JWS over :class:`Standing`."""
EVERYTHING = "*"
"""The patient of a purge, and of its receipt, that means all that the device holds."""

_ASKED = b"clinicnet.sync.v1.standing\n"


class StandingAsk(Message):
    """``POST /sync/v1/standing``, without a token. ``proof`` is a compact JWS (ES256) of :func:`proof_input`."""

    device: UUID
    nonce: Annotated[str, Field(min_length=16, max_length=64, pattern=r"^[A-Za-z0-9_\-]+$")]
    proof: Annotated[str, Field(max_length=1000)]


class Standing(Message):
    """How a device stands. Where it is revoked, ``seq`` is the entry of its ``dev:`` scope that tells it to erase all.

    ``nonce`` is the asker's: an older answer is none.
    """

    device: UUID
    station: str
    status: Literal["active", "revoked"]
    nonce: str
    at: AwareDatetime
    seq: int | None = None


class Receipts(Message):
    """``POST /sync/v1/receipts``, without a token: the only thing that a revoked device may still hand in."""

    device: UUID
    receipts: Annotated[
        tuple[Annotated[str, Field(max_length=4000)], ...], Field(min_length=1, max_length=100)
    ]


class Taken(Message):
    """How many receipts are in the hub's hands now; they need not be sent again."""

    taken: int


def proof_input(device: UUID, nonce: str) -> bytes:
    """Return what a device signs to ask how it stands."""
    return _ASKED + f"{device}\n{nonce}".encode()
