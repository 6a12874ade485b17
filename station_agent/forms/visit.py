"""A visit: the Encounter, and the request for a doctor."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from station_agent.forms.common import (
    OWN_SYSTEM,
    Resource,
    author,
    concept,
    fhir_instant,
    reference,
    without_empty,
)

TRIAGE_EXTENSION = "http://clinic-net.vn/fhir/StructureDefinition/triage"

PRIORITY_OF_COLOUR = {"red": "stat", "orange": "asap", "yellow": "urgent"}
"""FHIR request-priority by triage colour; any other colour is ``routine``."""

URGENCY_OF_COLOUR = ("red", "orange", "yellow", "green")


@dataclass(frozen=True)
class TriageSummary:
    """What goes with a request: colour, score (None if the chart has none), chart and whether all was assessed."""

    colour: str
    score: int | None
    chart: str
    version: str
    complete: bool


def encounter(
    *, rid: str, patient_id: str, reason: str, by: str, started: datetime, ended: datetime | None = None
) -> Resource:
    """Return the Encounter of a visit to the station (ambulatory)."""
    return without_empty(
        {
            "resourceType": "Encounter",
            "id": rid,
            "status": "finished" if ended else "in-progress",
            "class": {
                "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
                "code": "AMB",
                "display": "ambulatory",
            },
            "subject": reference("Patient", patient_id),
            "participant": [{"individual": {"display": by}}] if by else [],
            "period": without_empty(
                {"start": fhir_instant(started), "end": fhir_instant(ended) if ended else None}
            ),
            "reasonCode": [{"text": reason}] if reason else [],
        }
    )


def finished(visit: Resource, *, ended: datetime) -> Resource:
    """Return an Encounter that is over."""
    return {**visit, "status": "finished", "period": {**visit["period"], "end": fhir_instant(ended)}}


@dataclass(frozen=True)
class Ask:
    """A nurse asks for a doctor."""

    patient_id: str
    encounter_id: str
    specialty: str
    specialty_name: str
    reason: str
    by: str


def consult_request(
    ask: Ask, *, rid: str, triage: TriageSummary | None, observations: Sequence[str], now: datetime
) -> Resource:
    """Return the ServiceRequest that becomes a consultation at the hub, whose id is its id.

    ``observations`` are ids of what was measured, newest first; the newest 50 go along.
    """
    colour = triage.colour if triage else "none"
    return without_empty(
        {
            "resourceType": "ServiceRequest",
            "id": rid,
            "extension": [_triage_extension(triage)] if triage else [],
            "status": "active",
            "intent": "order",
            "category": [concept(OWN_SYSTEM + "request-category", "teleconsultation", "Teleconsultation")],
            "priority": PRIORITY_OF_COLOUR.get(colour, "routine"),
            "code": {"text": "Teleconsultation"},
            "subject": reference("Patient", ask.patient_id),
            "encounter": reference("Encounter", ask.encounter_id),
            "authoredOn": fhir_instant(now),
            "requester": author(ask.by),
            "performerType": concept(OWN_SYSTEM + "specialty", ask.specialty, ask.specialty_name),
            "reasonCode": [{"text": ask.reason}] if ask.reason else [],
            "supportingInfo": [reference("Observation", rid) for rid in observations[:50]],
        }
    )


def _triage_extension(triage: TriageSummary) -> Resource:
    parts: list[Resource] = [
        {"url": "colour", "valueCode": triage.colour},
        {"url": "chart", "valueString": triage.chart},
        {"url": "version", "valueString": triage.version},
        {"url": "complete", "valueBoolean": triage.complete},
    ]
    if triage.score is not None:
        parts.append({"url": "score", "valueInteger": triage.score})
    return {"url": TRIAGE_EXTENSION, "extension": parts}


def triage_in(request: Resource) -> tuple[str, int | None]:
    """Return colour and score of the triage that goes with a request; ``none`` where there was none."""
    extensions: list[Resource] = request.get("extension", [])
    parts: list[Resource] = next(
        (each["extension"] for each in extensions if each.get("url") == TRIAGE_EXTENSION), []
    )
    colour = next((str(part["valueCode"]) for part in parts if part.get("url") == "colour"), "none")
    return colour, next((int(part["valueInteger"]) for part in parts if part.get("url") == "score"), None)
