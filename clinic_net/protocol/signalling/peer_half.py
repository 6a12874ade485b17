"""A peer's half of ``clinicnet.signal.v1``: a page's or a station's session, through all its sockets.

Pure: the shell opens and closes sockets and says so (:meth:`PeerHalf.opened`, :meth:`PeerHalf.closed`), hands
in frames (:meth:`PeerHalf.receive`), writes what :meth:`PeerHalf.take` returns, calls :meth:`PeerHalf.tick`
when :attr:`PeerHalf.due` comes, and closes the socket when :attr:`PeerHalf.hang_up` says so. Times are seconds
on any clock that does not go back. ``peer.js`` is the same machine; both pass
``tests/protocol/vectors/signal.v1``.

::

    peer = PeerHalf(new_id)
    while (wait := peer.retry_after(random.random)) is not None:      # first try: attempt 0, at once if you like
        sleep(wait); socket = connect(); peer.opened(now=clock())
        loop: write(peer.take(now)); wait for a frame or peer.due
              on a frame: for event in peer.receive(frame, now=clock()): …
              peer.tick(now=clock()); if peer.hang_up: socket.close()
        peer.closed(socket.close_code, now=clock())
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from pydantic import JsonValue, ValidationError

from clinic_net.protocol.signalling.messages import (
    ACK_AFTER_MESSAGES,
    ACK_AFTER_S,
    ANSWER_WITHIN_S,
    MAX_FRAME_BYTES,
    PROTOCOL_VERSION,
    SESSION_BOUND,
    SILENT_AFTER_S,
    CloseCode,
    Envelope,
    ErrorCode,
    SignalError,
    Welcome,
    decode,
)
from clinic_net.protocol.signalling.rates import BACKOFF_MOST_S, backoff

MAX_RETRIES = 8
"""Times that a request refused with ``retry_ms`` is repeated, after twice the time each time, before the refusal is
handed to the caller."""

TRY_AGAIN_LEAST_S = 2.0

_ROOM_FOR_ACK = 40

_STEADY_AFTER_S = 10.0
"""A socket that lived this long after its welcome was a good one: the next back-off starts small again."""


@dataclass(frozen=True)
class Welcomed:
    """A socket is open. ``resumed`` False: a new session; ``snapshot`` is the whole truth, start from it."""

    sid: str
    resumed: bool
    snapshot: dict[str, JsonValue] | None


@dataclass(frozen=True)
class Delivered:
    """A message of the hub; a reliable one (with ``seq``) comes exactly once and in order."""

    envelope: Envelope


@dataclass(frozen=True)
class Answered:
    """The answer to a request; exactly one, unless it was forgotten. ``d`` of a refusal holds ``code``."""

    id: UUID
    t: str
    ok: bool
    d: dict[str, JsonValue]


PeerEvent = Welcomed | Delivered | Answered


class Phase(StrEnum):
    OFFLINE = "offline"
    GREETING = "greeting"
    OPEN = "open"
    STOPPED = "stopped"
    """By 4002, 4003 or 4010: reconnecting is pointless until a person does something."""


@dataclass
class _Pending:
    envelope: Envelope
    sent_at: float | None = None
    not_before: float = 0.0
    retries: int = 0


class PeerHalf:
    """See the module. ``new_id`` makes the ids of requests."""

    def __init__(self, new_id: Callable[[], UUID]) -> None:
        self._new_id = new_id
        self.phase = Phase.OFFLINE
        self.sid: str | None = None
        self.last_seq = 0
        self.attempt = 0
        self.closed_with: int | None = None
        self.hang_up: str | None = None
        """Why the shell must close the socket now, or None."""
        self._pending: dict[UUID, _Pending] = {}
        self._out: list[Envelope] = []
        self._acked = 0
        self._ack_wanted_at: float | None = None
        self._heard_at = 0.0
        self._open_since = 0.0
        self._bye_delay = 0.0
        self._had_session = False

    # -- what the shell says

    def opened(self, *, now: float) -> None:
        """A socket is open; ``hello`` waits in :meth:`take`."""
        self.phase = Phase.GREETING
        self.hang_up = None
        self.closed_with = None
        self._bye_delay = 0.0
        self._heard_at = now
        self._ack_wanted_at = None
        d: dict[str, JsonValue] = {"proto": [PROTOCOL_VERSION], "last_seq": self.last_seq}
        if self.sid is not None:
            d["sid"] = self.sid
        self._out = [Envelope(t="hello", d=d)]

    def closed(self, code: int | None, *, now: float) -> None:
        """The socket is gone, or could not be opened. ``code``: of the WebSocket's closing, when there is one."""
        if self.phase is Phase.OPEN and now - self._open_since >= _STEADY_AFTER_S:
            self.attempt = 0
        self.phase = Phase.OFFLINE
        self.closed_with = code
        self._out = []
        for pending in self._pending.values():
            pending.sent_at = None
        if code in (CloseCode.REVOKED, CloseCode.SUPERSEDED, CloseCode.VERSION):
            self.phase = Phase.STOPPED
        if code in (CloseCode.PROTOCOL_ERROR, CloseCode.SUPERSEDED):
            self.sid = None
            self.last_seq = 0

    def retry_after(self, rng: Callable[[], float]) -> float | None:
        """Return the seconds to wait before the next socket, or None when stopped. Counts the attempt."""
        if self.phase is Phase.STOPPED:
            return None
        wait = max(backoff(self.attempt, rng), self._bye_delay)
        if self.closed_with == CloseCode.TRY_AGAIN:
            wait = max(wait, TRY_AGAIN_LEAST_S)
        self.attempt += 1
        return wait

    # -- what the program asks

    def request(
        self,
        t: str,
        d: dict[str, JsonValue] | None = None,
        *,
        call: UUID | None = None,
        ep: int | None = None,
    ) -> UUID:
        """Ask for something, now or when there is a socket; repeated with the same id until answered.

        Raises:
            ValueError: it does not fit into a frame.
        """
        request_id = self._new_id()
        envelope = Envelope(t=t, id=request_id, call=call, ep=ep, d=d or {})
        if len(envelope.encode().encode()) > MAX_FRAME_BYTES - _ROOM_FOR_ACK:
            raise ValueError("too much for one frame")
        self._pending[request_id] = _Pending(envelope)
        return request_id

    def forget(self, request: UUID) -> None:
        """Do not repeat a request any more; its answer, if one comes, is dropped."""
        self._pending.pop(request, None)

    # -- frames

    def receive(self, text: str | bytes, *, now: float) -> list[PeerEvent]:
        """Take one frame of the hub."""
        if self.phase not in (Phase.GREETING, Phase.OPEN) or self.hang_up is not None:
            return []
        self._heard_at = now
        try:
            envelope = decode(text)
        except SignalError as error:
            self.hang_up = error.reason
            return []
        if self.phase is Phase.GREETING and envelope.t not in ("welcome", "bye"):
            self.hang_up = "no welcome"
            return []
        match envelope.t:
            case "welcome":
                return self._welcomed(envelope, now)
            case "ok" | "err":
                return self._answered(envelope, now)
            case "beat":
                self._ack_wanted_at = now - ACK_AFTER_S
                return []
            case "bye":
                delay = envelope.d.get("delay_ms")
                self._bye_delay = delay / 1000 if isinstance(delay, int | float) else 0.0
                return [Delivered(envelope)]
        if envelope.seq is not None:
            return self._in_order(envelope, now)
        return [Delivered(envelope)]

    def _welcomed(self, envelope: Envelope, now: float) -> list[PeerEvent]:
        try:
            welcome = Welcome.model_validate(envelope.d)
        except ValidationError:
            self.hang_up = "not a welcome"
            return []
        self.phase = Phase.OPEN
        self._open_since = now
        events: list[PeerEvent] = []
        if not welcome.resumed:
            self.last_seq = 0
            if self._had_session:
                events += self._drop_session_bound()
        self._acked = self.last_seq
        self.sid = welcome.sid
        self._had_session = True
        return [*events, Welcomed(welcome.sid, welcome.resumed, welcome.snapshot)]

    def _drop_session_bound(self) -> list[PeerEvent]:
        lost = [p.envelope for p in self._pending.values() if p.envelope.t in SESSION_BOUND]
        events: list[PeerEvent] = []
        for envelope in lost:
            assert envelope.id is not None
            del self._pending[envelope.id]
            events.append(Answered(envelope.id, envelope.t, False, {"code": ErrorCode.SESSION_LOST.value}))
        return events

    def _answered(self, envelope: Envelope, now: float) -> list[PeerEvent]:
        pending = self._pending.get(envelope.re) if envelope.re is not None else None
        if pending is None:
            return []
        retry_ms = envelope.d.get("retry_ms") if envelope.t == "err" else None
        if isinstance(retry_ms, int | float) and pending.retries < MAX_RETRIES:
            pending.sent_at = None
            pending.not_before = now + min(retry_ms / 1000 * 2**pending.retries, BACKOFF_MOST_S)
            pending.retries += 1
            return []
        assert envelope.re is not None
        del self._pending[envelope.re]
        return [Answered(envelope.re, pending.envelope.t, envelope.t == "ok", envelope.d)]

    def _in_order(self, envelope: Envelope, now: float) -> list[PeerEvent]:
        assert envelope.seq is not None
        if envelope.seq > self.last_seq + 1:
            self.hang_up = "gap"
            return []
        if self._ack_wanted_at is None:
            self._ack_wanted_at = now
        if envelope.seq <= self.last_seq:
            return []
        self.last_seq = envelope.seq
        return [Delivered(envelope)]

    # -- what goes out, and when

    def take(self, *, now: float) -> list[str]:
        """Return the frames to write now, in order: requests not yet sent on this socket, an acknowledgement."""
        out, self._out = self._out, []
        if self.phase is Phase.OPEN and self.hang_up is None:
            for pending in self._pending.values():
                if pending.sent_at is None and pending.not_before <= now:
                    pending.sent_at = now
                    out.append(pending.envelope)
            if not out and self._ack_is_due(now):
                out.append(Envelope(t="ack"))
            if out:
                out[-1] = out[-1].model_copy(update={"ack": self.last_seq})
                self._acked = self.last_seq
                self._ack_wanted_at = None
        return [envelope.encode() for envelope in out]

    def _ack_is_due(self, now: float) -> bool:
        if self.last_seq - self._acked >= ACK_AFTER_MESSAGES:
            return True
        return self._ack_wanted_at is not None and now - self._ack_wanted_at >= ACK_AFTER_S

    @property
    def due(self) -> float | None:
        """When :meth:`tick` and :meth:`take` must be called next, if nothing else happens before."""
        if self.phase not in (Phase.GREETING, Phase.OPEN):
            return None
        times = [self._heard_at + SILENT_AFTER_S]
        if self.phase is Phase.OPEN:
            times += [
                p.not_before if p.sent_at is None else max(p.sent_at, self._heard_at) + ANSWER_WITHIN_S
                for p in self._pending.values()
            ]
            if self._ack_wanted_at is not None:
                times.append(self._ack_wanted_at + ACK_AFTER_S)
        return min(times)

    def tick(self, *, now: float) -> None:
        """Let time pass: a hub that says nothing, or leaves a request unanswered, is taken to be gone."""
        if self.phase not in (Phase.GREETING, Phase.OPEN) or self.hang_up is not None:
            return
        if now - self._heard_at >= SILENT_AFTER_S:
            self.hang_up = "silent"
        elif any(
            p.sent_at is not None and now - max(p.sent_at, self._heard_at) >= ANSWER_WITHIN_S
            for p in self._pending.values()
        ):
            self.hang_up = "no answer"
