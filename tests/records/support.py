"""A hub's FHIR face, callers with their scopes, and small resources."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI
from sqlalchemy import func
from sqlmodel import select

from clinic_net.access import RecordScope
from clinic_net.access import service as access
from clinic_net.access.principals import Role
from clinic_net.app import create_app
from clinic_net.directory import store as directory
from clinic_net.directory.model import Facility
from clinic_net.kernel.hub import Hub
from clinic_net.records import Stored, service
from clinic_net.records.model import Version

HUB = "http://hub.test"
NOW = datetime(2026, 11, 22, 3, 0, 0, 123_000, tzinfo=UTC)
SITE, OTHER_SITE = "03163-01", "03166-01"
HOSPITAL, OTHER_HOSPITAL = "11007", "11001"
PASSWORD = "correct horse battery"
PAGE = {"Origin": HUB}

STATION = RecordScope(frozenset({SITE}), f"station:{SITE}", writable=True)
OTHER_STATION = RecordScope(frozenset({OTHER_SITE}), f"station:{OTHER_SITE}", writable=True)
EVERYWHERE = RecordScope(None, None, writable=True)
NOWHERE = RecordScope(frozenset(), None, writable=True)


def text(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


def patient(fid: str | None = None, **more: Any) -> dict[str, Any]:
    content: dict[str, Any] = {"resourceType": "Patient", **({"id": fid} if fid else {})}
    return {**content, "name": [{"text": "Nguyễn Thị Hòa"}], "gender": "female", **more}


def observation(about: str, *, code: str = "8867-4", value: float = 72, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": f"Patient/{about}"},
        "effectiveDateTime": "2026-11-21T08:30:00+07:00",
        "valueQuantity": {
            "value": value,
            "unit": "nhịp/phút",
            "system": "http://unitsofmeasure.org",
            "code": "/min",
        },
        **more,
    }


@dataclass
class Records:
    """The use cases, each in a transaction of its own, in one place's name unless said otherwise."""

    hub: Hub
    scope: RecordScope = STATION
    tenant: str = SITE
    now: datetime = NOW

    def within(self, scope: RecordScope, tenant: str = SITE) -> "Records":
        return Records(self.hub, scope, tenant, self.now)

    def after(self, step: timedelta) -> "Records":
        return Records(self.hub, self.scope, self.tenant, self.now + step)

    async def put(self, content: dict[str, Any], **how: Any) -> Stored:
        return await self.put_text(text(content), content["resourceType"], content.get("id"), **how)

    async def put_text(self, body: bytes, rtype: str, fid: str | None = None, **how: Any) -> Stored:
        async with self.hub.sessions() as s, s.begin():
            return await service.put(
                s,
                body,
                rtype=rtype,
                fid=fid,
                scope=self.scope,
                author="user:test",
                tenant=self.tenant,
                now=self.now,
                **how,
            )

    async def new_patient(self, **more: Any) -> str:
        return (await self.put(patient(str(uuid4()), **more))).fid

    async def read(self, rtype: str, fid: str) -> Stored:
        async with self.hub.sessions() as s, s.begin():
            return await service.read(s, rtype, fid, scope=self.scope, now=self.now)

    async def delete(self, rtype: str, fid: str, **how: Any) -> Stored:
        async with self.hub.sessions() as s, s.begin():
            return await service.delete(
                s, rtype, fid, scope=self.scope, author="user:test", now=self.now, **how
            )


_apps: list[tuple[Hub, FastAPI]] = []
"""The last application and its hub: making one takes longer than most tests."""


def app_of(hub: Hub) -> FastAPI:
    """The hub's application around an open hub."""
    if not _apps or _apps[0][0] is not hub:
        app = create_app(hub.settings, with_worker=False)
        app.state.hub = hub
        _apps[:] = [(hub, app)]
    return _apps[0][1]


FHIR = {"Content-Type": "application/fhir+json"}


@asynccontextmanager
async def visiting(app: FastAPI, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url=HUB, headers=headers, timeout=30) as client:
        yield client


@asynccontextmanager
async def client_of(hub: Hub, scope: str = "system/*.cruds") -> AsyncIterator[httpx.AsyncClient]:
    """A system client with these SMART scopes, token in hand."""
    async with hub.sessions() as s, s.begin():
        client_id, secret = await access.add_client(s, name="test", scope=scope, now=hub.now())
    async with visiting(app_of(hub)) as client:
        form = {"grant_type": "client_credentials", "scope": scope}
        answer = await client.post("/oauth/token", data=form, auth=(client_id, secret))
        assert answer.status_code == 200, answer.text
        client.headers.update({"Authorization": f"Bearer {answer.json()['access_token']}", **FHIR})
        yield client


async def open_hospitals(hub: Hub) -> None:
    """Put the employers of the people of these tests into the directory."""
    async with hub.sessions() as s, s.begin():
        rows = [
            Facility(
                code=code,
                name=code,
                kind="hospital",
                technical_level="basic",
                province_code="11",
                commune_code=SITE[:5],
                valid_from=date(2020, 1, 1),
            )
            for code in (HOSPITAL, OTHER_HOSPITAL)
        ]
        await directory.replace_all(s, rows)


@asynccontextmanager
async def person(hub: Hub, role: Role, facility: str = HOSPITAL) -> AsyncIterator[httpx.AsyncClient]:
    """A signed-in person of a facility."""
    login = f"{role}-{uuid4().hex[:8]}"
    async with hub.sessions() as s, s.begin():
        await access.add_user(s, login=login, role=role, facility=facility, password=PASSWORD, now=hub.now())
    async with visiting(app_of(hub), **PAGE, **FHIR) as client:
        answer = await client.post(
            "/access/v1/session",
            data={"login": login, "password": PASSWORD},
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert answer.is_success, answer.text
        yield client


async def versions(hub: Hub) -> int:
    """How many versions there are of anything: grows with every write."""
    async with hub.sessions() as s, s.begin():
        return (await s.exec(select(func.count()).select_from(Version))).one()


def ids(bundle: dict[str, Any], mode: str = "match") -> list[str]:
    return [entry["resource"]["id"] for entry in bundle.get("entry", ()) if entry["search"]["mode"] == mode]


def codes(outcome: dict[str, Any]) -> Sequence[str]:
    """The stable refusal codes of an OperationOutcome."""
    return [issue["details"]["coding"][0]["code"] for issue in outcome["issue"]]
