"""The hub's pages as a person meets them: the real application, over HTTP, in a small district with cases."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from html.parser import HTMLParser
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI

from clinic_net.access import service as access
from clinic_net.access.policy import scope_of
from clinic_net.access.principals import Role, StationPrincipal, UserPrincipal
from clinic_net.app import create_app
from clinic_net.consultations import service as consultations
from clinic_net.consultations.requests import ConsultRequest
from clinic_net.fleet import service as fleet
from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import Report
from clinic_net.records import service as records
from tests.consultations.support import CENTRE, PROVINCIAL, SITE

PASSWORD = "correct horse battery"
PATIENT_NAME = "Lò Thị Thử Nghiệm"
STATION_DEVICE = StationPrincipal(site=SITE, device=uuid4())


@dataclass(frozen=True)
class Person:
    """Somebody with an account."""

    login: str
    user: UserPrincipal


async def add_person(
    hub: Hub, role: Role, *, facility: str | None = None, specialties: tuple[str, ...] = ()
) -> Person:
    login = f"{role}-{uuid4().hex[:8]}"
    async with hub.sessions() as session, session.begin():
        await access.add_user(
            session,
            login=login,
            role=role,
            facility=facility or (CENTRE if role is Role.DOCTOR else PROVINCIAL),
            name=f"{role} thử nghiệm",
            specialties=specialties,
            password=PASSWORD,
            patient=str(uuid4()) if role is Role.CITIZEN else None,
            now=hub.now(),
        )
        found = next(user for user in await access.people(session, role=role) if user.login == login)
    return Person(login, found)


async def go_on_duty(hub: Hub, person: Person) -> None:
    async with hub.sessions() as session, session.begin():
        await consultations.set_duty(session, person.user, on=True, now=hub.now())


async def ask_for_a_doctor(hub: Hub, urgency: str = "red", *, ago: timedelta = timedelta(minutes=2)) -> UUID:
    """Have the station ask for a cardiologist for a woman of 54 whose record is there."""
    patient, case, now = str(uuid4()), uuid4(), hub.now()
    resource = {
        "resourceType": "Patient",
        "id": patient,
        "name": [{"text": PATIENT_NAME}],
        "gender": "female",
        "birthDate": str(now.year - 54),
    }
    async with hub.sessions() as session, session.begin():
        await records.put(
            session,
            json.dumps(resource).encode(),
            rtype="Patient",
            fid=patient,
            scope=scope_of(STATION_DEVICE),
            author=STATION_DEVICE.address,
            tenant=SITE,
            now=now,
            if_match=None,
        )
        asked = ConsultRequest(
            id=case,
            site=SITE,
            tenant=SITE,
            patient=patient,
            encounter=None,
            specialty="cardiology",
            urgency=urgency,
            requested_at=now - ago,
            triage_score=9,
            triage_chart="news2",
        )
        await consultations.request(session, asked, now)
    return case


async def hear_from_station(hub: Hub, *, ago: timedelta = timedelta(0), waiting: int = 0) -> None:
    async with hub.sessions() as session, session.begin():
        await fleet.report(session, SITE, Report(agent="0.1.0", waiting={"0": waiting}), hub.now() - ago)


def app_of(hub: Hub) -> FastAPI:
    """Return the application on a hub that is open already: pages and interfaces, no sockets."""
    app = create_app(hub.settings, with_worker=False, now=hub.now)
    app.state.hub = hub
    return app


@asynccontextmanager
async def browser(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that sends what browsers send: it wants HTML, and says which page a form came from."""
    headers = {"Accept": "text/html", "Origin": "http://hub.test"}
    address = f"10.{uuid4().int % 200}.{uuid4().int % 200}.1"
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 50000))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.test", headers=headers) as client:
        yield client


async def sign_in(client: httpx.AsyncClient, login: str, password: str = PASSWORD) -> httpx.Response:
    return await client.post("/sign-in", data={"login": login, "password": password})


@asynccontextmanager
async def signed_in(app: FastAPI, person: Person) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(app) as client:
        answer = await sign_in(client, person.login)
        assert answer.status_code == 303
        yield client


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.title = ""
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "input", "br", "img"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._inside[-1:] == ["title"]:
            self.title += data
        elif self._inside[-1:] not in (["script"], ["style"]):
            self.words.extend(data.split())


def text_of(page: str) -> str:
    """Return what a page says, without its markup."""
    reader = _Text()
    reader.feed(page)
    return " ".join(reader.words)


def title_of(page: str) -> str:
    reader = _Text()
    reader.feed(page)
    return reader.title
