"""One socket of a session, as the side that keeps the mailbox sees it: the hub, or a station for its pages.

Pure: frames go in (:meth:`HubHalf.receive`), events come out; what is to be written waits in
:meth:`HubHalf.take`; :attr:`HubHalf.closing` says that, and with which code, the socket must be closed.
Times are seconds on any clock that does not go back.

::

    half = HubHalf(now=clock())
    for event in half.receive(frame, now=clock()):
        match event:
            case Greeted(hello):   half.welcome(Welcome(…), acked=hello.last_seq)
            case Asked(request):   half.answer(request, {…})  or  half.refuse(request, ErrorCode.…)
            case Acked(seq):       mailbox.ack(seq)
    for envelope in mailbox.after(half.sent):
        if not half.deliver(envelope): break      # full: later
    for frame in half.take(now=clock()): write(frame)
"""

from collections import deque
from dataclasses import dataclass

from pydantic import JsonValue, ValidationError

from clinic_net.protocol.signalling.mailbox import Answers
from clinic_net.protocol.signalling.messages import (
    FLOOD_DEBT,
    GONE_AFTER_S,
    HELLO_WITHIN_S,
    MAX_UNSENT,
    MESSAGE_BURST,
    MESSAGES_PER_SECOND,
    PING_EVERY_S,
    PROTOCOL_VERSION,
    SLOW_AFTER_S,
    CloseCode,
    Envelope,
    ErrorCode,
    Hello,
    SignalError,
    Welcome,
    decode,
)
from clinic_net.protocol.signalling.rates import TokenBucket


@dataclass(frozen=True)
class Greeted:
    """The peer said who it was. Answer with :meth:`HubHalf.welcome`."""

    hello: Hello


@dataclass(frozen=True)
class Asked:
    """A request, for the first time on this socket. Answer or refuse it, once."""

    request: Envelope


@dataclass(frozen=True)
class Acked:
    """The peer has every reliable message up to ``seq``."""

    seq: int


HubEvent = Greeted | Asked | Acked


@dataclass(frozen=True)
class Closing:
    code: CloseCode
    reason: str


class HubHalf:
    """See the module. ``answers`` may be shared by the sockets of one session."""

    def __init__(self, *, now: float, answers: Answers | None = None) -> None:
        self.closing: Closing | None = None
        self.sent = 0
        """The highest ``seq`` handed to :meth:`take`'s queue on this socket."""
        self.acked = 0
        self._answers = answers if answers is not None else Answers()
        self._bucket = TokenBucket(rate=MESSAGES_PER_SECOND, burst=MESSAGE_BURST, now=now)
        self._refused_in_a_row = 0
        self._state = "awaiting hello"
        self._out: deque[str] = deque()
        self._opened_at = self._heard_at = self._beat_at = self._moved_at = now

    @property
    def open(self) -> bool:
        """Whether the peer was welcomed and the socket is not to be closed."""
        return self._state == "open" and self.closing is None

    @property
    def room(self) -> int:
        """How many more reliable messages may be delivered now."""
        return max(0, MAX_UNSENT - len(self._out))

    # -- what comes in

    def receive(self, text: str | bytes, *, now: float) -> list[HubEvent]:
        """Take one frame."""
        if self.closing is not None:
            return []
        self._heard_at = now
        try:
            envelope = decode(text)
            if self._state != "open":
                return [self._greet(envelope)]
            return self._listen(envelope, now)
        except SignalError as error:
            self.close(error.close, error.reason)
            return []

    def _greet(self, envelope: Envelope) -> HubEvent:
        if self._state != "awaiting hello" or envelope.t != "hello":
            raise SignalError(CloseCode.PROTOCOL_ERROR, "hello comes first, once")
        try:
            hello = Hello.model_validate(envelope.d)
        except ValidationError:
            raise SignalError(CloseCode.PROTOCOL_ERROR, "not a hello") from None
        if PROTOCOL_VERSION not in hello.proto:
            raise SignalError(CloseCode.VERSION, "no common version")
        self._state = "greeted"
        return Greeted(hello)

    def _listen(self, envelope: Envelope, now: float) -> list[HubEvent]:
        events: list[HubEvent] = []
        if envelope.ack is not None and envelope.ack > self.acked:
            if envelope.ack > self.sent:
                raise SignalError(CloseCode.PROTOCOL_ERROR, "ack of what was never sent")
            self.acked = envelope.ack
            events.append(Acked(envelope.ack))
        if envelope.t == "ack":
            return events
        if envelope.id is None or envelope.t == "hello":
            raise SignalError(CloseCode.PROTOCOL_ERROR, "a request needs an id; hello comes once")
        if (wait := self._bucket.take(now)) > 0:
            self._slow_down(envelope, wait)
            return events
        self._refused_in_a_row = 0
        if self._answers.begin(envelope.id):
            events.append(Asked(envelope))
        elif (answer := self._answers.known(envelope.id)) is not None:
            self._send(answer)
        return events

    def _slow_down(self, envelope: Envelope, wait: float) -> None:
        self._refused_in_a_row += 1
        if self._refused_in_a_row > FLOOD_DEBT:
            raise SignalError(CloseCode.PROTOCOL_ERROR, "flood")
        self._send(
            Envelope(t="err", re=envelope.id, d={"code": ErrorCode.LIMIT, "retry_ms": int(wait * 1000) + 1})
        )

    # -- what goes out

    def welcome(self, welcome: Welcome, *, acked: int = 0) -> None:
        """Answer ``hello``. ``acked``: its ``last_seq`` when the session is resumed; mail after it follows."""
        self._state = "open"
        self.sent = self.acked = acked if welcome.resumed else 0
        self._send(Envelope(t="welcome", d=welcome.model_dump(mode="json", exclude_none=True)))

    def answer(self, request: Envelope, d: dict[str, JsonValue] | None = None) -> Envelope:
        """Answer ``ok``; the same request again gets the same answer."""
        return self.reply(Envelope(t="ok", re=request.id, d=d or {}))

    def refuse(
        self,
        request: Envelope,
        code: ErrorCode,
        *,
        retry_ms: int | None = None,
        by: str | None = None,
    ) -> Envelope:
        """Answer ``err``. With ``retry_ms`` the refusal passes: the same request is then tried anew."""
        d: dict[str, JsonValue] = {"code": code.value}
        if retry_ms is not None:
            d["retry_ms"] = retry_ms
        if by is not None:
            d["by"] = by
        return self.reply(Envelope(t="err", re=request.id, d=d))

    def reply(self, answer: Envelope) -> Envelope:
        """Send an answer made elsewhere: another node's, kept in durable memory."""
        assert answer.re is not None
        if "retry_ms" in answer.d:
            self._answers.forget(answer.re)
        else:
            self._answers.remember(answer.re, answer)
        self._send(answer)
        return answer

    def deliver(self, envelope: Envelope) -> bool:
        """Send a reliable message. Returns False when the queue is full or it was sent before."""
        assert envelope.seq is not None
        if not self.open or self.room == 0 or envelope.seq <= self.sent:
            return False
        assert envelope.seq == self.sent + 1, "the mailbox has a gap"
        self.sent = envelope.seq
        self._send(envelope)
        return True

    def push(self, envelope: Envelope) -> None:
        """Send an unsequenced message, unless the same one waits already or the queue is full."""
        if self.open and self.room and (text := envelope.encode()) not in self._out:
            self._out.append(text)

    def bye(self, *, reason: str, delay_ms: int) -> None:
        """Say that this node goes away, and close."""
        self.push(Envelope(t="bye", d={"action": "reconnect", "reason": reason, "delay_ms": delay_ms}))
        self.close(CloseCode.BYE, reason)

    def close(self, code: CloseCode, reason: str) -> None:
        """Close once what waits is written. The first reason stands."""
        if self.closing is None:
            self.closing = Closing(code, reason)

    def take(self, *, now: float, most: int = MAX_UNSENT * 4) -> list[str]:
        """Return the frames to write now, at most ``most``; they count as sent."""
        frames = [self._out.popleft() for _ in range(min(most, len(self._out)))]
        if frames:
            self._moved_at = self._beat_at = now
        return frames

    def tick(self, *, now: float) -> None:
        """Let time pass: say something on a quiet line, let go of the silent and the slow."""
        if self.closing is not None:
            return
        if self._state == "awaiting hello" and now - self._opened_at > HELLO_WITHIN_S:
            self.close(CloseCode.PROTOCOL_ERROR, "no hello")
        elif now - self._heard_at > GONE_AFTER_S:
            self.close(CloseCode.TRY_AGAIN, "silent")
        elif self._out:
            if self.room == 0 and now - self._moved_at > SLOW_AFTER_S:
                self.close(CloseCode.SLOW_CONSUMER, "slow")
        else:
            self._moved_at = now
            if self.open and now - self._beat_at >= PING_EVERY_S:
                self.push(Envelope(t="beat"))

    def _send(self, envelope: Envelope) -> None:
        if len(self._out) >= 4 * MAX_UNSENT:
            self.close(CloseCode.SLOW_CONSUMER, "slow")
            return
        self._out.append(envelope.encode())
