"""Interagency Integrated Triage Tool: the first chart for everyone, adults (12 and over) and children.

Source: WHO, ICRC and MSF chart, adult and child (domain §4.3). Three readings of ours, all on the safe
side, wait for a clinician's signature: the chart prints no number for fever, so 38.0 °C and over counts
(hypothermia: below 36.0 °C); a response to pain only counts as unresponsive; a recorded danger sign that
the list does not name is YELLOW. Where the age allows both lists, both are applied.
"""

from clinic_net.clinical.triage import iitt_adult, iitt_child
from clinic_net.clinical.triage.findings import Findings
from clinic_net.clinical.triage.result import INCOMPLETE, NOT_TRIAGEABLE, Colour, TriageResult
from clinic_net.clinical.triage.scoring import unassessed
from clinic_net.clinical.triage.signs import PREGNANT, banded
from clinic_net.clinical.triage.vitals import Age, Vitals

NAME = "iitt"
VERSION = "WHO/ICRC/MSF IITT"

ADULT_MONTHS = 12 * 12
FERTILE_MONTHS = (10 * 12, 56 * 12)
"""A woman or girl in this range is asked about pregnancy before GREEN."""

SLOW_REFILL_SECONDS = 3
SEVERE_COMA = 8
HIGH_RISK_TEMPERATURE = (36, 39)
HIGH_RISK_SPO2 = 92
PREGNANT_RED_PRESSURE = (160, 110)
PREGNANT_RED_SIGNS = banded(PREGNANT, "red")


def assess(vitals: Vitals) -> TriageResult:
    """Triage anyone. Bands: ``red``, ``yellow``, ``green``, ``not_triageable``. There is no score.

    Raises InvalidVitals ``age-required``.
    """
    age = vitals.required_age()
    findings = Findings(NAME)
    _look_first(vitals, findings)
    if vitals.with_child:
        _look_at_pregnancy(vitals, findings)
    if age.may_be_under(ADULT_MONTHS):
        iitt_child.look(vitals, age, findings)
    if age.may_be_at_least(ADULT_MONTHS):
        iitt_adult.look(vitals, age, findings)
    _look_last(vitals, findings)
    return _result(vitals, age, findings)


def _look_first(vitals: Vitals, findings: Findings) -> None:
    """What is RED in adults and children alike."""
    coma = vitals.gcs_total is not None and vitals.gcs_total <= SEVERE_COMA
    if vitals.consciousness in ("P", "U") or coma:
        findings.add(
            Colour.RED,
            "unresponsive",
            "Unresponsive, or responds to pain only",
            "Không đáp ứng, hoặc chỉ đáp ứng với đau",
        )
    if vitals.capillary_refill is not None and vitals.capillary_refill > SLOW_REFILL_SECONDS:
        findings.add_sign(Colour.RED, "capillary_refill_slow")


def _look_at_pregnancy(vitals: Vitals, findings: Findings) -> None:
    findings.add_signs(Colour.RED, PREGNANT_RED_SIGNS, vitals.recorded)
    systolic, diastolic = PREGNANT_RED_PRESSURE
    if (vitals.systolic or 0) >= systolic or (vitals.diastolic or 0) >= diastolic:
        findings.add(
            Colour.RED,
            "pregnant-pressure",
            "Pregnant with a blood pressure of 160/110 or more",
            "Mang thai, huyết áp từ 160/110 trở lên",
        )
    if vitals.altered:
        findings.add(
            Colour.RED,
            "pregnant-altered",
            "Pregnant with altered mental status",
            "Mang thai, rối loạn ý thức",
        )
    if vitals.trauma:
        findings.add(Colour.RED, "pregnant-trauma", "Pregnant with trauma", "Mang thai, bị chấn thương")


def _look_last(vitals: Vitals, findings: Findings) -> None:
    """What is YELLOW in adults and children alike."""
    if vitals.altered:
        findings.counted.add("altered_mental_status")
        findings.add(
            Colour.YELLOW,
            "altered",
            "Altered mental status: clinician review",
            "Rối loạn ý thức: cần bác sĩ xem",
        )
    temperature = vitals.temperature
    if temperature is not None and not HIGH_RISK_TEMPERATURE[0] <= temperature <= HIGH_RISK_TEMPERATURE[1]:
        findings.add(
            Colour.YELLOW,
            "high-risk-temperature",
            "High-risk temperature, below 36 or above 39 °C: clinician review",
            "Nhiệt độ nguy cơ cao, dưới 36 hoặc trên 39 °C: cần bác sĩ xem",
        )
    if vitals.spo2 is not None and vitals.spo2 < HIGH_RISK_SPO2:
        findings.add(
            Colour.YELLOW,
            "high-risk-spo2",
            "High-risk oxygen saturation, below 92 %: clinician review",
            "SpO₂ nguy cơ cao, dưới 92 %: cần bác sĩ xem",
        )
    if vitals.trauma:
        findings.add(Colour.YELLOW, "trauma", "Trauma", "Chấn thương")
    findings.add_uncounted(Colour.YELLOW, vitals.recorded)


def _required(vitals: Vitals, age: Age) -> list[str]:
    """What must be assessed before GREEN and was not."""
    missing = unassessed(
        (
            ("signs", vitals.signs),
            ("consciousness", vitals.altered),
            ("pulse", vitals.pulse),
            ("respiratory_rate", vitals.respiratory_rate),
            ("temperature", vitals.temperature),
            ("spo2", vitals.spo2),
        )
    )
    if vitals.with_child:
        missing += unassessed((("systolic", vitals.systolic), ("diastolic", vitals.diastolic)))
    elif vitals.sex == "female" and vitals.pregnant is None:
        fertile = age.may_be_at_least(FERTILE_MONTHS[0]) and age.may_be_under(FERTILE_MONTHS[1])
        missing += ["pregnant"] if fertile else []
    return missing + iitt_child.age_missing(vitals, age)


def _result(vitals: Vitals, age: Age, findings: Findings) -> TriageResult:
    missing = _required(vitals, age)
    colour = findings.colour
    if colour is Colour.NONE and not missing:
        colour = Colour.GREEN
    reasons = findings.reasons()
    if iitt_child.age_missing(vitals, age):
        reasons.append(iitt_child.AGE_NOT_EXACT)
    if missing:
        reasons.append(INCOMPLETE)
    return TriageResult(
        chart=NAME,
        version=VERSION,
        band=NOT_TRIAGEABLE if colour is Colour.NONE else colour.value,
        colour=colour,
        complete=not missing,
        missing=missing,
        reasons=reasons,
    )
