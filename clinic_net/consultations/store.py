"""Every query of consultations.

What is read for somebody takes a ``Reader``: who asks, compiled into the query, so that another's case answers
like none. What the hub itself carries on (``lock`` and what follows it) belongs to no reader.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Text, case, exists, false, func, or_, update
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.consultations.errors import UnknownConsultation
from clinic_net.consultations.ladder import STAND_IN, Person
from clinic_net.consultations.model import Consultation, ConsultationDuty, ConsultationEvent, ConsultationRing
from clinic_net.consultations.rules import RANK, TAKEN, WAITING, State


@dataclass(frozen=True)
class Reader:
    """Whose cases: a person rung for it or who took it, a station's own, or a coordinator's province."""

    user: UUID | None = None
    site: str | None = None
    province: str | None = None


def _theirs(reader: Reader) -> ColumnElement[bool]:
    rights: list[ColumnElement[bool]] = [false()]
    if reader.site is not None:
        rights.append(col(Consultation.site) == reader.site)
    if reader.province is not None:
        rights.append(col(Consultation.province) == reader.province)
    if reader.user is not None:
        rights.append(col(Consultation.accepted_by) == reader.user)
        rights.append(
            exists().where(
                col(ConsultationRing.consultation) == col(Consultation.id),
                col(ConsultationRing.user_id) == reader.user,
            )
        )
    return or_(*rights)


def _most_urgent_first() -> list[Any]:
    return [case(dict(RANK), value=col(Consultation.urgency)), col(Consultation.next_step_at)]


async def lock(session: AsyncSession, consultation: UUID) -> Consultation:
    """Return a case and hold its row until the transaction ends.

    Two doctors may accept at the same instant; the second waits here and then sees the first one's name.

    Raises:
        UnknownConsultation: there is none.
    """
    statement = (
        select(Consultation)
        .where(Consultation.id == consultation)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    found = (await session.exec(statement)).one_or_none()
    if found is None:
        raise UnknownConsultation(consultation)
    return found


async def find(session: AsyncSession, consultation: UUID, *, reader: Reader | None) -> Consultation:
    """Return a case that is the reader's; None is the hub itself.

    Raises:
        UnknownConsultation: there is none, or it is not the reader's.
    """
    statement = select(Consultation).where(Consultation.id == consultation)
    if reader is not None:
        statement = statement.where(_theirs(reader))
    found = (await session.exec(statement)).one_or_none()
    if found is None:
        raise UnknownConsultation(consultation)
    return found


async def insert_new(session: AsyncSession, new: Consultation) -> bool:
    """Store a new case; False if it was there. A second insert at the same instant waits for the first."""
    statement = insert(Consultation).values(**new.model_dump()).on_conflict_do_nothing()
    return (await session.exec(statement.returning(col(Consultation.id)))).first() is not None


async def due(session: AsyncSession, now: datetime, *, limit: int) -> Sequence[Consultation]:
    """Return and lock cases whose next step is overdue; what another process holds is left to it."""
    statement = (
        select(Consultation)
        .where(col(Consultation.next_step_at) <= now)
        .order_by(*_most_urgent_first())
        .limit(limit)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return (await session.exec(statement)).all()


async def open_of(session: AsyncSession, *, reader: Reader) -> Sequence[Consultation]:
    """Return the reader's cases that somebody still owes something, most urgent first, then least time left."""
    statement = (
        select(Consultation)
        .where(col(Consultation.next_step_at).is_not(None), _theirs(reader))
        .order_by(*_most_urgent_first())
    )
    return (await session.exec(statement)).all()


async def running_of(session: AsyncSession, *, reader: Reader) -> Sequence[Consultation]:
    """Return a station's calls that have not ended, or those a doctor has taken."""
    statement = (
        select(Consultation)
        .where(Consultation.state != State.ENDED.value)
        .where(
            or_(
                col(Consultation.site) == reader.site,
                col(Consultation.accepted_by) == reader.user,
            )
        )
        .order_by(col(Consultation.received_at))
    )
    return (await session.exec(statement)).all()


async def waiting(session: AsyncSession) -> Sequence[Consultation]:
    """Return every case that nobody has taken, most urgent first."""
    statement = (
        select(Consultation)
        .where(col(Consultation.next_step_at).is_not(None))
        .where(col(Consultation.state).in_([state.value for state in WAITING]))
        .order_by(*_most_urgent_first())
    )
    return (await session.exec(statement)).all()


async def events(session: AsyncSession, consultation: UUID) -> Sequence[ConsultationEvent]:
    statement = (
        select(ConsultationEvent)
        .where(ConsultationEvent.consultation == consultation)
        .order_by(col(ConsultationEvent.at), col(ConsultationEvent.id))
    )
    return (await session.exec(statement)).all()


async def rings(session: AsyncSession, consultation: UUID) -> Sequence[ConsultationRing]:
    statement = select(ConsultationRing).where(ConsultationRing.consultation == consultation)
    return (await session.exec(statement.execution_options(populate_existing=True))).all()


async def rung(session: AsyncSession, consultation: UUID) -> Sequence[tuple[ConsultationRing, str, str]]:
    """Return a case's rings with the name and facility of whom they rang, the latest first."""
    statement = (
        select(ConsultationRing, ConsultationDuty.name, ConsultationDuty.facility)
        .join(ConsultationDuty, col(ConsultationDuty.user_id) == col(ConsultationRing.user_id))
        .where(ConsultationRing.consultation == consultation)
        .order_by(col(ConsultationRing.rung_at).desc(), col(ConsultationDuty.name))
    )
    return (await session.exec(statement)).all()


async def rings_of(session: AsyncSession, user: UUID) -> Sequence[tuple[ConsultationRing, Consultation]]:
    """Return a person's rings that have no answer yet, with their cases."""
    statement = (
        select(ConsultationRing, Consultation)
        .join(Consultation, col(Consultation.id) == col(ConsultationRing.consultation))
        .where(ConsultationRing.user_id == user, col(ConsultationRing.answer).is_(None))
        .order_by(*_most_urgent_first())
    )
    return (await session.exec(statement)).all()


async def put_ring(session: AsyncSession, ring: ConsultationRing) -> None:
    """Store a ring; a new round overwrites what the person answered before."""
    values = ring.model_dump()
    statement = insert(ConsultationRing).values(**values)
    statement = statement.on_conflict_do_update(
        index_elements=["consultation", "user_id"],
        set_={name: value for name, value in values.items() if name not in ("consultation", "user_id")},
    )
    await session.exec(statement)


async def close_rings(
    session: AsyncSession,
    consultation: UUID,
    *,
    answer: str,
    now: datetime,
    only: Collection[UUID] | None = None,
) -> list[UUID]:
    """Answer the open rings of a case (of ``only`` these people) for them; return who was ringing."""
    statement = (
        update(ConsultationRing)
        .where(col(ConsultationRing.consultation) == consultation, col(ConsultationRing.answer).is_(None))
        .values(answer=answer, answered_at=now)
        .returning(col(ConsultationRing.user_id))
    )
    if only is not None:
        statement = statement.where(col(ConsultationRing.user_id).in_(only))
    return list((await session.exec(statement)).scalars())


async def insert_duty(session: AsyncSession, user: UUID, *, facility: str, province: str) -> None:
    """Make a person's duty row, if there is none."""
    row = ConsultationDuty(user_id=user, name="", facility=facility, province=province, specialties=[])
    await session.exec(insert(ConsultationDuty).values(**row.model_dump()).on_conflict_do_nothing())


async def duty(session: AsyncSession, user: UUID) -> ConsultationDuty | None:
    """Return and lock a person's duty row."""
    statement = select(ConsultationDuty).where(ConsultationDuty.user_id == user).with_for_update()
    return (await session.exec(statement.execution_options(populate_existing=True))).one_or_none()


async def ready(
    session: AsyncSession, *, user: UUID | None = None, specialty: str | None = None
) -> list[Person]:
    """Return who is on duty and can be reached now, and whether they are busy.

    ``user``: only this person; ``specialty``: only who can answer for it, stand-ins included.
    """
    taken = sql_cast(sorted(state.value for state in TAKEN), ARRAY(Text))
    busy = func.consultation_held(
        col(ConsultationDuty.user_id), taken, type_=BigInteger
    )  # others' cases, counted
    statement = select(ConsultationDuty, busy).where(
        col(ConsultationDuty.on_duty), col(ConsultationDuty.online)
    )
    if user is not None:
        statement = statement.where(ConsultationDuty.user_id == user)
    if specialty is not None:
        able = sorted(STAND_IN | {specialty})
        statement = statement.where(col(ConsultationDuty.specialties).overlap(able))  # type: ignore[attr-defined]
    return [
        Person(
            user=row.user_id,
            name=row.name,
            facility=row.facility,
            province=row.province,
            specialties=frozenset(row.specialties),
            busy=bool(held),
        )
        for row, held in (await session.exec(statement)).all()
    ]


async def on_duty(session: AsyncSession, *, province: str | None) -> Sequence[ConsultationDuty]:
    """Return who is on duty, by name; those out of reach too."""
    statement = (
        select(ConsultationDuty).where(col(ConsultationDuty.on_duty)).order_by(col(ConsultationDuty.name))
    )
    if province is not None:
        statement = statement.where(ConsultationDuty.province == province)
    return (await session.exec(statement)).all()


async def mark_no_show(session: AsyncSession, consultation: UUID, user: UUID, *, now: datetime) -> None:
    """Note that the person who accepted never came into the call."""
    statement = (
        update(ConsultationRing)
        .where(col(ConsultationRing.consultation) == consultation, col(ConsultationRing.user_id) == user)
        .values(answer="no_show", answered_at=now)
    )
    await session.exec(statement)
