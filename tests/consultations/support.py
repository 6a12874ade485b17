"""A small district of Điện Biên for the tests: a station, its centre, its province's hospital, one in Hà Nội."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import text

from clinic_net.access.principals import Role, StationPrincipal, UserPrincipal
from clinic_net.consultations import service
from clinic_net.consultations.requests import ConsultRequest
from clinic_net.directory import store as directory
from clinic_net.directory.model import AdminUnit, Facility, Site, SiteParent
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.jobs import Payload, on

NOW = datetime(2036, 11, 20, 2, 0, tzinfo=UTC)
"""Far ahead of the database's clock, so that no timer fires by itself: tests call for deadlines by ``sweep``."""

SITE, STATION, CENTRE, PROVINCIAL, CENTRAL = "03163-01", "11900", "11020", "11007", "01001"
STATION_DEVICE = StationPrincipal(site=SITE, device=uuid4())


class Clock:
    """The hub's clock in these tests."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


told: list[tuple[str, Payload]] = []
"""The news that consultations announced and the worker delivered."""


@on("consultation.rung")
async def _rung(_: object, payload: Payload) -> None:
    told.append(("rung", payload))


@on("consultation.unrung")
async def _unrung(_: object, payload: Payload) -> None:
    told.append(("unrung", payload))


@on("consultation.media_reset")
async def _media_reset(_: object, payload: Payload) -> None:
    told.append(("media_reset", payload))


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def _facility(code: str, kind: str, province: str, referral: str | None) -> Facility:
    return Facility(
        code=code,
        name=f"Cơ sở {code}",
        kind=kind,
        technical_level="basic",
        province_code=province,
        commune_code=f"{province}001",
        referral_facility_code=referral,
        valid_from=date(2020, 1, 1),
    )


async def make_district(hub: Hub) -> None:
    rows = [
        AdminUnit(
            code="03163",
            valid_from=date(2020, 1, 1),
            level="commune",
            name="Xã Mường Pồn",
            kind="xã",
            parent_code="11",
        ),
        _facility(CENTRAL, "central_hospital", "01", None),
        _facility(PROVINCIAL, "provincial_hospital", "11", CENTRAL),
        _facility(CENTRE, "regional_centre", "11", PROVINCIAL),
        _facility(STATION, "station", "11", CENTRE),
        Site(code=SITE, name="Trạm Y tế Mường Pồn", commune_code="03163", valid_from=date(2020, 1, 1)),
        SiteParent(site_code=SITE, valid_from=date(2020, 1, 1), facility_code=STATION),
    ]
    async with hub.sessions() as session, session.begin():
        await directory.replace_all(session, rows)


async def forget_everything(hub: Hub) -> None:
    """Cases and duty of the test before are gone; so are their timers."""
    async with hub.sessions() as session, session.begin():
        await (await session.connection()).execute(
            text(
                "truncate consultation, consultation_event, consultation_ring, consultation_duty, access_care_relation"
            )
        )
        await (await session.connection()).execute(text("truncate procrastinate_jobs cascade"))
    told.clear()


def doctor(name: str, facility: str = CENTRE, specialties: Iterable[str] = ("cardiology",)) -> UserPrincipal:
    return UserPrincipal(
        id=uuid4(),
        login=name.lower().replace(" ", "."),
        name=name,
        role=Role.DOCTOR,
        facility=facility,
        specialties=frozenset(specialties),
    )


def coordinator(facility: str = PROVINCIAL) -> UserPrincipal:
    return UserPrincipal(
        id=uuid4(), login="dieu.phoi", name="Điều phối", role=Role.COORDINATOR, facility=facility
    )


def call_for_help(urgency: str = "red", specialty: str = "cardiology", patient: str = "p1") -> ConsultRequest:
    return ConsultRequest(
        id=uuid4(),
        site=SITE,
        tenant=SITE,
        patient=patient,
        encounter=None,
        specialty=specialty,
        urgency=urgency,
        requested_at=NOW,
    )


async def on_duty(hub: Hub, *doctors: UserPrincipal, now: datetime = NOW) -> None:
    async with hub.sessions() as session, session.begin():
        for person in doctors:
            await service.set_duty(session, person, on=True, now=now)
    await hub.jobs.run_pending()


async def ask(hub: Hub, asked: ConsultRequest, now: datetime = NOW) -> UUID:
    async with hub.sessions() as session, session.begin():
        await service.request(session, asked, now)
    return asked.id


async def state_of(hub: Hub, consultation: UUID) -> str:
    async with hub.sessions() as session:
        return (await service.view(session, consultation)).state


async def rings_for(hub: Hub, person: UserPrincipal) -> list[UUID]:
    async with hub.sessions() as session:
        return [invite.call for invite in await service.invites_for(session, person)]


async def accept(hub: Hub, consultation: UUID, by: UserPrincipal, now: datetime = NOW) -> None:
    async with hub.sessions() as session, session.begin():
        await service.accept(session, consultation, by=by, now=now)


async def sweep(hub: Hub, now: datetime) -> None:
    async with hub.sessions() as session, session.begin():
        await service.sweep(session, now)


async def steps_of(hub: Hub, consultation: UUID) -> list[str]:
    async with hub.sessions() as session:
        return [entry.step for entry in await service.timeline(session, consultation)]
