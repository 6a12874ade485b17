"""The one way in: write down what was done, in the transaction that did it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text

from clinic_net.audit.errors import AuditUnavailable
from clinic_net.audit.origin import Origin, here
from clinic_net.kernel.arrays import texts
from clinic_net.kernel.ids import new_id
from clinic_net.kernel.links import Database, fetch

OK = "ok"
"""The outcome of what was done; what was refused has the refusal's code instead."""

PATIENCE_S = 1.2
"""Who waits longer for the trail gets nothing: a record that cannot be accounted for stays closed, in two seconds."""


@dataclass(frozen=True, slots=True)
class Event:
    """What somebody did. ``actor`` and ``subject`` are addresses or FHIR references, never names or values.

    ``purpose`` is the origin's unless it is given. ``patient`` is the id of the Patient whose record it concerns;
    without it, that of a subject ``Patient/<id>``. ``place`` is the code of the facility or site that answers
    for what was touched; without it, where the actor works. ``detail`` may name search parameters.
    """

    actor: str
    action: str
    subject: str
    outcome: str = OK
    purpose: str | None = None
    patient: str | None = None
    place: str | None = None
    detail: str | None = None
    origin: Origin = field(default_factory=here)

    @property
    def about(self) -> str | None:
        """Whose record it concerns."""
        if self.patient is not None or not self.subject.startswith("Patient/"):
            return self.patient
        return self.subject.split("/")[1]

    @property
    def actor_place(self) -> str | None:
        """For whom the actor works: a station's own site, else as the origin says."""
        kind, _, code = self.actor.partition(":")
        return code[:20] if kind == "station" else self.origin.place


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

    Raises:
        AuditUnavailable: the trail does not take it within ``PATIENCE_S``.
    """
    await record_many(session, [Event(actor, action, subject, outcome, purpose)], at=at)


_TEXTS = (
    "id", "actor", "action", "subject", "outcome", "purpose", "patient", "place", "actor_place", "detail",
    "request", "address", "program",
)  # fmt: skip

_GIVEN = ", ".join(f"cast(:{name} as {'uuid' if name == 'id' else 'text'}[])" for name in _TEXTS)
_INSERT = text(f"""
    insert into audit_event (at, {", ".join(_TEXTS)})
    select :at, {", ".join(_TEXTS)} from unnest({_GIVEN}) as e ({", ".join(_TEXTS)})
""")  # noqa: S608 -- only constants of this module are put together


def _row(event: Event, at: datetime) -> tuple[str | None, ...]:
    """Return the columns of ``_TEXTS``."""
    origin = event.origin
    return (
        str(new_id(at)),
        event.actor,
        event.action,
        event.subject,
        event.outcome,
        event.purpose or origin.purpose,
        event.about,
        event.place or event.actor_place,
        event.actor_place,
        event.detail,
        origin.request,
        origin.address,
        origin.program,
    )


async def record_many(session: Database, events: Sequence[Event], *, at: datetime) -> None:
    """Add events to the trail in one statement, as ``record`` does."""
    if not events:
        return
    columns = zip(*(_row(event, at) for event in events), strict=True)
    parameters = {"at": at, **{name: texts(column) for name, column in zip(_TEXTS, columns, strict=True)}}
    try:
        async with asyncio.timeout(PATIENCE_S):
            await fetch(session, _INSERT, parameters)
    except TimeoutError:
        raise AuditUnavailable from None
