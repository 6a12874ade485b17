"""Tables of the records: heads, the version log, and narrow search indexes without foreign keys.

A head row is the current truth of one resource; ``records_version`` is append-only and holds every version. Index rows
are found by ``rid``, the resource's number in order of creation. Layout and its measurements: records §6.2, §6.4.
"""

from typing import Any

from sqlalchemy import (
    ARRAY,
    DDL,
    BigInteger,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlmodel import Field, SQLModel

from clinic_net.kernel.db import Instant


def _big(**options: Any) -> Any:
    return Field(sa_column=Column(BigInteger, nullable=False, **options))


def _c_text(**options: Any) -> Any:
    """A text that is compared by its bytes, so that a prefix is a range of the index."""
    return Field(sa_column=Column(Text(collation="C"), nullable=False, **options))


class Resource(SQLModel, table=True):
    """The head of one resource. ``tenant`` says who answers for it, ``patient`` whose record it is part of.

    ``body`` is the received text with ``id`` and ``meta`` stamped, null once deleted. ``tokens`` are the hashes that
    ``records_ix_token`` holds for it: an update writes only the difference. ``address`` is the hash of its type and
    id, to which ``records_ix_link`` points. ``labels`` are its security labels (``access.labels``), null in rows that
    an older release wrote: then only the text says them.
    """

    __tablename__ = "records_resource"
    __table_args__ = (
        Index("uq_records_resource_identity", "rtype", "fid", unique=True),
        Index("ix_records_resource_updated", "rtype", "updated", "rid", postgresql_where=text("not deleted")),
        Index("ix_records_resource_newest", "rtype", "rid", postgresql_where=text("not deleted")),
        Index("ix_records_resource_patient", "patient", "updated", postgresql_where=text("not deleted")),
        Index("ix_records_resource_tenant", "tenant", "rtype", "rid"),
        Index("ix_records_resource_address", "address"),
    )

    rid: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    tenant: str = Field(max_length=20)
    rtype: str = Field(max_length=40)
    fid: str = Field(max_length=64)
    patient: str | None = Field(default=None, max_length=64)
    version: int
    updated: Instant
    deleted: bool = False
    author: str = Field(max_length=120)
    address: int = _big()
    labels: int | None = None
    tokens: list[int] = Field(sa_column=Column(ARRAY(BigInteger), nullable=False))
    body: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))


class Version(SQLModel, table=True):
    """One version, never changed. ``method`` is the interaction: C(reate), U(pdate), D(elete)."""

    __tablename__ = "records_version"
    __table_args__ = (
        Index("uq_records_version_rid", "rid", "version", unique=True),
        Index("ix_records_version_type", "rtype", "vseq"),
    )

    vseq: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    rid: int = _big()
    version: int
    updated: Instant
    method: str = Field(max_length=1)
    tenant: str = Field(max_length=20)
    rtype: str = Field(max_length=40)
    author: str = Field(max_length=120)
    body: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))


class TokenRow(SQLModel, table=True):
    """Exact matches: ``h`` is a keyed 64-bit hash. In ``rid`` order, so the newest of a code stream out."""

    __tablename__ = "records_ix_token"

    h: int = _big(primary_key=True)
    rid: int = _big(primary_key=True)


class DateRow(SQLModel, table=True):
    """Instants from ``lo`` to before ``hi``, in µs since 1970. ``p`` is the hash of type and parameter."""

    __tablename__ = "records_ix_date"
    __table_args__ = (Index("ix_records_ix_date_value", "p", "lo", "hi"),)

    rid: int = _big(primary_key=True)
    p: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    lo: int = _big(primary_key=True)
    hi: int = _big(primary_key=True)


class StringRow(SQLModel, table=True):
    """Texts to search by their beginning: ``folded`` without marks, ``marked`` with its tones, in one spelling."""

    __tablename__ = "records_ix_string"
    __table_args__ = (Index("ix_records_ix_string_value", "p", "folded"),)

    rid: int = _big(primary_key=True)
    p: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    folded: str = _c_text(primary_key=True)
    marked: str = _c_text(primary_key=True)


class NumberRow(SQLModel, table=True):
    """Numbers and quantities from ``lo`` to ``hi``. Hashes: ``u`` of system and code, ``c`` of code, ``n`` of unit."""

    __tablename__ = "records_ix_number"
    __table_args__ = (Index("ix_records_ix_number_value", "p", "lo", "hi"),)

    rid: int = _big(primary_key=True)
    p: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    lo: float = Field(primary_key=True)
    hi: float = Field(primary_key=True)
    u: int = _big(primary_key=True)
    c: int = _big(primary_key=True)
    n: int = _big(primary_key=True)


class LinkRow(SQLModel, table=True):
    """A reference: by parameter ``p`` the resource ``rid`` points to ``address``. Read both ways, for chains."""

    __tablename__ = "records_ix_link"
    __table_args__ = (Index("ix_records_ix_link_target", "address", "p", "rid"),)

    rid: int = _big(primary_key=True)
    p: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    address: int = _big(primary_key=True)


class WordsRow(SQLModel, table=True):
    """The words of version ``version``: of the narrative, and of all that it says. Written behind the writes."""

    __tablename__ = "records_words"
    __table_args__ = (
        Index("ix_records_words_narrative", "narrative", postgresql_using="gin"),
        Index("ix_records_words_content", "content", postgresql_using="gin"),
    )

    rid: int = _big(primary_key=True)
    version: int
    narrative: Any = Field(default=None, sa_column=Column(TSVECTOR, nullable=True))
    content: Any = Field(default=None, sa_column=Column(TSVECTOR, nullable=True))


class UnitRow(SQLModel, table=True):
    """A unit of UCUM that records measure in, with what it measures. Written behind the writes."""

    __tablename__ = "records_unit"
    __table_args__ = (Index("ix_records_unit_dimension", "dimension"),)

    code: str = Field(max_length=40, primary_key=True)
    dimension: str = Field(max_length=200)


class DerivedMark(SQLModel, table=True):
    """How far the log has been read for what is derived: every version up to ``done`` (see ``derived``). One row."""

    __tablename__ = "records_derived_mark"

    id: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    done: int = _big()
    seen: int = _big()
    horizon: int = _big()


class ConditionRow(SQLModel, table=True):
    """The criteria of a conditional create, hashed. Its primary key makes two at once take turns."""

    __tablename__ = "records_condition"

    k: int = _big(primary_key=True)
    at: Instant


class IndexKey(SQLModel, table=True):
    """The one secret key of the hashes. It lives as long as the index rows do, so it is kept beside them, sealed:
    whoever has the tables alone can try no number."""

    __tablename__ = "records_index_key"

    id: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


IMMUTABLE_LOG = (
    """
    create or replace function records_refuse_change() returns trigger language plpgsql as $$
    begin
        if tg_op = 'UPDATE' and current_setting('clinic_net.erasing', true) = 'on' then
            return null;
        end if;
        raise exception 'versions of records never change' using errcode = 'insufficient_privilege';
    end $$
    """,
    """
    create or replace trigger records_version_immutable before update or delete or truncate on records_version
    for each statement execute function records_refuse_change()
    """,
    """
    create or replace function records_only_erase() returns trigger language plpgsql as $$
    begin
        if new.body is null
            and (new.vseq, new.rid, new.version, new.updated, new.method, new.tenant, new.rtype, new.author)
            is not distinct from
            (old.vseq, old.rid, old.version, old.updated, old.method, old.tenant, old.rtype, old.author)
        then
            return new;
        end if;
        raise exception 'a version may lose its content and nothing else' using errcode = 'insufficient_privilege';
    end $$
    """,
    """
    create or replace trigger records_version_erasable before update on records_version
    for each row execute function records_only_erase()
    """,
)
"""Statements that make the log append-only; only content that is erased may go (``erasing``).

``create_all`` runs them; a migration runs them with ``op.execute``.
"""

SEED = """
    insert into records_index_key (id, key)
    values (1, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) on conflict do nothing
"""
"""Makes the key (244 random bits). Without it the first write does, and other first writes wait for that one."""

for _statement in IMMUTABLE_LOG:
    event.listen(SQLModel.metadata.tables["records_version"], "after_create", DDL(_statement))  # type: ignore[no-untyped-call]
event.listen(SQLModel.metadata.tables["records_index_key"], "after_create", DDL(SEED))  # type: ignore[no-untyped-call]
