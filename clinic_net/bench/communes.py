"""A commune as its station's database holds it: households of a few villages, and what years of primary care left.

The same seed always gives the same commune, written the way a station's forms write records (ids, references, compact
JSON), 13.6 of them a person and some 900 bytes each. Words are drawn from lists, so that real free text compresses
somewhat worse; numbers, dates and identifiers are as random as life's.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from clinic_net.bench import commune_words as words
from clinic_net.clinical.identifiers import BHYT_SYSTEM, CCCD_SYSTEM
from clinic_net.protocol.ids import uuid7

Resource = dict[str, Any]

PER_PERSON = 13.6
"""Records a person: 136,000 of a commune of 10,000."""
FIRST_DAY = datetime(2023, 1, 2, tzinfo=UTC)
TODAY = datetime(2026, 11, 2, 1, 0, tzinfo=UTC)
"""Where steady work begins."""
_LOINC, _UCUM, _SNOMED = "http://loinc.org", "http://unitsofmeasure.org", "http://snomed.info/sct"
_ICD = "http://hl7.org/fhir/sid/icd-10"
_HL7 = "http://terminology.hl7.org/CodeSystem/"
_VN = "http://fhir.hl7.org.vn/core/StructureDefinition/"
_OBSERVED, _TAKEN, _PRESCRIBED, _DIAGNOSED = 6.12, 1.4, 1.25, 1.1
"""Of a person: measurements, vaccinations, prescriptions, diagnoses, on the average, beside 2.2 visits, a share of a
household and of allergies, and the person."""
_VISITED, _ALLERGIC = 2.2, 0.28
_FIRST_KNOWN = 20
"""People registered at first every other time; then one visitor in ten is new."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the commune, with records in the order in which they were saved."""

    id: str
    records: tuple[Resource, ...]


def text(resource: Resource) -> bytes:
    """Return a record's bytes as a station stores and sends them."""
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()


class Commune:
    """One commune. ``people`` is its register, once; ``work`` what its station saves from then on, without end."""

    def __init__(self, seed: int, *, people: int = 10_000) -> None:
        self._random = random.Random(seed)  # noqa: S311 -- invented people, and the same ones every time
        self._size = people
        self._place = self._random.choice(words.PLACES)
        self._villages = [
            f"{self._random.choice(words.VILLAGE)} {self._random.choice((*words.GIVEN, *'12345678'))}"
            for _ in range(9)
        ]
        self._known: list[str] = []

    # -- the register

    def people(self) -> Iterator[Person]:
        """Yield everybody, household by household."""
        made = 0
        while made < self._size:
            members = min(self._random.choice((2, 3, 4, 4, 5, 6)), self._size - made)
            family, home = self._random.choice(words.FAMILY), self._home()
            household: list[str] = []
            for place in range(members):
                yield self._person(family, home, household, last=place == members - 1)
            made += members

    def records(self) -> Iterator[Resource]:
        """Yield every record of the register."""
        for person in self.people():
            yield from person.records

    def _person(self, family: str, home: str, household: list[str], *, last: bool) -> Person:
        at = FIRST_DAY + timedelta(minutes=self._random.randrange(1000 * 1440))
        patient = self._patient(at, family, home)
        household.append(patient["id"])
        made = [patient]
        if self._random.random() < _ALLERGIC:
            made.append(self._allergy(patient["id"], at))
        visits = [self._visit(patient["id"], at, step) for step in range(self._about(_VISITED))]
        made += visits
        spread: list[Resource | None] = [*visits] or [None]
        for count, make in (
            (_OBSERVED, self._observation),
            (_DIAGNOSED, self._condition),
            (_PRESCRIBED, self._prescription),
            (_TAKEN, self._vaccination),
        ):
            for number in range(self._about(count)):
                visit = spread[number % len(spread)]
                made.append(make(patient["id"], visit, self._when(visit, at)))
        if last:
            made.append(self._group(household, at, home))
        return Person(patient["id"], tuple(made))

    # -- steady work

    def work(self, *, since: datetime = TODAY) -> Iterator[list[Resource]]:
        """Yield what one press of "save" after another stores: a visit and all measured, found and given in it.

        Everybody in it was registered by it: a hub that knows nothing of the commune takes it all.
        """
        now, known = since, self._known
        while True:
            now += timedelta(seconds=self._random.randrange(240, 900))
            saved: list[Resource] = []
            if not known or self._random.random() < (0.1 if len(known) > _FIRST_KNOWN else 0.5):
                saved.append(self._patient(now, self._random.choice(words.FAMILY), self._home()))
                known.append(saved[0]["id"])
            patient = saved[0]["id"] if saved else self._random.choice(known)
            visit = self._visit(patient, now, 0)
            saved.append(visit)
            saved += [self._observation(patient, visit, now) for _ in range(self._random.choice((3, 4, 5)))]
            if self._random.random() < 0.8:
                saved.append(self._condition(patient, visit, now))
            saved += [
                self._prescription(patient, visit, now) for _ in range(self._random.choice((0, 1, 1, 2)))
            ]
            if self._random.random() < 0.1:
                saved.append(self._vaccination(patient, visit, now))
            yield saved

    # -- the kinds

    def _patient(self, at: datetime, family: str, home: str) -> Resource:
        gender = self._pick(("male", "female"))
        middle, given = self._pick(words.MIDDLE[gender]), self._pick(words.GIVEN)
        born = date(1938, 1, 1) + timedelta(days=self._random.randrange(32_000))
        century = 2 * (born.year // 100 - 19) + (gender == "female")
        province = self._place[2]
        cccd = f"{province}{century}{born.year % 100:02d}{self._random.randrange(10**6):06d}"
        card = f"{self._pick(('GD', 'HN', 'DT', 'TE', 'HT'))}4{self._random.randrange(100):02d}{self._digits(10)}"
        return {
            "resourceType": "Patient",
            "id": str(self._uuid(at)),
            "meta": {"profile": [_VN + "vn-core-patient"]},
            "identifier": [
                {"use": "official", "system": CCCD_SYSTEM, "value": cccd},
                {"use": "secondary", "system": BHYT_SYSTEM, "value": card},
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
                {"system": "phone", "value": f"0{self._pick('35789')}{self._digits(8)}", "use": "mobile"}
            ],
            "gender": gender,
            "birthDate": born.isoformat(),
            "address": [
                {
                    "use": "home",
                    "text": f"{home}, xã {self._place[0]}, tỉnh {self._place[1]}",
                    "line": [home],
                    "city": self._place[0],
                    "state": self._place[1],
                    "country": "VN",
                }
            ],
            "extension": [
                {"url": _VN + "ethnic-group", "valueString": self._pick(words.ETHNIC)},
                {"url": _VN + "occupation", "valueString": self._pick(words.OCCUPATIONS)},
            ],
        }

    def _group(self, household: list[str], at: datetime, home: str) -> Resource:
        return {
            "resourceType": "Group",
            "id": str(self._uuid(at)),
            "active": True,
            "type": "person",
            "actual": True,
            "code": {"text": "Hộ gia đình"},
            "name": f"Hộ số {self._random.randrange(1, 3000)}, {home}",
            "member": [{"entity": {"reference": f"Patient/{one}"}} for one in household],
        }

    def _visit(self, patient: str, at: datetime, step: int) -> Resource:
        start = at + timedelta(minutes=self._random.randrange(400_000) * step)
        end = start + timedelta(minutes=self._random.randrange(10, 50))
        return {
            "resourceType": "Encounter",
            "id": str(self._uuid(start)),
            "meta": {"profile": [_VN + "vn-core-encounter"]},
            "status": "finished",
            "class": {"system": _HL7 + "v3-ActCode", "code": "AMB", "display": "ambulatory"},
            "type": [
                {"coding": [{"system": _SNOMED, "code": "185345009", "display": "Encounter for symptom"}]}
            ],
            "subject": {"reference": f"Patient/{patient}"},
            "participant": [{"individual": {"display": self._pick(words.STAFF)}}],
            "period": {"start": _instant(start), "end": _instant(end)},
            "reasonCode": [{"text": self._pick(words.REASONS)}],
            "text": _narrative(self._sentences(4)),
        }

    def _observation(self, patient: str, visit: Resource | None, at: datetime) -> Resource:
        made: Resource = {
            "resourceType": "Observation",
            "id": str(UUID(int=self._random.getrandbits(128), version=5)),
            "status": "final",
            "category": [
                {
                    "coding": [
                        {
                            "system": _HL7 + "observation-category",
                            "code": "vital-signs",
                            "display": "Vital Signs",
                        }
                    ],
                    "text": "Dấu hiệu sinh tồn",
                }
            ],
        }
        pressure = self._random.random() < 0.2
        measure = None if pressure else self._pick(words.VITALS)
        made["code"] = (
            _concept(_LOINC, "85354-9", "Blood pressure panel")
            if measure is None
            else _concept(_LOINC, measure.code, measure.name)
        )
        made["subject"] = {"reference": f"Patient/{patient}"}
        if visit is not None:
            made["encounter"] = {"reference": f"Encounter/{visit['id']}"}
        made["effectiveDateTime"] = _moment(at + timedelta(milliseconds=self._random.randrange(600_000)))
        made["performer"] = [{"display": self._pick(words.STAFF)}]
        if measure is not None:
            made["valueQuantity"] = self._quantity(measure)
        else:
            made["component"] = [
                {"code": _concept(_LOINC, part.code, part.name), "valueQuantity": self._quantity(part)}
                for part in (words.SYSTOLIC, words.DIASTOLIC)
            ]
        flag = self._pick(("N", "N", "N", "H", "L"))
        if flag != "N":
            shown = {"H": "High", "L": "Low"}[flag]
            made["interpretation"] = [_concept(_HL7 + "v3-ObservationInterpretation", flag, shown)]
        if self._random.random() < 0.3:
            made["note"] = [{"text": self._sentences(1)}]
        return made

    def _condition(self, patient: str, visit: Resource | None, at: datetime) -> Resource:
        code, shown = self._pick(words.DIAGNOSES)
        return {
            "resourceType": "Condition",
            "id": str(self._uuid(at)),
            "clinicalStatus": _concept(_HL7 + "condition-clinical", self._pick(("active", "resolved"))),
            "verificationStatus": _concept(
                _HL7 + "condition-ver-status", self._pick(("confirmed", "provisional"))
            ),
            "category": [_concept(_HL7 + "condition-category", "encounter-diagnosis", "Encounter Diagnosis")],
            "code": _concept(_ICD, code, shown),
            "subject": {"reference": f"Patient/{patient}"},
            **_during(visit),
            "recordedDate": _instant(at),
            "recorder": {"display": self._pick(words.STAFF)},
            "note": [{"text": self._sentences(2)}],
        }

    def _prescription(self, patient: str, visit: Resource | None, at: datetime) -> Resource:
        name, unit = self._pick(words.MEDICINES)
        days, daily = self._pick((3, 5, 7, 14, 30)), self._pick((1, 2, 3))
        return {
            "resourceType": "MedicationRequest",
            "id": str(self._uuid(at)),
            "meta": {"profile": [_VN + "vn-core-medicationrequest"]},
            "status": "active",
            "intent": "order",
            "medicationCodeableConcept": {"text": name},
            "subject": {"reference": f"Patient/{patient}"},
            **_during(visit),
            "authoredOn": _instant(at),
            "requester": {"display": self._pick(words.STAFF)},
            "dosageInstruction": [
                {
                    "text": f"{self._pick(words.DOSAGES).format(unit=unit)}, {days} ngày",
                    "timing": {
                        "repeat": {
                            "boundsDuration": {"value": days, "unit": "ngày", "system": _UCUM, "code": "d"},
                            "frequency": daily,
                            "period": 1,
                            "periodUnit": "d",
                        }
                    },
                    "route": _concept(_SNOMED, "26643006", "Oral route"),
                    "doseAndRate": [{"doseQuantity": {"value": 1, "unit": unit}}],
                }
            ],
            "dispenseRequest": {"quantity": {"value": days * daily, "unit": unit}},
        }

    def _vaccination(self, patient: str, visit: Resource | None, at: datetime) -> Resource:
        code, name, shown = self._pick(words.VACCINES)
        made = _concept("http://hl7.org/fhir/sid/cvx", code, name)
        return {
            "resourceType": "Immunization",
            "id": str(self._uuid(at)),
            "meta": {"profile": [_VN + "vn-core-immunization"]},
            "status": "completed",
            "vaccineCode": {**made, "text": shown},
            "patient": {"reference": f"Patient/{patient}"},
            **_during(visit),
            "occurrenceDateTime": _instant(at),
            "primarySource": True,
            "lotNumber": f"{self._pick('ABCDEV')}{self._digits(3)}{self._pick('XYZ')}{self._random.randrange(20):02d}",
            "expirationDate": (at.date() + timedelta(days=30 * self._random.randrange(3, 24))).isoformat(),
            "site": _concept(_HL7 + "v3-ActSite", *self._pick((("LA", "left arm"), ("LT", "left thigh")))),
            "doseQuantity": {"value": 0.5, "unit": "mL", "system": _UCUM, "code": "mL"},
            "performer": [{"actor": {"display": self._pick(words.STAFF)}}],
            "protocolApplied": [{"series": shown, "doseNumberPositiveInt": self._random.randrange(1, 4)}],
        }

    def _allergy(self, patient: str, at: datetime) -> Resource:
        code, name = self._pick(words.ALLERGENS)
        substance = (
            _concept("http://www.nlm.nih.gov/research/umls/rxnorm", code, name) if code else {"text": name}
        )
        return {
            "resourceType": "AllergyIntolerance",
            "id": str(self._uuid(at)),
            "clinicalStatus": _concept(_HL7 + "allergyintolerance-clinical", "active"),
            "verificationStatus": _concept(_HL7 + "allergyintolerance-verification", "confirmed"),
            "type": "allergy",
            "category": ["medication" if code else "food"],
            "criticality": self._pick(("low", "high", "unable-to-assess")),
            "code": substance,
            "patient": {"reference": f"Patient/{patient}"},
            "recordedDate": _instant(at),
            "recorder": {"display": self._pick(words.STAFF)},
            "reaction": [{"manifestation": [{"text": self._pick(words.REACTIONS)}], "severity": "moderate"}],
        }

    # -- dice

    def _pick(self, of: Any) -> Any:
        return self._random.choice(of)

    def _about(self, mean: float) -> int:
        """Return a whole number whose average is ``mean``, half to one and a half times of it."""
        drawn = mean * self._random.uniform(0.5, 1.5)
        return int(drawn) + (self._random.random() < drawn % 1)

    def _digits(self, count: int) -> str:
        return f"{self._random.randrange(10**count):0{count}d}"

    def _sentences(self, most: int) -> str:
        return ". ".join(self._random.sample(words.NOTES, self._random.randrange(1, most + 1))) + "."

    def _home(self) -> str:
        return f"Số {self._random.randrange(1, 220)}, {self._pick(self._villages)}"

    def _when(self, visit: Resource | None, at: datetime) -> datetime:
        return at if visit is None else datetime.fromisoformat(visit["period"]["start"])

    def _quantity(self, measure: words.Vital) -> Resource:
        drawn = round(self._random.gauss(measure.mean, measure.spread), measure.decimals)
        value = drawn if measure.decimals else int(drawn)
        return {"value": value, "unit": measure.unit, "system": _UCUM, "code": measure.ucum}

    def _uuid(self, at: datetime) -> UUID:
        moment = int(at.timestamp() * 1000) + self._random.randrange(60_000)
        return UUID(str(uuid7(moment, self._random.randbytes(10))))


def _concept(system: str, code: str, display: str = "") -> Resource:
    if not display:
        return {"coding": [{"system": system, "code": code}]}
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def _during(visit: Resource | None) -> Resource:
    return {} if visit is None else {"encounter": {"reference": f"Encounter/{visit['id']}"}}


def _narrative(sentences: str) -> Resource:
    return {"status": "additional", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{sentences}</div>'}


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
