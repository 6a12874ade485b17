"""Tables of the privacy workflows: identifiers, codes and instants; the only free words are a breach's."""

from uuid import UUID

from sqlalchemy import ARRAY, Column, Index, String, Text, text
from sqlmodel import Field, SQLModel

from clinic_net.kernel.db import Instant


class PrivacyRequest(SQLModel, table=True):
    """What a person asked for. ``patient`` is the FHIR id of their Patient."""

    __tablename__ = "privacy_request"
    __table_args__ = (
        Index("ix_privacy_request_open", "due_at", postgresql_where=text("decided_at is null")),
        Index("ix_privacy_request_patient", "patient"),
    )

    id: UUID = Field(primary_key=True)
    kind: str = Field(max_length=12)
    patient: str = Field(max_length=64)
    processors: bool = False
    ground: str | None = Field(default=None, max_length=12)
    state: str = Field(max_length=10)
    received_at: Instant
    received_by: str = Field(max_length=120)
    answer_by: Instant
    due_at: Instant
    answered_at: Instant | None = None
    answered_by: str | None = Field(default=None, max_length=120)
    extended_at: Instant | None = None
    decided_at: Instant | None = None
    decided_by: str | None = Field(default=None, max_length=120)
    reason: str | None = Field(default=None, max_length=20)


class PrivacyHold(SQLModel, table=True):
    """That a person's record is kept as it is until ``lifted_at``."""

    __tablename__ = "privacy_hold"
    __table_args__ = (Index("ix_privacy_hold_patient", "patient"),)

    id: UUID = Field(primary_key=True)
    patient: str = Field(max_length=64)
    reason: str = Field(max_length=20)
    placed_at: Instant
    placed_by: str = Field(max_length=120)
    lifted_at: Instant | None = None
    lifted_by: str | None = Field(default=None, max_length=120)


class PrivacyBreach(SQLModel, table=True):
    """Something that should not have happened to people's data. ``notify_by`` is 72 hours after it was noticed."""

    __tablename__ = "privacy_breach"

    id: UUID = Field(primary_key=True)
    kind: str = Field(max_length=20)
    data: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    people: int
    words: str = Field(sa_column=Column(Text, nullable=False))
    noticed_at: Instant
    notify_by: Instant
    entered_at: Instant
    entered_by: str = Field(max_length=120)
    notified_at: Instant | None = None
    people_told_at: Instant | None = None
    closed_at: Instant | None = None


class PrivacyBreachEntry(SQLModel, table=True):
    """What was done about a breach, in order. Rows are only ever added."""

    __tablename__ = "privacy_breach_entry"
    __table_args__ = (Index("ix_privacy_breach_entry_breach", "breach", "at"),)

    id: UUID = Field(primary_key=True)
    breach: UUID
    at: Instant
    by: str = Field(max_length=120)
    step: str = Field(max_length=12)
    words: str = Field(sa_column=Column(Text, nullable=False))
