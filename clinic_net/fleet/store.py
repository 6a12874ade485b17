"""Every query of the fleet. Nothing here is about patients, so nothing here takes a scope."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.fleet.model import Setting, StationReport
from clinic_net.kernel.links import Database, fetch

_NOTICED = ("copied_at", "clock_offset_ms", "clock_off_at")
"""What the hub noticed by itself; a station's report says nothing of it."""


async def put(session: AsyncSession, report: StationReport) -> None:
    """Store a site's report unless a newer one is there."""
    values = report.model_dump()
    statement = insert(StationReport).values(values)
    statement = statement.on_conflict_do_update(
        index_elements=["site"],
        set_={name: statement.excluded[name] for name in values if name not in ("site", *_NOTICED)},
        where=col(StationReport.last_contact_at) <= statement.excluded.last_contact_at,
    )
    await session.exec(statement)


async def reports(
    session: AsyncSession, *, facility: str | None, province: str | None, site: str | None
) -> Sequence[StationReport]:
    """Return the latest reports, the longest silent first."""
    statement = select(StationReport).order_by(col(StationReport.last_contact_at), col(StationReport.site))
    if facility is not None:
        statement = statement.where(col(StationReport.facility_code) == facility)
    if province is not None:
        statement = statement.where(col(StationReport.province_code) == province)
    if site is not None:
        statement = statement.where(col(StationReport.site) == site)
    return (await session.exec(statement)).all()


async def note_copied(s: Database, site: str, at: datetime) -> None:
    """Note that a copy of the station's database was found out."""
    await fetch(
        s,
        "update fleet_station_state set copied_at = %(at)s where site = %(site)s",
        {"site": site, "at": at},
    )


async def note_clock(s: Database, site: str, offset_ms: int, at: datetime) -> None:
    """Note that a station's clock is off."""
    await fetch(
        s,
        "update fleet_station_state set clock_offset_ms = %(offset)s, clock_off_at = %(at)s where site = %(site)s",
        {"site": site, "at": at, "offset": offset_ms},
    )


async def layers(session: AsyncSession, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return what these layers say, in the order given; a layer that says nothing is left out."""
    found = await session.exec(select(Setting).where(col(Setting.layer).in_(names)))
    by_name = {row.layer: row.settings for row in found.all()}
    return [by_name[name] for name in names if name in by_name]


async def put_layer(
    session: AsyncSession, layer: str, settings: Mapping[str, Any], *, by: str, now: datetime
) -> None:
    """Replace what a layer says."""
    values = {"layer": layer, "settings": dict(settings), "set_by": by, "set_at": now}
    statement = insert(Setting).values(values)
    await session.exec(statement.on_conflict_do_update(index_elements=["layer"], set_=values))
