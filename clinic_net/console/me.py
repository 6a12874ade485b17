"""A citizen's own page: their record, who opened it and why, what they permit and refuse, corrections, a copy."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import consent, service
from clinic_net.access.errors import RoleNotAllowed, UnknownUser
from clinic_net.access.http import require
from clinic_net.access.policy import RecordScope, scope_of
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.audit.looks import LookEvent, looks_at
from clinic_net.console import record
from clinic_net.console.charts import chart_of, places_of, plots_of
from clinic_net.console.i18n import local_day
from clinic_net.console.pages import render
from clinic_net.directory import service as directory
from clinic_net.fhir import parse_search, write
from clinic_net.kernel.http import Now, UnitOfWork
from clinic_net.kernel.ids import new_id
from clinic_net.records import service as records
from clinic_net.records.errors import ResourceDeleted, UnknownResource

router = APIRouter()

ANSWERED_WITHIN = timedelta(days=10)
"""Decree 356/2025/ND-CP: the shortest of the times in which a request of the person concerned is to be met."""
CORRECTION = "http://clinic-net.vn/fhir/CodeSystem/citizen-request"
_COPIED = 1000
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


async def _citizen(user: Annotated[UserPrincipal, Depends(require(Role.CITIZEN))]) -> UserPrincipal:
    if user.patient is None:
        raise RoleNotAllowed
    return user


Citizen = Annotated[UserPrincipal, Depends(_citizen)]


@dataclass(frozen=True)
class Looker:
    """A person who looked: as far as the citizen should know them."""

    name: str
    role: str
    facility: str
    code: str = ""


@dataclass(frozen=True)
class Correction:
    """A correction that was asked for."""

    words: str
    status: str
    asked: str
    due: str


@router.get("/me")
async def own_page(request: Request, user: Citizen, session: UnitOfWork, now: Now) -> Response:
    patient = _own(user)
    looks = await looks_at(session, patient)
    people = [look for look in looks if look.by_a_person and look.actor != user.address]
    chart = await chart_of(session, patient, by=user, now=now)
    given = await consent.consents_of(session, patient, now=now)
    lookers = [(look, await _looker(session, look.actor)) for look in people[:100]]
    emergencies = await service.emergencies_about(session, patient)
    wards = await service.wards_of(session, user, now=now)
    return render(
        request,
        "me.html",
        user=user,
        now=now,
        chart=chart,
        plots=plots_of(chart) if chart else [],
        looks=lookers,
        machines=_by_day(look for look in looks if not look.by_a_person),
        emergencies=emergencies,
        consents=given,
        places=await places_of(
            session, {*consent.facilities_named(given), *(e.facility for e in emergencies)}
        ),
        known=sorted({(who.code, who.facility) for _, who in lookers if who.code}),
        wards=[(each.relation, await _name_of(session, each.patient, user, now)) for each in wards],
        corrections=await _corrections(session, user, now),
    )


def _own(user: UserPrincipal) -> str:
    assert user.patient is not None
    return user.patient


def _by_day(looks: Any) -> list[tuple[str, str, int]]:
    """Return (day, address, how often) of what machines did, the newest first: one line a day, or nobody reads it."""
    counted = Counter((local_day(look.at).isoformat(), look.actor) for look in looks)
    return sorted(((day, actor, times) for (day, actor), times in counted.items()), reverse=True)[:30]


async def _looker(session: AsyncSession, address: str) -> Looker:
    try:
        person = await service.user(session, UUID(address.removeprefix("user:")))
    except UnknownUser:
        return Looker(address, "", "")
    places = await places_of(session, [person.facility])
    return Looker(person.name, person.role, places[person.facility], person.facility)


async def _name_of(session: AsyncSession, patient: str, user: UserPrincipal, now: datetime) -> str:
    """Return the name of somebody whose record the citizen may see; empty where they no longer may."""
    try:
        stored = await records.read(
            session, "Patient", patient, scope=scope_of(user), now=now, by=user.address
        )
    except (UnknownResource, ResourceDeleted):
        return ""
    return record.name_of(json.loads(stored.text)) or ""


@router.get("/me/children/{relation}")
async def child(request: Request, relation: UUID, user: Citizen, session: UnitOfWork, now: Now) -> Response:
    """Show a child's record to its guardian, as far and as long as a station vouches for that."""
    wards = await service.wards_of(session, user, now=now)
    patient = next((each.patient for each in wards if each.relation == relation), None)
    chart = None if patient is None else await chart_of(session, patient, by=user, now=now)
    if chart is None:
        raise UnknownResource
    return render(request, "child.html", user=user, chart=chart, plots=plots_of(chart), now=now)


async def _corrections(session: AsyncSession, user: UserPrincipal, now: datetime) -> list[Correction]:
    asked = parse_search("Task", [("code", f"{CORRECTION}|correction"), ("_count", "50")])
    found = await records.search(session, asked, scope=scope_of(user), now=now, by=user.address)
    told = [json.loads(one.text) for one in found.entries]
    return [
        Correction(
            task.get("description", ""),
            task.get("status", ""),
            task.get("authoredOn", "")[:10],
            task.get("restriction", {}).get("period", {}).get("end", "")[:10],
        )
        for task in told
    ]


async def _put(
    session: AsyncSession, resource: dict[str, Any], user: UserPrincipal, now: datetime, *, fid: str | None
) -> None:
    """Store what a citizen says about their own record, by their own hand and where the record is kept."""
    scope = RecordScope(None, None, writable=True, own=_own(user))
    about = await records.read(session, "Patient", _own(user), scope=scope_of(user), now=now, by=user.address)
    await records.put(
        session,
        write(resource),
        rtype=resource["resourceType"],
        fid=fid,
        scope=scope,
        author=user.address,
        tenant=about.tenant,
        now=now,
        with_patient=True,
    )


@router.post("/me/consents")
async def give_consent(
    user: Citizen,
    session: UnitOfWork,
    now: Now,
    decision: Annotated[str, Form(max_length=6)],
    facility: Annotated[str, Form(max_length=5)],
    until: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Permit or refuse a facility; nothing is ticked beforehand."""
    place = await directory.facility(session, facility.strip())
    said = consent.resource_of(
        _own(user),
        "permit" if decision == "permit" else "deny",
        f"facility:{place.code}",
        until=until if _DAY.fullmatch(until) else None,
        language=user.language,
        now=now,
    )
    await _put(session, said, user, now, fid=None)
    return RedirectResponse("/me#consents", 303)


@router.post("/me/consents/{consent_id}/withdraw")
async def withdraw_consent(consent_id: UUID, user: Citizen, session: UnitOfWork, now: Now) -> Response:
    stored = await records.read(
        session, "Consent", str(consent_id), scope=scope_of(user), now=now, by=user.address
    )
    said = json.loads(stored.text)
    await _put(session, {**said, "status": "inactive"}, user, now, fid=stored.fid)
    return RedirectResponse("/me#consents", 303)


@router.post("/me/corrections")
async def ask_correction(
    user: Citizen, session: UnitOfWork, now: Now, words: Annotated[str, Form(min_length=3, max_length=2000)]
) -> Response:
    """Ask for a correction: a Task for who keeps the record, with the day by which it is to be answered."""
    fid = str(new_id(now))
    task = {
        "resourceType": "Task",
        "id": fid,
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": CORRECTION, "code": "correction"}]},
        "description": words.strip(),
        "for": {"reference": f"Patient/{_own(user)}"},
        "requester": {"reference": f"Patient/{_own(user)}"},
        "authoredOn": records.instant(now),
        "restriction": {"period": {"end": records.instant(now + ANSWERED_WITHIN)}},
    }
    await _put(session, task, user, now, fid=fid)
    return RedirectResponse("/me#corrections", 303)


@router.get("/me/copy")
async def copy(user: Citizen, session: UnitOfWork, now: Now) -> Response:
    """Give the whole record as a FHIR Bundle to keep."""
    found = await records.everything(
        session, _own(user), scope=scope_of(user), now=now, by=user.address, limit=_COPIED
    )
    entries = b",".join(b'{"resource":' + one.text + b"}" for one in found)
    text = b'{"resourceType":"Bundle","type":"collection","entry":[' + entries + b"]}"
    headers = {"Content-Disposition": 'attachment; filename="clinic-net.json"', "Cache-Control": "no-store"}
    return Response(text, media_type="application/fhir+json", headers=headers)


__all__ = ["LookEvent", "router"]
