"""Tables of consultations. Private: everybody else calls ``service``."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import BigInteger, Column, Identity, Index, String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from clinic_net.kernel.db import Instant


class Consultation(SQLModel, table=True):
    """One call for help. ``id`` is the id of its ServiceRequest.

    ``requested_at`` is the station's clock, every other instant the hub's. ``ring_after`` (how long a tier
    rings) is kept here because the promise in force when the case came stays its promise.
    """

    __tablename__ = "consultation"
    __table_args__ = (
        Index("ix_consultation_due", "next_step_at", postgresql_where="next_step_at is not null"),
        Index("ix_consultation_open", "province", "urgency", postgresql_where="next_step_at is not null"),
        Index("ix_consultation_site", "site"),
        Index("ix_consultation_accepted_by", "accepted_by"),
    )

    id: UUID = Field(primary_key=True)
    site: str = Field(max_length=20)
    site_name: str = Field(max_length=160)
    commune: str = Field(max_length=5)
    facility: str = Field(max_length=5)
    province: str = Field(max_length=2)
    tenant: str = Field(max_length=20)
    patient: str = Field(max_length=64)
    encounter: str | None = Field(default=None, max_length=64)
    kind: str = Field(max_length=20)
    specialty: str = Field(max_length=30)
    urgency: str = Field(max_length=10)
    triage_score: int | None = None
    triage_chart: str | None = Field(default=None, max_length=30)

    state: str = Field(max_length=15)
    rev: int = 1
    tier: int = 0
    epoch: int = 0
    ring_after: timedelta
    next_step: str | None = Field(default=None, max_length=20)
    next_step_at: datetime | None = None
    owner: str | None = Field(default=None, max_length=60)

    accepted_by: UUID | None = None
    accepted_name: str | None = Field(default=None, max_length=120)
    accepted_facility: str | None = Field(default=None, max_length=5)
    accepted_facility_name: str | None = Field(default=None, max_length=160)
    doctor_sid: str | None = Field(default=None, max_length=64)
    station_sid: str | None = Field(default=None, max_length=64)
    doctor_flowing: bool = False
    station_flowing: bool = False

    requested_at: Instant
    received_at: Instant
    rung_at: datetime | None = None
    seen_at: datetime | None = None
    accepted_at: datetime | None = None
    media_at: datetime | None = None
    decided_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str | None = Field(default=None, max_length=20)
    outcome: str | None = Field(default=None, max_length=20)


class ConsultationEvent(SQLModel, table=True):
    """The timeline of a case: what happened, when, by whom. Rows are only ever added."""

    __tablename__ = "consultation_event"
    __table_args__ = (Index("ix_consultation_event_consultation", "consultation", "id"),)

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    consultation: UUID
    step: str = Field(max_length=20)
    at: Instant
    actor: str = Field(max_length=60)
    tier: int = 0
    detail: str | None = Field(default=None, max_length=60)
    """A code (a reason, an outcome, a round), never text about a patient."""


class ConsultationRing(SQLModel, table=True):
    """That a person was rung for a case, and what they answered. A later round overwrites an earlier one."""

    __tablename__ = "consultation_ring"
    __table_args__ = (
        Index("ix_consultation_ring_open", "user_id", postgresql_where="answer is null"),
        Index("ix_consultation_ring_user", "user_id", "consultation"),
    )

    consultation: UUID = Field(primary_key=True)
    user_id: UUID = Field(primary_key=True)
    tier: int
    rung_at: Instant
    expires_at: Instant
    ringing_at: datetime | None = None
    seen_at: datetime | None = None
    answer: str | None = Field(default=None, max_length=20)
    answered_at: datetime | None = None


class ConsultationDuty(SQLModel, table=True):
    """Whether a person takes calls. ``online``: a page of theirs can ring, as signalling last said."""

    __tablename__ = "consultation_duty"
    __table_args__ = (Index("ix_consultation_duty_ready", "province", postgresql_where="on_duty and online"),)

    user_id: UUID = Field(primary_key=True)
    name: str = Field(max_length=120)
    facility: str = Field(max_length=5)
    province: str = Field(max_length=2)
    specialties: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    on_duty: bool = False
    since: datetime | None = None
    online: bool = False
    online_at: datetime | None = None
