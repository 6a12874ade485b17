"""Tables of the synchronisation."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel


class Epoch(SQLModel, table=True):
    """A station's database, from its making to its copying. ``last`` is the number of the last batch of each lane.

    ``frozen_at`` is when a copy of it was found out; each copy goes on under an epoch of its own, whose ``parent``
    this one is.
    """

    __tablename__ = "sync_epoch"

    db_epoch: UUID = Field(primary_key=True)
    site: str = Field(max_length=20)
    device: UUID
    since: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    last: list[int] = Field(sa_column=Column(ARRAY(BigInteger), nullable=False))
    frozen_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))
    parent: UUID | None = None


class ForkedEpoch(SQLModel, table=True):
    """Which epoch a copy was given: the same again when it asks again with the same batch."""

    __tablename__ = "sync_forked_epoch"

    db_epoch: UUID = Field(primary_key=True)
    device: UUID = Field(primary_key=True)
    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    epoch: UUID
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))


class Batch(SQLModel, table=True):
    """A batch as it came. ``raw`` is there until all of it has an outcome; digest and signature stay.

    ``form`` 1 batches have no number. ``ops`` are the numbers of all its operations.
    """

    __tablename__ = "sync_batch"
    __table_args__ = (
        UniqueConstraint("db_epoch", "lane", "seq"),
        Index("ix_sync_batch_unsettled", "db_epoch", "id", postgresql_where=text("settled_at is null")),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    db_epoch: UUID
    lane: int = Field(sa_column=Column(SmallInteger, nullable=False))
    seq: int | None = Field(default=None, sa_column=Column(BigInteger))
    form: int = Field(sa_column=Column(SmallInteger, nullable=False))
    site: str = Field(max_length=20)
    device: UUID
    ops: list[int] = Field(sa_column=Column(ARRAY(BigInteger), nullable=False))
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    signature: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    coding: str = Field(max_length=10)
    raw: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    agent: str = Field(max_length=40)
    offset_ms: int = Field(sa_column=Column(BigInteger, nullable=False))
    received_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    settled_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))


class AppliedOp(SQLModel, table=True):
    """What became of a station's operation; kept for ever, because a station may repeat it at any time.

    ``outcome`` is ``pending`` from the commit of its batch until it was applied. ``hash`` tells another change under
    the same number; ``batch`` and it are missing in what older releases took.
    """

    __tablename__ = "sync_applied_op"
    __table_args__ = (
        Index("ix_sync_applied_op_resource", "db_epoch", "rtype", "fid", "op"),
        {"postgresql_with": {"fillfactor": "80"}},
    )

    db_epoch: UUID = Field(primary_key=True)
    op: int = Field(sa_column=Column(BigInteger, primary_key=True))
    site: str = Field(max_length=20)
    rtype: str = Field(max_length=40)
    fid: str = Field(max_length=64)
    outcome: str = Field(max_length=12)
    version: int | None = None
    issues: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    hash: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    batch: int | None = Field(default=None, sa_column=Column(BigInteger))
    said_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))
    """When it was typed, by the station's clock, uncorrected; ``Batch.offset_ms`` is how far off that was."""


class Quarantined(SQLModel, table=True):
    """The text of an operation that is not in the records: nothing a clinician typed is thrown away.

    ``head`` is the operation without its text. A deferred one waits for the resource ``waits_for``; ``mended_at`` is
    when a later operation said the same resource anew. Older releases wrote neither.
    """

    __tablename__ = "sync_quarantined"
    __table_args__ = (
        Index(
            "ix_sync_quarantined_open",
            "site",
            "waits_for",
            postgresql_where=text("mended_at is null and head is not null"),
        ),
    )

    db_epoch: UUID = Field(primary_key=True)
    op: int = Field(sa_column=Column(BigInteger, primary_key=True))
    site: str = Field(max_length=20, index=True)
    text: str
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    head: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    resource: str | None = Field(default=None, max_length=110)
    waits_for: str | None = Field(default=None, max_length=110)
    tried_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))
    mended_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True)))
