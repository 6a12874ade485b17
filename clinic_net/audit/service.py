"""The one use case: write down what was done, in the transaction that did it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from clinic_net.kernel.ids import new_id
from clinic_net.kernel.links import Database, fetch

OK = "ok"
"""The outcome of what was done; what was refused has the refusal's code instead."""


@dataclass(frozen=True, slots=True)
class Event:
    """What somebody did. ``actor`` and ``subject`` are addresses or FHIR references, never names or values."""

    actor: str
    action: str
    subject: str
    outcome: str = OK
    purpose: str | None = None


async def record(
    session: Database,
    *,
    actor: str,
    action: str,
    subject: str,
    outcome: str = OK,
    at: datetime,
    purpose: str | None = None,
) -> None:
    """Add one event to the trail; it stays if, and only if, this transaction commits.

    ``actor`` and ``subject`` are addresses or FHIR references, never names or values; ``action`` is a
    constant in dotted words (``device.enrol``); ``purpose`` a code of HL7 v3 PurposeOfUse (``TREAT``).
    """
    await record_many(session, [Event(actor, action, subject, outcome, purpose)], at=at)


_INSERT = text("""
    insert into audit_event (id, at, actor, action, subject, outcome, purpose)
    select id, :at, actor, action, subject, outcome, purpose from unnest(
        cast(:ids as uuid[]), cast(:actors as text[]), cast(:actions as text[]), cast(:subjects as text[]),
        cast(:outcomes as text[]), cast(:purposes as text[])
    ) as e (id, actor, action, subject, outcome, purpose)
""")


async def record_many(session: Database, events: Sequence[Event], *, at: datetime) -> None:
    """Add events to the trail in one statement, as ``record`` does."""
    if not events:
        return
    parameters = {
        "at": at,
        "ids": [str(new_id(at)) for _ in events],
        "actors": [event.actor for event in events],
        "actions": [event.action for event in events],
        "subjects": [event.subject for event in events],
        "outcomes": [event.outcome for event in events],
        "purposes": [event.purpose for event in events],
    }
    await fetch(session, _INSERT, parameters)
