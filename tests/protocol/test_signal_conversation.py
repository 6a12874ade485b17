"""The two halves together, over a line that loses, repeats and breaks: nothing is missed and nothing is done twice."""

from collections import Counter, deque
from itertools import count
from uuid import UUID

from hypothesis import Phase as Phases
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from clinic_net.protocol.signalling import (
    Acked,
    Answered,
    Answers,
    Asked,
    Delivered,
    Envelope,
    ErrorCode,
    Greeted,
    HubHalf,
    Mailbox,
    PeerHalf,
    Phase,
    Welcomed,
)
from clinic_net.protocol.signalling.messages import SESSION_BOUND, Welcome


class Hub:
    """A hub with one peer: a mailbox and answers that outlive the sockets, and the effects of requests."""

    def __init__(self) -> None:
        self.sid = "s0"
        self.mailbox = Mailbox()
        self.answers = Answers(most=10_000)
        self.effects: Counter[UUID] = Counter()
        self.put_off: set[UUID] = set()
        self.expired = True
        self.half: HubHalf | None = None
        self.sessions = count(1)

    def hear(self, frame: str, now: float) -> None:
        assert self.half is not None
        for event in self.half.receive(frame, now=now):
            match event:
                case Greeted(hello):
                    resumed = (
                        not self.expired and hello.sid == self.sid and self.mailbox.can_resume(hello.last_seq)
                    )
                    if not resumed:
                        self.sid, self.mailbox, self.expired = f"s{next(self.sessions)}", Mailbox(), False
                    self.mailbox.ack(hello.last_seq if resumed else 0)
                    self.half.welcome(
                        Welcome(sid=self.sid, resumed=resumed, snapshot=None if resumed else {}),
                        acked=hello.last_seq,
                    )
                case Asked(request):
                    assert request.id is not None
                    if request.d.get("later") and request.id not in self.put_off:
                        self.put_off.add(request.id)
                        self.half.refuse(request, ErrorCode.UNAVAILABLE, retry_ms=50)
                        continue
                    self.effects[request.id] += 1
                    self.half.answer(request, {"n": self.effects[request.id]})
                case Acked(seq):
                    self.mailbox.ack(seq)
        self.pump()

    def pump(self) -> None:
        if self.half is not None and self.half.open:
            for envelope in self.mailbox.after(self.half.sent):
                if not self.half.deliver(envelope):
                    break


class Conversation(RuleBasedStateMachine):
    """A peer and a hub joined by two queues of frames; the rules are what a bad line does."""

    def __init__(self) -> None:
        super().__init__()
        numbers = count(1)
        self.peer = PeerHalf(lambda: UUID(int=next(numbers)))
        self.hub = Hub()
        self.now = 0.0
        self.up: deque[str] = deque()
        self.down: deque[str] = deque()
        self.connected = False
        self.asked: dict[UUID, str] = {}
        self.answered: dict[UUID, Answered] = {}
        self.delivered: list[tuple[str, int]] = []
        self.sent: list[tuple[str, int]] = []
        self.received_in: str | None = None

    # -- the machinery of the shells

    def write(self) -> None:
        if self.connected:
            self.up.extend(self.peer.take(now=self.now))
            if self.hub.half is not None:
                self.down.extend(self.hub.half.take(now=self.now))
            if self.peer.hang_up is not None:
                self.break_line()

    def read_up(self) -> None:
        self.hub.hear(self.up.popleft(), self.now)

    def read_down(self, frame: str) -> None:
        for event in self.peer.receive(frame, now=self.now):
            match event:
                case Welcomed(sid, _resumed, _snapshot):
                    self.received_in = sid
                case Delivered(envelope) if envelope.seq is not None:
                    assert self.received_in is not None
                    number = envelope.d["n"]
                    assert isinstance(number, int)
                    self.delivered.append((self.received_in, number))
                case Answered():
                    assert event.id not in self.answered
                    self.answered[event.id] = event

    def break_line(self) -> None:
        self.up.clear()
        self.down.clear()
        self.connected = False
        self.peer.closed(1006, now=self.now)
        self.hub.half = None

    # -- what happens

    @rule()
    @precondition(lambda self: not self.connected)
    def connect(self) -> None:
        self.connected = True
        self.peer.opened(now=self.now)
        self.hub.half = HubHalf(now=self.now, answers=self.hub.answers)
        self.write()

    @rule()
    @precondition(lambda self: self.connected)
    def the_socket_breaks(self) -> None:
        self.break_line()

    @rule()
    @precondition(lambda self: self.up)
    def the_hub_reads(self) -> None:
        self.read_up()
        self.write()

    @rule(twice=st.booleans())
    @precondition(lambda self: self.down)
    def the_peer_reads(self, twice: bool) -> None:
        frame = self.down.popleft()
        self.read_down(frame)
        if twice and '"welcome"' not in frame:
            self.read_down(frame)
        self.write()

    @rule()
    @precondition(lambda self: self.down)
    def a_frame_to_the_peer_is_lost(self) -> None:
        self.down.popleft()

    @rule()
    @precondition(lambda self: self.up)
    def a_frame_to_the_hub_is_lost(self) -> None:
        self.up.popleft()

    @rule()
    def the_hub_has_news(self) -> None:
        self.sent.append((self.hub.sid, self.hub.mailbox.last_seq + 1))
        self.hub.mailbox.put(Envelope(t="call.state", d={"n": self.hub.mailbox.last_seq + 1}))
        self.hub.pump()
        self.write()

    @rule(t=st.sampled_from(["call.accept", "call.end", "media.cand"]), later=st.booleans())
    def the_peer_asks(self, t: str, later: bool) -> None:
        self.asked[self.peer.request(t, {"later": True} if later else {})] = t
        self.write()

    @rule(seconds=st.sampled_from([0.1, 6.0, 16.0, 41.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.peer.tick(now=self.now)
        self.write()

    @rule()
    @precondition(lambda self: not self.connected)
    def the_session_expires(self) -> None:
        self.hub.expired = True

    # -- what must hold

    @invariant()
    def every_reliable_message_comes_once_and_in_order(self) -> None:
        for sid in {sid for sid, _ in self.delivered}:
            numbers = [n for s, n in self.delivered if s == sid]
            assert numbers == list(range(1, len(numbers) + 1))

    @invariant()
    def no_request_has_two_effects(self) -> None:
        assert all(n <= 1 for n in self.hub.effects.values())

    def teardown(self) -> None:
        """Once the line holds, everything sent in the living session has arrived and every request is answered."""
        if self.connected:
            self.break_line()
        for _ in range(3):
            self.connect()
            for _ in range(2000):
                self.write()
                if self.up:
                    self.read_up()
                elif self.down:
                    self.read_down(self.down.popleft())
                elif self.answered.keys() == self.asked.keys():
                    break
                else:
                    self.now += 0.06
            if self.peer.phase is Phase.OPEN:
                break
        if self.hub.sid == self.received_in:
            wanted = [n for sid, n in self.sent if sid == self.received_in]
            assert [n for sid, n in self.delivered if sid == self.received_in] == wanted
        assert self.answered.keys() == self.asked.keys()
        for id_, t in self.asked.items():
            lost = self.answered[id_].d.get("code") == "session_lost"
            assert self.hub.effects[id_] == 1 or (lost and t in SESSION_BOUND)


Conversation.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=60,
    deadline=None,
    phases=[Phases.explicit, Phases.reuse, Phases.generate],
)
"""Not shrunk by default: sixty steps take minutes to shrink, and a failing run is kept for the next."""

TestNothingIsMissedAndNothingDoneTwice = Conversation.TestCase
