"""The rules alone: an open referral always owes an answer to somebody, an emergency is never turned away."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.referrals import rules
from clinic_net.referrals.errors import EmergencyMustNotBeRejected, ReasonMissing, ReferralNotInThisState
from clinic_net.referrals.rules import TRANSITIONS, State

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)


@dataclass
class Letter:
    urgency: str
    state: str = State.SENT.value
    rev: int = 1
    due_at: datetime | None = None


@given(st.sampled_from(sorted(rules.RANK)), st.lists(st.sampled_from([*State, "reject"]), max_size=12))
def test_an_open_referral_always_owes_an_answer_and_a_red_one_is_never_rejected(
    urgency: str, acts: list[State | str]
) -> None:
    letter = Letter(urgency)
    rules.promise(letter, NOW)
    for act in acts:
        before = State(letter.state)
        try:
            if act == "reject":
                rules.reject(letter, NOW)
            elif not (act is State.REJECTED and urgency == "red"):
                rules.enter(letter, State(act), NOW)
        except (ReferralNotInThisState, EmergencyMustNotBeRejected):
            assert letter.state == before
        assert letter.state == before or State(letter.state) in TRANSITIONS[before]
        closed = not TRANSITIONS[State(letter.state)]
        assert (letter.due_at is None) is closed
        assert not (urgency == "red" and letter.state == State.REJECTED)


@pytest.mark.parametrize(
    ("urgency", "minutes"), [("red", 10), ("orange", 15), ("yellow", 60), ("green", 240)]
)
def test_the_receiver_answers_within_the_promise_of_the_urgency(urgency: str, minutes: int) -> None:
    letter = Letter(urgency)
    rules.promise(letter, NOW)

    assert letter.due_at == NOW + timedelta(minutes=minutes)


@pytest.mark.parametrize(("reason", "words"), [("", "đầy"), ("no-bed", "  "), ("because", "đầy")])
def test_a_reason_is_coded_and_said(reason: str, words: str) -> None:
    with pytest.raises(ReasonMissing):
        rules.demand_reason(reason, words)
