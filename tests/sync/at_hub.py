"""Two enrolled stations at one hub, for tests that speak to a running hub as they do."""

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from fastapi import FastAPI

from clinic_net.access import StationPrincipal
from clinic_net.access import service as access
from clinic_net.access.http import issuer_of
from clinic_net.directory.model import Site, SiteParent
from clinic_net.kernel.hub import Hub
from tests.access.support import Device, code_for
from tests.console.support import browser
from tests.consultations.support import STATION, make_district

ONE_SITE, OTHER_SITE = "03163-02", "03163-03"
"""Beside the site of ``tests.app.callers``, whose device would replace theirs."""


@dataclass(frozen=True)
class AtHub:
    """An enrolled station: its device, and the headers of its requests."""

    site: str
    device: UUID
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def principal(self) -> StationPrincipal:
        return StationPrincipal(site=self.site, device=self.device)


async def two_stations(hub: Hub, app: FastAPI) -> tuple[AtHub, AtHub]:
    """Make the small district with two more sites, and enrol both."""
    await make_district(hub)
    began = date(2020, 1, 1)
    rows: list[Any] = []
    for site in (ONE_SITE, OTHER_SITE):
        rows.append(Site(code=site, name=f"Điểm trạm {site}", commune_code="03163", valid_from=began))
        rows.append(SiteParent(site_code=site, valid_from=began, facility_code=STATION))
    async with hub.sessions() as session, session.begin():
        session.add_all(rows)
    return await enrolled(hub, app, ONE_SITE), await enrolled(hub, app, OTHER_SITE)


async def enrolled(hub: Hub, app: FastAPI, site: str) -> AtHub:
    device = Device.fresh()
    async with browser(app) as client:
        answer = await device.enrol(client, await code_for(hub, site, now=hub.now()))
        assert answer.status_code == 200, answer.text
    async with hub.sessions() as session, session.begin():
        granted = await access.grant_to_station(
            session, device.assertion(hub.now()), issuer=issuer_of(hub.settings), now=hub.now()
        )
    return AtHub(site, UUID(answer.json()["device"]), granted.token)
