"""One hub and five stations for the whole of these tests; a station belongs to one module."""

from collections.abc import AsyncIterator

import pytest

from clinic_net.access import service as access
from clinic_net.access.principals import Role
from clinic_net.directory import service as directory
from clinic_net.kernel import clock
from clinic_net.kernel.embedded import EmbeddedServices
from clinic_net.kernel.hub import Hub, open_hub
from clinic_net.kernel.settings import HubSettings
from tests.e2e.support import Network, Site, free_ports
from tools.demo.network import DemoNetwork

SITES = ("00004-01", "00008-01", "00025-01", "00070-01", "00073-01")
"""Five of Hà Nội; all are backed by the same centre."""


async def _people(hub: Hub, site: str) -> dict[str, str]:
    """Add a doctor to each tier of the first site's ladder, one more to the first, and two who watch."""
    now = clock.now()
    passwords = {}
    async with hub.sessions() as session, session.begin():
        place = await directory.site(session, site, now.date())
        station = await directory.facility(session, place.facility_code)
        centre = await directory.facility(session, station.referral_facility_code or "")
        provincial = centre.referral_facility_code or ""
        for login, role, facility, specialties in (
            ("first", Role.DOCTOR, centre.code, ("cardiology",)),
            ("second", Role.DOCTOR, centre.code, ("cardiology",)),
            ("of-the-centre", Role.DOCTOR, centre.code, ("neurology",)),
            ("of-the-province", Role.DOCTOR, provincial, ("neurology",)),
            ("of-the-nation", Role.DOCTOR, "79001", ("neurology",)),
            ("coordinator", Role.COORDINATOR, provincial, ()),
            ("operator", Role.OPERATOR, provincial, ()),
        ):
            passwords[login] = await access.add_user(
                session, login=login, role=role, facility=facility, name=f"BS. {login}",
                specialties=specialties, now=now,
            )  # fmt: skip
    return passwords


async def _fill(demo: DemoNetwork) -> Network:
    now = clock.now()
    with EmbeddedServices(demo.hub_data) as services:
        settings = HubSettings.model_validate(services.settings)
        async with open_hub(settings) as hub:
            async with hub.sessions() as session, session.begin():
                await directory.seed_network(session, sites=len(SITES))
            people = await _people(hub, SITES[0])
            async with hub.sessions() as session, session.begin():
                client = await access.add_client(session, name="tests", scope="system/*.cruds", now=now)
                sites = []
                for index, code in enumerate(SITES):
                    enrolment, _ = await access.issue_code(
                        session, code, by="operator:tests", now=now, key=settings.token_key
                    )
                    sites.append(Site(demo, index, code, enrolment))
    return Network(demo, sites, people, client)


@pytest.fixture(scope="session")
async def network(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Network]:
    """A hub that rings a tier for one second, a small directory, people; stations start when they are asked for."""
    folder = tmp_path_factory.mktemp("network")
    ports = free_ports(1 + len(SITES))
    demo = DemoNetwork(folder, hub_port=ports[0], station_ports=ports[1:])
    demo.hub.environment |= {"CLINIC_NET_RING_TIER_AFTER": "1", "XDG_STATE_HOME": str(folder / "state")}
    try:
        demo.start_hub()
        filled = await _fill(demo)
        yield filled
        for site in filled.sites:
            site.stop()
    finally:
        demo.stop()
