"""The messages of ``clinicnet.sync.v1``. The wire in prose: ``../README.md``.

Two forms carry the same conversation. Form 1 is plain JSON (:class:`Push`, :class:`Pull`), spoken by agents that were
installed before frames. Form 2 is a stream of frames (``frames.py``), each a head of this module and the bytes of a
resource as they are.
"""

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
    MERGED = "merged"
    """Somebody else had changed other fields; ``version`` holds both changes."""
    CONFLICT = "conflict"
    """Somebody else had changed the same: both versions are kept at the hub, and a person is asked."""
    DEFERRED = "deferred"
    """It waits for another operation, of the same desk transaction or of its parent; the hub tries again by itself."""
    QUARANTINED = "quarantined"


class Message(BaseModel):
    """What every message is: immutable, tolerant of members it does not know, silent about values in its errors."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Op(Message):
    """One change made at the station. ``(db_epoch, op)`` names it for ever."""

    op: Annotated[int, Field(ge=1)]
    kind: Literal["put"] = "put"
    type: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]{1,39}$")]
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9\-.]{1,64}$")]
    base: Annotated[int, Field(ge=1)] | None = None
    at: AwareDatetime
    by: Annotated[str, Field(max_length=80)] = ""
    body: str


class Push(Message):
    v: Literal[1] = 1
    station: Annotated[str, Field(max_length=20)]
    db_epoch: UUID
    batch: UUID
    lane: Lane = Lane.CARE
    agent: Annotated[str, Field(max_length=40)] = ""
    ops: Annotated[tuple[Op, ...], Field(max_length=MAX_OPS_PER_PUSH)]


class OpIssue(Message):
    """Why an operation was quarantined: FHIR issue type, FHIRPath-like place, words without content."""

    code: str
    expression: str = ""
    diagnostics: str = ""


class OpResult(Message):
    op: int
    outcome: Outcome
    version: int | None = None
    issues: tuple[OpIssue, ...] = ()


class PushAnswer(Message):
    batch: UUID
    results: tuple[OpResult, ...]


class Report(Message):
    """How a station is; rides on every pull."""

    agent: str = ""
    waiting: dict[str, int] = Field(default_factory=dict)
    """Operations not yet taken by the hub, a lane (``"0"`` … ``"3"``)."""
    refused: int = 0
    oldest_waiting_at: datetime | None = None
    sent_today: dict[str, int] = Field(default_factory=dict)
    """Bytes on the wire since the station's midnight, up and down together, a lane."""
    attachments_waiting: int = 0
    python: str = ""
    store_check: str = ""
    """What the last check of the station's database said: ``ok``, or what is wrong, without content."""
    store_checked_at: datetime | None = None
    offset_ms: int | None = None
    """What to add to the station's clock to get the hub's, as it last measured it."""
    free_bytes: int | None = None
    """On the disk that holds the store."""
    config: str = ""
    """The version of the settings that the station works by."""


class Pull(Message):
    v: Literal[1] = 1
    station: Annotated[str, Field(max_length=20)]
    cursor: Annotated[int, Field(ge=0)] = 0
    max_bytes: Annotated[int, Field(ge=4096, le=1024 * 1024)] = 64 * 1024
    report: Report = Report()


class Entry(Message):
    seq: int
    kind: Literal["put", "delete"] = "put"
    type: str
    id: str
    version: int
    body: str | None = None


class Page(Message):
    entries: tuple[Entry, ...]
    cursor: int
    more: bool = False


# -- form 2: heads of frames

FORM = 2
MEDIA_TYPE = "application/vnd.clinicnet.sync"
SIGNATURE_HEADER = "Sync-Signature"

Scope = Annotated[str, Field(pattern=r"^(nat|(stn|prov|dev):[A-Za-z0-9\-]{1,64})$")]
"""``stn:<site>`` clinical records of a station, ``prov:<code>`` and ``nat`` what all below share, ``dev:<device>``
commands to one device."""


class PushHead(Message):
    """Opens a batch. ``(db_epoch, lane, seq)`` names it for ever: batches of a lane are numbered 1, 2, 3 …

    A batch that was not answered is sent again byte for byte, with its number, before the next of its lane.
    """

    v: Literal[1] = 1
    form: Literal[2] = 2
    station: Annotated[str, Field(max_length=20)]
    db_epoch: UUID
    lane: Lane
    seq: Annotated[int, Field(ge=1)]
    count: Annotated[int, Field(ge=0, le=MAX_OPS_PER_PUSH)]
    agent: Annotated[str, Field(max_length=40)] = ""
    offset_ms: int = 0
    """What to add to the station's clock to get the hub's, as the station last measured it."""


class OpHead(Message):
    """One change made at the station, without its text. ``(db_epoch, op)`` names it for ever.

    ``tx`` is the number of the desk's transaction: what belongs together was saved together. ``base`` is the hub's
    version that the change was made from; None when the hub had none, or when an earlier operation of this database
    on the record was not yet answered (the hub then takes the version that that one made). ``size`` is the length of
    the text that follows, in bytes; a deletion has none.
    """

    op: Annotated[int, Field(ge=1)]
    tx: Annotated[int, Field(ge=0)] = 0
    kind: Literal["put", "delete"] = "put"
    type: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]{1,39}$")]
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9\-.]{1,64}$")]
    base: Annotated[int, Field(ge=1)] | None = None
    at: AwareDatetime
    by: Annotated[str, Field(max_length=80)] = ""
    size: Annotated[int, Field(ge=0, le=MAX_BODY_BYTES)] = 0


class BatchAnswer(Message):
    """What became of a batch. It is durable from the first answer on; ``pending`` while something is still to be told.

    ``runs`` are applied operations in short: first number, how many consecutive ones, the version each became.
    ``others`` are all the rest.
    """

    lane: Lane
    seq: int
    pending: bool = False
    runs: tuple[tuple[int, int, int], ...] = ()
    others: tuple[OpResult, ...] = ()


class PushReply(Message):
    """The answer to a push of form 2: this batch, durable."""

    answer: BatchAnswer


class Behind(Message):
    """409 ``sync-behind``: the hub does not know the batches from ``expected`` on. It was restored from a backup, or
    this station's batches were numbered elsewhere: send again everything from that batch."""

    code: Literal["sync-behind"] = "sync-behind"
    lane: Lane
    expected: int


class Fork(Message):
    """409 ``sync-fork``: the hub holds another batch of this number. The database was copied, or restored.

    The epoch is frozen. The station that gets this goes on under ``epoch`` (numbers of its operations stay, those of
    its batches begin again) with all that was not answered; nothing of either copy is overwritten.
    """

    code: Literal["sync-fork"] = "sync-fork"
    epoch: UUID


class Sum(Message):
    """What a scope holds: how many resources, and the sum of ``sums.of_version`` over them, modulo 2^64, in hex."""

    count: Annotated[int, Field(ge=0)]
    sum: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class PullAsk(Message):
    """What a station asks: news after ``cursors``, and what became of the batches in ``asks``.

    ``receipts`` are compact JWS (ES256, the device's key) over :class:`Receipt`.
    """

    v: Literal[1] = 1
    form: Literal[2] = 2
    station: Annotated[str, Field(max_length=20)]
    db_epoch: UUID
    cursors: Annotated[dict[Scope, Annotated[int, Field(ge=0)]], Field(max_length=16)] = Field(
        default_factory=dict
    )
    max_bytes: Annotated[int, Field(ge=4096, le=1024 * 1024)] = 64 * 1024
    asks: Annotated[tuple[tuple[Lane, int], ...], Field(max_length=100)] = ()
    receipts: Annotated[tuple[Annotated[str, Field(max_length=4000)], ...], Field(max_length=100)] = ()
    report: Report = Report()


class SnapshotOffer(Message):
    """The scope is far ahead of the cursor: a prepared copy is the shorter way. ``url`` is a path on the same hub."""

    scope: Scope
    as_of: int
    url: str


class PageHead(Message):
    """Opens a page: ``count`` entries follow. The station stores them and ``cursors`` in one transaction.

    ``sums`` are there for scopes of which nothing more follows: what the station then holds must add up to them.
    ``config`` is there when it differs from the version the station reported.
    """

    cursors: dict[Scope, int]
    count: Annotated[int, Field(ge=0)]
    more: bool = False
    sums: dict[Scope, Sum] = Field(default_factory=dict)
    answers: tuple[BatchAnswer, ...] = ()
    snapshot: SnapshotOffer | None = None
    config: dict[str, object] | None = None
    server_time: AwareDatetime | None = None


class EntryHead(Message):
    """One entry of a scope's feed, without its text.

    ``put`` holds a resource at a version; ``delete`` says that it is gone for everybody; ``out`` that it has left this
    scope (a family moved, a commune was merged): the copy goes unless another scope of the station holds it;
    ``purge`` (in ``dev:`` only; ``type`` Patient) that all about this patient is to be erased here and a
    :class:`Receipt` to be returned.
    """

    scope: Scope
    seq: Annotated[int, Field(ge=1)]
    kind: Literal["put", "delete", "out", "purge"] = "put"
    type: str
    id: str
    version: int = 0
    size: Annotated[int, Field(ge=0)] = 0


class Receipt(Message):
    """What a station states, signed, after it erased a patient's records: which entry told it to, and what is left."""

    station: str
    device: UUID
    scope: Scope
    seq: int
    patient: str
    erased: int
    """How many resources."""
    at: AwareDatetime


class Segment(Message):
    """A part of a snapshot: frames of :class:`EntryHead`, as one zstd frame, named by its digest."""

    n: int
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: int
    records: int


class Manifest(Message):
    """A prepared copy of a scope, as it was after entry ``as_of``; segments in the order of need."""

    scope: Scope
    as_of: int
    total: Sum
    segments: tuple[Segment, ...]


class DigestAsk(Message):
    """Asks for the sums of a scope's 256 bins (``sums.bin_of``), or, with ``bins``, for all entries in those."""

    station: Annotated[str, Field(max_length=20)]
    scope: Scope
    bins: Annotated[tuple[Annotated[int, Field(ge=0, le=255)], ...], Field(max_length=256)] = ()
    after: Annotated[str, Field(max_length=110)] = ""
    """``Type/id`` of the last entry of the page before."""


class Digest(Message):
    """The sums of all bins of a scope, as it was after entry ``seq``."""

    scope: Scope
    seq: int
    bins: tuple[Sum, ...]
