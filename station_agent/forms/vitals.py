"""Vital signs and danger signs: reading the form, and the Observations it becomes (LOINC, UCUM)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from clinic_net.clinical.dates import InvalidDate, PartialDate, age_range
from clinic_net.clinical.triage import SIGNS, InvalidVitals, TriageResult, Vitals, read_vitals
from station_agent.forms.common import (
    OWN_SYSTEM,
    Problem,
    Resource,
    author,
    concept,
    fhir_moment,
    reference,
    text_of,
)
from station_agent.ids import part_of

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
OWN_CODES = OWN_SYSTEM + "observation"
SIGN_SYSTEM = OWN_SYSTEM + "danger-sign"

_VITAL_SIGNS = [
    concept("http://terminology.hl7.org/CodeSystem/observation-category", "vital-signs", "Vital Signs")
]


@dataclass(frozen=True)
class Measure:
    """A number on the form: its LOINC code and UCUM unit, and the least and most that can be."""

    name: str
    loinc: str
    display: str
    ucum: str
    unit: str
    low: float
    high: float


MEASURES = {
    measure.name: measure
    for measure in (
        Measure("respiratory_rate", "9279-1", "Respiratory rate", "/min", "/min", 1, 150),
        Measure("spo2", "59408-5", "Oxygen saturation by pulse oximetry", "%", "%", 20, 100),
        Measure("pulse", "8867-4", "Heart rate", "/min", "/min", 10, 350),
        Measure("temperature", "8310-5", "Body temperature", "Cel", "°C", 20, 45),
        Measure("systolic", "8480-6", "Systolic blood pressure", "mm[Hg]", "mmHg", 30, 300),
        Measure("diastolic", "8462-4", "Diastolic blood pressure", "mm[Hg]", "mmHg", 20, 200),
        Measure("weight", "29463-7", "Body weight", "kg", "kg", 0.3, 400),
        Measure("height_cm", "8302-2", "Body height", "cm", "cm", 20, 260),
        Measure("glucose", "14743-9", "Glucose, capillary blood by glucometer", "mmol/L", "mmol/L", 0.3, 60),
        Measure("capillary_refill", "44963-7", "Capillary refill time", "s", "s", 0, 30),
    )
}
"""The bounds are those of ``clinical.triage`` where it knows the field; wide on purpose: they catch unit slips only."""

_ONLY_HERE = frozenset({"weight", "glucose"})
"""Measured, but no chart asks for it."""

AVPU = {
    "A": "Alert",
    "C": "New confusion",
    "V": "Responds to voice",
    "P": "Responds to pain",
    "U": "Unresponsive",
}
MOBILITIES = ("walking", "with_help", "stretcher")
CHOICES = ("oxygen", "trauma", "pregnant")


@dataclass(frozen=True)
class VitalsEntry:
    """A vital-sign form that was read: numbers by measure, and all of it as the triage charts want it."""

    numbers: dict[str, float] = field(default_factory=dict)
    vitals: Vitals | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing was measured or looked for."""
        return not self.numbers and not (self.vitals and _looked_at(self.vitals))


def _looked_at(vitals: Vitals) -> bool:
    seen = (
        vitals.consciousness,
        vitals.oxygen,
        vitals.mobility,
        vitals.trauma,
        vitals.pregnant,
        vitals.signs,
    )
    return any(value is not None for value in seen)


def read_vitals_form(
    form: Mapping[str, str], signs: Iterable[str], *, age: Mapping[str, float], sex: str | None
) -> tuple[VitalsEntry, tuple[Problem, ...]]:
    """Read the form. ``age`` is what ``age_fields`` gave; ``signs`` the danger signs ticked.

    An empty field was not measured. Values that cannot be are refused (domain §4, rule 4: never score a unit slip).
    """
    numbers, problems = _read_numbers(form)
    given: dict[str, Any] = {name: value for name, value in numbers.items() if name not in _ONLY_HERE}
    given |= {"sex": sex if sex in ("male", "female", "other", "unknown") else None, **age}
    for name in CHOICES:
        given[name] = {"yes": True, "no": False}.get(form.get(name, ""))
    given["consciousness"] = form.get("consciousness") or None
    given["mobility"] = form.get("mobility") or None
    ticked = [code for code in signs if code]
    given["signs"] = ticked if ticked or form.get("signs_looked") else None
    if problems:
        return VitalsEntry(numbers), tuple(problems)
    try:
        return VitalsEntry(numbers, read_vitals(given)), ()
    except InvalidVitals as invalid:
        return VitalsEntry(numbers), tuple(Problem(issue.field, issue.code) for issue in invalid.issues)


def _read_numbers(form: Mapping[str, str]) -> tuple[dict[str, float], list[Problem]]:
    numbers: dict[str, float] = {}
    problems: list[Problem] = []
    for measure in MEASURES.values():
        text = text_of(form, measure.name, longest=12).replace(",", ".")
        if not text:
            continue
        value = _number(text)
        if value is None:
            problems.append(Problem(measure.name, "wrong-type"))
        elif not measure.low <= value <= measure.high:
            problems.append(Problem(measure.name, "impossible"))
        else:
            numbers[measure.name] = value
    return numbers, problems


def _number(text: str) -> float | None:
    whole, _, rest = text.partition(".")
    if not (whole.isascii() and whole.isdigit() and (not rest or (rest.isascii() and rest.isdigit()))):
        return None
    return float(text) if rest else int(whole)


def age_fields(birth: str | None, on: date) -> dict[str, float]:
    """Return the age as ``Vitals`` wants it: days if the day of birth is known, else the range of years."""
    try:
        partial = PartialDate.parse(birth or "")
        ages = age_range(partial, on)
    except InvalidDate:
        return {}
    if partial.day is not None:
        return {"age_days": ages.min_days}
    return {"age_years": ages.min_years, "age_years_max": ages.max_years}


@dataclass(frozen=True)
class Setting:
    """Whose measurements these are, when, and by whom."""

    set_id: str
    patient_id: str
    encounter_id: str
    by: str
    at: datetime


def observations(entry: VitalsEntry, setting: Setting) -> list[Resource]:
    """Return one Observation a measurement; the blood pressures are components of one panel (85354-9)."""
    made = [
        _observation(setting, measure.name, _loinc(measure), {"valueQuantity": _quantity(measure, value)})
        for measure in MEASURES.values()
        if (value := entry.numbers.get(measure.name)) is not None
        and measure.name not in ("systolic", "diastolic")
    ]
    pressures = [name for name in ("systolic", "diastolic") if name in entry.numbers]
    if pressures:
        panel = concept(LOINC, "85354-9", "Blood pressure panel")
        parts = [
            {"code": _loinc(MEASURES[name]), "valueQuantity": _quantity(MEASURES[name], entry.numbers[name])}
            for name in pressures
        ]
        made.append(_observation(setting, "blood_pressure", panel, {"component": parts}))
    return made + (_seen(entry.vitals, setting) if entry.vitals else [])


def _seen(vitals: Vitals, setting: Setting) -> list[Resource]:
    made: list[Resource] = []
    if vitals.consciousness is not None:
        value = concept(OWN_SYSTEM + "acvpu", vitals.consciousness, AVPU[vitals.consciousness])
        code = concept(LOINC, "67775-7", "Level of responsiveness")
        made.append(_observation(setting, "consciousness", code, {"valueCodeableConcept": value}))
    for name, display in (("oxygen", "On oxygen"), ("trauma", "Trauma"), ("pregnant", "Pregnant")):
        value_seen = getattr(vitals, name)
        if value_seen is not None:
            made.append(_observation(setting, name, _own(name, display), {"valueBoolean": value_seen}))
    if vitals.mobility is not None:
        value = concept(OWN_SYSTEM + "mobility", vitals.mobility, vitals.mobility.replace("_", " "))
        made.append(
            _observation(setting, "mobility", _own("mobility", "Mobility"), {"valueCodeableConcept": value})
        )
    if vitals.signs is not None:
        parts = [
            {
                "code": concept(SIGN_SYSTEM, code, SIGNS[code].en),
                "valueBoolean": True,
            }
            for code in dict.fromkeys(vitals.signs)
        ]
        value_of_signs: Resource = {"valueInteger": len(parts)}
        if parts:
            value_of_signs["component"] = parts
        made.append(
            _observation(setting, "signs", _own("danger-signs", "Danger signs found"), value_of_signs)
        )
    return made


def triage_observation(result: TriageResult, setting: Setting, derived_from: Iterable[str]) -> Resource:
    """Return the triage as an Observation: colour, score, chart and version, what it was derived from (rule 5)."""
    value: Resource = {
        "valueCodeableConcept": concept(OWN_SYSTEM + "triage-colour", result.colour, result.colour),
        "method": {"text": f"{result.chart} {result.version}"},
        "derivedFrom": [reference("Observation", rid) for rid in derived_from],
    }
    parts: list[Resource] = []
    if result.score is not None:
        parts.append({"code": _own("triage-score", "Triage score"), "valueInteger": result.score})
    parts.append(
        {"code": _own("triage-complete", "Everything was assessed"), "valueBoolean": result.complete}
    )
    value["component"] = parts
    made = _observation(setting, "triage", _own("triage", "Triage"), value)
    del made["category"]
    return made


def _observation(setting: Setting, part: str, code: Resource, value: Resource) -> Resource:
    return {
        "resourceType": "Observation",
        "id": part_of(setting.set_id, part),
        "status": "final",
        "category": _VITAL_SIGNS,
        "code": code,
        "subject": reference("Patient", setting.patient_id),
        "encounter": reference("Encounter", setting.encounter_id),
        "effectiveDateTime": fhir_moment(setting.at),
        "performer": [author(setting.by)],
        **value,
    }


def _loinc(measure: Measure) -> Resource:
    return concept(LOINC, measure.loinc, measure.display)


def _own(code: str, display: str) -> Resource:
    return concept(OWN_CODES, code, display)


def _quantity(measure: Measure, value: float) -> Resource:
    return {"value": value, "unit": measure.unit, "system": UCUM, "code": measure.ucum}
