"""In which order a station needs a commune's records that it has none of yet. Pure."""

import re
from collections.abc import Mapping
from datetime import date
from enum import IntEnum
from typing import Any

TELLING = ("Patient", "ServiceRequest", "Condition", "EpisodeOfCare", "CarePlan")
"""Types that say how much a patient is needed."""

_TYPE_ORDER = (
    "Patient", "RelatedPerson", "Coverage", "AllergyIntolerance", "EpisodeOfCare", "Encounter", "Condition",
    "ServiceRequest", "CarePlan", "MedicationRequest", "Immunization",
)  # fmt: skip
_OPEN = frozenset({"draft", "active", "on-hold", "planned", "waitlist", "onhold"})
_PREGNANCY = ("O", "Z33", "Z34", "Z35", "Z36")
"""ICD-10: chapter XV, and Z33–Z36 (pregnant state, supervision, screening)."""
_CHRONIC = ("I10", "I11", "I12", "I13", "I15", "E10", "E11", "E12", "E13", "E14", "J44", "J45")
"""ICD-10 of what a station's register of chronic disease follows: hypertension, diabetes, COPD and asthma."""
_ICD_10 = "http://hl7.org/fhir/sid/icd-10"
_DATE = re.compile(r"\d{4}(-\d{2}){0,2}", re.ASCII)
_SMALL_CHILD = 5
"""Years (WHO: children under five)."""


class Need(IntEnum):
    """Who comes first."""

    NOBODY = 0
    """Records of no patient: few, and others refer to them."""
    OPEN = 1
    """Something is asked for and not done, or a child is expected."""
    SMALL_CHILD = 2
    CHRONIC = 3
    REST = 4


def type_rank(rtype: str) -> int:
    """Return the place of a type within a patient's record: a patient before what refers to them."""
    return _TYPE_ORDER.index(rtype) if rtype in _TYPE_ORDER else len(_TYPE_ORDER)


def need_of(resource: Mapping[str, Any], today: date) -> Need:
    """Return how much one record says that its patient is needed."""
    match resource.get("resourceType"):
        case "Patient":
            return Need.SMALL_CHILD if _is_small(resource.get("birthDate"), today) else Need.REST
        case "ServiceRequest" | "CarePlan" | "EpisodeOfCare":
            return Need.OPEN if resource.get("status") in _OPEN else Need.REST
        case "Condition":
            return _of_condition(resource)
        case _:
            return Need.REST


def _of_condition(resource: Mapping[str, Any]) -> Need:
    states = _codes(resource.get("clinicalStatus"))
    if states and not {"active", "recurrence", "relapse"} & {code for _, code in states}:
        return Need.REST
    icd = [code for system, code in _codes(resource.get("code")) if system.startswith(_ICD_10)]
    if any(code.startswith(_PREGNANCY) for code in icd):
        return Need.OPEN
    return Need.CHRONIC if any(code.startswith(_CHRONIC) for code in icd) else Need.REST


def _codes(concept: object) -> list[tuple[str, str]]:
    codings = concept.get("coding") if isinstance(concept, Mapping) else None
    if not isinstance(codings, list):
        return []
    return [
        (str(each.get("system", "")), str(each.get("code", "")))
        for each in codings
        if isinstance(each, Mapping)
    ]


def _is_small(born: object, today: date) -> bool:
    """Whether a partial date of birth (``2023``, ``2023-05``, ``2023-05-04``) may be of a child under five."""
    given = str(born)
    if not _DATE.fullmatch(given):
        return False
    latest = given + "9999-12-31"[len(given) :]
    return latest > f"{today.year - _SMALL_CHILD:04}-{today.month:02}-{today.day:02}"
