"""A small directory, a hub's HTTP face made of the access and fleet routers, and a device that enrols."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from joserfc import jws, jwt
from joserfc.jwk import ECKey
from sqlmodel import SQLModel

from clinic_net.access import service
from clinic_net.access.http import SameOriginOnly
from clinic_net.access.principals import Role
from clinic_net.access.routes import router as access_routes
from clinic_net.directory import store as directory
from clinic_net.directory.model import Facility, Site, SiteParent
from clinic_net.fleet.routes import router as fleet_routes
from clinic_net.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Refusal, TooMany, Unauthenticated
from clinic_net.kernel.hub import Hub

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
HUB = "http://hub.test"
PAGE = {"Origin": HUB}
PASSWORD = "correct horse battery"
HOSPITAL, STATION_FACILITY = "11007", "11001"
ELSEWHERE = "01001"
SITE, OTHER_SITE = "03163-01", "03166-01"

_STATUS = (
    (Unauthenticated, 401), (Forbidden, 403), (NotFound, 404), (Conflict, 409), (Invalid, 422), (TooMany, 429)
)  # fmt: skip


class Clock:
    """The time that a test sets."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at

    def forward(self, by: timedelta) -> None:
        self.at += by


def directory_rows() -> list[SQLModel]:
    began = date(2020, 1, 1)
    rows: list[SQLModel] = []
    for code, name, kind in (
        (HOSPITAL, "Bệnh viện tỉnh", "hospital"),
        (STATION_FACILITY, "Trạm y tế", "station"),
    ):
        row = Facility(
            code=code,
            name=name,
            kind=kind,
            technical_level="basic",
            province_code="11",
            commune_code=SITE[:5],
            valid_from=began,
        )
        rows.append(row)
    for site in (SITE, OTHER_SITE):
        rows.append(Site(code=site, name=f"Điểm {site}", commune_code=site[:5], valid_from=began))
        rows.append(SiteParent(site_code=site, valid_from=began, facility_code=STATION_FACILITY))
    return rows


def elsewhere() -> Facility:
    """A hospital in another province."""
    return Facility(
        code=ELSEWHERE,
        name="Bệnh viện trung ương",
        kind="central_hospital",
        technical_level="basic",
        province_code="01",
        commune_code="01001",
        valid_from=date(2020, 1, 1),
    )


async def fill(hub: Hub) -> None:
    async with hub.sessions() as session, session.begin():
        await directory.replace_all(session, directory_rows())


def app_of(hub: Hub, clock: Clock) -> FastAPI:
    app = FastAPI()
    app.state.hub = replace(hub, now=clock)
    app.add_middleware(SameOriginOnly, public_url=HUB)
    app.include_router(access_routes)
    app.include_router(fleet_routes)

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> JSONResponse:
        status = next(status for family, status in _STATUS if isinstance(refusal, family))
        headers = {"Retry-After": str(refusal.retry_after)} if isinstance(refusal, TooMany) else {}
        return JSONResponse({"code": refusal.code, "message": refusal.message}, status, headers)

    return app


@asynccontextmanager
async def browser(app: FastAPI, address: str = "10.1.1.1") -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, client=(address, 50000))
    async with httpx.AsyncClient(transport=transport, base_url=HUB) as client:
        yield client


async def sign_in(client: httpx.AsyncClient, login: str, password: str = PASSWORD) -> httpx.Response:
    return await client.post("/access/v1/session", data={"login": login, "password": password}, headers=PAGE)


async def add_person(hub: Hub, role: Role, *, facility: str = HOSPITAL) -> str:
    """Add a person with a login of their own and return it."""
    login = f"{role}-{uuid4().hex[:8]}"
    async with hub.sessions() as session, session.begin():
        patient = str(uuid4()) if role is Role.CITIZEN else None
        await service.add_user(
            session, login=login, role=role, facility=facility, password=PASSWORD, patient=patient, now=NOW
        )
    return login


async def code_for(hub: Hub, site: str = SITE, *, now: datetime = NOW) -> str:
    async with hub.sessions() as session, session.begin():
        code, _ = await service.issue_code(
            session, site, by="user:operator", now=now, key=hub.settings.token_key
        )
    return code


@dataclass
class Device:
    """A station's key pair, and what is made with it."""

    key: ECKey
    id: str = ""

    @classmethod
    def fresh(cls) -> "Device":
        return cls(ECKey.generate_key("P-256"))

    def enrolment(self, code: str) -> dict[str, Any]:
        proof = jws.serialize_compact({"alg": "ES256"}, code.encode(), self.key, algorithms=["ES256"])
        return {"code": code, "jwk": self.key.as_dict(private=False), "proof": proof, "agent": "0.1.0"}

    def assertion(self, now: datetime, **changed: object) -> str:
        claims: dict[str, Any] = {
            "iss": self.id,
            "sub": self.id,
            "aud": f"{HUB}/oauth/token",
            "exp": int((now + timedelta(minutes=1)).timestamp()),
            "jti": str(uuid4()),
        }
        claims = {name: value for name, value in (claims | changed).items() if value is not None}
        return jwt.encode({"alg": "ES256"}, claims, self.key, algorithms=["ES256"])

    async def enrol(self, client: httpx.AsyncClient, code: str) -> httpx.Response:
        answer = await client.post("/fleet/v1/enrol", json=self.enrolment(code))
        if answer.status_code == 200:
            self.id = answer.json()["device"]
        return answer

    async def ask_token(self, client: httpx.AsyncClient, assertion: str) -> httpx.Response:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
        }
        return await client.post("/oauth/token", data=form)
