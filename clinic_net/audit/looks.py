"""Who looked at one patient's record: what the patient is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.audit.model import AuditEvent


@dataclass(frozen=True)
class LookEvent:
    """Somebody looked. ``actor`` is an address, ``purpose`` a code of HL7 v3 PurposeOfUse, if it is known."""

    at: datetime
    actor: str
    action: str
    purpose: str | None

    @property
    def by_a_person(self) -> bool:
        return self.actor.startswith("user:")


async def looks_at(session: AsyncSession, patient: str, *, limit: int = 500) -> Sequence[LookEvent]:
    """Return who looked at a patient's record (FHIR id of the Patient), the newest first; people and machines."""
    statement = (
        select(AuditEvent)
        .where(
            col(AuditEvent.subject) == f"Patient/{patient}",
            col(AuditEvent.action).startswith("record."),
            col(AuditEvent.outcome) == "ok",
        )
        .order_by(col(AuditEvent.at).desc())
        .limit(limit)
    )
    return [LookEvent(row.at, row.actor, row.action, row.purpose) for row in await session.exec(statement)]
