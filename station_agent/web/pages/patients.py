"""Finding, registering and showing a patient. What is searched for never stands in an address."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from clinic_net.clinical.identifiers import CCCD_SYSTEM
from station_agent import service
from station_agent.forms.common import Problem, text_of
from station_agent.forms.patient import SEXES, PatientEntry, read_patient
from station_agent.ids import new_id
from station_agent.store import Tx, patients, records, reviews
from station_agent.store.patients import PatientRow
from station_agent.web import views
from station_agent.web.pages import pictures
from station_agent.web.pages.common import (
    agent_of,
    doing,
    fields_of,
    form_of,
    id_in_form,
    id_in_path,
    now,
    see,
)
from station_agent.web.render import page
from station_agent.web.words import VIETNAM

EMPTY: Mapping[str, str] = {}


async def find(request: Request) -> Response:
    """The search page."""
    return page(request, "find.html", found=None)


async def search(request: Request) -> Response:
    """Search as the nurse types; posted, so that no name stands in an address or a log."""
    query = text_of(fields_of(await form_of(request)), "query", longest=120)
    found = await agent_of(request).database.run(lambda tx: patients.search(tx, query))
    shown = "partials/found.html" if request.headers.get("HX-Request") else "find.html"
    return page(request, shown, found=found if query else None)


async def new(request: Request) -> Response:
    """An empty registration form, with the id that the person will have."""
    fields = {
        "id": new_id(now()),
        "commune": str((agent_of(request).enrolment or {}).get("commune_name") or ""),
    }
    return _form(request, fields, (), ())


def _form(
    request: Request,
    fields: Mapping[str, str],
    problems: Sequence[Problem],
    alike: Sequence[PatientRow],
    status: int = 200,
) -> Response:
    by_field: dict[str, list[Problem]] = {}
    for problem in problems:
        by_field.setdefault(problem.field, []).append(problem)
    return page(
        request, "register.html", status=status, fields=fields, problems=by_field, alike=alike, sexes=SEXES
    )


async def check(request: Request) -> Response:
    """Check the form while it is filled in: only fields that hold something are spoken of."""
    fields = fields_of(await form_of(request))
    _, problems = read_patient(fields, today=_today())
    shown = [problem for problem in problems if not problem.code.endswith("-missing")]
    by_field: dict[str, list[Problem]] = {}
    for problem in shown:
        by_field.setdefault(problem.field, []).append(problem)
    return page(request, "partials/register_problems.html", problems=by_field)


async def register(request: Request) -> Response:
    """Save a person, after asking once if somebody very much alike is known."""
    fields = fields_of(await form_of(request))
    rid = id_in_form(fields)
    entry, problems = read_patient(fields, today=_today())
    if any(not problem.warning for problem in problems):
        return _form(request, fields, problems, (), status=422)
    at = now()

    def save(tx: Tx) -> list[PatientRow]:
        alike = [] if fields.get("confirmed") else _alike(tx, entry, rid)
        if not alike:
            service.register(tx, entry, rid=rid, doing=doing(request, at))
        return alike

    alike = await agent_of(request).database.run(save)
    if alike:
        return _form(request, fields, problems, alike, status=409)
    agent_of(request).saved()
    return see(f"/patients/{rid}")


def _alike(tx: Tx, entry: PatientEntry, rid: str) -> list[PatientRow]:
    same_number = patients.by_identifier(tx, CCCD_SYSTEM, entry.cccd) if entry.cccd else []
    rows = list(patients.names(tx, same_number).values())
    rows += patients.look_alikes(tx, entry.name, str(entry.birth) if entry.birth else None)
    return list({row.id: row for row in rows if row.id != rid}.values())


async def show(request: Request) -> Response:
    """A patient: allergies first, then visits, trends and what doctors wrote."""
    patient_id = id_in_path(request)

    def gather(tx: Tx) -> dict[str, Any]:
        return {
            "person": views.person(tx, patient_id),
            "visits": views.visit_rows(tx, records.of_patient(tx, patient_id, ("Encounter",), limit=20)),
            "letters": views.letters(tx, patient_id),
            "trends": views.trends(tx, patient_id),
            "pictures": pictures.rows(tx, patient_id),
            "picture_problem": "",
            "visit_id": new_id(now()),
            "reviews": reviews.of_patient(tx, patient_id),
        }

    shown = "partials/letters.html" if request.headers.get("HX-Request") else "patient.html"
    return page(request, shown, **await agent_of(request).database.run(gather))


async def open_visit(request: Request) -> Response:
    """Open a visit and go to its form."""
    patient_id = id_in_path(request)
    fields = fields_of(await form_of(request))
    rid, reason, at = id_in_form(fields), text_of(fields, "reason", longest=500), now()
    await agent_of(request).database.run(
        lambda tx: service.open_visit(tx, patient_id, rid=rid, reason=reason, doing=doing(request, at))
    )
    agent_of(request).saved()
    return see(f"/visits/{rid}")


async def add_allergy(request: Request) -> Response:
    """Add an allergy that was learnt of later."""
    patient_id = id_in_path(request)
    text, at = text_of(fields_of(await form_of(request)), "allergy", longest=200), now()
    if text:
        await agent_of(request).database.run(
            lambda tx: service.note_allergy(tx, patient_id, text, doing=doing(request, at))
        )
        agent_of(request).saved()
    return see(f"/patients/{patient_id}")


def _today() -> date:
    return now().astimezone(VIETNAM).date()


routes: list[BaseRoute] = [
    Route("/patients", find),
    Route("/patients", register, methods=["POST"]),
    Route("/patients/new", new),
    Route("/patients/search", search, methods=["POST"]),
    Route("/patients/check", check, methods=["POST"]),
    Route("/patients/{id}", show),
    Route("/patients/{id}/visits", open_visit, methods=["POST"]),
    Route("/patients/{id}/allergies", add_allergy, methods=["POST"]),
]
