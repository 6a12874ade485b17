"""A visit: vital signs with live triage, and the button that asks for a doctor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from clinic_net.clinical.specialties import SPECIALTIES
from clinic_net.clinical.triage import SIGNS, Sign, TriageResult
from station_agent import service, suggest
from station_agent.forms import reading
from station_agent.forms.common import Problem, text_of
from station_agent.forms.visit import TriageSummary
from station_agent.forms.vitals import MEASURES, VitalsEntry, age_fields, read_vitals_form
from station_agent.ids import new_id
from station_agent.store import Tx, calls, records
from station_agent.web import views
from station_agent.web.pages import pictures
from station_agent.web.pages.common import (
    agent_of,
    doing,
    fields_of,
    form_of,
    id_in_form,
    id_in_path,
    listed,
    now,
    see,
)
from station_agent.web.render import page
from station_agent.web.words import VIETNAM

ADULT_FROM_YEARS = 12
"""IITT: the adult chart from 12 years."""
FERTILE_YEARS = (10, 55)
SHOWN_FIRST = ("red", "red_over_50", "emergency", "positive", "pair")


@dataclass(frozen=True)
class Input:
    """A vital-sign form as it came: what was typed, and what was understood."""

    fields: Mapping[str, str]
    signs: Sequence[str]
    entry: VitalsEntry
    problems: tuple[Problem, ...]

    @property
    def result(self) -> TriageResult | None:
        return None if self.problems else service.triage(self.entry)


async def show(request: Request) -> Response:
    """The visit's form, with what was measured last."""
    return await _show(request, None)


async def _show(request: Request, given: Input | None, status: int = 200) -> Response:
    visit_id = id_in_path(request)
    ids = {"set_id": new_id(now()), "request_id": new_id(now())}

    def gather(tx: Tx) -> dict[str, Any]:
        visit = records.read(tx, "Encounter", visit_id)
        person = views.person(tx, service.patient_of(visit))
        held = records.of_encounter(tx, visit_id, "Observation")
        fields, signs = reading.form_values(service.newest_of_each(tx, visit_id).values())
        return {
            "visit_id": visit_id,
            "visit": visit,
            "reason": views.reason_of(visit.resource),
            "person": person,
            "last_at": held[0].at if held else None,
            "last_saved": held[0].state if held else None,
            "calls": calls.of_encounter(tx, visit_id),
            "pictures": pictures.rows(tx, service.patient_of(visit), visit_id=visit_id),
            "picture_problem": "",
            "given": given or _read(fields, signs, person),
        }

    found = await agent_of(request).database.run(gather)
    shown: Input = found["given"]
    person: views.Person = found["person"]
    return page(
        request, "visit.html", status=status, **found, **ids, measures=MEASURES, specialties=SPECIALTIES,
        groups=sign_groups(person, today()), result=shown.result, suggested=_suggested(shown),
        may_be_pregnant=_may_be_pregnant(person, today()), by_field=_by_field(shown.problems),
    )  # fmt: skip


def _read(fields: Mapping[str, str], signs: Sequence[str], person: views.Person) -> Input:
    entry, problems = read_vitals_form(fields, signs, age=age_fields(person.birth, today()), sex=person.sex)
    return Input(fields, signs, entry, problems)


async def _input(request: Request) -> tuple[Input, str]:
    visit_id = id_in_path(request)
    form = await form_of(request)
    person = await agent_of(request).database.run(
        lambda tx: views.person(tx, service.patient_of(records.read(tx, "Encounter", visit_id)))
    )
    return _read(fields_of(form), listed(form, "signs"), person), visit_id


async def triage(request: Request) -> Response:
    """Triage what has been typed so far; nothing is saved."""
    given, _ = await _input(request)
    return page(
        request, "partials/triage.html", result=given.result, suggested=_suggested(given),
        problems=given.problems, by_field=_by_field(given.problems), measures=MEASURES, given=given,
    )  # fmt: skip


async def save(request: Request) -> Response:
    """Save what was measured."""
    given, visit_id = await _input(request)
    if given.problems:
        return await _show(request, given, status=422)
    set_id, at = id_in_form(given.fields, "set_id"), now()
    await agent_of(request).database.run(
        lambda tx: service.save_vitals(tx, visit_id, given.entry, set_id=set_id, doing=doing(request, at))
    )
    agent_of(request).saved()
    return see(f"/visits/{visit_id}")


async def ask(request: Request) -> Response:
    """Ask for a doctor: what was measured is saved with the request, in one transaction."""
    given, visit_id = await _input(request)
    if given.problems:
        return await _show(request, given, status=422)
    set_id, rid, at = id_in_form(given.fields, "set_id"), id_in_form(given.fields, "request_id"), now()
    chosen = given.fields.get("specialty") or _suggested(given)
    wanted = service.Request(rid, chosen, text_of(given.fields, "reason", longest=500))
    summary = _summary(given.result)

    def store(tx: Tx) -> None:
        who = doing(request, at)
        service.save_vitals(tx, visit_id, given.entry, set_id=set_id, doing=who)
        service.ask_for_doctor(tx, visit_id, wanted, summary=summary, doing=who)

    await agent_of(request).database.run(store)
    agent_of(request).saved()
    return see(f"/cases/{rid}")


def _summary(result: TriageResult | None) -> TriageSummary | None:
    if result is None:
        return None
    score = int(result.score) if result.score is not None and float(result.score).is_integer() else None
    return TriageSummary(result.colour.value, score, result.chart, result.version, result.complete)


async def close(request: Request) -> Response:
    """End the visit."""
    visit_id, at = id_in_path(request), now()
    await agent_of(request).database.run(
        lambda tx: service.close_visit(tx, visit_id, doing=doing(request, at))
    )
    agent_of(request).saved()
    return see("/")


def _suggested(given: Input) -> str:
    return suggest.specialty(given.entry.vitals, given.result)


def _by_field(problems: Sequence[Problem]) -> dict[str, list[Problem]]:
    by_field: dict[str, list[Problem]] = {}
    for problem in problems:
        by_field.setdefault(problem.field, []).append(problem)
    return by_field


def today() -> date:
    """Return the day in Vietnam."""
    return now().astimezone(VIETNAM).date()


def sign_groups(person: views.Person, on: date) -> tuple[list[Sign], list[Sign]]:
    """Return the danger signs that fit this person: those that make red, then the others."""
    ages = age_fields(person.birth, on)
    child = ages.get("age_days", ages.get("age_years", 99) * 365.25) < ADULT_FROM_YEARS * 365.25
    charts = {"iitt_child", "etat"} if child else {"iitt_adult", "be_fast"}
    if _may_be_pregnant(person, on):
        charts.add("iitt_pregnant")
    fitting = [sign for sign in SIGNS.values() if charts & set(sign.charts)]
    grave = [sign for sign in fitting if any(sign.bands.get(chart) in SHOWN_FIRST for chart in charts)]
    return grave, [sign for sign in fitting if sign not in grave]


def _may_be_pregnant(person: views.Person, on: date) -> bool:
    ages = age_fields(person.birth, on)
    youngest = ages["age_days"] / 365.25 if "age_days" in ages else ages.get("age_years", 30)
    oldest = ages.get("age_years_max", youngest)
    return person.sex != "male" and oldest >= FERTILE_YEARS[0] and youngest <= FERTILE_YEARS[1]


routes: list[BaseRoute] = [
    Route("/visits/{id}", show),
    Route("/visits/{id}/triage", triage, methods=["POST"]),
    Route("/visits/{id}/vitals", save, methods=["POST"]),
    Route("/visits/{id}/ask", ask, methods=["POST"]),
    Route("/visits/{id}/close", close, methods=["POST"]),
]
