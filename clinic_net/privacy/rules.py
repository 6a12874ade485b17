"""What may be asked and by when it is owed. Pure.

Deadlines: Decree 356/2025/ND-CP as its commentators give it (an answer in 2 working days; restriction, objection and
withdrawal in 15 days, 20 where processors take part; other rights 10 to 20 days; one extension of at most 15 days), and
Law 91/2025/QH15 article 23 (a breach is reported in 72 hours). Counsel confirms them before a hub goes into service.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from clinic_net.privacy.calendar import after_days, after_working_days


class Kind(StrEnum):
    """What a person asks for."""

    COPY = "copy"
    CORRECTION = "correction"
    RESTRICTION = "restriction"
    OBJECTION = "objection"
    WITHDRAWAL = "withdrawal"
    ERASURE = "erasure"


class State(StrEnum):
    RECEIVED = "received"
    ANSWERED = "answered"
    DONE = "done"
    REFUSED = "refused"


class Ground(StrEnum):
    """Why a record is erased."""

    ASKED = "asked"
    """The person asks, and the record need not be kept any more."""
    UNLAWFUL = "unlawful"
    """It should never have been here: another person's, or taken without a right. It need not be kept."""


REFUSALS = ("not-the-person", "must-be-kept", "legal-hold", "not-founded", "others-rights")
"""Codes of why a request is refused."""

HOLDS = ("dispute", "inspection", "court-order", "complaint")
"""Codes of why a record is kept as it is."""

ANSWER_WITHIN_WORKING_DAYS = 2
EXTENSION_DAYS = 15
_DAYS = {
    Kind.COPY: (10, 20),
    Kind.CORRECTION: (10, 20),
    Kind.RESTRICTION: (15, 20),
    Kind.OBJECTION: (15, 20),
    Kind.WITHDRAWAL: (15, 20),
    Kind.ERASURE: (20, 20),
}
"""Calendar days without and with processors."""

STOPS_PROCESSING = frozenset({Kind.RESTRICTION, Kind.OBJECTION, Kind.WITHDRAWAL})

BREACH_NOTICE_WITHIN = timedelta(hours=72)

BREACH_KINDS = ("lost-device", "stolen-device", "wrong-recipient", "intrusion", "misuse", "loss", "other")
SENSITIVE = ("identity", "contact", "health", "images", "credentials")
"""Kinds of data that a breach may touch."""


@dataclass(frozen=True)
class Deadlines:
    """``answer_by``: the person has been told that it was received and what happens; ``due_at``: it has been done."""

    answer_by: datetime
    due_at: datetime


def deadlines(kind: Kind, received: datetime, *, processors: bool, off: Iterable[date] = ()) -> Deadlines:
    """Return by when a request is answered and carried out."""
    return Deadlines(
        after_working_days(received, ANSWER_WITHIN_WORKING_DAYS, off),
        after_days(received, _DAYS[kind][processors]),
    )


def extended(due: datetime) -> datetime:
    """Return a deadline after its one extension."""
    return due + timedelta(days=EXTENSION_DAYS)
