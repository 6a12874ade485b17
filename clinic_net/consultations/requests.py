"""A station's ServiceRequest, read as a call for help. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from clinic_net.clinical.specialties import SPECIALTIES
from clinic_net.consultations import rules
from clinic_net.consultations.errors import NotAConsultationRequest

REQUEST_CATEGORY = "http://clinic-net.vn/fhir/CodeSystem/request-category"
SPECIALTY = "http://clinic-net.vn/fhir/CodeSystem/specialty"
TRIAGE = "http://clinic-net.vn/fhir/StructureDefinition/triage"

_URGENCY = {"stat": "red", "asap": "orange", "urgent": "yellow", "routine": "green"}
"""FHIR request priorities as colours (domain §3.3)."""

_REFERENCE = re.compile(r"([A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/.*)?", re.ASCII)

_HIGHEST_SCORE = 100
"""Above any chart's: GCS ends at 15, NEWS2 at 20."""

_WITHDRAWN = frozenset({"revoked", "entered-in-error"})


@dataclass(frozen=True)
class ConsultRequest:
    """A call for help. ``id`` is the id of its ServiceRequest, ``patient`` and ``encounter`` are FHIR ids.

    ``requested_at`` is the station's clock; ``ring_after`` is how long a tier rings in an emergency.
    """

    id: UUID
    site: str
    tenant: str
    patient: str
    encounter: str | None
    specialty: str
    urgency: str
    requested_at: datetime
    ring_after: timedelta = timedelta(seconds=30)
    triage_score: int | None = None
    triage_chart: str | None = None


def is_consult_request(resource: Mapping[str, Any]) -> bool:
    """Whether a ServiceRequest asks for a remote doctor."""
    return "teleconsultation" in _codes(resource.get("category"), REQUEST_CATEGORY)


def is_withdrawn(resource: Mapping[str, Any]) -> bool:
    """Whether a ServiceRequest says that help is not wanted any more."""
    return resource.get("status") in _WITHDRAWN


def read_request(
    resource: Mapping[str, Any], *, site: str, received: datetime, ring_after: timedelta
) -> ConsultRequest:
    """Return the call for help that a teleconsultation's ServiceRequest is.

    An unknown or missing specialty asks for a general doctor. The urgency is the more urgent of priority and
    triage colour; green is a positive claim (domain §4), so without a green triage it is at least yellow. A
    request is refused only without a patient or a usable id.

    Raises:
        NotAConsultationRequest: it names no patient, or its id is no UUID.
    """
    patient = _id_of(resource.get("subject"), "Patient")
    if patient is None:
        raise NotAConsultationRequest("ServiceRequest.subject")
    try:
        identifier = UUID(str(resource.get("id")))
    except ValueError:
        raise NotAConsultationRequest("ServiceRequest.id") from None
    triage = _triage(resource)
    wanted = _codes([resource.get("performerType")], SPECIALTY)
    return ConsultRequest(
        id=identifier,
        site=site,
        tenant=site,
        patient=patient,
        encounter=_id_of(resource.get("encounter"), "Encounter"),
        specialty=next((code for code in wanted if code in SPECIALTIES), "general"),
        urgency=_urgency(resource.get("priority"), triage.get("colour")),
        requested_at=_instant(resource.get("authoredOn")) or received,
        ring_after=ring_after,
        triage_score=triage.get("score"),
        triage_chart=triage.get("chart"),
    )


def _urgency(priority: Any, colour: Any) -> str:
    asked = _URGENCY.get(str(priority), "yellow")
    if asked == "green" and colour != "green":
        asked = "yellow"
    return rules.more_urgent(asked, colour)


def _id_of(reference: Any, rtype: str) -> str | None:
    text = reference.get("reference") if isinstance(reference, dict) else None
    match = _REFERENCE.fullmatch(text) if isinstance(text, str) else None
    return match[2] if match is not None and match[1] == rtype else None


def _codes(concepts: Any, system: str) -> list[str]:
    return [
        str(coding.get("code"))
        for concept in _dicts(concepts)
        for coding in _dicts(concept.get("coding"))
        if coding.get("system") == system
    ]


def _dicts(values: Any) -> Iterator[dict[str, Any]]:
    if isinstance(values, list):
        yield from (value for value in values if isinstance(value, dict))


def _triage(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return colour, score and chart of the triage extension, as far as they are there and of their type."""
    found: dict[str, Any] = {}
    for extension in _dicts(resource.get("extension")):
        if extension.get("url") != TRIAGE:
            continue
        for part in _dicts(extension.get("extension")):
            value = next((part[key] for key in part if key.startswith("value")), None)
            if part.get("url") in ("colour", "chart") and isinstance(value, str):
                found[part["url"]] = value[:30]
            elif part.get("url") == "score" and isinstance(value, int) and 0 <= value <= _HIGHEST_SCORE:
                found["score"] = value
    return found


def _instant(text: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
