"""The one use case: write down what was done, in the transaction that did it."""

from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.audit.model import AuditEvent
from clinic_net.kernel.ids import new_id

OK = "ok"
"""The outcome of what was done; what was refused has the refusal's code instead."""


async def record(
    session: AsyncSession,
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
    session.add(
        AuditEvent(
            id=new_id(at),
            at=at,
            actor=actor,
            action=action,
            subject=subject,
            outcome=outcome,
            purpose=purpose,
        )
    )
