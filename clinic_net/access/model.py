"""Tables of access. Secrets are stored only as digests: who reads the database can use none of them."""

from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, Column, Index, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from clinic_net.kernel.db import Instant


class User(SQLModel, table=True):
    """A person who may sign in. ``password`` is an argon2id hash in PHC form."""

    __tablename__ = "access_user"
    __table_args__ = (
        CheckConstraint("role in ('doctor', 'nurse', 'coordinator', 'operator', 'auditor')", name="role"),
        Index("ix_access_user_facility", "facility", "role"),
    )

    id: UUID = Field(primary_key=True)
    login: str = Field(max_length=64, unique=True)
    name: str = Field(max_length=120)
    role: str = Field(max_length=12)
    facility: str = Field(max_length=5)
    practitioner: UUID | None = None
    specialties: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    language: str = Field(default="vi", max_length=5)
    password: str = Field(max_length=200)
    created_at: Instant
    disabled_at: Instant | None = None


class Session(SQLModel, table=True):
    """One sign-in. ``token`` is the SHA-256 of the cookie's value."""

    __tablename__ = "access_session"
    __table_args__ = (
        Index("ix_access_session_user", "user_id"),
        Index("ix_access_session_expires", "expires_at"),
    )

    token: bytes = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="access_user.id")
    created_at: Instant
    expires_at: Instant
    ended_at: Instant | None = None


class Attempt(SQLModel, table=True):
    """A try to sign in or to enrol that has not succeeded. ``key`` is a keyed digest of what or where."""

    __tablename__ = "access_attempt"
    __table_args__ = (Index("ix_access_attempt_key", "key", "at"), Index("ix_access_attempt_at", "at"))

    id: UUID = Field(primary_key=True)
    key: bytes
    at: Instant


class EnrolmentCode(SQLModel, table=True):
    """A code for one device of one site. ``digest`` is a keyed digest of the code."""

    __tablename__ = "access_enrolment_code"
    __table_args__ = (Index("ix_access_enrolment_code_site", "site"),)

    digest: bytes = Field(primary_key=True)
    site: str = Field(max_length=20)
    issued_by: str = Field(max_length=120)
    issued_at: Instant
    expires_at: Instant
    replaced_at: Instant | None = None
    used_at: Instant | None = None
    device: UUID | None = None


class Device(SQLModel, table=True):
    """A station's registered key. A site has one active device; ``epoch`` counts the site's devices."""

    __tablename__ = "access_device"
    __table_args__ = (
        CheckConstraint("status in ('active', 'revoked')", name="status"),
        Index(
            "uq_access_device_active_site", "site", unique=True, postgresql_where=text("status = 'active'")
        ),
        Index("uq_access_device_site_epoch", "site", "epoch", unique=True),
    )

    id: UUID = Field(primary_key=True)
    site: str = Field(max_length=20)
    epoch: int
    status: str = Field(max_length=8)
    jwk: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    thumbprint: str = Field(max_length=64, unique=True)
    agent: str = Field(max_length=40)
    enrolled_at: Instant
    revoked_at: Instant | None = None
    revoked_by: str | None = Field(default=None, max_length=120)


class Client(SQLModel, table=True):
    """A system that reads or writes records. ``secret`` is the SHA-256 of 256 random bits: no guessing to slow down."""

    __tablename__ = "access_client"

    id: str = Field(primary_key=True, max_length=60)
    name: str = Field(max_length=120)
    secret: bytes
    scope: str
    created_at: Instant
    disabled_at: Instant | None = None


class UsedJti(SQLModel, table=True):
    """An assertion that was used; kept until it would have expired anyway (RFC 7523 §3)."""

    __tablename__ = "access_used_jti"

    issuer: str = Field(primary_key=True, max_length=60)
    jti: str = Field(primary_key=True, max_length=120)
    expires_at: Instant


class Restriction(SQLModel, table=True):
    """That a patient's record is not to be processed, but in an emergency. Lifting removes the row."""

    __tablename__ = "access_restriction"

    patient: str = Field(primary_key=True, max_length=64)
    since: Instant


class CareRelation(SQLModel, table=True):
    """Why somebody may see a patient's records, and from when until when (``until`` exclusive; null = no end)."""

    __tablename__ = "access_care_relation"
    __table_args__ = (Index("ix_access_care_relation_grantee", "grantee", "patient", "until"),)

    id: UUID = Field(primary_key=True)
    patient: str = Field(max_length=64)
    grantee: str = Field(max_length=120)
    basis: str = Field(max_length=30)
    purpose: str = Field(max_length=20)
    since: Instant
    until: Instant | None = None
