"""Tables of the synchronisation."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, DateTime, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel


class AppliedOp(SQLModel, table=True):
    """What became of a station's operation; kept for ever, because a station may repeat it at any time."""

    __tablename__ = "sync_applied_op"
    __table_args__ = (Index("ix_sync_applied_op_resource", "db_epoch", "rtype", "fid", "op"),)

    db_epoch: UUID = Field(primary_key=True)
    op: int = Field(sa_column=Column(BigInteger, primary_key=True))
    site: str = Field(max_length=20)
    rtype: str = Field(max_length=40)
    fid: str = Field(max_length=64)
    outcome: str = Field(max_length=12)
    version: int | None = None
    issues: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))


class Quarantined(SQLModel, table=True):
    """The text of an operation that could not be stored: nothing a clinician typed is thrown away."""

    __tablename__ = "sync_quarantined"

    db_epoch: UUID = Field(primary_key=True)
    op: int = Field(sa_column=Column(BigInteger, primary_key=True))
    site: str = Field(max_length=20, index=True)
    text: str
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
