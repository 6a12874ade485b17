"""Tables of what is handed to stations: feeds, copies made in advance, moves, what is to be erased."""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Index,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from clinic_net.kernel.db import Instant


class ScopeHead(SQLModel, table=True):
    """What a scope is at: its last sequence number, and what it holds.

    The row is locked last in a transaction, so numbers appear in order and without gaps (a plain sequence was measured
    to lose 3–13 % of rows to concurrent readers). ``total`` is the sum of ``protocol.sync.sums`` over ``held``
    resources, below 2^64. ``copy_asked_at`` is when a snapshot was last ordered.
    """

    __tablename__ = "sync_scope_head"

    scope: str = Field(primary_key=True, max_length=60)
    last_seq: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    held: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))
    total: int = Field(default=0, sa_column=Column(Numeric(20, 0), nullable=False, server_default="0"))
    copy_asked_at: Instant | None = None


class FeedEntry(SQLModel, table=True):
    """What a scope's stations should hold, or should have let go: one row a resource, which moves to the end of the
    feed with every change. So the feed is its own snapshot, and never longer than what it speaks of.

    ``share`` is the version's share of the scope's sum as a signed 64-bit number, 0 unless ``kind`` is ``put``;
    ``bin`` is one of 256.
    """

    __tablename__ = "sync_feed"
    __table_args__ = (Index("uq_sync_feed_seq", "scope", "seq", unique=True),)

    scope: str = Field(primary_key=True, max_length=60)
    rtype: str = Field(primary_key=True, max_length=40)
    fid: str = Field(primary_key=True, max_length=64)
    seq: int = Field(sa_column=Column(BigInteger, nullable=False))
    kind: str = Field(max_length=6)
    version: int
    share: int = Field(sa_column=Column(BigInteger, nullable=False))
    bin: int = Field(sa_column=Column(SmallInteger, nullable=False))


class Erasure(SQLModel, table=True):
    """What a device was told to erase, by the number of the entry that told it; ``receipt`` is null while it owes one.

    ``patient`` is ``*`` where everything is to go: the device was revoked. ``receipt`` is the compact JWS as it came.
    """

    __tablename__ = "sync_erasure"
    __table_args__ = (Index("ix_sync_erasure_owed", "site", postgresql_where=text("receipt is null")),)

    device: UUID = Field(primary_key=True)
    seq: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    site: str = Field(max_length=20)
    patient: str = Field(max_length=64)
    why: str = Field(max_length=20)
    ordered_at: Instant
    receipt: str | None = None
    erased: int | None = None
    received_at: Instant | None = None


class Snapshot(SQLModel, table=True):
    """A copy of a scope as it was after entry ``as_of``, made in advance; never changed, replaced by a newer one."""

    __tablename__ = "sync_snapshot"
    __table_args__ = (Index("ix_sync_snapshot_scope", "scope", "as_of"),)

    id: UUID = Field(primary_key=True)
    scope: str = Field(max_length=60)
    as_of: int = Field(sa_column=Column(BigInteger, nullable=False))
    made_at: Instant
    manifest: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


class Segment(SQLModel, table=True):
    """A part of a snapshot, compressed."""

    __tablename__ = "sync_segment"

    snapshot: UUID = Field(primary_key=True)
    n: int = Field(primary_key=True)
    data: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Move(SQLModel, table=True):
    """Patients who go from one site to another with their records; ``patients`` null means all of the site's."""

    __tablename__ = "sync_move"
    __table_args__ = (Index("ix_sync_move_origin", "origin", "ordered_at"),)

    id: UUID = Field(primary_key=True)
    origin: str = Field(max_length=20)
    target: str = Field(max_length=20)
    patients: list[str] | None = Field(default=None, sa_column=Column(ARRAY(String(64)), nullable=True))
    ordered_by: str = Field(max_length=120)
    ordered_at: Instant
    moved_patients: int = 0
    moved_records: int = 0
    done_at: Instant | None = None


class MovedPatient(SQLModel, table=True):
    """That a patient went from ``origin``: what that site still sends about them goes where they are."""

    __tablename__ = "sync_moved_patient"

    patient: str = Field(primary_key=True, max_length=64)
    origin: str = Field(primary_key=True, max_length=20)
    at: Instant
