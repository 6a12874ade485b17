"""The hub's half of a socket: who may speak, how fast, and when it is let go."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.protocol.signalling import (
    Acked,
    Answers,
    Asked,
    CloseCode,
    Envelope,
    ErrorCode,
    Greeted,
    HubHalf,
)
from clinic_net.protocol.signalling.mailbox import Mailbox
from clinic_net.protocol.signalling.messages import (
    FLOOD_DEBT,
    MAX_FRAME_BYTES,
    MAX_MAIL,
    MAX_UNSENT,
    MESSAGE_BURST,
    Welcome,
)


def frame(t: str, n: int | None = None, **members: Any) -> str:
    return json.dumps({"t": t, **({"id": str(UUID(int=n))} if n is not None else {}), **members})


def welcomed(now: float = 0.0, answers: Answers | None = None) -> HubHalf:
    half = HubHalf(now=now, answers=answers)
    assert half.receive(frame("hello", d={"proto": [1]}), now=now)
    half.welcome(Welcome(sid="s", resumed=False, snapshot={}))
    half.take(now=now)
    return half


def closed_with(half: HubHalf) -> CloseCode | None:
    return half.closing.code if half.closing else None


def test_hello_comes_first() -> None:
    half = HubHalf(now=0)
    assert half.receive(frame("call.end", 1), now=0) == []
    assert closed_with(half) is CloseCode.PROTOCOL_ERROR


def test_hello_comes_once() -> None:
    half = welcomed()
    half.receive(frame("hello", 1, d={"proto": [1]}), now=0)
    assert closed_with(half) is CloseCode.PROTOCOL_ERROR


def test_a_peer_without_a_common_version_is_told_to_update() -> None:
    half = HubHalf(now=0)
    half.receive(frame("hello", d={"proto": [2, 3]}), now=0)
    assert closed_with(half) is CloseCode.VERSION


def test_a_peer_that_never_says_hello_is_let_go() -> None:
    half = HubHalf(now=0)
    half.tick(now=10)
    assert half.closing is None
    half.tick(now=10.1)
    assert closed_with(half) is CloseCode.PROTOCOL_ERROR


def test_a_greeting_says_what_the_peer_already_has() -> None:
    [event] = HubHalf(now=0).receive(frame("hello", d={"proto": [1], "sid": "x", "last_seq": 7}), now=0)
    assert isinstance(event, Greeted)
    assert (event.hello.sid, event.hello.last_seq) == ("x", 7)


def test_the_same_request_again_gets_the_same_answer_and_no_second_effect() -> None:
    half = welcomed()
    [asked] = half.receive(frame("call.accept", 1), now=0)
    assert isinstance(asked, Asked)
    assert half.receive(frame("call.accept", 1), now=0) == []
    half.answer(asked.request, {"state": "accepted"})
    assert half.receive(frame("call.accept", 1), now=0) == []
    first, second = half.take(now=0)
    assert first == second


def test_a_refusal_that_passes_is_not_remembered() -> None:
    half = welcomed()
    [asked] = half.receive(frame("call.accept", 1), now=0)
    assert isinstance(asked, Asked)
    half.refuse(asked.request, ErrorCode.UNAVAILABLE, retry_ms=100)
    assert len(half.receive(frame("call.accept", 1), now=1)) == 1


def test_answers_outlive_the_socket_when_they_are_shared() -> None:
    answers = Answers()
    first = welcomed(answers=answers)
    [asked] = first.receive(frame("call.accept", 1), now=0)
    assert isinstance(asked, Asked)
    answer = first.answer(asked.request)
    second = welcomed(answers=answers)
    assert second.receive(frame("call.accept", 1), now=0) == []
    assert second.take(now=0) == [answer.encode()]


def test_a_burst_is_allowed_and_what_exceeds_it_is_refused_with_the_time_to_wait() -> None:
    half = welcomed()
    asked = [half.receive(frame("call.seen", n), now=0) for n in range(1, MESSAGE_BURST + 2)]
    assert [len(events) for events in asked] == [1] * MESSAGE_BURST + [0]
    [refusal] = [json.loads(text) for text in half.take(now=0)]
    assert refusal["d"]["code"] == "limit"
    assert 0 < refusal["d"]["retry_ms"] <= 51
    assert len(half.receive(frame("call.seen", MESSAGE_BURST + 1), now=0.06)) == 1


def test_a_flood_closes_the_socket() -> None:
    half = welcomed()
    for n in range(1, MESSAGE_BURST + FLOOD_DEBT + 2):
        half.receive(frame("call.seen", n), now=0)
        half.take(now=0)
    assert closed_with(half) is CloseCode.PROTOCOL_ERROR


def test_an_acknowledgement_is_told_once_and_never_beyond_what_was_sent() -> None:
    half = welcomed()
    half.deliver(Envelope(t="call.state", seq=1))
    assert half.receive(frame("ack", ack=1), now=0) == [Acked(1)]
    assert half.receive(frame("ack", ack=1), now=0) == []
    half.receive(frame("ack", ack=2), now=0)
    assert closed_with(half) is CloseCode.PROTOCOL_ERROR


def test_reliable_messages_wait_in_the_mailbox_while_the_queue_is_full() -> None:
    half, mailbox = welcomed(), Mailbox()
    for _ in range(MAX_UNSENT + 1):
        mailbox.put(Envelope(t="call.state"))
    taken = [half.deliver(envelope) for envelope in mailbox.after(0)]
    assert taken == [True] * MAX_UNSENT + [False]
    half.take(now=0)
    assert [half.deliver(envelope) for envelope in mailbox.after(half.sent)] == [True]


def test_a_peer_that_does_not_read_is_a_slow_consumer_and_may_resume() -> None:
    half = welcomed()
    for seq in range(1, MAX_UNSENT + 1):
        half.deliver(Envelope(t="call.state", seq=seq))
    half.tick(now=15)
    assert half.closing is None
    half.tick(now=15.1)
    assert closed_with(half) is CloseCode.SLOW_CONSUMER


def test_the_same_poke_waits_only_once() -> None:
    half = welcomed()
    for _ in range(5):
        half.push(Envelope(t="poke", d={"what": "board"}))
    assert len(half.take(now=0)) == 1


def test_a_quiet_line_gets_a_beat_and_a_silent_peer_is_let_go() -> None:
    half = welcomed()
    half.tick(now=25)
    assert half.take(now=25) == ['{"t":"beat"}']
    half.tick(now=65)
    assert half.closing is None
    half.tick(now=65.1)
    assert closed_with(half) is CloseCode.TRY_AGAIN


def test_draining_says_bye_before_it_closes() -> None:
    half = welcomed()
    half.bye(reason="drain", delay_ms=500)
    assert json.loads(half.take(now=0)[0])["d"]["delay_ms"] == 500
    assert closed_with(half) is CloseCode.BYE


@pytest.mark.parametrize(
    "text", ["", "[]", '{"t":"call.end"}', '{"t":"call.end","id":"no"}', "x" * (MAX_FRAME_BYTES + 1)]
)
def test_what_is_no_request_closes_the_socket(text: str) -> None:
    half = welcomed()
    assert half.receive(text, now=0) == []
    assert closed_with(half) is CloseCode.PROTOCOL_ERROR


@given(st.one_of(st.text(), st.binary(), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["t", "id", "ack", "seq", "d", "ep"]), inner),
).map(json.dumps)))  # fmt: skip
def test_no_frame_raises_whatever_it_holds(text: str | bytes) -> None:
    welcomed().receive(text, now=0)
    HubHalf(now=0).receive(text, now=0)


def test_a_mailbox_knows_what_it_can_resume() -> None:
    mailbox = Mailbox()
    for _ in range(3):
        mailbox.put(Envelope(t="call.state"))
    mailbox.ack(2)
    assert [mailbox.can_resume(n) for n in (0, 1, 2, 3, 4)] == [False, False, True, True, False]
    for _ in range(MAX_MAIL):
        mailbox.put(Envelope(t="call.state"))
    assert mailbox.overflowed
    assert not mailbox.can_resume(2)
