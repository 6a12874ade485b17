"""National Early Warning Score 2 for adults of 16 and over; not in pregnancy.

Source: Royal College of Physicians, National Early Warning Score (NEWS) 2, 2017 (domain §4.1). Responses: 7
or more, emergency assessment within 30 minutes; 5 or 6, urgent assessment within the hour; any single
parameter that scores 3, urgent ward review.
"""

from clinic_net.clinical.triage.result import (
    AGE_NOT_GIVEN,
    LOWER_BOUND,
    NOT_TRIAGEABLE,
    Colour,
    Reason,
    TriageResult,
    not_applicable,
)
from clinic_net.clinical.triage.scoring import Tally, bands, points_for
from clinic_net.clinical.triage.vitals import Vitals

NAME = "news2"
VERSION = "RCP NEWS2 2017"

RESPIRATORY_RATE = bands((None, 8, 3), (9, 11, 1), (12, 20, 0), (21, 24, 2), (25, None, 3))
SPO2_SCALE_1 = bands((None, 91, 3), (92, 93, 2), (94, 95, 1), (96, None, 0))
SPO2_SCALE_2_ON_AIR = bands((None, 83, 3), (84, 85, 2), (86, 87, 1), (88, None, 0))
SPO2_SCALE_2_ON_OXYGEN = bands(
    (None, 83, 3), (84, 85, 2), (86, 87, 1), (88, 92, 0), (93, 94, 1), (95, 96, 2), (97, None, 3)
)
SYSTOLIC = bands((None, 90, 3), (91, 100, 2), (101, 110, 1), (111, 219, 0), (220, None, 3))
PULSE = bands((None, 40, 3), (41, 50, 1), (51, 90, 0), (91, 110, 1), (111, 130, 2), (131, None, 3))
TEMPERATURE = bands((None, 35.0, 3), (35.1, 36.0, 1), (36.1, 38.0, 0), (38.1, 39.0, 1), (39.1, None, 2))
OXYGEN_POINTS = 2
ALTERED_POINTS = 3
ADULT_MONTHS = 16 * 12

_NOT_FOR = Reason(
    code="news2-not-for-patient",
    text="NEWS2 is not for children under 16 or in pregnancy",
    text_vi="NEWS2 không dùng cho trẻ dưới 16 tuổi và phụ nữ mang thai",
)
_SINGLE = Reason(
    code="news2-single-3",
    text="One parameter alone scores 3: urgent review",
    text_vi="Có một thông số riêng lẻ đạt 3 điểm: cần khám khẩn",
)


def assess(vitals: Vitals) -> TriageResult:
    """Score one adult. Bands: ``low``, ``low_medium``, ``medium``, ``high``, or ``not_triageable``."""
    if vitals.with_child or (vitals.age is not None and vitals.age.may_be_under(ADULT_MONTHS)):
        return not_applicable(NAME, VERSION, _NOT_FOR)
    tally = Tally(NAME)
    tally.add_banded("respiratory_rate", RESPIRATORY_RATE, vitals.respiratory_rate)
    tally.add("spo2", _spo2_points(vitals))
    tally.add("oxygen", None if vitals.on_oxygen is None else OXYGEN_POINTS * vitals.on_oxygen)
    tally.add_banded("systolic", SYSTOLIC, vitals.systolic)
    tally.add_banded("pulse", PULSE, vitals.pulse)
    tally.add("consciousness", None if vitals.altered is None else ALTERED_POINTS * vitals.altered)
    tally.add_banded("temperature", TEMPERATURE, vitals.temperature)
    return _result(vitals, tally)


def _spo2_points(vitals: Vitals) -> int | None:
    if vitals.spo2 is None:
        return None
    if vitals.spo2_scale == 2:
        on_oxygen = bool(vitals.on_oxygen)  # unknown: `oxygen` is missing, and air gives the lower bound
        return points_for(SPO2_SCALE_2_ON_OXYGEN if on_oxygen else SPO2_SCALE_2_ON_AIR, vitals.spo2)
    return points_for(SPO2_SCALE_1, vitals.spo2)


def _result(vitals: Vitals, tally: Tally) -> TriageResult:
    band, colour, within = _band(tally)
    if tally.missing and colour is Colour.GREEN:
        band, colour, within = NOT_TRIAGEABLE, Colour.NONE, None
    reasons = list(tally.reasons)
    if tally.highest == 3:
        reasons.append(_SINGLE)
    if tally.missing:
        reasons.append(LOWER_BOUND)
    if vitals.age is None:
        reasons.append(AGE_NOT_GIVEN)
    return TriageResult(
        chart=NAME,
        version=VERSION,
        score=tally.total,
        band=band,
        colour=colour,
        complete=not tally.missing,
        missing=tally.missing,
        reasons=reasons,
        within_minutes=within,
    )


def _band(tally: Tally) -> tuple[str, Colour, int | None]:
    if tally.total >= 7:
        return "high", Colour.RED, 30
    if tally.total >= 5:
        return "medium", Colour.ORANGE, 60
    if tally.highest == 3:
        return "low_medium", Colour.YELLOW, None
    return "low", Colour.GREEN, None
