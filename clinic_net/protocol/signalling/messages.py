"""The messages of ``clinicnet.signal.v1``. The wire in prose: ``clinic_net/protocol/README.md``."""

from enum import IntEnum, StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

SUBPROTOCOL = "clinicnet.signal.v1"
PROTOCOL_VERSION = 1

MAX_FRAME_BYTES = 64 * 1024
MAX_SDP_BYTES = 32 * 1024
MESSAGES_PER_SECOND = 20
MESSAGE_BURST = 60
FLOOD_DEBT = 120
"""Messages refused with ``limit`` in a row before the socket is closed."""
MAX_UNSENT = 64
SLOW_AFTER_S = 15
"""A full queue that has not moved for this long makes a slow consumer."""
MAX_MAIL = 256
"""Reliable messages kept for one session; one more ends it, and the peer starts anew from a snapshot."""
PING_EVERY_S = 25
SILENT_AFTER_S = 40
GONE_AFTER_S = 65
"""The hub lets go of a socket that has said nothing for this long (it asks every ``PING_EVERY_S``)."""
HELLO_WITHIN_S = 10
ANSWER_WITHIN_S = 15
"""A request without an answer for this long makes the peer doubt its socket, and reconnect."""
ACK_AFTER_MESSAGES = 8
ACK_AFTER_S = 5

RELIABLE = frozenset(
    {
        "call.invite", "call.cancelled", "call.state",
        "media.offer", "media.answer", "media.cand", "media.need_offer", "media.reset",
    }
)  # fmt: skip
"""Hub → peer messages that carry ``seq`` and survive the loss of a socket, of a node and of Redis."""


SESSION_BOUND = frozenset(
    {"call.join", "call.media", "ice.get", "media.offer", "media.answer", "media.cand", "media.need_offer"}
)
"""Requests that mean something in the session they were made in only. When a session cannot be resumed the
peer drops them (``session_lost``) and its call joins again; every other request is repeated."""


class CloseCode(IntEnum):
    BYE = 4000
    UNAUTHENTICATED = 4001
    REVOKED = 4002
    SUPERSEDED = 4003
    SLOW_CONSUMER = 4008
    PROTOCOL_ERROR = 4009
    VERSION = 4010
    TRY_AGAIN = 4013


class ErrorCode(StrEnum):
    NOT_FOUND = "not_found"
    NOT_ALLOWED = "not_allowed"
    BAD_STATE = "bad_state"
    ANSWERED_ELSEWHERE = "answered_elsewhere"
    STALE_EPOCH = "stale_epoch"
    LIMIT = "limit"
    MALFORMED = "malformed"
    UNAVAILABLE = "unavailable"
    SESSION_LOST = "session_lost"
    """Never on the wire: the peer's own answer to a request whose session could not be resumed."""


class SignalError(Exception):
    """A frame that ends the socket. ``close`` is the WebSocket close code."""

    def __init__(self, close: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.close = close
        self.reason = reason


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Envelope(_Frozen):
    """One frame. ``d`` is read by type, see the models below."""

    t: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z_]+(\.[a-z_]+)*$")]
    id: UUID | None = None
    seq: Annotated[int, Field(ge=1)] | None = None
    ack: Annotated[int, Field(ge=0)] | None = None
    re: UUID | None = None
    call: UUID | None = None
    ep: Annotated[int, Field(ge=0)] | None = None
    ts: int | None = None
    d: dict[str, JsonValue] = Field(default_factory=dict)

    def encode(self) -> str:
        """Return the frame's text, without members that are absent or say nothing."""
        return self.model_dump_json(exclude_none=True, exclude_defaults=True)


def decode(text: str | bytes) -> Envelope:
    """Read one frame.

    Raises:
        SignalError: it is larger than ``MAX_FRAME_BYTES`` or no envelope; never quotes the frame.
    """
    size = len(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    if size > MAX_FRAME_BYTES:
        raise SignalError(CloseCode.PROTOCOL_ERROR, "frame too big")
    try:
        return Envelope.model_validate_json(text)
    except ValidationError:
        raise SignalError(CloseCode.PROTOCOL_ERROR, "not a message") from None


class Welcome(_Frozen):
    sid: Annotated[str, Field(min_length=1, max_length=80)]
    resumed: bool
    ping_s: int = PING_EVERY_S
    resume_ttl_s: int = 180
    server_time: str = ""
    snapshot: dict[str, JsonValue] | None = None


class Hello(_Frozen):
    proto: tuple[int, ...] = (PROTOCOL_VERSION,)
    sid: Annotated[str, Field(max_length=80)] | None = None
    last_seq: Annotated[int, Field(ge=0)] = 0


class Invite(_Frozen):
    """A ring: what a page may show before it fetches the case over HTTPS. Times are ISO 8601, UTC."""

    call: UUID
    kind: str
    urgency: str
    specialty: str
    station: str
    tier: int
    requested_at: str
    expires_at: str | None = None


class CallView(_Frozen):
    """A call as its parties may know it. ``accepted_by`` and ``facility`` are display names of staff."""

    call: UUID
    state: str
    rev: int
    tier: int = 0
    ep: int = 0
    urgency: str = "routine"
    specialty: str = ""
    accepted_by: str | None = None
    facility: str | None = None
    next_step_at: str | None = None
    end_reason: str | None = None


class IceServer(_Frozen):
    """``RTCIceServer`` of the W3C."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


class Reject(_Frozen):
    reason: Literal["busy", "not_my_specialty", "no_equipment", "other"] = "other"


class Media(_Frozen):
    """What a party receives, measured on decoded frames and audio energy, not on an ICE state."""

    flowing: bool
    audio: bool = False
    video: bool = False


class End(_Frozen):
    reason: Literal["completed", "cancelled", "media_failed"] = "completed"


class Sdp(_Frozen):
    sdp: Annotated[str, Field(max_length=MAX_SDP_BYTES)]


class Candidates(_Frozen):
    c: Annotated[list[dict[str, Any]], Field(max_length=64)] = Field(default_factory=list)
    end: bool = False


class NeedOffer(_Frozen):
    why: Annotated[str, Field(max_length=40)] = "asked"
    ep: int | None = None
