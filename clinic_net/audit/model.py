"""The trail's tables. The migrations give them their partitions, and the triggers that keep them append-only.

``audit_event`` is partitioned by month of ``at``; ``audit_partition(month)`` makes a month's table,
``audit_forget(before)`` drops those that have ended before a date. Both are the database's functions, so that the
role that serves need not own anything.
"""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, Column, DateTime, FetchedValue, Index, LargeBinary, SmallInteger, text
from sqlmodel import Field, SQLModel

from clinic_net.kernel.db import Instant


def _number(*, primary_key: bool = False) -> int:
    found: int = Field(
        sa_column=Column(BigInteger, primary_key=primary_key, autoincrement=False, nullable=False)
    )
    return found


def _bytes() -> bytes:
    found: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    return found


class AuditEvent(SQLModel, table=True):
    """One thing that was done, or refused. ``outcome`` is ``ok`` or the refusal's stable code.

    ``patient`` is the FHIR id of the Patient whose record it concerns; ``place`` who answers for what was touched,
    ``actor_place`` for whom the actor works (codes of facilities and sites); ``detail`` names search parameters, never
    values. ``program`` is the client that acted in the actor's name. ``xact`` is the transaction that wrote it: what is
    over may be sealed.
    """

    __tablename__ = "audit_event"
    __table_args__ = (
        Index("ix_audit_event_patient", "patient", "id", postgresql_where=text("patient is not null")),
        Index("ix_audit_event_actor", "actor", "id"),
        Index("ix_audit_event_place", "place", "id"),
        Index("ix_audit_event_subject", "subject", "id", postgresql_where=text("patient is null")),
        Index("ix_audit_event_xact", "xact", "id"),
        {"postgresql_partition_by": "range (at)"},
    )

    id: UUID = Field(primary_key=True)
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), primary_key=True))
    actor: str = Field(max_length=120)
    action: str = Field(max_length=60)
    subject: str = Field(max_length=160)
    outcome: str = Field(max_length=60)
    purpose: str | None = Field(default=None, max_length=20)
    patient: str | None = Field(default=None, max_length=64)
    place: str | None = Field(default=None, max_length=20)
    actor_place: str | None = Field(default=None, max_length=20)
    detail: str | None = Field(default=None, max_length=200)
    request: str | None = Field(default=None, max_length=64)
    address: str | None = Field(default=None, max_length=60)
    program: str | None = Field(default=None, max_length=64)
    xact: int | None = Field(
        default=None, sa_column=Column(BigInteger, nullable=False, server_default=FetchedValue())
    )


class Seal(SQLModel, table=True):
    """An event's place in the chain: ``hash`` is SHA-256 of the hash before and the event's canonical bytes."""

    __tablename__ = "audit_seal"
    __table_args__ = (Index("uq_audit_seal_event", "event", unique=True),)

    seq: int = _number(primary_key=True)
    event: UUID
    at: Instant
    hash: bytes = _bytes()


class Node(SQLModel, table=True):
    """The root of a whole subtree of the Merkle tree: of 256 ** ``level`` leaves, the ``place``-th of that size."""

    __tablename__ = "audit_node"

    level: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    place: int = _number(primary_key=True)
    hash: bytes = _bytes()


class Progress(SQLModel, table=True):
    """How far the sealer has come: every event up to transaction ``xact`` and, within it, ``event``. One row."""

    __tablename__ = "audit_progress"

    id: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    xact: int = _number()
    event: UUID


class Checkpoint(SQLModel, table=True):
    """The tree's root at a size, signed: a note in C2SP form."""

    __tablename__ = "audit_checkpoint"

    size: int = _number(primary_key=True)
    root: bytes = _bytes()
    at: Instant
    note: str


class Cosignature(SQLModel, table=True):
    """A witness's signature line under a checkpoint."""

    __tablename__ = "audit_cosignature"

    size: int = _number(primary_key=True)
    witness: str = Field(primary_key=True, max_length=200)
    line: str
    at: Instant


class Cut(SQLModel, table=True):
    """Where the chain begins after retention: up to ``seq``, whose hash this is, events and seals are gone, which
    were of the time before ``before``."""

    __tablename__ = "audit_cut"

    seq: int = _number(primary_key=True)
    hash: bytes = _bytes()
    before: date
    at: Instant
