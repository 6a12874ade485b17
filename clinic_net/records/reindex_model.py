"""Tables of reindexing: with which definitions the index rows of each type were written, and runs that renew them."""

from sqlalchemy import BigInteger, Column, Index, text
from sqlmodel import Field, SQLModel

from clinic_net.kernel.db import Instant


class IndexState(SQLModel, table=True):
    """The definitions (see ``fingerprints``) with which every index row of a type was written."""

    __tablename__ = "records_index_state"

    rtype: str = Field(primary_key=True, max_length=40)
    extractor: int
    fingerprint: str = Field(max_length=32)
    since: Instant


class Reindex(SQLModel, table=True):
    """One run. ``moved_at`` is its last progress; ``replaced`` when definitions newer than its own overtook it."""

    __tablename__ = "records_reindex"
    __table_args__ = (
        Index("ix_records_reindex_open", "moved_at", postgresql_where=text("finished_at is null")),
    )

    id: str = Field(primary_key=True, max_length=43)
    asked_by: str = Field(max_length=120)
    asked_at: Instant
    moved_at: Instant
    started_at: Instant | None = None
    finished_at: Instant | None = None
    replaced: bool = False


class ReindexPart(SQLModel, table=True):
    """The part of a run that is about one type. ``through`` is the last resource done, ``until`` the last to do;
    ``until`` is null before anybody has counted."""

    __tablename__ = "records_reindex_part"

    run: str = Field(primary_key=True, max_length=43)
    rtype: str = Field(primary_key=True, max_length=40)
    extractor: int
    fingerprint: str = Field(max_length=32)
    through: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    until: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    total: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    done: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    changed: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    failed: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    finished_at: Instant | None = None
