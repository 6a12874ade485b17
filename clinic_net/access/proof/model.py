"""Tables of proofs. A TOTP secret must be read back, so it is encrypted; codes are digests; a passkey is public."""

from uuid import UUID

from sqlalchemy import BigInteger, Column, Index
from sqlmodel import Field, SQLModel

from clinic_net.kernel.db import Instant


class Totp(SQLModel, table=True):
    """A person's authenticator app. ``secret`` is AES-256-GCM: 12 bytes of nonce, then what was encrypted.

    It counts once ``confirmed_at`` is set; ``last_step`` is the 30-second step whose code was used last.
    """

    __tablename__ = "access_totp"

    user_id: UUID = Field(primary_key=True, foreign_key="access_user.id")
    secret: bytes
    last_step: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    created_at: Instant
    confirmed_at: Instant | None = None


class RecoveryCode(SQLModel, table=True):
    """One of the codes for the day when the app and the keys are lost. ``digest`` is keyed, and holds whose it is."""

    __tablename__ = "access_recovery_code"
    __table_args__ = (Index("ix_access_recovery_code_user", "user_id"),)

    digest: bytes = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="access_user.id")
    created_at: Instant
    used_at: Instant | None = None


class Passkey(SQLModel, table=True):
    """A registered WebAuthn credential. ``id`` is the credential's own, ``public_key`` is in COSE form."""

    __tablename__ = "access_passkey"
    __table_args__ = (Index("ix_access_passkey_user", "user_id"),)

    id: bytes = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="access_user.id")
    public_key: bytes
    sign_count: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    label: str = Field(max_length=60)
    created_at: Instant
    last_used_at: Instant | None = None


class PendingSignIn(SQLModel, table=True):
    """Somebody whose password was right and who owes more. ``token`` is the SHA-256 of a cookie that opens nothing.

    ``assurance`` is ``mfa`` once a second factor was shown.
    """

    __tablename__ = "access_pending_sign_in"
    __table_args__ = (Index("ix_access_pending_sign_in_expires", "expires_at"),)

    token: bytes = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="access_user.id")
    assurance: str = Field(default="password", max_length=8)
    expires_at: Instant
