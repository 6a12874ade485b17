"""Changing a case: its row is held, what changed is told once, and its timer follows its next step."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.consultations import store
from clinic_net.consultations.model import Consultation, ConsultationEvent
from clinic_net.kernel import jobs

STEP = "consultation.step"
"""A case's timer. ``due`` says which deadline it was set for; a case that has moved on has another."""


@asynccontextmanager
async def changing(session: AsyncSession, consultation: UUID) -> AsyncIterator[Consultation]:
    """Hold a case; on leaving, announce that it changed and set its timer, if it did and if that moved.

    Raises:
        UnknownConsultation: there is none.
    """
    case = await store.lock(session, consultation)
    async with telling(session, case):
        yield case


@asynccontextmanager
async def telling(session: AsyncSession, case: Consultation) -> AsyncIterator[None]:
    """The second half of :func:`changing`, for a case that is held already."""
    rev, due = case.rev, case.next_step_at
    yield
    await session.flush()
    if case.rev != rev:
        await tell(session, case)
    if case.next_step_at != due:
        await set_timer(session, case)


async def tell(session: AsyncSession, case: Consultation) -> None:
    """Announce that the case changed."""
    await jobs.announce(session, "consultation.changed", {"consultation": str(case.id), "rev": case.rev})


async def set_timer(session: AsyncSession, case: Consultation) -> None:
    """Have the worker carry the case on at its next step, if it has one."""
    if case.next_step_at is None:
        return
    payload = {"consultation": str(case.id), "rev": case.rev, "due": case.next_step_at.isoformat()}
    await jobs.announce(session, STEP, payload, at=case.next_step_at)


def note(
    session: AsyncSession,
    case: Consultation,
    step: str,
    *,
    at: datetime,
    actor: str,
    detail: str | None = None,
) -> None:
    """Add to the case's timeline. ``detail`` is a code."""
    session.add(
        ConsultationEvent(consultation=case.id, step=step, at=at, actor=actor, tier=case.tier, detail=detail)
    )
