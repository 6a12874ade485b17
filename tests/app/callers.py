"""One caller of every kind: signed out, a person of each role, a station, a system client."""

from dataclasses import dataclass

from fastapi import FastAPI

from clinic_net.access import service as access
from clinic_net.access.http import COOKIE, issuer_of
from clinic_net.access.principals import Role
from clinic_net.access.service import Credentials
from clinic_net.kernel.hub import Hub
from tests.access.support import Device, code_for
from tests.console.support import PASSWORD, Person, add_person, browser
from tests.consultations.support import SITE

CALLERS = (
    "out", "doctor", "nurse", "coordinator", "operator", "auditor", "national", "citizen", "station", "client"
)  # fmt: skip


@dataclass(frozen=True)
class Callers:
    """Who calls, with the tokens of machines and the session cookies of people."""

    hub: Hub
    people: dict[str, Person]
    bearers: dict[str, str]
    sessions: dict[str, str]

    async def headers_of(self, caller: str, *, fresh: bool = False) -> dict[str, str]:
        """Return the credential of a caller; ``fresh`` signs a person in once more."""
        if caller in self.bearers:
            return {"Authorization": f"Bearer {self.bearers[caller]}"}
        if caller in self.people:
            token = await session_of(self.hub, self.people[caller]) if fresh else self.sessions[caller]
            return {"Cookie": f"{COOKIE}={token}"}
        return {}


async def session_of(hub: Hub, person: Person) -> str:
    """Sign a person in and return the cookie's value."""
    signed_in = await access.sign_in(
        hub.sessions,
        Credentials(person.login, PASSWORD, "10.9.9.9"),
        tried=access.trying_to_sign_in(person.login, "10.9.9.9", hub.settings.token_key),
        lifetime=hub.settings.session_lifetime,
        now=hub.now(),
    )
    return signed_in.token


async def callers_of(hub: Hub, app: FastAPI, *, facility: str, scope: str = "system/*.cruds") -> Callers:
    """Make one of each; people work at ``facility``, the station is the district's."""
    people = {str(role): await add_person(hub, role, facility=facility) for role in Role}
    device, issuer = Device.fresh(), issuer_of(hub.settings)
    async with browser(app) as client:
        answer = await device.enrol(client, await code_for(hub, SITE, now=hub.now()))
        assert answer.status_code == 200, answer.text
    async with hub.sessions() as session, session.begin():
        station = await access.grant_to_station(
            session, device.assertion(hub.now()), issuer=issuer, now=hub.now()
        )
        client_id, secret = await access.add_client(session, "Bộ Y tế", scope, now=hub.now())
        await session.flush()
        system = await access.grant_to_client(
            session, client_id, secret, asked="", issuer=issuer, now=hub.now()
        )
    sessions = {role: await session_of(hub, person) for role, person in people.items()}
    return Callers(hub, people, {"station": station.token, "client": system.token}, sessions)
