"""Tables of access. Secrets are stored only as digests: who reads the database can use none of them."""

from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, Column, Index, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from clinic_net.kernel.db import Instant


class User(SQLModel, table=True):
    """A person who may sign in. ``password`` is an argon2id hash in PHC form; ``must_change`` says that somebody else
    knows it too. ``patient`` is the FHIR id of a citizen's own Patient."""

    __tablename__ = "access_user"
    __table_args__ = (
        CheckConstraint(
            "role in ('doctor', 'nurse', 'coordinator', 'operator', 'auditor', 'national', 'citizen')",
            name="role",
        ),
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
    must_change: bool = False
    patient: str | None = Field(default=None, max_length=64)
    created_at: Instant
    disabled_at: Instant | None = None


class Session(SQLModel, table=True):
    """One sign-in. ``token`` is the SHA-256 of the cookie's value now, ``name`` that of its first value.

    A cookie gets a new value when its holder proves anew to be there; what lives longer, like an open socket,
    knows a session by its name. ``idle_seconds`` without use end it too (null: they do not).
    """

    __tablename__ = "access_session"
    __table_args__ = (
        Index("ix_access_session_user", "user_id"),
        Index("ix_access_session_name", "name"),
        Index("ix_access_session_expires", "expires_at"),
    )

    token: bytes = Field(primary_key=True)
    name: bytes | None = None
    user_id: UUID = Field(foreign_key="access_user.id")
    assurance: str = Field(default="password", max_length=8)
    purpose: str | None = Field(default=None, max_length=8)
    browser: str = Field(default="", max_length=40)
    created_at: Instant
    verified_at: Instant | None = None
    last_used_at: Instant | None = None
    idle_seconds: int | None = None
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
    """A system that reads or writes records, or a program that people let act for them (it has ``redirect_uris``).

    ``auth`` is how it proves who it is: ``client_secret``, ``private_key_jwt`` (with a key of ``jwks``) or ``none``.
    ``secret`` is the SHA-256 of 256 random bits: no guessing to slow down; whoever needs none has a random one that
    nobody knows. ``dpop`` says that its tokens are bound to a key (RFC 9449) whether it asks for that or not.
    """

    __tablename__ = "access_client"
    __table_args__ = (CheckConstraint("auth in ('client_secret', 'private_key_jwt', 'none')", name="auth"),)

    id: str = Field(primary_key=True, max_length=60)
    name: str = Field(max_length=120)
    secret: bytes
    scope: str
    created_at: Instant
    disabled_at: Instant | None = None
    auth: str = Field(
        default="client_secret", max_length=20, sa_column_kwargs={"server_default": "client_secret"}
    )
    redirect_uris: list[str] = Field(
        default_factory=list, sa_column=Column(ARRAY(String), nullable=False, server_default="{}")
    )
    launch_uri: str | None = None
    jwks: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB))
    dpop: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})


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
    """Why somebody may see a patient's records, and from when until when (``until`` exclusive; null = no end).

    ``tenant`` keeps it to what one place holds of the patient; ``source`` is what it follows from
    (``Consent/<id>``, ``RelatedPerson/<id>``), where that is a record.
    """

    __tablename__ = "access_care_relation"
    __table_args__ = (
        Index("ix_access_care_relation_grantee", "grantee", "patient", "until"),
        Index("ix_access_care_relation_patient", "patient"),
        Index("ix_access_care_relation_source", "source"),
    )

    id: UUID = Field(primary_key=True)
    patient: str = Field(max_length=64)
    grantee: str = Field(max_length=120)
    basis: str = Field(max_length=30)
    purpose: str = Field(max_length=20)
    since: Instant
    until: Instant | None = None
    tenant: str | None = Field(default=None, max_length=20)
    source: str | None = Field(default=None, max_length=80)


class ConsentRow(SQLModel, table=True):
    """What a citizen permits or refuses one grantee, as their Consent says it.

    ``grantee`` is ``user:<id>``, ``facility:<code>`` or ``station:<site>``; ``tenant`` null: wherever the records are.
    ``verified_by`` is who made sure that the grantor is who they say. ``evidence`` is the SHA-256 of the text that was
    agreed to; ``wording`` names that text's version, ``language`` its language.
    """

    __tablename__ = "access_consent"
    __table_args__ = (
        CheckConstraint("decision in ('permit', 'deny')", name="decision"),
        CheckConstraint("status in ('active', 'withdrawn')", name="status"),
        Index("ix_access_consent_patient", "patient", "grantee"),
        Index("ix_access_consent_resource", "resource"),
    )

    id: UUID = Field(primary_key=True)
    resource: str = Field(max_length=64)
    patient: str = Field(max_length=64)
    grantor: str = Field(max_length=120)
    verified_by: str = Field(max_length=120)
    decision: str = Field(max_length=6)
    grantee: str = Field(max_length=120)
    tenant: str | None = Field(default=None, max_length=20)
    status: str = Field(max_length=9)
    since: Instant
    until: Instant | None = None
    wording: str = Field(max_length=40)
    language: str = Field(max_length=5)
    evidence: bytes
    given_at: Instant
    withdrawn_at: Instant | None = None


class Emergency(SQLModel, table=True):
    """A record that was opened by breaking the glass, and the review that it is owed."""

    __tablename__ = "access_emergency"
    __table_args__ = (
        Index("ix_access_emergency_person", "person", "at"),
        Index("ix_access_emergency_patient", "patient"),
        Index("ix_access_emergency_province", "province", "at"),
    )

    id: UUID = Field(primary_key=True)
    patient: str = Field(max_length=64)
    person: UUID
    name: str = Field(max_length=120)
    facility: str = Field(max_length=5)
    province: str = Field(max_length=2)
    reason: str = Field(max_length=20)
    words: str
    purpose: str = Field(max_length=8)
    at: Instant
    until: Instant
    review_due: Instant
    many: bool
    reviewed_at: Instant | None = None
    reviewed_by: str | None = Field(default=None, max_length=120)
    outcome: str | None = Field(default=None, max_length=10)
    review_words: str | None = None
