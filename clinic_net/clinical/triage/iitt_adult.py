"""The adult list (12 years and over) of the Interagency Integrated Triage Tool; see ``iitt``."""

from clinic_net.clinical.triage.findings import Findings
from clinic_net.clinical.triage.result import Colour
from clinic_net.clinical.triage.signs import ADULT, OVER_50, banded
from clinic_net.clinical.triage.vitals import Age, Vitals

RED_SIGNS = banded(ADULT, "red")
YELLOW_SIGNS = banded(ADULT, "yellow")
OVER_50_SIGNS = banded(ADULT, OVER_50) | {"severe_abdominal_pain"}
OVER_50_MONTHS = 51 * 12

RED_PULSE = (50, 150)
"""RED below the first or above the second. Not the high-risk band: the two are never merged."""
HIGH_RISK_PULSE = (60, 130)
HIGH_RISK_RESPIRATORY_RATE = (10, 30)


def look(vitals: Vitals, age: Age, findings: Findings) -> None:
    """Note what the adult list finds, beyond what adult and child lists share."""
    recorded = vitals.recorded
    findings.add_signs(Colour.RED, RED_SIGNS, recorded)
    if age.may_be_at_least(OVER_50_MONTHS):
        findings.add_signs(Colour.RED, OVER_50_SIGNS, recorded)
    pulse = vitals.pulse
    if pulse is not None and not RED_PULSE[0] <= pulse <= RED_PULSE[1]:
        findings.add(Colour.RED, "pulse", "Pulse below 50 or above 150", "Mạch dưới 50 hoặc trên 150")
    if two_of_four(vitals):
        findings.counted |= {"altered_mental_status", "fever", "hypothermia", "stiff_neck"}
        findings.counted |= {"headache", "severe_headache"}
        findings.add(
            Colour.RED,
            "two-of-four",
            "Two of: altered mental status, fever or hypothermia, stiff neck, headache",
            "Có hai trong: rối loạn ý thức, sốt hoặc hạ thân nhiệt, cứng gáy, đau đầu",
        )
    findings.add_signs(Colour.YELLOW, YELLOW_SIGNS, recorded)
    if pulse is not None and not HIGH_RISK_PULSE[0] <= pulse <= HIGH_RISK_PULSE[1]:
        findings.add(
            Colour.YELLOW,
            "high-risk-pulse",
            "High-risk pulse, below 60 or above 130: clinician review",
            "Mạch nguy cơ cao, dưới 60 hoặc trên 130: cần bác sĩ xem",
        )
    rate = vitals.respiratory_rate
    if rate is not None and not HIGH_RISK_RESPIRATORY_RATE[0] <= rate <= HIGH_RISK_RESPIRATORY_RATE[1]:
        findings.add(
            Colour.YELLOW,
            "high-risk-respiratory-rate",
            "High-risk respiratory rate, below 10 or above 30: clinician review",
            "Nhịp thở nguy cơ cao, dưới 10 hoặc trên 30: cần bác sĩ xem",
        )


def two_of_four(vitals: Vitals) -> bool:
    """Any two of altered mental status, fever or hypothermia, stiff neck, headache."""
    present = (
        bool(vitals.altered),
        vitals.feverish_or_cold,
        "stiff_neck" in vitals.recorded,
        bool(vitals.recorded & {"headache", "severe_headache"}),
    )
    return sum(present) >= 2
