"""The messages of ``clinicnet.sync.v1``. The wire in prose: ``README.md`` beside this file."""

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

SYNC_VERSION = 1
MAX_OPS_PER_PUSH = 500
MAX_PUSH_BYTES = 4 * 1024 * 1024
"""After decompression."""
MAX_BODY_BYTES = 1024 * 1024
"""One resource's text."""


class Lane(IntEnum):
    """Who goes first on a thin link."""

    URGENT = 0
    CARE = 1
    ROUTINE = 2
    BULK = 3


class Outcome(StrEnum):
    APPLIED = "applied"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    QUARANTINED = "quarantined"


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Op(_Message):
    """One change made at the station. ``(db_epoch, op)`` names it for ever."""

    op: Annotated[int, Field(ge=1)]
    kind: Literal["put"] = "put"
    type: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]{1,39}$")]
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9\-.]{1,64}$")]
    base: Annotated[int, Field(ge=1)] | None = None
    at: AwareDatetime
    by: Annotated[str, Field(max_length=80)] = ""
    body: str


class Push(_Message):
    v: Literal[1] = 1
    station: Annotated[str, Field(max_length=20)]
    db_epoch: UUID
    batch: UUID
    lane: Lane = Lane.CARE
    agent: Annotated[str, Field(max_length=40)] = ""
    ops: Annotated[tuple[Op, ...], Field(max_length=MAX_OPS_PER_PUSH)]


class OpIssue(_Message):
    """Why an operation was quarantined: FHIR issue type, FHIRPath-like place, words without content."""

    code: str
    expression: str = ""
    diagnostics: str = ""


class OpResult(_Message):
    op: int
    outcome: Outcome
    version: int | None = None
    issues: tuple[OpIssue, ...] = ()


class PushAnswer(_Message):
    batch: UUID
    results: tuple[OpResult, ...]


class Report(_Message):
    """How a station is; rides on every pull."""

    agent: str = ""
    waiting: dict[str, int] = Field(default_factory=dict)
    """Operations not yet taken by the hub, a lane (``"0"`` … ``"3"``)."""
    refused: int = 0
    oldest_waiting_at: datetime | None = None


class Pull(_Message):
    v: Literal[1] = 1
    station: Annotated[str, Field(max_length=20)]
    cursor: Annotated[int, Field(ge=0)] = 0
    max_bytes: Annotated[int, Field(ge=4096, le=1024 * 1024)] = 64 * 1024
    report: Report = Report()


class Entry(_Message):
    seq: int
    kind: Literal["put", "delete"] = "put"
    type: str
    id: str
    version: int
    body: str | None = None


class Page(_Message):
    entries: tuple[Entry, ...]
    cursor: int
    more: bool = False


class Enrol(_Message):
    """``POST /fleet/v1/enrol``: exchange a one-time code for a registered key.

    ``jwk`` is the public part of a P-256 key made at the station; ``proof`` a compact JWS (ES256) over the
    UTF-8 bytes of the code, made with it: whoever enrols holds the private key.
    """

    code: Annotated[str, Field(min_length=8, max_length=40)]
    jwk: dict[str, str]
    proof: Annotated[str, Field(max_length=2000)]
    agent: Annotated[str, Field(max_length=40)] = ""


class Enrolled(_Message):
    device: UUID
    station: str
    name: str
    facility: str
    facility_name: str
    commune: str
    province: str
    token_endpoint: str
    """Path of the token endpoint on the same hub."""
    audience: str
    """What the station's assertions name as ``aud``: the token endpoint as the hub knows itself, which need not
    be how the station reaches it."""
