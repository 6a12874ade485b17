"""The rules of a consultation: its states, who is rung, and what happens when nothing happens.

Pure: time is an argument. ``Case`` is what the rules read and write of a consultation; the table implements
it. Figures without a source of their own are those of ``consultations`` §5b (ring ladder) and §7c (promises).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol
from uuid import UUID

from clinic_net.consultations.errors import NotInThisState


class State(StrEnum):
    """The states of a call, as on the wire."""

    REQUESTED = "requested"
    QUEUED = "queued"
    RINGING = "ringing"
    UNANSWERED = "unanswered"
    ACCEPTED = "accepted"
    CONNECTING = "connecting"
    ACTIVE = "active"
    RECONNECTING = "reconnecting"
    ENDED = "ended"


WAITING = frozenset({State.REQUESTED, State.QUEUED, State.RINGING, State.UNANSWERED})
"""Nobody has taken the case."""

TAKEN = frozenset({State.ACCEPTED, State.CONNECTING, State.ACTIVE, State.RECONNECTING})
"""A doctor holds it, and is busy."""

TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.REQUESTED: frozenset({State.QUEUED, State.RINGING, State.UNANSWERED, State.ENDED}),
        State.QUEUED: frozenset({State.RINGING, State.UNANSWERED, State.ENDED}),
        State.RINGING: frozenset({State.RINGING, State.UNANSWERED, State.ACCEPTED, State.ENDED}),
        State.UNANSWERED: frozenset({State.ACCEPTED, State.ENDED}),
        State.ACCEPTED: frozenset({State.RINGING, State.CONNECTING, State.ENDED}),
        State.CONNECTING: frozenset({State.ACTIVE, State.ENDED}),
        State.ACTIVE: frozenset({State.RECONNECTING, State.ENDED}),
        State.RECONNECTING: frozenset({State.ACTIVE, State.ENDED}),
        State.ENDED: frozenset(),
    }
)

RANK: Mapping[str, int] = MappingProxyType({"red": 0, "orange": 1, "yellow": 2, "green": 3})
"""Urgencies, most urgent first: the four colours of IITT and SATS that the stations use."""

OUTCOMES = frozenset({"managed_locally", "transfer", "advice", "follow_up"})

WORKER = "worker"
COORDINATOR = "coordinator"

_RING_FACTOR: Mapping[str, float] = MappingProxyType({"red": 1, "orange": 1, "yellow": 2, "green": 10 / 3})
"""One tier rings so many times ``ring_after`` (30 s): three are 90 s for an emergency, 300 s for routine."""

_QUEUE_FOR: Mapping[str, timedelta] = MappingProxyType(
    {
        "red": timedelta(seconds=30),
        "orange": timedelta(seconds=60),
        "yellow": timedelta(minutes=5),
        "green": timedelta(minutes=10),
    }
)
"""How long to wait for one who is busy before the coordinator is asked (emergency 30 s, routine 10 min)."""

_ROUND_EVERY: Mapping[str, timedelta] = MappingProxyType(
    {
        "red": timedelta(minutes=2),
        "orange": timedelta(minutes=5),
        "yellow": timedelta(minutes=10),
        "green": timedelta(minutes=30),
    }
)
"""The coordinator's deadline, and how often all on duty are rung again: about the median promised."""

JOIN_WITHIN = timedelta(seconds=60)
"""Who accepts and does not come into the call within this has lost their page: the case is rung again."""
RENEGOTIATE_AFTER = timedelta(seconds=45)
"""The establishment ladder: three attempts of 15 s."""
CONNECT_WITHIN = timedelta(minutes=10)
"""A call that was accepted and never had media for this long has failed."""
RECOVER_WITHIN = timedelta(seconds=120)
"""Media silence that outlives this has ended the call (``media_lost``)."""
HUB_WAS_AWAY_AFTER = timedelta(seconds=15)
"""Ours: a deadline found so late says that the hub was away, not the people: they get their time once more."""
LONGEST_CALL = timedelta(hours=4)
"""Ours: a call that nobody ended by then was abandoned."""
DECIDE_WITHIN = timedelta(minutes=30)
"""Ours: after the call the doctor owes a decision for this long, then the coordinator asks for it."""
FOLLOW_UP_WITHIN = timedelta(hours=4)
"""Ours: how often the coordinator is reminded of a call that ended without a decision."""

_WAITS: Mapping[State, timedelta] = MappingProxyType(
    {
        State.REQUESTED: timedelta(0),
        State.ACCEPTED: JOIN_WITHIN,
        State.CONNECTING: RENEGOTIATE_AFTER,
        State.ACTIVE: LONGEST_CALL,
        State.RECONNECTING: RECOVER_WITHIN,
        State.ENDED: DECIDE_WITHIN,
    }
)

_NEXT_STEP: Mapping[State, str] = MappingProxyType(
    {
        State.REQUESTED: "ring",
        State.QUEUED: "ring",
        State.RINGING: "next_tier",
        State.UNANSWERED: "answer",
        State.ACCEPTED: "join",
        State.CONNECTING: "connect",
        State.ACTIVE: "decide",
        State.RECONNECTING: "reconnect",
        State.ENDED: "decide",
    }
)

_FAILED = frozenset({"media_failed", "media_lost", "abandoned"})
"""A call that ended so is the coordinator's at once."""


class Case(Protocol):
    """What the rules know of a consultation. See ``model.Consultation`` for the meaning of each."""

    state: str
    rev: int
    tier: int
    epoch: int
    urgency: str
    ring_after: timedelta
    next_step: str | None
    next_step_at: datetime | None
    owner: str | None
    accepted_by: UUID | None
    accepted_at: datetime | None
    doctor_sid: str | None
    station_sid: str | None
    doctor_flowing: bool
    station_flowing: bool
    media_at: datetime | None
    decided_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None
    outcome: str | None


def is_open(case: Case) -> bool:
    """Whether somebody still owes the patient something: not ended, or not decided."""
    return case.state != State.ENDED or (case.accepted_by is not None and case.outcome is None)


def requested_instant(claimed: datetime, received: datetime) -> datetime:
    """Return when help was asked for: the station's word, unless its clock runs ahead of the hub's."""
    return min(claimed, received)


def more_urgent(one: str, other: str | None) -> str:
    """Return the more urgent of two colours; a score raises an urgency and never lowers it (domain §4)."""
    return one if other is None or RANK.get(other, len(RANK)) >= RANK[one] else other


def ring_window(case: Case) -> timedelta:
    """Return how long one tier rings."""
    return case.ring_after * _RING_FACTOR[case.urgency]


def ring_until(case: Case, tiers: int, now: datetime) -> datetime:
    """Return when a ring that starts now ends: with the ladder, or with the coordinator's round."""
    if case.state == State.UNANSWERED:
        return now + _ROUND_EVERY[case.urgency]
    return now + ring_window(case) * (max(tiers - case.tier, 0) + 1)


def _wait(case: Case) -> timedelta:
    """Return how long the present state may last."""
    match State(case.state):
        case State.QUEUED:
            return _QUEUE_FOR[case.urgency]
        case State.RINGING:
            return ring_window(case)
        case State.UNANSWERED:
            return _ROUND_EVERY[case.urgency]
        case other:
            return _WAITS[other]


def plan(case: Case, now: datetime) -> None:
    """Write the next step, its date and its owner; a closed case has none."""
    if not is_open(case):
        case.next_step = case.next_step_at = case.owner = None
        return
    state = State(case.state)
    case.next_step_at = now + _wait(case)
    case.next_step = _NEXT_STEP[state]
    case.owner = WORKER if state in WAITING else f"user:{case.accepted_by}"
    if state is State.UNANSWERED or (state is State.ENDED and case.end_reason in _FAILED):
        case.owner = COORDINATOR


def enter(case: Case, to: State, now: datetime) -> None:
    """Move to a state and plan what follows.

    Raises:
        NotInThisState: the table does not lead there.
    """
    if to not in TRANSITIONS[State(case.state)]:
        raise NotInThisState(case.state, to)
    case.state = to.value
    case.rev += 1
    plan(case, now)


def ring(case: Case, tier: int, now: datetime) -> None:
    """Ring a tier: the ladder is at ``tier`` from now.

    Raises:
        NotInThisState: somebody holds the case, or it is over.
    """
    if case.accepted_by is not None or State(case.state) not in WAITING | {State.ACCEPTED}:
        raise NotInThisState(case.state, State.RINGING)
    case.tier = tier
    enter(case, State.RINGING, now)


def accept(case: Case, by: UUID, now: datetime) -> None:
    """Give the case to a doctor.

    Raises:
        NotInThisState: it is not waiting (any more).
    """
    if State(case.state) not in (State.RINGING, State.UNANSWERED):
        raise NotInThisState(case.state, State.ACCEPTED)
    case.accepted_by = by
    case.accepted_at = now
    enter(case, State.ACCEPTED, now)


def release(case: Case, now: datetime) -> None:
    """Take the case back from a doctor who never came into the call."""
    case.accepted_by = case.accepted_at = None
    ring(case, 0, now)


def join(case: Case, party: str, sid: str, now: datetime) -> bool:
    """Bind a party's session. Returns whether a media session must be built (anew): the epoch was raised.

    Raises:
        NotInThisState: the call is over.
    """
    if case.state == State.ENDED:
        raise NotInThisState(case.state, State.CONNECTING)
    if sid == (case.doctor_sid if party == "doctor" else case.station_sid):
        return False
    if party == "doctor":
        case.doctor_sid = sid
    else:
        case.station_sid = sid
    case.rev += 1
    if case.doctor_sid is None or case.station_sid is None or State(case.state) in WAITING:
        return False
    if case.state == State.ACCEPTED:
        enter(case, State.CONNECTING, now)
    rebuild(case)
    return True


def rebuild(case: Case) -> None:
    """Raise the epoch: what was negotiated before is void.

    Raises:
        NotInThisState: there is no call to rebuild.
    """
    if State(case.state) not in (State.CONNECTING, State.ACTIVE, State.RECONNECTING):
        raise NotInThisState(case.state, State.RECONNECTING)
    case.epoch += 1
    case.rev += 1
    case.doctor_flowing = case.station_flowing = False


def media(case: Case, party: str, flowing: bool, now: datetime) -> State | None:
    """Note whether media arrives at a party. Returns the state this led to, if it changed.

    Both must receive for a call to be active; the first silence makes it reconnecting.
    """
    if State(case.state) not in (State.CONNECTING, State.ACTIVE, State.RECONNECTING):
        return None
    if party == "doctor":
        case.doctor_flowing = flowing
    else:
        case.station_flowing = flowing
    if case.doctor_flowing and case.station_flowing and case.state != State.ACTIVE:
        case.media_at = case.media_at or now
        enter(case, State.ACTIVE, now)
        return State.ACTIVE
    if case.state == State.ACTIVE and not flowing:
        enter(case, State.RECONNECTING, now)
        return State.RECONNECTING
    return None


def end(case: Case, reason: str, now: datetime) -> None:
    """End the call; the case stays open until it is decided.

    Raises:
        NotInThisState: it has ended.
    """
    if case.state == State.ENDED:
        raise NotInThisState(case.state, State.ENDED)
    case.end_reason = reason
    case.ended_at = now
    enter(case, State.ENDED, now)


def decide(case: Case, outcome: str, now: datetime) -> bool:
    """Write the decision; the first instant stays. Returns whether anything changed.

    Raises:
        NotInThisState: nobody has taken the case.
    """
    if case.accepted_by is None:
        raise NotInThisState(case.state, "decided")
    if case.outcome == outcome:
        return False
    case.outcome = outcome
    case.decided_at = case.decided_at or now
    case.rev += 1
    if case.state == State.ENDED:
        plan(case, now)
    return True


class Late(StrEnum):
    """What a passed deadline of a taken or ended case led to."""

    RELEASED = "released"
    WAITED = "waited"
    RENEGOTIATED = "renegotiated"
    ENDED = "ended"
    REMINDED = "reminded"


def deadline_passed(case: Case, now: datetime) -> Late:
    """Carry on a case that somebody has taken and whose next step did not come in time."""
    state = State(case.state)
    late = case.next_step_at is not None and now - case.next_step_at > HUB_WAS_AWAY_AFTER
    if late and state in TAKEN:
        plan(case, now)
        return Late.WAITED
    if state is State.ENDED:
        case.rev += 1
        case.next_step_at = now + FOLLOW_UP_WITHIN
        case.owner = COORDINATOR
        return Late.REMINDED
    if state is State.ACCEPTED and case.doctor_sid is None:
        release(case, now)
        return Late.RELEASED
    if state in (State.ACCEPTED, State.CONNECTING):
        if case.accepted_at is not None and now - case.accepted_at >= CONNECT_WITHIN:
            end(case, "media_failed", now)
            return Late.ENDED
        if state is State.CONNECTING:
            rebuild(case)
        plan(case, now)
        return Late.RENEGOTIATED if state is State.CONNECTING else Late.WAITED
    end(case, "media_lost" if state is State.RECONNECTING else "abandoned", now)
    return Late.ENDED
