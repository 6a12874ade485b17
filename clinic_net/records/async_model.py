"""The table of requests that are answered later. It holds patients' data, for as long as ``expires_at`` says."""

from typing import Any

from sqlalchemy import Column, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from clinic_net.kernel.db import Instant


class AsyncRequest(SQLModel, table=True):
    """One request and, once ``finished_at``, its answer.

    ``standing`` is what is kept of the caller (``access.standing``). ``body`` is forgotten once there is an answer.
    """

    __tablename__ = "records_async"
    __table_args__ = (
        Index("ix_records_async_owner", "owner"),
        Index("ix_records_async_expires", "expires_at"),
        Index("ix_records_async_open", "moved_at", postgresql_where=text("finished_at is null")),
    )

    id: str = Field(primary_key=True, max_length=43)
    owner: str = Field(max_length=120)
    standing: dict[str, str] = Field(sa_column=Column(JSONB, nullable=False))
    interaction: str = Field(max_length=60)
    path: dict[str, str] = Field(sa_column=Column(JSONB, nullable=False))
    method: str = Field(max_length=10)
    query: str = Field(sa_column=Column(Text, nullable=False))
    headers: dict[str, str] = Field(sa_column=Column(JSONB, nullable=False))
    body: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    asked_at: Instant
    moved_at: Instant
    expires_at: Instant
    tries: int = 0
    started_at: Instant | None = None
    finished_at: Instant | None = None
    status: int | None = None
    answer: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    marks: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB, nullable=True))
