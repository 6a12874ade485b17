"""Tables of attachments: uploads that have begun, bytes that are here, and which documents point to them."""

from uuid import UUID

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, LargeBinary
from sqlmodel import Field, SQLModel

from clinic_net.kernel.db import Instant


class Upload(SQLModel, table=True):
    """An upload that has begun and is not complete; its parts are a file of this name in the directory of parts."""

    __tablename__ = "sync_upload"
    __table_args__ = (Index("ix_sync_upload_site", "site"), Index("ix_sync_upload_expires", "expires_at"))

    id: UUID = Field(primary_key=True)
    site: str = Field(max_length=20)
    digest: str = Field(max_length=64)
    size: int
    content_type: str = Field(max_length=40)
    document: str = Field(max_length=64)
    patient: str = Field(max_length=64)
    expires_at: Instant


class StoredFile(SQLModel, table=True):
    """Bytes of one station, by their SHA-256. Two stations with the same bytes have them twice: whether somebody else
    has a picture is nobody's business."""

    __tablename__ = "sync_file"

    site: str = Field(primary_key=True, max_length=20)
    digest: str = Field(primary_key=True, max_length=64)
    size: int
    content_type: str = Field(max_length=40)
    stored_at: Instant


class FilePart(SQLModel, table=True):
    """A piece of the bytes, in order from 0: what is read or written at a time stays small."""

    __tablename__ = "sync_file_part"
    __table_args__ = (
        ForeignKeyConstraint(["site", "digest"], ["sync_file.site", "sync_file.digest"], ondelete="cascade"),
    )

    site: str = Field(primary_key=True, max_length=20)
    digest: str = Field(primary_key=True, max_length=64)
    number: int = Field(primary_key=True)
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class FileUse(SQLModel, table=True):
    """That a document of a patient points to the bytes: who may read the document may read them."""

    __tablename__ = "sync_file_use"
    __table_args__ = (
        ForeignKeyConstraint(["site", "digest"], ["sync_file.site", "sync_file.digest"], ondelete="cascade"),
        Index("ix_sync_file_use_digest", "digest"),
        Index("ix_sync_file_use_patient", "patient"),
    )

    site: str = Field(primary_key=True, max_length=20)
    digest: str = Field(primary_key=True, max_length=64)
    document: str = Field(primary_key=True, max_length=64)
    patient: str = Field(max_length=64)


class TakenSms(SQLModel, table=True):
    """An SMS of a device that was taken, by its counter: a copy of it has no second effect."""

    __tablename__ = "sync_sms"
    __table_args__ = (Index("ix_sync_sms_request", "request"),)

    device: UUID = Field(primary_key=True)
    counter: int = Field(sa_column=Column(BigInteger, primary_key=True))
    site: str = Field(max_length=20)
    request: UUID
    kind: str = Field(max_length=8)
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    at: Instant
