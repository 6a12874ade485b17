"""What a nurse saves in these tests. Names are from the list of invented words that a run is searched for."""

from typing import Any
from uuid import uuid4

Resource = dict[str, Any]


def patient(phone: str = "0912000000") -> Resource:
    return {
        "resourceType": "Patient",
        "id": str(uuid4()),
        "active": True,
        "telecom": [{"system": "phone", "value": phone}],
        "gender": "female",
        "birthDate": "1985",
    }


def pulse(of: str, value: int = 80) -> Resource:
    return {
        "resourceType": "Observation",
        "id": str(uuid4()),
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": f"Patient/{of}"},
        "effectiveDateTime": "2026-11-22T02:14:00.000Z",
        "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": "/min"},
    }


def call(of: str) -> Resource:
    return {
        "resourceType": "ServiceRequest",
        "id": str(uuid4()),
        "status": "active",
        "intent": "order",
        "priority": "stat",
        "code": {"text": "Teleconsultation"},
        "subject": {"reference": f"Patient/{of}"},
        "authoredOn": "2026-11-22T02:14:00Z",
    }


def poison(of: str) -> Resource:
    """Return a record that is no FHIR: a day that there is not, and a member that there is not."""
    return {**pulse(of), "effectiveDateTime": "2026-02-31", "favouriteColour": "red"}
