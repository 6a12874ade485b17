"""What the hub knows of a station as a machine."""

from typing import Any

from sqlalchemy import BigInteger, Column, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from clinic_net.kernel.db import Instant


class StationReport(SQLModel, table=True):
    """A site's latest report. Facility and province are its own when it reported, so that lists need no other table.

    ``health`` is the rest of what it said: ``service.Health``.
    """

    __tablename__ = "fleet_station_state"
    __table_args__ = (
        Index("ix_fleet_station_state_province", "province_code", "last_contact_at"),
        Index("ix_fleet_station_state_facility", "facility_code"),
    )

    site: str = Field(primary_key=True, max_length=20)
    name: str = Field(max_length=160)
    facility_code: str = Field(max_length=5)
    province_code: str = Field(max_length=2)
    agent: str = Field(max_length=40)
    waiting: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    health: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSONB, nullable=False, server_default=text("'{}'::jsonb"))
    )
    refused: int = 0
    oldest_waiting_at: Instant | None = None
    last_contact_at: Instant
    copied_at: Instant | None = None
    """When a copy of the station's database was last found out."""
    clock_offset_ms: int | None = Field(default=None, sa_type=BigInteger)
    """What to add to the station's clock, as it was when it was last seen to be off, at ``clock_off_at``."""
    clock_off_at: Instant | None = None


class Setting(SQLModel, table=True):
    """What stations are to work by, as far as one layer says it: ``national``, ``province:<code>``, ``site:<code>``."""

    __tablename__ = "fleet_setting"

    layer: str = Field(primary_key=True, max_length=30)
    settings: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    set_by: str = Field(max_length=120)
    set_at: Instant
