"""Every query of the directory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import func, or_, text
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.directory.model import AdminUnit, AdminUnitEvent, Facility, Practitioner, Site, SiteParent


@dataclass(frozen=True)
class SiteView:
    """A site as of a date, with the facility and province it belonged to then."""

    code: str
    name: str
    facility_code: str
    commune_code: str
    province_code: str


def _valid(
    start: InstrumentedAttribute[date], end: InstrumentedAttribute[date | None], as_of: date
) -> ColumnElement[bool]:
    return (start <= as_of) & or_(end.is_(None), end > as_of)


async def site(session: AsyncSession, code: str, as_of: date) -> SiteView | None:
    """Return the site as of a date, or None."""
    statement = (
        select(Site, SiteParent, Facility)
        .join(SiteParent, col(SiteParent.site_code) == col(Site.code))
        .join(Facility, col(Facility.code) == col(SiteParent.facility_code))
        .where(Site.code == code)
        .where(_valid(col(Site.valid_from), col(Site.valid_to), as_of))  # type: ignore[arg-type]
        .where(_valid(col(SiteParent.valid_from), col(SiteParent.valid_to), as_of))  # type: ignore[arg-type]
    )
    row = (await session.exec(statement)).first()
    if row is None:
        return None
    found, parent, facility = row
    return SiteView(found.code, found.name, parent.facility_code, found.commune_code, facility.province_code)


async def facility(session: AsyncSession, code: str) -> Facility | None:
    return await session.get(Facility, code)


async def facilities(
    session: AsyncSession, *, province: str | None = None, kinds: Sequence[str] = ()
) -> Sequence[Facility]:
    """Return facilities, most specialised first, then by name."""
    statement = select(Facility).order_by(col(Facility.technical_level).desc(), col(Facility.name))
    if province is not None:
        statement = statement.where(Facility.province_code == province)
    if kinds:
        statement = statement.where(col(Facility.kind).in_(kinds))
    return (await session.exec(statement)).all()


async def admin_unit(session: AsyncSession, code: str, as_of: date) -> AdminUnit | None:
    statement = (
        select(AdminUnit)
        .where(AdminUnit.code == code)
        .where(_valid(col(AdminUnit.valid_from), col(AdminUnit.valid_to), as_of))  # type: ignore[arg-type]
    )
    return (await session.exec(statement)).first()


async def successors(session: AsyncSession, code: str, as_of: date) -> Sequence[AdminUnitEvent]:
    """Return what became of a unit up to a date, oldest first."""
    statement = (
        select(AdminUnitEvent)
        .where(col(AdminUnitEvent.from_codes).contains([code]))
        .where(AdminUnitEvent.effective <= as_of)
        .order_by(col(AdminUnitEvent.effective))
    )
    return (await session.exec(statement)).all()


async def practitioner(session: AsyncSession, identifier: UUID) -> Practitioner | None:
    return await session.get(Practitioner, identifier)


async def practitioners(session: AsyncSession, facility_code: str) -> Sequence[Practitioner]:
    statement = (
        select(Practitioner)
        .where(Practitioner.facility_code == facility_code)
        .order_by(col(Practitioner.licence_number))
    )
    return (await session.exec(statement)).all()


async def counts(session: AsyncSession, as_of: date) -> dict[str, int]:
    """Return how many of each the directory holds as of a date."""
    result: dict[str, int] = {}
    for level in ("province", "commune"):
        statement = (
            select(func.count())
            .select_from(AdminUnit)
            .where(AdminUnit.level == level)
            .where(_valid(col(AdminUnit.valid_from), col(AdminUnit.valid_to), as_of))  # type: ignore[arg-type]
        )
        result[level] = (await session.exec(statement)).one()
    for kind, count in (
        await session.exec(select(Facility.kind, func.count()).group_by(col(Facility.kind)))
    ).all():
        result[kind] = count
    result["site"] = (await session.exec(select(func.count()).select_from(Site))).one()
    result["practitioner"] = (await session.exec(select(func.count()).select_from(Practitioner))).one()
    return result


async def replace_all(session: AsyncSession, rows: Iterable[SQLModel]) -> int:
    """Empty the directory and fill it with ``rows``, in this transaction. Returns how many were stored."""
    models: tuple[type[SQLModel], ...] = (AdminUnit, AdminUnitEvent, Facility, Site, SiteParent, Practitioner)
    await session.exec(
        text("truncate " + ", ".join(str(model.__tablename__) for model in models))  # type: ignore[call-overload]
    )
    grouped: dict[type[SQLModel], list[dict[str, object]]] = {model: [] for model in models}
    for row in rows:
        grouped[type(row)].append(row.model_dump())
    connection = await session.connection()
    for model, values in grouped.items():
        if values:
            await connection.execute(model.__table__.insert(), values)  # type: ignore[attr-defined]
    return sum(len(values) for values in grouped.values())


async def places(session: AsyncSession, province: str) -> frozenset[str]:
    """Return the codes of a province's facilities and of every site that ever belonged to one of them."""
    facilities = (await session.exec(select(Facility.code).where(Facility.province_code == province))).all()
    sites = await session.exec(
        select(SiteParent.site_code)
        .join(Facility, col(Facility.code) == col(SiteParent.facility_code))
        .where(Facility.province_code == province)
    )
    return frozenset(facilities) | frozenset(sites.all())
