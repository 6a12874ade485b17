"""Who attacks, and what they are after."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import text as sql

from clinic_net.access import service as access
from clinic_net.access.consent import FACILITY_ID, USER_ID
from clinic_net.access.principals import Role
from clinic_net.kernel.hub import Hub
from tests.records.support import (
    EVERYWHERE,
    FHIR,
    HOSPITAL,
    PAGE,
    SITE,
    Records,
    app_of,
    observation,
    patient,
    text,
    visiting,
)

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Person:
    """Somebody signed in, and their browser."""

    id: UUID
    http: httpx.AsyncClient

    @property
    def address(self) -> str:
        return f"user:{self.id}"


@dataclass(frozen=True)
class Ground:
    """The hub, and what is in it."""

    hub: Hub

    def records(self, tenant: str = SITE) -> Records:
        """The records of a place, written by the hub's own hand."""
        return Records(self.hub, EVERYWHERE, tenant, self.hub.now())

    async def patient(self, tenant: str = SITE, **more: Any) -> str:
        stored = await self.records(tenant).put(patient(str(uuid4()), **more))
        return stored.fid

    async def observation(self, about: str, tenant: str = SITE, **more: Any) -> str:
        stored = await self.records(tenant).put(observation(about, id=str(uuid4()), **more))
        return stored.fid

    async def care(self, about: str, grantee: str, basis: str = "open_consult", **more: Any) -> None:
        until = more.pop("until", None)
        async with self.hub.sessions() as s, s.begin():
            await access.grant_care(
                s,
                patient=about,
                grantee=grantee,
                basis=basis,
                purpose=more.pop("purpose", "TREAT"),
                since=self.hub.now() - timedelta(minutes=1),
                until=until,
                **more,
            )

    async def audited(self, action: str, patient_id: str) -> list[tuple[str, str | None]]:
        """Return (actor, purpose) of what the trail says about a patient."""
        asked = sql("select actor, purpose from audit_event where action = :a and subject = :s order by at")
        async with self.hub.sessions() as s:
            rows = await (await s.connection()).execute(asked, {"a": action, "s": f"Patient/{patient_id}"})
            return [(row[0], row[1]) for row in rows]

    @asynccontextmanager
    async def person(
        self, role: Role = Role.DOCTOR, facility: str = HOSPITAL, *, own: str | None = None, **headers: str
    ) -> AsyncIterator[Person]:
        """Somebody signed in; ``own`` is a citizen's Patient."""
        login = f"{role}-{uuid4().hex[:8]}"
        async with self.hub.sessions() as s, s.begin():
            await access.add_user(
                s,
                login=login,
                role=role,
                facility=facility,
                password=PASSWORD,
                patient=(own or "nobody") if role is Role.CITIZEN else None,
                now=self.hub.now(),
            )
            await s.flush()
            found = await (await s.connection()).execute(
                sql("update access_user set patient = :p where login = :l returning id"),
                {"p": own, "l": login},
            )
            user = found.scalar_one()
        async with visiting(app_of(self.hub), **PAGE, **(headers or FHIR)) as client:
            answer = await client.post(
                "/access/v1/session",
                data={"login": login, "password": PASSWORD},
                headers={"Content-Type": "application/x-www-form-urlencoded"},
            )
            assert answer.is_success, answer.text
            yield Person(user, client)


def consent(
    about: str, decision: str, *, user: UUID | None = None, facility: str | None = None, **more: Any
) -> dict[str, Any]:
    """A Consent to privacy, verified by whoever writes it unless said otherwise."""
    named = {"system": USER_ID, "value": str(user)} if user else {"system": FACILITY_ID, "value": facility}
    coded = {
        "coding": [
            {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
        ]
    }
    provision = {
        "type": decision,
        "actor": [
            {
                "role": {"coding": [{"code": "ASSIGNED"}]},
                "reference": {"identifier": named},
            }
        ],
        **more.pop("provision", {}),
    }
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": coded,
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{about}"},
        "policyRule": {"text": "clinic-net"},
        "verification": [{"verified": True}],
        "provision": provision,
        **more,
    }


async def reads(person: Person, fid: str, rtype: str = "Patient") -> bool:
    """Whether somebody gets a record; whoever does not gets what an unknown one gives."""
    answer = await person.http.get(f"/fhir/{rtype}/{fid}")
    if answer.status_code == 200:
        return True
    unknown = await person.http.get(f"/fhir/{rtype}/{uuid4()}")
    assert (
        (answer.status_code, answer.content)
        == (unknown.status_code, unknown.content)
        == (404, unknown.content)
    )
    return False


__all__ = ["Ground", "Person", "consent", "reads", "text"]
