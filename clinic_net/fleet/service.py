"""Use cases of the fleet: enrol a station, take its report, list the stations."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import service as access
from clinic_net.access.principals import UserPrincipal
from clinic_net.directory import service as directory
from clinic_net.directory.errors import UnknownSite
from clinic_net.fleet import settings, store
from clinic_net.fleet.model import StationReport
from clinic_net.kernel.db import Sessions
from clinic_net.kernel.links import Database
from clinic_net.protocol.sync import Enrol, Enrolled, Lane, Report

_MOST = 2**31 - 1
"""What a column of counts holds."""


@dataclass(frozen=True)
class Health:
    """What else a station says of itself: see ``protocol.sync.Report``. ``config`` names the settings it works by."""

    sent_today: dict[str, int] = field(default_factory=dict)
    attachments_waiting: int = 0
    python: str = ""
    store_check: str = ""
    store_checked_at: str | None = None
    offset_ms: int | None = None
    free_bytes: int | None = None
    config: str = ""


@dataclass(frozen=True)
class StationState:
    """How a station was when the hub last heard of it. ``waiting`` counts operations by lane, ``"0"`` first to go."""

    site: str
    name: str
    facility_code: str
    province_code: str
    agent: str
    waiting: dict[str, int]
    refused: int
    oldest_waiting_at: datetime | None
    last_contact_at: datetime
    copied_at: datetime | None = None
    """When a copy of its database, or a restored backup, was last found out: a person must look at that computer."""
    clock_offset_ms: int | None = None
    clock_off_at: datetime | None = None
    """When its clock was last seen to be off by more than five minutes, and what to add to it."""
    health: Health = field(default_factory=Health)


_HEALTH = frozenset(each.name for each in fields(Health))


async def enrol(
    sessions: Sessions, request: Enrol, *, remote: str, issuer: access.Issuer, now: datetime
) -> Enrolled:
    """Register the device that holds this code and key, and tell it where it is.

    It takes transactions of its own: a refused try stays counted and audited.

    Raises:
        TooMany: too many failed tries with this beginning of a code, or from this address.
        EnrolmentCodeUnknown and the other refusals of :func:`access.service.enrol`.
    """
    prefix = access.normal_code(request.code)[: access.CODE_PREFIX_LENGTH]

    async def register(session: AsyncSession) -> Enrolled:
        wanted = access.Enrolment(request.code, request.jwk, request.proof, request.agent)
        device = await access.enrol(session, wanted, key=issuer.key, now=now, before=issuer.key_before)
        site = await directory.site(session, device.site, now.date())
        facility = await directory.facility(session, site.facility_code)
        await report(session, site.code, Report(agent=request.agent), now)
        return Enrolled(
            device=device.id,
            station=site.code,
            name=site.name,
            facility=facility.code,
            facility_name=facility.name,
            commune=site.commune_code,
            province=site.province_code,
            token_endpoint=access.TOKEN_PATH,
            audience=issuer.url + access.TOKEN_PATH,
        )

    return await access.attempted(
        sessions, access.trying_to_enrol(prefix, remote, issuer.key), register, now=now
    )


async def demand_in_reach(session: AsyncSession, site: str, *, by: UserPrincipal, now: datetime) -> None:
    """Refuse an operator another province's stations, as if they were not there. National administrators reach all.

    A site that the directory has closed meanwhile is in the province from which it last reported.

    Raises:
        UnknownSite: it is in another province, or the directory does not know it.
    """
    own = await access.province_of(session, by)
    if own is None:
        return
    try:
        province = (await directory.site(session, site, now.date())).province_code
    except UnknownSite:
        last = await store.reports(session, facility=None, province=None, site=site)
        province = last[0].province_code if last else ""
    if province != own:
        raise UnknownSite(site)


async def demand_known(session: AsyncSession, site: str, now: datetime) -> None:
    """Refuse a site that is neither in the directory today nor was ever in contact.

    Raises:
        UnknownSite: it is such a one.
    """
    try:
        await directory.site(session, site, now.date())
    except UnknownSite:
        if not await store.reports(session, facility=None, province=None, site=site):
            raise


async def report(session: AsyncSession, site: str, said: Report, now: datetime) -> None:
    """Note how a station says it is, and that it was in contact at ``now``.

    A site that the directory has closed meanwhile may still empty its outbox; it is noted without its parents.
    """
    name, facility, province = await _place(session, site, now)
    lanes = {str(lane.value) for lane in Lane}
    await store.put(
        session,
        StationReport(
            site=site,
            name=name,
            facility_code=facility,
            province_code=province,
            agent=_printable(said.agent, 40),
            waiting={lane: _count(count) for lane, count in said.waiting.items() if lane in lanes},
            refused=_count(said.refused),
            oldest_waiting_at=_aware(said.oldest_waiting_at),
            last_contact_at=now,
            health=_health(said),
        ),
    )


def _health(said: Report) -> dict[str, Any]:
    lanes = {str(lane.value) for lane in Lane}
    health = Health(
        sent_today={lane: _bytes(count) for lane, count in said.sent_today.items() if lane in lanes},
        attachments_waiting=_count(said.attachments_waiting),
        python=_printable(said.python, 20),
        store_check=_printable(said.store_check, 120),
        store_checked_at=None if (at := _aware(said.store_checked_at)) is None else at.isoformat(),
        offset_ms=None if said.offset_ms is None else max(-_MOST, min(said.offset_ms, _MOST)),
        free_bytes=None if said.free_bytes is None else _bytes(said.free_bytes),
        config=_printable(said.config, 40),
    )
    return asdict(health)


async def desired(session: AsyncSession, site: str, now: datetime) -> tuple[str, dict[str, Any]]:
    """Return the settings by which a site's station is to work today, with their version; none have an empty one."""
    _, _, province = await _place(session, site, now)
    found = await store.layers(session, settings.layers_of(site, province or None))
    whole = settings.merged(found)
    return settings.version_of(whole), whole


async def heard(session: AsyncSession, site: str, said: Report, now: datetime) -> dict[str, Any] | None:
    """Note how a station says it is; return the settings that it should work by if it works by others."""
    await report(session, site, said, now)
    version, whole = await desired(session, site, now)
    return None if version == said.config else {**whole, "version": version}


async def configure(
    session: AsyncSession, layer: str, given: Mapping[str, Any], *, by: str, now: datetime
) -> dict[str, Any]:
    """Set what stations work by, as far as one layer says it (``national``, ``province:<code>``, ``site:<code>``).

    Raises:
        UnusableSettings: something in it is unknown, or out of bounds.
    """
    kept = settings.checked(given)
    await store.put_layer(session, layer, kept, by=by, now=now)
    await audit.record(session, actor=by, action="station.configure", subject=f"stations:{layer}", at=now)
    return kept


def _bytes(said: int) -> int:
    return min(max(0, said), 2**53)


def _printable(said: str, longest: int) -> str:
    return "".join(letter for letter in said if letter.isprintable())[:longest]


def _count(said: int) -> int:
    return min(max(0, said), _MOST)


def _aware(said: datetime | None) -> datetime | None:
    """Return an instant; a station that leaves the offset out means UTC, as everywhere on the wire."""
    return said.replace(tzinfo=UTC) if said is not None and said.tzinfo is None else said


async def _place(session: AsyncSession, site: str, now: datetime) -> tuple[str, str, str]:
    """Return a site's name, facility and province today."""
    try:
        place = await directory.site(session, site, now.date())
    except UnknownSite:
        return site, "", ""
    return place.name, place.facility_code, place.province_code


async def note_copied(s: Database, site: str, now: datetime) -> None:
    """Let operators see that a station's database exists twice, or was restored."""
    await store.note_copied(s, site, now)


async def note_clock(s: Database, site: str, offset_ms: int, now: datetime) -> None:
    """Let operators see that a station's clock is off; ``offset_ms`` is what to add to it."""
    await store.note_clock(s, site, offset_ms, now)


async def stations(
    session: AsyncSession, *, facility: str | None = None, province: str | None = None
) -> tuple[StationState, ...]:
    """Return the stations that were ever in contact, the longest silent first."""
    found = await store.reports(session, facility=facility, province=province, site=None)
    return tuple(_state(row) for row in found)


async def last_contact(session: AsyncSession, site: str) -> datetime | None:
    """Return when a site was last in contact; None when it never was."""
    found = await store.reports(session, facility=None, province=None, site=site)
    return found[0].last_contact_at if found else None


def _state(row: StationReport) -> StationState:
    return StationState(
        site=row.site,
        name=row.name,
        facility_code=row.facility_code,
        province_code=row.province_code,
        agent=row.agent,
        waiting={str(lane): int(count) for lane, count in row.waiting.items()},
        refused=row.refused,
        oldest_waiting_at=row.oldest_waiting_at,
        last_contact_at=row.last_contact_at,
        copied_at=row.copied_at,
        clock_offset_ms=row.clock_offset_ms,
        clock_off_at=row.clock_off_at,
        health=Health(**{name: value for name, value in row.health.items() if name in _HEALTH}),
    )
