"""Tables of the authorization server. Whatever opens something is stored as its SHA-256 only."""

from uuid import UUID

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from clinic_net.kernel.db import Instant


class Grant(SQLModel, table=True):
    """What a person allowed a program. ``session`` is the sign-in (its digest) that it needs; null with
    ``offline_access``. ``patient`` is the FHIR id of the one Patient that it is about; ``jkt`` the key that its
    tokens are bound to (RFC 9449)."""

    __tablename__ = "access_grant"
    __table_args__ = (
        Index("ix_access_grant_user", "user_id", "client_id"),
        Index("ix_access_grant_expires", "expires_at"),
    )

    id: UUID = Field(primary_key=True)
    client_id: str = Field(max_length=60, foreign_key="access_client.id")
    user_id: UUID = Field(foreign_key="access_user.id")
    session: bytes | None = None
    scope: str
    patient: str | None = Field(default=None, max_length=64)
    nonce: str | None = Field(default=None, max_length=300)
    acr: str = Field(max_length=20)
    auth_time: Instant
    jkt: str | None = Field(default=None, max_length=43)
    created_at: Instant
    expires_at: Instant
    revoked_at: Instant | None = None


class Code(SQLModel, table=True):
    """An authorization code, good once. ``challenge`` is the program's (RFC 7636, S256)."""

    __tablename__ = "access_code"

    digest: bytes = Field(primary_key=True)
    grant_id: UUID = Field(foreign_key="access_grant.id", ondelete="CASCADE", index=True)
    redirect_uri: str
    challenge: str = Field(max_length=128)
    expires_at: Instant
    used_at: Instant | None = None


class RefreshToken(SQLModel, table=True):
    """A refresh token, good once: using it makes the next one, using it again ends the grant."""

    __tablename__ = "access_refresh_token"

    digest: bytes = Field(primary_key=True)
    grant_id: UUID = Field(foreign_key="access_grant.id", ondelete="CASCADE", index=True)
    issued_at: Instant
    used_at: Instant | None = None


class Launch(SQLModel, table=True):
    """A program opened from a patient's record: the ``launch`` of SMART's EHR launch, good once, in one sign-in."""

    __tablename__ = "access_launch"
    __table_args__ = (Index("ix_access_launch_expires", "expires_at"),)

    digest: bytes = Field(primary_key=True)
    session: bytes
    client_id: str = Field(max_length=60, foreign_key="access_client.id")
    patient: str = Field(max_length=64)
    expires_at: Instant
    used_at: Instant | None = None


class OutsideIdentity(SQLModel, table=True):
    """Whom an outside provider's subject is here, as an administrator said."""

    __tablename__ = "access_outside_identity"
    __table_args__ = (Index("ix_access_outside_identity_user", "user_id"),)

    issuer: str = Field(primary_key=True, max_length=300)
    subject: str = Field(primary_key=True, max_length=255)
    user_id: UUID = Field(foreign_key="access_user.id")
    linked_by: str = Field(max_length=120)
    linked_at: Instant
