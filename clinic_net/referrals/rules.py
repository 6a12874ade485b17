"""The rules of a referral: states, promises, reasons. Pure: time is an argument."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from clinic_net.referrals.errors import EmergencyMustNotBeRejected, ReasonMissing, ReferralNotInThisState


class State(StrEnum):
    """The business status of the order's present Task (domain §3.3, the part used so far)."""

    SENT = "sent"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    COUNTER_REFERRED = "counter-referred"
    WITHDRAWN = "withdrawn"


TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.SENT: frozenset({State.SENT, State.ACCEPTED, State.REJECTED, State.WITHDRAWN}),
        State.REJECTED: frozenset({State.SENT, State.WITHDRAWN}),
        State.ACCEPTED: frozenset({State.COUNTER_REFERRED, State.WITHDRAWN}),
        State.COUNTER_REFERRED: frozenset(),
        State.WITHDRAWN: frozenset(),
    }
)
"""``sent`` to ``sent`` is a redirection; a rejected referral waits for a coordinator to redirect it."""

RANK: Mapping[str, int] = MappingProxyType({"red": 0, "orange": 1, "yellow": 2, "green": 3})

PRIORITY: Mapping[str, str] = MappingProxyType(
    {"red": "stat", "orange": "asap", "yellow": "urgent", "green": "routine"}
)
"""Urgency as a FHIR request priority (domain §3.3)."""

_ANSWER_WITHIN: Mapping[str, timedelta] = MappingProxyType(
    {
        "red": timedelta(minutes=10),
        "orange": timedelta(minutes=15),
        "yellow": timedelta(minutes=60),
        "green": timedelta(hours=4),
    }
)
"""How soon the receiver answers. Emergencies lie between the 5 min that 60 % of answers take and the 15 min
promised for 95 % (domain §6.2 no. 8; SISRUTE, §3.2); the others are SATS's targets for being seen (§3.2)."""

_COUNTER_REFER_WITHIN = timedelta(days=7)
"""Ours: when the receiver is asked what became of the patient. The reply itself is owed 24 h after discharge
(domain §3.3), which the hub does not learn of yet."""

REASONS = frozenset(
    {
        "no-bed", "no-specialist", "equipment", "not-indicated", "insufficient-information", "duplicate",
        "patient-refused", "out-of-scope", "unsafe-to-move", "no-answer", "better-place",
    }
)  # fmt: skip
"""Why a referral is rejected or redirected (domain §3.3; the last two are a coordinator's)."""


class Referral(Protocol):
    """What the rules know of a referral. See ``model.ReferralCase``."""

    state: str
    rev: int
    urgency: str
    due_at: datetime | None


def enter(referral: Referral, to: State, now: datetime) -> None:
    """Move to a state; an answered or closed referral owes nothing until somebody asks again.

    Raises:
        ReferralNotInThisState: the table does not lead there.
    """
    if to not in TRANSITIONS[State(referral.state)]:
        raise ReferralNotInThisState(referral.state)
    referral.state = to.value
    referral.rev += 1
    promise(referral, now)


def promise(referral: Referral, now: datetime) -> None:
    """Write by when the next answer is owed: the receiver's, the coordinator's, or the counter-referral."""
    match State(referral.state):
        case State.SENT | State.REJECTED:
            referral.due_at = now + _ANSWER_WITHIN[referral.urgency]
        case State.ACCEPTED:
            referral.due_at = now + _COUNTER_REFER_WITHIN
        case _:
            referral.due_at = None


def reject(referral: Referral, now: datetime) -> None:
    """Refuse a patient who is no emergency.

    Raises:
        EmergencyMustNotBeRejected: a red referral is only redirected.
        ReferralNotInThisState: it has been answered.
    """
    if referral.urgency == "red":
        raise EmergencyMustNotBeRejected
    enter(referral, State.REJECTED, now)


def demand_reason(reason: str, words: str) -> None:
    """Demand a coded reason with words.

    Raises:
        ReasonMissing: one of them is missing.
    """
    if reason not in REASONS or not words.strip():
        raise ReasonMissing


def demand_words(words: str) -> None:
    """Demand that something is said: why a patient is sent, what is to be done at home.

    Raises:
        ReasonMissing: nothing is.
    """
    if not words.strip():
        raise ReasonMissing
