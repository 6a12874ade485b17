"""The network of the real shape, and what its dates mean."""

from datetime import date

import pytest

from clinic_net.directory import network, service, store
from clinic_net.directory.errors import UnknownAdminUnit, UnknownSite
from clinic_net.directory.model import AdminUnit, Facility, Practitioner, Site
from clinic_net.kernel.hub import Hub

TODAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def rows() -> list[object]:
    return list(network.rows())


def test_the_network_has_the_nations_shape(rows: list[object]) -> None:
    now = [row for row in rows if isinstance(row, AdminUnit) and row.valid_to is None]
    facilities = [row for row in rows if isinstance(row, Facility)]

    assert len([unit for unit in now if unit.level == "province"]) == 34
    assert len([unit for unit in now if unit.level == "commune"]) == 3321
    assert len([row for row in rows if isinstance(row, Site)]) == 12_000
    assert len([facility for facility in facilities if facility.kind == "clinic"]) > 1_500
    assert len([facility for facility in facilities if facility.kind == "station"]) == 3321


def test_codes_are_well_formed_and_given_once(rows: list[object]) -> None:
    facilities = [row for row in rows if isinstance(row, Facility)]
    licences = [row.licence_number for row in rows if isinstance(row, Practitioner)]

    assert len({facility.code for facility in facilities}) == len(facilities)
    assert all(len(facility.code) == 5 and facility.code.isdigit() for facility in facilities)
    assert all(facility.code.startswith(facility.province_code) for facility in facilities)
    assert len(set(licences)) == len(licences)


def test_it_is_the_same_network_every_time(rows: list[object]) -> None:
    again = list(network.rows())

    assert [repr(row) for row in rows[::97]] == [repr(row) for row in again[::97]]


@pytest.fixture(scope="module")
async def directory(hub: Hub) -> Hub:
    async with hub.sessions() as session, session.begin():
        await store.replace_all(session, network.rows(sites=4000))
    return hub


async def test_a_merged_commune_is_itself_before_and_its_successor_after(directory: Hub) -> None:
    async with directory.sessions() as session:
        before = await service.current_unit(session, "03317", date(2024, 6, 1))
        after = await service.current_unit(session, "03317", TODAY)

        assert (before.code, before.name) == ("03317", "Xã Nà Nhạn")
        assert (after.code, after.name) == ("03325", "Xã Mường Phăng")
        with pytest.raises(UnknownAdminUnit):
            await service.admin_unit(session, "03317", TODAY)


async def test_dong_nai_is_a_province_before_and_a_city_since_april_2026(directory: Hub) -> None:
    async with directory.sessions() as session:
        before = await service.admin_unit(session, "75", date(2026, 4, 29))
        after = await service.admin_unit(session, "75", date(2026, 4, 30))

    assert (before.kind, after.kind) == ("tỉnh", "thành phố trung ương")


async def test_a_site_stood_under_the_regional_centre_before_it_stood_under_its_station(
    directory: Hub,
) -> None:
    async with directory.sessions() as session:
        before = await service.site(session, "03325-01", date(2025, 12, 31))
        after = await service.site(session, "03325-01", date(2026, 1, 1))
        old_parent = await service.facility(session, before.facility_code)
        new_parent = await service.facility(session, after.facility_code)

        assert (old_parent.kind, new_parent.kind) == ("regional_centre", "station")
        assert new_parent.name == "Trạm Y tế Xã Mường Phăng"
        with pytest.raises(UnknownSite):
            await service.site(session, "99999-01", TODAY)


async def test_a_call_rings_the_backing_centre_then_the_province_then_the_nation(directory: Hub) -> None:
    async with directory.sessions() as session:
        tiers = await service.ring_tiers(session, "03325-01", TODAY)
        backing = await service.facility(session, next(iter(tiers[0].facilities or ())))

    assert [tier.name for tier in tiers] == ["referral", "province", "nation"]
    assert backing.kind == "regional_centre"
    assert backing.province_code == tiers[1].province == "11"
    assert tiers[2].facilities is None
    assert tiers[2].province is None
