"""Tables of the directory. A row is true from ``valid_from`` (inclusive) to ``valid_to`` (exclusive; null = still)."""

from datetime import date
from uuid import UUID

from sqlalchemy import Column, Index, String
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel


class AdminUnit(SQLModel, table=True):
    """A province (2-digit code) or a commune (5-digit code), as it was during a period (QĐ 19/2025/QĐ-TTg).

    A code is never given twice; when communes merge, one keeps its code and the others are closed.
    """

    __tablename__ = "directory_admin_unit"
    __table_args__ = (Index("ix_directory_admin_unit_parent", "parent_code", "valid_from"),)

    code: str = Field(primary_key=True, max_length=5)
    valid_from: date = Field(primary_key=True)
    valid_to: date | None = None
    level: str = Field(max_length=10)
    name: str = Field(max_length=120)
    kind: str = Field(max_length=30)
    parent_code: str | None = Field(default=None, max_length=5)


class AdminUnitEvent(SQLModel, table=True):
    """Why units changed: merge, split, rename, type-change or re-parent, by which decree."""

    __tablename__ = "directory_admin_unit_event"

    id: str = Field(primary_key=True, max_length=60)
    kind: str = Field(max_length=20)
    effective: date
    decree: str = Field(max_length=120)
    from_codes: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    to_codes: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))


class Facility(SQLModel, table=True):
    """A legal body that gives care. ``code`` is the insurance code (MÃ CSKCB), five characters.

    ``referral_facility_code`` is who backs it professionally, which is not who owns it.
    """

    __tablename__ = "directory_facility"
    __table_args__ = (Index("ix_directory_facility_province", "province_code", "kind"),)

    code: str = Field(primary_key=True, max_length=5)
    name: str = Field(max_length=160)
    kind: str = Field(max_length=30)
    technical_level: str = Field(max_length=12)
    province_code: str = Field(max_length=2)
    commune_code: str = Field(max_length=5)
    referral_facility_code: str | None = Field(default=None, max_length=5)
    valid_from: date
    valid_to: date | None = None


class Site(SQLModel, table=True):
    """A physical place with an agent: a commune station, or one of its satellite points."""

    __tablename__ = "directory_site"
    __table_args__ = (Index("ix_directory_site_commune", "commune_code"),)

    code: str = Field(primary_key=True, max_length=20)
    name: str = Field(max_length=160)
    commune_code: str = Field(max_length=5)
    valid_from: date
    valid_to: date | None = None


class SiteParent(SQLModel, table=True):
    """Which facility a site belonged to, and when."""

    __tablename__ = "directory_site_parent"
    __table_args__ = (Index("ix_directory_site_parent_facility", "facility_code"),)

    site_code: str = Field(primary_key=True, max_length=20)
    valid_from: date = Field(primary_key=True)
    valid_to: date | None = None
    facility_code: str = Field(max_length=5)


class Practitioner(SQLModel, table=True):
    """A person licensed to practise, with the licence's dates and specialties (codes of clinical.specialties)."""

    __tablename__ = "directory_practitioner"
    __table_args__ = (Index("ix_directory_practitioner_facility", "facility_code"),)

    id: UUID = Field(primary_key=True)
    name: str = Field(max_length=120)
    licence_number: str = Field(max_length=30, unique=True)
    licence_from: date
    licence_to: date | None = None
    specialties: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    facility_code: str = Field(max_length=5)
