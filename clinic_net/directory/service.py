"""Use cases of the directory: find a place or a person as of a date; who is asked first for a station."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.directory import network, store
from clinic_net.directory.errors import UnknownAdminUnit, UnknownFacility, UnknownSite
from clinic_net.directory.model import AdminUnit, Facility
from clinic_net.directory.store import SiteView


@dataclass(frozen=True)
class Tier:
    """Whom to ring together. ``facilities`` None means any facility (within ``province``, if it is given)."""

    number: int
    name: Literal["referral", "province", "nation"]
    facilities: frozenset[str] | None
    province: str | None


async def site(session: AsyncSession, code: str, as_of: date) -> SiteView:
    """Return a site with its facility and province on that date.

    Raises:
        UnknownSite: it is not in the directory on that date.
    """
    found = await store.site(session, code, as_of)
    if found is None:
        raise UnknownSite(code)
    return found


async def facility(session: AsyncSession, code: str) -> Facility:
    """Return a facility.

    Raises:
        UnknownFacility: it is not in the directory.
    """
    found = await store.facility(session, code)
    if found is None:
        raise UnknownFacility(code)
    return found


async def admin_unit(session: AsyncSession, code: str, as_of: date) -> AdminUnit:
    """Return a province or commune as it was on a date.

    Raises:
        UnknownAdminUnit: no unit had that code then.
    """
    found = await store.admin_unit(session, code, as_of)
    if found is None:
        raise UnknownAdminUnit(code)
    return found


async def current_unit(session: AsyncSession, code: str, as_of: date) -> AdminUnit:
    """Return what the unit of this code has become by ``as_of``: itself, or what it was merged into.

    Raises:
        UnknownAdminUnit: it neither exists then nor has a successor.
    """
    found = await store.admin_unit(session, code, as_of)
    if found is not None:
        return found
    for event in await store.successors(session, code, as_of):
        if event.to_codes and event.to_codes[0] != code:
            return await current_unit(session, event.to_codes[0], as_of)
    raise UnknownAdminUnit(code)


async def support_chain(session: AsyncSession, site_code: str, as_of: date) -> list[Facility]:
    """Return who backs a station professionally (``referral_facility_code``), nearest first.

    Raises:
        UnknownSite: the site is not in the directory on that date.
    """
    place = await site(session, site_code, as_of)
    at = await store.facility(session, place.facility_code)
    seen = {place.facility_code}
    chain: list[Facility] = []
    while at is not None and at.referral_facility_code and at.referral_facility_code not in seen:
        seen.add(at.referral_facility_code)
        at = await store.facility(session, at.referral_facility_code)
        if at is not None:
            chain.append(at)
    return chain


async def hospitals(session: AsyncSession, province: str) -> Sequence[Facility]:
    """Return a province's facilities that take referred patients, most specialised first, then by name."""
    kinds = ("central_hospital", "provincial_hospital", "regional_centre")
    return await store.facilities(session, province=province, kinds=kinds)


async def places(session: AsyncSession, province: str) -> frozenset[str]:
    """Return the codes of a province's facilities, and of every site that ever belonged to one of them."""
    return await store.places(session, province)


async def facilities(session: AsyncSession, province: str | None) -> Sequence[Facility]:
    """Return a province's facilities (None: all of them), most specialised first, then by name."""
    return await store.facilities(session, province=province)


async def ring_tiers(session: AsyncSession, site_code: str, as_of: date) -> tuple[Tier, ...]:
    """Return whom a station's call rings, tier by tier: who backs it first, its province, the nation.

    Raises:
        UnknownSite: the site is not in the directory on that date.
    """
    place = await site(session, site_code, as_of)
    chain = await support_chain(session, site_code, as_of)
    nearest = frozenset(backing.code for backing in chain[:1] if backing.province_code == place.province_code)
    return (
        Tier(1, "referral", nearest, None),
        Tier(2, "province", None, place.province_code),
        Tier(3, "nation", None, None),
    )


async def seed_network(session: AsyncSession, *, sites: int = network.SITES) -> dict[str, int]:
    """Replace the directory by the deterministic network of the real shape; return its counts as of its date."""
    await store.replace_all(session, network.rows(sites=sites))
    return await store.counts(session, network.AS_OF)
