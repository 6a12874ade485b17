"""Records as a commune's year leaves them behind: invented people, their visits, measurements, diagnoses, medicines.

The same seed always gives the same records. A person in ten is followed up (hypertension, diabetes) and has five times
the measurements of the others, so that a search for a person's pulses fills a page for some and not for all.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

FAMILY = (
    "Nguyễn",
    "Trần",
    "Lê",
    "Phạm",
    "Hoàng",
    "Huỳnh",
    "Phan",
    "Vũ",
    "Võ",
    "Đặng",
    "Bùi",
    "Đỗ",
    "Hồ",
    "Ngô",
)
MIDDLE = {"male": ("Văn", "Hữu", "Đức", "Minh"), "female": ("Thị", "Thị Thu", "Ngọc", "Thị Bích")}
GIVEN = (
    "An",
    "Bình",
    "Chi",
    "Dũng",
    "Giang",
    "Hà",
    "Hòa",
    "Hùng",
    "Lan",
    "Long",
    "Mai",
    "Nam",
    "Phúc",
    "Thảo",
    "Yến",
)
CITIZEN = "http://fhir.hl7.org.vn/core/sid/cccd"
LOINC, SNOMED, ICD_10, UCUM = (
    "http://loinc.org",
    "http://snomed.info/sct",
    "http://hl7.org/fhir/sid/icd-10",
    "http://unitsofmeasure.org",
)
VITALS = (
    ("8867-4", "Heart rate", 72, 9, "/min"),
    ("9279-1", "Respiratory rate", 17, 3, "/min"),
    ("8310-5", "Body temperature", 36.8, 0.5, "Cel"),
    ("2708-6", "Oxygen saturation in Arterial blood", 97, 2, "%"),
    ("8480-6", "Systolic blood pressure", 128, 16, "mm[Hg]"),
)
"""LOINC code, its name, mean and spread of the values, UCUM unit."""
FREQUENT = VITALS[0][0]
DIAGNOSES = (
    ("I10", "Tăng huyết áp vô căn"),
    ("E11", "Đái tháo đường típ 2"),
    ("J06.9", "Nhiễm trùng hô hấp trên"),
)
MEDICINES = (
    ("29513011000001108", "Amlodipine 5 mg"),
    ("109081006", "Metformin 500 mg"),
    ("27658006", "Amoxicillin"),
)
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)

Resource = dict[str, Any]


@dataclass
class Person:
    """A patient's records, as entries of one transaction: the Patient first, references by ``urn:uuid``."""

    number: str
    followed: bool
    entries: list[tuple[str, Resource]] = field(default_factory=list)


class Sample:
    """A stream of invented people."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)  # noqa: S311 -- invented people, and the same ones every time
        self._next = 0

    def people(self) -> Iterator[Person]:
        """Yield people without end."""
        while True:
            yield self.person()

    def person(self) -> Person:
        """Return the next person, with 30 resources, or 111 for a person who is followed up."""
        self._next += 1
        made = Person(f"{self._next:012d}", followed=self._next % 10 == 0)
        patient = self._add(made, self.patient(made.number))
        visits = [self._add(made, self._encounter(patient)) for _ in range(3)]
        for _ in range(100 if made.followed else 20):
            self._add(made, self.observation(patient, self._random.choice(visits)))
        for code, words in self._random.sample(DIAGNOSES, 3):
            self._add(made, self._condition(patient, visits[0], code, words))
        for code, words in MEDICINES:
            self._add(made, self._medication_request(patient, visits[0], code, words))
        while len(made.entries) < (111 if made.followed else 30):
            self._add(made, self.observation(patient, visits[-1]))
        return made

    def _add(self, person: Person, resource: Resource) -> str:
        address = f"urn:uuid:{UUID(int=self._random.getrandbits(128), version=4)}"
        person.entries.append((address, resource))
        return address

    def _moment(self) -> str:
        at = FIRST_DAY + timedelta(seconds=self._random.randrange(320 * 86_400))
        return at.isoformat()

    def patient(self, number: str) -> Resource:
        """Return a Patient with this citizen number."""
        pick = self._random.choice
        gender = pick(("male", "female"))
        family, middle, given = pick(FAMILY), pick(MIDDLE[gender]), pick(GIVEN)
        born = date(1940, 1, 1) + timedelta(days=self._random.randrange(30_000))
        return {
            "resourceType": "Patient",
            "identifier": [
                {"use": "official", "system": CITIZEN, "value": number},
                {
                    "use": "secondary",
                    "system": "http://fhir.hl7.org.vn/core/sid/bhyt",
                    "value": f"GD4{number[-12:]}",
                },
            ],
            "active": True,
            "name": [
                {
                    "use": "official",
                    "text": f"{family} {middle} {given}",
                    "family": family,
                    "given": [*middle.split(), given],
                }
            ],
            "telecom": [
                {"system": "phone", "value": f"09{self._random.randrange(10**8):08d}", "use": "mobile"}
            ],
            "gender": gender,
            "birthDate": born.isoformat(),
            "address": [
                {
                    "use": "home",
                    "text": f"Thôn {self._random.randrange(1, 12)}, xã Tả Van, tỉnh Lào Cai",
                    "country": "VN",
                }
            ],
        }

    def _encounter(self, patient: str) -> Resource:
        start = self._moment()
        return {
            "resourceType": "Encounter",
            "status": "finished",
            "class": {
                "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
                "code": "AMB",
                "display": "ambulatory",
            },
            "type": [
                {"coding": [{"system": SNOMED, "code": "185345009", "display": "Encounter for symptom"}]}
            ],
            "subject": {"reference": patient},
            "period": {"start": start, "end": start},
            "reasonCode": [{"text": "Khám theo hẹn"}],
        }

    def observation(self, patient: str, visit: str | None = None) -> Resource:
        """Return a vital sign, some 1.1 kB of it."""
        code, name, mean, spread, unit = self._random.choice(VITALS)
        value = round(self._random.gauss(mean, spread), 1)
        made: Resource = {
            "resourceType": "Observation",
            "status": "final",
            "category": [
                {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                            "code": "vital-signs",
                            "display": "Vital Signs",
                        }
                    ],
                    "text": "Dấu hiệu sinh tồn",
                }
            ],
            "code": {"coding": [{"system": LOINC, "code": code, "display": name}], "text": name},
            "subject": {"reference": patient},
            "effectiveDateTime": self._moment(),
            "issued": self._moment(),
            "valueQuantity": {"value": value, "unit": unit, "system": UCUM, "code": unit},
            "interpretation": [
                {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
                            "code": "N",
                            "display": "Normal",
                        }
                    ]
                }
            ],
            "note": [{"text": "Đo tại trạm y tế xã, người bệnh nghỉ ngơi năm phút trước khi đo."}],
        }
        if visit is not None:
            made["encounter"] = {"reference": visit}
        return made

    def _condition(self, patient: str, visit: str, code: str, words: str) -> Resource:
        system = "http://terminology.hl7.org/CodeSystem/condition-"
        return {
            "resourceType": "Condition",
            "clinicalStatus": {"coding": [{"system": f"{system}clinical", "code": "active"}]},
            "verificationStatus": {"coding": [{"system": f"{system}ver-status", "code": "confirmed"}]},
            "category": [{"coding": [{"system": f"{system}category", "code": "encounter-diagnosis"}]}],
            "code": {"coding": [{"system": ICD_10, "code": code, "display": words}], "text": words},
            "subject": {"reference": patient},
            "encounter": {"reference": visit},
            "recordedDate": self._moment(),
        }

    def _medication_request(self, patient: str, visit: str, code: str, words: str) -> Resource:
        return {
            "resourceType": "MedicationRequest",
            "status": "active",
            "intent": "order",
            "medicationCodeableConcept": {"coding": [{"system": SNOMED, "code": code}], "text": words},
            "subject": {"reference": patient},
            "encounter": {"reference": visit},
            "authoredOn": self._moment(),
            "dosageInstruction": [
                {
                    "text": "Uống 1 viên mỗi sáng sau ăn, 30 ngày",
                    "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
                    "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "viên"}}],
                }
            ],
        }


def text(resource: Resource) -> bytes:
    """Return a resource as a client would send it."""
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()


def transaction(entries: list[tuple[str, Resource]]) -> bytes:
    """Return a transaction that creates these resources."""
    return text(
        {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "fullUrl": address,
                    "resource": resource,
                    "request": {"method": "POST", "url": resource["resourceType"]},
                }
                for address, resource in entries
            ],
        }
    )
