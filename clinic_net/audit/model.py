"""The trail's table, and the triggers that keep it append-only."""

from uuid import UUID

from sqlalchemy import DDL, Index, event
from sqlmodel import Field, SQLModel

from clinic_net.kernel.db import Instant


class AuditEvent(SQLModel, table=True):
    """One thing that was done, or refused. ``outcome`` is ``ok`` or the refusal's stable code."""

    __tablename__ = "audit_event"
    __table_args__ = (
        Index("ix_audit_event_subject", "subject", "at"),
        Index("ix_audit_event_actor", "actor", "at"),
    )

    id: UUID = Field(primary_key=True)
    at: Instant
    actor: str = Field(max_length=120)
    action: str = Field(max_length=60)
    subject: str = Field(max_length=160)
    outcome: str = Field(max_length=60)
    purpose: str | None = Field(default=None, max_length=20)


APPEND_ONLY = (
    """
    create or replace function audit_refuse_change() returns trigger language plpgsql as $$
    begin
        raise exception 'the audit trail is append-only' using errcode = 'insufficient_privilege';
    end $$
    """,
    """
    create or replace trigger audit_event_append_only before update or delete or truncate on audit_event
    for each statement execute function audit_refuse_change()
    """,
)
"""Statements that make the table append-only. ``create_all`` runs them; a migration runs them with ``op.execute``."""

for _statement in APPEND_ONLY:
    event.listen(SQLModel.metadata.tables["audit_event"], "after_create", DDL(_statement))  # type: ignore[no-untyped-call]
