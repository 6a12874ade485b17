"""The rules alone: whatever happens, in whatever order, nobody is forgotten and nobody doubled."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.consultations import ladder, rules
from clinic_net.consultations.errors import NotInThisState
from clinic_net.consultations.ladder import Need, Nobody, Person, Rung
from clinic_net.consultations.rules import TRANSITIONS, State
from clinic_net.directory.service import Tier

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
DOCTORS = (UUID(int=1), UUID(int=2))
TIERS = (
    Tier(1, "referral", frozenset({"11020"}), None),
    Tier(2, "province", None, "11"),
    Tier(3, "nation", None, None),
)


@dataclass
class Patient:
    """A case as plain values."""

    state: str = State.REQUESTED.value
    rev: int = 1
    tier: int = 0
    epoch: int = 0
    urgency: str = "red"
    ring_after: timedelta = timedelta(seconds=30)
    next_step: str | None = None
    next_step_at: datetime | None = None
    owner: str | None = None
    accepted_by: UUID | None = None
    accepted_at: datetime | None = None
    doctor_sid: str | None = None
    station_sid: str | None = None
    doctor_flowing: bool = False
    station_flowing: bool = False
    media_at: datetime | None = None
    decided_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str | None = None
    outcome: str | None = None


def fresh(urgency: str = "red") -> Patient:
    case = Patient(urgency=urgency)
    rules.plan(case, NOW)
    return case


Act = Callable[[Patient, datetime], object]

ACTS: dict[str, Act] = {
    "ring 1": lambda case, at: rules.ring(case, 1, at),
    "ring 3": lambda case, at: rules.ring(case, 3, at),
    "queue": lambda case, at: rules.enter(case, State.QUEUED, at),
    "give up": lambda case, at: rules.enter(case, State.UNANSWERED, at),
    "first accepts": lambda case, at: rules.accept(case, DOCTORS[0], at),
    "second accepts": lambda case, at: rules.accept(case, DOCTORS[1], at),
    "doctor joins": lambda case, at: rules.join(case, "doctor", f"d{at:%M%S}", at),
    "station joins": lambda case, at: rules.join(case, "station", f"s{at:%M%S}", at),
    "doctor hears": lambda case, at: rules.media(case, "doctor", True, at),
    "station hears": lambda case, at: rules.media(case, "station", True, at),
    "station hears nothing": lambda case, at: rules.media(case, "station", False, at),
    "rebuild": lambda case, _: rules.rebuild(case),
    "deadline": lambda case, at: (
        rules.deadline_passed(case, at)
        if State(case.state) not in rules.WAITING and case.next_step_at is not None
        else None
    ),
    "end": lambda case, at: rules.end(case, "completed", at),
    "cancel": lambda case, at: rules.end(case, "cancelled", at),
    "decide": lambda case, at: rules.decide(case, "advice", at),
}


@given(
    acts=st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.integers(0, 900)), max_size=40),
    urgency=st.sampled_from(sorted(rules.RANK)),
)
def test_an_open_case_always_has_an_owner_a_next_step_and_a_deadline(
    acts: list[tuple[str, int]], urgency: str
) -> None:
    case, at = fresh(urgency), NOW
    for name, seconds in acts:
        at += timedelta(seconds=seconds)
        before, rev, epoch, holder = State(case.state), case.rev, case.epoch, case.accepted_by
        try:
            ACTS[name](case, at)
        except NotInThisState:
            assert (case.state, case.rev) == (before, rev), "a refusal changes nothing"
        reached = State(case.state)

        assert reached == before or reached in TRANSITIONS[before] or name == "deadline"
        assert reached == before or case.rev > rev
        assert case.epoch >= epoch
        assert holder is None or case.accepted_by in (holder, None), "nobody takes a case from its doctor"
        owed = (case.next_step, case.next_step_at, case.owner)
        assert (None not in owed) if rules.is_open(case) else owed == (None, None, None)


@given(st.permutations(["first accepts", "second accepts", "first accepts", "second accepts"]))
def test_of_any_number_of_accepts_exactly_one_wins(order: list[str]) -> None:
    case, won = fresh(), 0
    rules.ring(case, 1, NOW)
    for name in order:
        try:
            ACTS[name](case, NOW)
        except NotInThisState:
            continue
        won += 1
    assert won == 1
    assert case.accepted_by == DOCTORS[0 if order[0] == "first accepts" else 1]


@pytest.mark.parametrize(
    ("urgency", "seconds"), [("red", 90), ("orange", 90), ("yellow", 180), ("green", 300)]
)
def test_three_tiers_ring_for_the_time_of_the_ladder(urgency: str, seconds: int) -> None:
    case = fresh(urgency)

    assert 3 * rules.ring_window(case).total_seconds() == pytest.approx(seconds)


def test_media_is_flowing_only_when_both_receive_and_its_first_instant_stays() -> None:
    case = fresh()
    rules.ring(case, 1, NOW)
    rules.accept(case, DOCTORS[0], NOW)
    rules.join(case, "station", "s", NOW)
    assert rules.join(case, "doctor", "d", NOW), "both are there: an offer is needed"
    assert rules.media(case, "doctor", True, NOW) is None
    assert rules.media(case, "station", True, NOW + timedelta(seconds=2)) is State.ACTIVE
    assert rules.media(case, "doctor", False, NOW + timedelta(seconds=60)) is State.RECONNECTING
    assert rules.media(case, "doctor", True, NOW + timedelta(seconds=70)) is State.ACTIVE
    assert case.media_at == NOW + timedelta(seconds=2)


def test_a_station_whose_clock_runs_ahead_did_not_ask_in_the_future() -> None:
    assert rules.requested_instant(NOW + timedelta(days=1), NOW) == NOW
    assert rules.requested_instant(NOW - timedelta(hours=2), NOW) == NOW - timedelta(hours=2)


@given(one=st.sampled_from(sorted(rules.RANK)), other=st.sampled_from([*sorted(rules.RANK), "none", None]))
def test_a_score_raises_an_urgency_and_never_lowers_it(one: str, other: str | None) -> None:
    assert rules.RANK[rules.more_urgent(one, other)] <= rules.RANK[one]


def person(
    facility: str = "11020", province: str = "11", *, can: str = "cardiology", busy: bool = False
) -> Person:
    return Person(uuid4(), "B", facility, province, frozenset({can}), busy)


@given(
    people=st.lists(
        st.builds(
            person,
            st.sampled_from(["11020", "11007", "01001"]),
            st.sampled_from(["11", "01"]),
            can=st.sampled_from(["cardiology", "surgery", "emergency", "general"]),
            busy=st.booleans(),
        ),
        max_size=8,
    ),
    after=st.integers(0, 3),
    urgency=st.sampled_from(["red", "green"]),
)
def test_the_next_tier_rung_is_the_first_above_that_has_somebody_free_and_suited(
    people: list[Person], after: int, urgency: str
) -> None:
    found = ladder.next_ring(Need("cardiology", urgency, after), tiers=TIERS, people=people, refused=())

    def free(tier: Tier) -> list[Person]:
        there = [one for one in people if ladder.in_tier(tier, one) and not one.busy]
        return ladder.suited("cardiology", urgency, there)

    expected = [tier for tier in TIERS if tier.number > after and free(tier)]
    if expected:
        assert found == Rung(expected[0].number, tuple(free(expected[0])))
    else:
        assert isinstance(found, Nobody)


def test_who_has_refused_is_not_rung_and_who_is_busy_is_known_to_be() -> None:
    refusing, busy = person(), person(busy=True)

    found = ladder.next_ring(
        Need("cardiology", "red", 0), tiers=TIERS, people=[refusing, busy], refused={refusing.user}
    )

    assert found == Nobody(busy=True)
