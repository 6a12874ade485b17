"""Emergency Triage Assessment and Treatment for children under 12 years.

Source: WHO ETAT emergency signs and the priority signs 3TPR MOB (domain §4.9). Fast breathing: over 60 a
minute under 2 months, over 50 under 12 months, over 40 from then on; it is a priority sign here. ETAT feels
for temperature: where it was measured, below 36 or above 39 °C is a priority sign, the limits of the IITT.
"""

from clinic_net.clinical.triage import signs
from clinic_net.clinical.triage.findings import Findings
from clinic_net.clinical.triage.result import (
    INCOMPLETE,
    NOT_TRIAGEABLE,
    Colour,
    Reason,
    TriageResult,
    not_applicable,
)
from clinic_net.clinical.triage.scoring import unassessed
from clinic_net.clinical.triage.vitals import Age, Vitals

NAME = "etat"
VERSION = "WHO ETAT (3TPR MOB)"

CHILD_MONTHS = 12 * 12
TINY_MONTHS = 2
FAST_BREATHING = ((0, 2, 60), (2, 12, 50), (12, CHILD_MONTHS, 40))
"""From month, to month (exclusive), breaths a minute above which breathing is fast."""
HIGH_RISK_TEMPERATURE = (36, 39)
SLOW_REFILL_SECONDS = 3
SEVERE_COMA = 8

_EMERGENCY_SIGNS = signs.banded(signs.ETAT, "emergency")
_PRIORITY_SIGNS = signs.banded(signs.ETAT, "priority")
_NOT_FOR = Reason(
    code="etat-not-for-patient",
    text="ETAT is for children under 12 years",
    text_vi="ETAT dùng cho trẻ dưới 12 tuổi",
)
_BANDS = {
    Colour.RED: "emergency",
    Colour.YELLOW: "priority",
    Colour.GREEN: "queue",
    Colour.NONE: NOT_TRIAGEABLE,
}


def assess(vitals: Vitals) -> TriageResult:
    """Triage one child. Bands: ``emergency``, ``priority``, ``queue``, ``not_triageable``. There is no score.

    Raises InvalidVitals ``age-required``.
    """
    age = vitals.required_age()
    if not age.may_be_under(CHILD_MONTHS):
        return not_applicable(NAME, VERSION, _NOT_FOR)
    findings = Findings(NAME)
    _look_for_emergency(vitals, findings)
    _look_for_priority(vitals, age, findings)
    findings.add_uncounted(Colour.YELLOW, vitals.recorded)
    missing = unassessed(
        (
            ("signs", vitals.signs),
            ("consciousness", vitals.altered),
            ("respiratory_rate", vitals.respiratory_rate),
            ("temperature", vitals.temperature),
        )
    )
    colour = findings.colour
    if colour is Colour.NONE and not missing:
        colour = Colour.GREEN
    return TriageResult(
        chart=NAME,
        version=VERSION,
        band=_BANDS[colour],
        colour=colour,
        complete=not missing,
        missing=missing,
        reasons=[*findings.reasons(), *([INCOMPLETE] if missing else [])],
    )


def _look_for_emergency(vitals: Vitals, findings: Findings) -> None:
    recorded = vitals.recorded
    findings.add_signs(Colour.RED, _EMERGENCY_SIGNS, recorded)
    if vitals.consciousness in ("P", "U") or (vitals.gcs_total or 15) <= SEVERE_COMA:
        findings.add(Colour.RED, "coma", "Coma", "Hôn mê")
    slow_refill = "capillary_refill_slow" in recorded or (vitals.capillary_refill or 0) > SLOW_REFILL_SECONDS
    if slow_refill and {"weak_fast_pulse", "cold_extremities"} <= recorded:
        findings.counted |= {"capillary_refill_slow", "weak_fast_pulse", "cold_extremities"}
        findings.add(
            Colour.RED,
            "shock",
            "Shock: slow capillary refill, weak fast pulse, cold extremities",
            "Sốc: đổ đầy mao mạch chậm, mạch nhanh yếu, tay chân lạnh",
        )
    if "diarrhoea" in recorded and len(_dehydration_signs(vitals)) >= 2:
        findings.counted |= {"diarrhoea", "sunken_eyes", "very_slow_skin_pinch"}
        findings.counted |= {"drinks_poorly", "unable_to_drink", "lethargy"}
        findings.add(
            Colour.RED,
            "severe-dehydration",
            "Severe dehydration: diarrhoea with two signs",
            "Mất nước nặng: tiêu chảy kèm hai dấu hiệu",
        )


def _dehydration_signs(vitals: Vitals) -> set[str]:
    found = set(vitals.recorded & {"lethargy", "sunken_eyes", "very_slow_skin_pinch"})
    if vitals.altered:
        found.add("lethargy")
    if vitals.recorded & {"unable_to_drink", "drinks_poorly"}:
        found.add("drinks_poorly")
    return found


def _look_for_priority(vitals: Vitals, age: Age, findings: Findings) -> None:
    findings.add_signs(Colour.YELLOW, _PRIORITY_SIGNS, vitals.recorded)
    if age.may_be_under(TINY_MONTHS):
        findings.add(Colour.YELLOW, "tiny", "Tiny infant, under 2 months", "Trẻ dưới 2 tháng tuổi")
    temperature, rate = vitals.temperature, vitals.respiratory_rate
    if temperature is not None and not HIGH_RISK_TEMPERATURE[0] <= temperature <= HIGH_RISK_TEMPERATURE[1]:
        findings.add(
            Colour.YELLOW,
            "temperature",
            "Temperature below 36 or above 39 °C",
            "Nhiệt độ dưới 36 hoặc trên 39 °C",
        )
    limits = [
        limit for start, end, limit in FAST_BREATHING if age.min_months < end and age.max_months >= start
    ]
    if rate is not None and rate > min(limits):
        findings.add(Colour.YELLOW, "fast-breathing", "Fast breathing for the age", "Thở nhanh theo tuổi")
    if vitals.altered:
        findings.counted.add("altered_mental_status")
        findings.add(
            Colour.YELLOW, "altered", "Restless, irritable or lethargic", "Vật vã, kích thích hoặc li bì"
        )
    if vitals.trauma:
        findings.add(Colour.YELLOW, "trauma", "Trauma", "Chấn thương")
