"""What one administrator asked for and another must approve."""

from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from clinic_net.kernel.db import Instant


class Approval(SQLModel, table=True):
    """``arguments`` are codes and ids, ``digest`` their SHA-256: what is carried out is what was approved.

    ``province`` is whose administrators may approve, ``*`` means only the national ones.
    """

    __tablename__ = "access_approval"
    __table_args__ = (
        CheckConstraint("decided_by is null or decided_by <> asked_by", name="second_person"),
        Index("ix_access_approval_open", "province", "expires_at"),
    )

    id: UUID = Field(primary_key=True)
    action: str = Field(max_length=30)
    arguments: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    digest: bytes
    province: str = Field(max_length=2)
    asked_by: UUID = Field(foreign_key="access_user.id")
    asked_at: Instant
    expires_at: Instant
    decided_by: UUID | None = Field(default=None, foreign_key="access_user.id")
    decided_at: Instant | None = None
    approved: bool = False
    done_at: Instant | None = None
