"""What the pages show, gathered in one transaction: plain data, no words yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clinic_net.clinical.specialties import SPECIALTIES
from station_agent.forms import reading
from station_agent.forms.common import Resource
from station_agent.store import Tx, calls, outbox, patients, records, sms
from station_agent.store.calls import Call
from station_agent.store.patients import PatientRow
from station_agent.store.records import Held
from station_agent.store.sms import Sms

TREND_VISITS = 12
LETTER_TYPES = ("Composition", "MedicationRequest", "ServiceRequest")


@dataclass(frozen=True)
class VisitRow:
    """A visit in a list. ``sent``: whether the hub has all of it that it will take."""

    id: str
    at: str
    open: bool
    reason: str
    patient: PatientRow | None
    patient_id: str
    colour: str
    calls: tuple[Call, ...]
    state: str


@dataclass(frozen=True)
class Person:
    """A patient as every page of theirs shows them."""

    id: str
    name: str
    sex: str
    birth: str | None
    phone: str
    address: str
    identifiers: tuple[tuple[str, str], ...]
    allergies: tuple[str, ...]
    medicines: tuple[str, ...]
    state: str


@dataclass(frozen=True)
class Line:
    """One measure over time: SVG points in a box of 100 × 30, and the numbers at its ends."""

    name: str
    points: str
    last: str
    low: str
    high: str
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class CaseView:
    """A request for a doctor. ``state``: a key of ``words.CASES``; ``view``: what the hub says."""

    call: Call
    state: str
    person: Person
    specialty: Any
    reason: str
    issues: tuple[dict[str, str], ...]
    letters: tuple[reading.Letter, ...]
    messages: tuple[Sms, ...] = ()

    @property
    def may_join(self) -> bool:
        return self.state in ("accepted", "connecting", "active", "reconnecting")


def person(tx: Tx, patient_id: str) -> Person:
    """Gather a patient. Raises UnknownRecord."""
    held = records.read(tx, "Patient", patient_id)
    resource = held.resource
    phones = [
        str(t.get("value", "")) for t in reading.items(resource.get("telecom")) if t.get("system") == "phone"
    ]
    addresses = [str(a.get("text", "")) for a in reading.items(resource.get("address"))]
    return Person(
        id=patient_id,
        name=patients.name_of(resource),
        sex=str(resource.get("gender", "unknown")),
        birth=resource.get("birthDate"),
        phone=next(iter(phones), ""),
        address=next(iter(addresses), ""),
        identifiers=tuple(
            (system.rsplit("/", 1)[-1], value) for system, value in patients.identifiers_of(resource)
        ),
        allergies=_texts(tx, patient_id, "AllergyIntolerance", "code"),
        medicines=_texts(tx, patient_id, "MedicationStatement", "medicationCodeableConcept"),
        state=held.state,
    )


def _texts(tx: Tx, patient_id: str, rtype: str, member: str) -> tuple[str, ...]:
    held = records.of_patient(tx, patient_id, (rtype,))
    return tuple(dict.fromkeys(text for item in held if (text := reading.text_in(item.resource.get(member)))))


def visit_rows(tx: Tx, visits: Sequence[Held]) -> list[VisitRow]:
    """Gather visits for a list."""
    people = patients.names(tx, [records.patient_of(visit.resource) or "" for visit in visits])
    return [_visit_row(tx, visit, people) for visit in visits]


def _visit_row(tx: Tx, visit: Held, people: dict[str, PatientRow]) -> VisitRow:
    patient_id = records.patient_of(visit.resource) or ""
    triage = newest_triage(records.of_encounter(tx, visit.id, "Observation"))
    return VisitRow(
        id=visit.id,
        at=visit.at,
        open=visit.resource.get("status") != "finished",
        reason=reason_of(visit.resource),
        patient=people.get(patient_id),
        patient_id=patient_id,
        colour=triage[0] if triage else "none",
        calls=tuple(calls.of_encounter(tx, visit.id)),
        state=visit.state,
    )


def reason_of(resource: Resource) -> str:
    """Return why a visit or request was made, as written."""
    return next(
        (text for item in reading.items(resource.get("reasonCode")) if (text := reading.text_in(item))), ""
    )


def newest_triage(observations: Sequence[Held]) -> tuple[str, int | None] | None:
    """Return colour and score of the newest triage, or None."""
    return next((reading.triage_of(h.resource) for h in observations if reading.is_triage(h.resource)), None)


def letters(tx: Tx, patient_id: str) -> tuple[reading.Letter, ...]:
    """Return what doctors sent down about a patient, newest first."""
    return tuple(reading.letters(held.resource for held in records.of_patient(tx, patient_id, LETTER_TYPES)))


def trends(tx: Tx, patient_id: str) -> list[Line]:
    """Return how a patient's measures went over the last sets, oldest first."""
    series: dict[str, list[float]] = {}
    for held in reversed(records.of_patient(tx, patient_id, ("Observation",), limit=TREND_VISITS * 8)):
        for name, value in reading.numbers_in(held.resource).items():
            series.setdefault(name, []).append(value)
    order = ("systolic", "pulse", "respiratory_rate", "spo2", "temperature", "weight", "glucose")
    return [_line(name, series[name][-TREND_VISITS:]) for name in order if name in series]


def _line(name: str, values: list[float]) -> Line:
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    step = 96.0 / max(1, len(values) - 1)
    dots = tuple(
        (round(2 + index * step if len(values) > 1 else 50, 1), round(26 - 22 * (value - low) / spread, 1))
        for index, value in enumerate(values)
    )
    points = " ".join(f"{x},{y}" for x, y in dots)
    return Line(name, points, f"{values[-1]:g}", f"{low:g}", f"{high:g}", dots)


def case(tx: Tx, call_id: str) -> CaseView | None:
    """Gather a request for a doctor; None if this station made none of this id. Raises UnknownRecord."""
    call = calls.find(tx, call_id)
    if call is None:
        return None
    request = records.read(tx, "ServiceRequest", call_id).resource
    wanted = next((code for _, code in reading.codes_in(request.get("performerType"))), "general")
    refused = outbox.refusal_of(tx, "ServiceRequest", call_id)
    return CaseView(
        call=call,
        state="refused" if refused is not None and call.state == "waiting" else call.state,
        person=person(tx, call.patient or ""),
        specialty=SPECIALTIES.get(wanted, SPECIALTIES["general"]),
        reason=reason_of(request),
        issues=refused or (),
        messages=tuple(sms.of_call(tx, call_id)),
        letters=tuple(
            letter for letter in letters(tx, call.patient or "") if letter.at[:19] >= call.asked_at[:19]
        ),
    )
