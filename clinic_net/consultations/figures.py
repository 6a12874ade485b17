"""What statistics are made from: one fact a consultation, codes and instants only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.consultations.model import Consultation


@dataclass(frozen=True)
class Fact:
    """One consultation. ``patient`` is the FHIR id of the Patient: whoever lets facts out replaces it."""

    patient: str
    province: str
    specialty: str
    urgency: str
    outcome: str
    received_at: datetime
    accepted_at: datetime | None


async def facts(session: AsyncSession, since: datetime, until: datetime) -> Sequence[Fact]:
    """Return the consultations that were asked for from ``since`` to before ``until``, for the hub's own work."""
    statement = (
        select(Consultation)
        .where(col(Consultation.received_at) >= since, col(Consultation.received_at) < until)
        .order_by(col(Consultation.received_at), col(Consultation.id))
    )
    return [
        Fact(
            row.patient,
            row.province,
            row.specialty,
            row.urgency,
            row.outcome or "",
            row.received_at,
            row.accepted_at,
        )
        for row in (await session.exec(statement)).all()
    ]
