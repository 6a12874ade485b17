"""Tables of referrals. Private: everybody else calls ``service``. What is clinical lives in the FHIR records."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Column, Identity, Index
from sqlmodel import Field, SQLModel

from clinic_net.kernel.db import Instant


class ReferralCase(SQLModel, table=True):
    """One referral. ``id`` is the id of its ServiceRequest, ``task`` of the Task with the present receiver.

    ``due_at`` is when the next answer is owed; null when it is closed.
    """

    __tablename__ = "referral_case"
    __table_args__ = (
        Index("ix_referral_case_due", "due_at", postgresql_where="due_at is not null"),
        Index("ix_referral_case_to", "to_province", "to_facility"),
        Index("ix_referral_case_patient", "patient"),
    )

    id: UUID = Field(primary_key=True)
    task: UUID
    consultation: UUID
    patient: str = Field(max_length=64)
    tenant: str = Field(max_length=20)
    site: str = Field(max_length=20)
    specialty: str = Field(max_length=30)
    urgency: str = Field(max_length=10)
    state: str = Field(max_length=20)
    rev: int = 1
    hops: int = 0
    overdue: int = 0

    from_facility: str = Field(max_length=5)
    from_province: str = Field(max_length=2)
    to_facility: str = Field(max_length=5)
    to_facility_name: str = Field(max_length=160)
    to_province: str = Field(max_length=2)
    requested_by: UUID
    requester_name: str = Field(max_length=120)
    duplicate_of: UUID | None = None

    sent_at: Instant
    due_at: datetime | None = None
    answered_at: datetime | None = None
    answered_by: str | None = Field(default=None, max_length=120)
    closed_at: datetime | None = None


class ReferralEvent(SQLModel, table=True):
    """What happened to a referral, when, by whom. Rows are only ever added."""

    __tablename__ = "referral_event"
    __table_args__ = (Index("ix_referral_event_referral", "referral", "id"),)

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    referral: UUID
    step: str = Field(max_length=20)
    at: Instant
    actor: str = Field(max_length=60)
    facility: str = Field(max_length=5)
    reason: str | None = Field(default=None, max_length=30)
