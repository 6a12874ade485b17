"""The child list (under 12 years) of the Interagency Integrated Triage Tool; see ``iitt``."""

from clinic_net.clinical.triage.findings import Findings
from clinic_net.clinical.triage.result import Colour, Reason
from clinic_net.clinical.triage.signs import CHILD, banded
from clinic_net.clinical.triage.vitals import Age, Vitals

RED_SIGNS = banded(CHILD, "red")
YELLOW_SIGNS = banded(CHILD, "yellow")

RED_UNDER_DAYS = 8
YELLOW_UP_TO_MONTHS = 6
YOUNG_INFANT_MONTHS = 2
HIGH_RISK_TEMPERATURE = (36, 39)

HIGH_RISK_BY_AGE = (
    (0, 12, (25, 50), (90, 180)),
    (12, 60, (20, 40), (80, 160)),
    (60, 144, (10, 30), (70, 140)),
)
"""From month, to month (exclusive), respiratory rate low–high, pulse low–high. No pulse is RED in a child."""

AGE_NOT_EXACT = Reason(
    code="age-not-exact",
    text="The age given allows a more urgent age band, which was used: give months or days",
    text_vi="Tuổi chưa rõ nên dùng nhóm tuổi khẩn cấp hơn: hãy ghi số tháng hoặc ngày",
)


def look(vitals: Vitals, age: Age, findings: Findings) -> None:
    """Note what the child list finds, beyond what adult and child lists share."""
    findings.add_signs(Colour.RED, RED_SIGNS, vitals.recorded)
    _look_at_age(vitals, age, findings)
    dehydrated = _dehydration_signs(vitals)
    if len(dehydrated) >= 2:
        findings.counted |= dehydrated
        findings.add(
            Colour.RED,
            "severe-dehydration",
            "Two of: lethargy, sunken eyes, very slow skin pinch, drinks poorly",
            "Có hai trong: li bì, mắt trũng, nếp véo da mất rất chậm, uống kém",
        )
    if vitals.altered and ("stiff_neck" in vitals.recorded or vitals.feverish_or_cold):
        findings.counted |= {"altered_mental_status", "stiff_neck", "fever", "hypothermia"}
        findings.add(
            Colour.RED,
            "altered-with-fever-or-stiff-neck",
            "Altered mental status with stiff neck, fever or hypothermia",
            "Rối loạn ý thức kèm cứng gáy, sốt hoặc hạ thân nhiệt",
        )
    findings.add_signs(Colour.YELLOW, YELLOW_SIGNS, vitals.recorded)
    if vitals.with_child:
        findings.add(Colour.YELLOW, "pregnancy", "Pregnancy in a child", "Trẻ em mang thai")
    _look_at_vitals(vitals, age, findings)


def age_missing(vitals: Vitals, age: Age) -> list[str]:
    """The field that would tell whether an infant is under 8 days old, where the age given does not."""
    if not age.min_days < RED_UNDER_DAYS <= age.max_days:
        return []
    return ["age_months"] if vitals.age_months is None else ["age_days"]


def _look_at_age(vitals: Vitals, age: Age, findings: Findings) -> None:
    if age.min_days < RED_UNDER_DAYS:
        findings.add(Colour.RED, "infant-under-8-days", "Infant under 8 days", "Trẻ dưới 8 ngày tuổi")
    elif age.min_months <= YELLOW_UP_TO_MONTHS:
        findings.add(
            Colour.YELLOW, "young-infant", "Infant of 8 days to 6 months", "Trẻ từ 8 ngày đến 6 tháng tuổi"
        )
    temperature = vitals.temperature
    if temperature is None or not age.may_be_under(YOUNG_INFANT_MONTHS):
        return
    if not HIGH_RISK_TEMPERATURE[0] <= temperature <= HIGH_RISK_TEMPERATURE[1]:
        findings.add(
            Colour.RED,
            "young-infant-temperature",
            "Infant under 2 months with a temperature below 36 or above 39 °C",
            "Trẻ dưới 2 tháng có nhiệt độ dưới 36 hoặc trên 39 °C",
        )


def _dehydration_signs(vitals: Vitals) -> set[str]:
    found = set(vitals.recorded & {"lethargy", "sunken_eyes", "very_slow_skin_pinch", "drinks_poorly"})
    if vitals.altered:
        found.add("lethargy")
    if "unable_to_drink" in vitals.recorded:
        found.add("drinks_poorly")
    return found


def _look_at_vitals(vitals: Vitals, age: Age, findings: Findings) -> None:
    rows = [row for row in HIGH_RISK_BY_AGE if age.min_months < row[1] and age.max_months >= row[0]]
    rate, pulse = vitals.respiratory_rate, vitals.pulse
    if rate is not None and any(not row[2][0] <= rate <= row[2][1] for row in rows):
        findings.add(
            Colour.YELLOW,
            "high-risk-respiratory-rate",
            "High-risk respiratory rate for the age: clinician review",
            "Nhịp thở nguy cơ cao theo tuổi: cần bác sĩ xem",
        )
    if pulse is not None and any(not row[3][0] <= pulse <= row[3][1] for row in rows):
        findings.add(
            Colour.YELLOW,
            "high-risk-pulse",
            "High-risk pulse for the age: clinician review",
            "Mạch nguy cơ cao theo tuổi: cần bác sĩ xem",
        )
