"""Small sound resources of made-up people, fresh at every call."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

Json = dict[str, Any]


def _patient() -> Json:
    return {
        "resourceType": "Patient",
        "id": "p-100",
        "identifier": [{"system": "http://fhir.hl7.org.vn/core/sid/cccd", "value": "001190000001"}],
        "active": True,
        "name": [{"use": "official", "text": "Nguyễn Văn An", "family": "Nguyễn", "given": ["Văn", "An"]}],
        "telecom": [
            {"system": "phone", "value": "+84912345678"},
            {"system": "email", "value": "an@example.vn"},
        ],
        "gender": "male",
        "birthDate": "1990-02-28",
        "address": [{"line": ["Thôn 3"], "city": "Đồng Văn", "state": "Tuyên Quang", "country": "VN"}],
        "generalPractitioner": [{"reference": "Practitioner/d-1"}],
        "managingOrganization": {"reference": "Organization/tyt-01"},
        "contact": [{"name": {"text": "Trần Thị Bình"}}],
    }


def _observation() -> Json:
    return {
        "resourceType": "Observation",
        "id": "bp-1",
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "vital-signs",
                    }
                ]
            }
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}], "text": "Huyết áp"},
        "subject": {"reference": "Patient/p-100"},
        "effectiveDateTime": "2026-05-01T08:30:00+07:00",
        "component": [_component("8480-6", Decimal("152")), _component("8462-4", Decimal("90.50"))],
    }


def _component(code: str, value: Decimal) -> Json:
    return {
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "valueQuantity": {
            "value": value,
            "unit": "mmHg",
            "system": "http://unitsofmeasure.org",
            "code": "mm[Hg]",
        },
    }


def _condition() -> Json:
    return {
        "resourceType": "Condition",
        "clinicalStatus": {
            "coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}
            ]
        },
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "I63.9"}]},
        "subject": {"reference": "Patient/p-100"},
        "onsetPeriod": {"start": "2026-04", "end": "2026-05-01"},
    }


def _encounter() -> Json:
    return {
        "resourceType": "Encounter",
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "VR"},
        "subject": {"reference": "Patient/p-100"},
        "participant": [
            {"individual": {"reference": "Practitioner/d-1"}},
            {"individual": {"reference": "RelatedPerson/r-1"}},
        ],
        "period": {"start": "2026-05-01T08:00:00+07:00"},
    }


def _bundle() -> Json:
    resources = (_patient(), _observation())
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": each} for each in resources],
    }


@pytest.fixture(scope="session")
def sample() -> Callable[[str], Json]:
    """Give a function from resource type to a new sound resource."""
    makers = (_patient, _observation, _condition, _encounter, _bundle)
    by_type = {maker()["resourceType"]: maker for maker in makers}
    return lambda resource_type: by_type[resource_type]()
