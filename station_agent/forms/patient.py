"""Registration: a person, their allergies, and medicines they take for long."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from clinic_net.clinical.dates import InvalidDate, PartialDate
from clinic_net.clinical.identifiers import (
    BHYT_SYSTEM,
    CCCD_SYSTEM,
    Severity,
    check_bhyt,
    check_cccd,
    check_phone,
)
from clinic_net.clinical.names import split_name
from station_agent.forms.common import (
    OWN_SYSTEM,
    Problem,
    Resource,
    author,
    concept,
    fhir_instant,
    lines_of,
    reference,
    text_of,
    without_empty,
)
from station_agent.ids import part_of

SEXES = ("female", "male", "other", "unknown")
"""FHIR administrative-gender."""

OLDEST_YEARS = 125


@dataclass(frozen=True)
class PatientEntry:
    """A registration form that was read. ``cccd``, ``bhyt`` and ``phone`` are in their canonical writing."""

    name: str
    sex: str
    birth: PartialDate | None
    cccd: str = ""
    bhyt: str = ""
    phone: str = ""
    address: str = ""
    commune: str = ""
    allergies: tuple[str, ...] = ()
    medicines: tuple[str, ...] = ()


def read_patient(form: Mapping[str, str], *, today: date) -> tuple[PatientEntry, tuple[Problem, ...]]:
    """Read a registration form. Problems that are no warnings must be mended before it can be saved."""
    problems: list[Problem] = []
    name = text_of(form, "name", longest=120)
    if not any(letter.isalpha() for letter in name):
        problems.append(Problem("name", "name-missing"))
    sex = form.get("sex", "")
    if sex not in SEXES:
        problems.append(Problem("sex", "sex-missing"))
    birth, birth_problem = _read_birth(form, today)
    if birth_problem is not None:
        problems.append(birth_problem)
    cccd, cccd_problems = _read_cccd(form, sex, birth, today)
    bhyt, bhyt_problems = _read_bhyt(form)
    phone, phone_problems = _read_phone(form)
    entry = PatientEntry(
        name=name, sex=sex, birth=birth, cccd=cccd, bhyt=bhyt, phone=phone,
        address=text_of(form, "address", longest=250), commune=text_of(form, "commune", longest=100),
        allergies=lines_of(form, "allergies"), medicines=lines_of(form, "medicines"),
    )  # fmt: skip
    return entry, (*problems, *cccd_problems, *bhyt_problems, *phone_problems)


def _read_birth(form: Mapping[str, str], today: date) -> tuple[PartialDate | None, Problem | None]:
    day, month, year, age = (text_of(form, f"birth_{part}") for part in ("day", "month", "year", "age"))
    if not year and age:
        if not (age.isdecimal() and int(age) <= OLDEST_YEARS):
            return None, Problem("birth_age", "age-impossible")
        return PartialDate(today.year - int(age)), None
    if not year:
        return None, Problem("birth_year", "birth-missing")
    if not all(part.isdecimal() for part in (year, month or "1", day or "1")) or len(year) != 4:
        return None, Problem("birth_year", "date-format")
    try:
        birth = PartialDate(int(year), int(month) if month else None, int(day) if day else None)
    except InvalidDate as invalid:
        return None, Problem("birth_day" if day else "birth_year", invalid.code)
    if birth.earliest() > today:
        return None, Problem("birth_year", "birth-in-future")
    if birth.year < today.year - OLDEST_YEARS:
        return None, Problem("birth_year", "age-impossible")
    return birth, None


def _read_cccd(
    form: Mapping[str, str], sex: str, birth: PartialDate | None, today: date
) -> tuple[str, list[Problem]]:
    text = text_of(form, "cccd", longest=40)
    if not text:
        return "", []
    checked = check_cccd(text, sex=sex or None, birth=birth, on=today)
    problems = [Problem("cccd", i.code, i.severity is Severity.WARNING) for i in checked.issues]
    return (checked.value.value if checked.value else ""), problems


def _read_bhyt(form: Mapping[str, str]) -> tuple[str, list[Problem]]:
    text = text_of(form, "bhyt", longest=40)
    if not text:
        return "", []
    checked = check_bhyt(text)
    problems = [Problem("bhyt", i.code, i.severity is Severity.WARNING) for i in checked.issues]
    return (checked.value.value if checked.value else ""), problems


def _read_phone(form: Mapping[str, str]) -> tuple[str, list[Problem]]:
    text = text_of(form, "phone", longest=40)
    if not text:
        return "", []
    checked = check_phone(text)
    problems = [Problem("phone", i.code, i.severity is Severity.WARNING) for i in checked.issues]
    return (checked.value.e164 if checked.value else ""), problems


def patient(entry: PatientEntry, *, rid: str) -> Resource:
    """Return the Patient, with the identifiers and name parts of VN Core (domain §2.2, §2.3)."""
    name = split_name(entry.name)
    identifiers = [
        {"use": "official", "system": system, "value": value}
        for system, value in ((CCCD_SYSTEM, entry.cccd), (BHYT_SYSTEM, entry.bhyt))
        if value
    ]
    where = ", ".join(part for part in (entry.address, entry.commune) if part)
    address = without_empty(
        {"use": "home", "text": where, "line": [entry.address] if entry.address else [], "country": "VN"}
    )
    return without_empty(
        {
            "resourceType": "Patient",
            "id": rid,
            "identifier": identifiers,
            "active": True,
            "name": [
                without_empty(
                    {"use": "official", "text": name.text, "family": name.family, "given": list(name.given)}
                )
            ],
            "telecom": [{"system": "phone", "value": entry.phone}] if entry.phone else [],
            "gender": entry.sex,
            "birthDate": str(entry.birth) if entry.birth else None,
            "address": [address] if where else [],
        }
    )


def allergies(entry: PatientEntry, *, patient_id: str, by: str, now: datetime) -> list[Resource]:
    """Return an AllergyIntolerance for each line: free text, active, unconfirmed (a nurse asked)."""
    return [allergy(line, patient_id=patient_id, by=by, now=now) for line in entry.allergies]


def allergy(text: str, *, patient_id: str, by: str, now: datetime) -> Resource:
    """Return one AllergyIntolerance; the same text of the same patient is the same one."""
    return {
        "resourceType": "AllergyIntolerance",
        "id": part_of(patient_id, f"allergy:{text.casefold()}"),
        "clinicalStatus": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical",
                    "code": "active",
                }
            ]
        },
        "verificationStatus": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification",
                    "code": "unconfirmed",
                }
            ]
        },
        "code": {"text": text},
        "patient": reference("Patient", patient_id),
        "recordedDate": fhir_instant(now),
        "recorder": author(by),
    }


def medicines(entry: PatientEntry, *, patient_id: str, by: str, now: datetime) -> list[Resource]:
    """Return a MedicationStatement for each line: what the person says they take."""
    return [
        {
            "resourceType": "MedicationStatement",
            "id": part_of(patient_id, f"medicine:{line.casefold()}"),
            "status": "active",
            "category": concept(OWN_SYSTEM + "medication-source", "reported", "Reported by the patient"),
            "medicationCodeableConcept": {"text": line},
            "subject": reference("Patient", patient_id),
            "dateAsserted": fhir_instant(now),
            "informationSource": author(by),
        }
        for line in entry.medicines
    ]
