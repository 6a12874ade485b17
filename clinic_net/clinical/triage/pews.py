"""Bedside Paediatric Early Warning Score: severity in hospital follow-up, not a triage of walk-in children.

Source: Parshuram et al. 2009 (domain §4.9): seven items, 0 to 26, 8 or more is the trigger. Two printed
limits (pulse at 4–12 and over 12 years) are read as ≥150 and ≤50. Below the trigger the score makes no
claim (colour NONE). Where the age allows two rows, each item takes the higher score.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from clinic_net.clinical.triage.result import (
    LOWER_BOUND,
    NOT_TRIAGEABLE,
    Colour,
    Reason,
    TriageResult,
    not_applicable,
)
from clinic_net.clinical.triage.scoring import Tally
from clinic_net.clinical.triage.vitals import Age, Vitals

NAME = "pews"
VERSION = "Bedside PEWS (Parshuram 2009)"
TRIGGER_FROM = 8
ADULT_MONTHS = 18 * 12

AGE_ROWS = ((0, 3), (3, 12), (12, 48), (48, 144), (144, ADULT_MONTHS))
"""From month, to month (exclusive); the rows of the three tables below."""


@dataclass(frozen=True, slots=True)
class Row:
    """One age row: the normal range, then the upper and the lower limits that score 1, 2 and 4."""

    low: float
    high: float
    upper: tuple[float, float, float]
    lower: tuple[float, float, float]

    def points(self, value: float) -> int:
        """0, 1, 2 or 4."""
        for points, upper, lower in zip((4, 2, 1), reversed(self.upper), reversed(self.lower), strict=True):
            if value >= upper or value <= lower:
                return points
        return 0 if self.low <= value <= self.high else 1


PULSE = (
    Row(111, 149, (150, 180, 190), (110, 90, 80)),
    Row(101, 149, (150, 170, 180), (100, 80, 70)),
    Row(91, 119, (120, 150, 170), (90, 70, 60)),
    Row(71, 109, (110, 130, 150), (70, 60, 50)),
    Row(61, 99, (100, 120, 140), (60, 50, 40)),
)
SYSTOLIC = (
    Row(61, 79, (80, 100, 130), (60, 50, 45)),
    Row(81, 99, (100, 120, 150), (80, 70, 60)),
    Row(91, 109, (110, 125, 160), (90, 75, 65)),
    Row(91, 119, (120, 140, 170), (90, 80, 70)),
    Row(101, 129, (130, 150, 190), (100, 85, 75)),
)
RESPIRATORY_RATE = (
    Row(30, 60, (61, 81, 91), (29, 19, 15)),
    Row(25, 50, (51, 71, 81), (24, 19, 15)),
    Row(20, 40, (41, 61, 71), (19, 15, 12)),
    Row(20, 30, (31, 41, 51), (19, 14, 10)),
    Row(12, 16, (17, 23, 30), (11, 10, 9)),
)
EFFORT = {"normal": 0, "mild": 1, "moderate": 2, "severe": 4, "apnoea": 4}
REFILL_SECONDS, REFILL_POINTS = 3, 4
HIGH_FLOW, HIGH_PERCENT = 4, 50

_NOT_FOR = Reason(
    code="pews-not-for-patient",
    text="Bedside PEWS is for people under 18 years",
    text_vi="Bedside PEWS dùng cho người dưới 18 tuổi",
)


def assess(vitals: Vitals) -> TriageResult:
    """Score one child. Bands: ``trigger``, ``no_trigger``, ``not_triageable``.

    Raises InvalidVitals ``age-required``.
    """
    age = vitals.required_age()
    if not age.may_be_under(ADULT_MONTHS):
        return not_applicable(NAME, VERSION, _NOT_FOR)
    tally = Tally(NAME)
    tally.add("pulse", _by_age(PULSE, age, vitals.pulse))
    tally.add("systolic", _by_age(SYSTOLIC, age, vitals.systolic))
    refill = vitals.capillary_refill
    tally.add("capillary_refill", None if refill is None else REFILL_POINTS * (refill >= REFILL_SECONDS))
    tally.add("respiratory_rate", _by_age(RESPIRATORY_RATE, age, vitals.respiratory_rate))
    effort = vitals.respiratory_effort
    tally.add("respiratory_effort", None if effort is None else EFFORT[effort])
    tally.add("spo2", _spo2_points(vitals.spo2))
    tally.add("oxygen", _oxygen_points(vitals))
    if vitals.on_oxygen and vitals.oxygen_flow is None and vitals.oxygen_percent is None:
        tally.missing.append("oxygen_flow")
    return _result(tally)


def _by_age(table: Sequence[Row], age: Age, value: float | None) -> int | None:
    if value is None:
        return None
    possible = [
        row.points(value)
        for row, (start, end) in zip(table, AGE_ROWS, strict=True)
        if age.min_months < end and age.max_months >= start
    ]
    return max(possible)


def _spo2_points(spo2: float | None) -> int | None:
    if spo2 is None:
        return None
    if spo2 <= 90:
        return 2
    return 1 if spo2 <= 94 else 0


def _oxygen_points(vitals: Vitals) -> int | None:
    if not vitals.on_oxygen:
        return None if vitals.on_oxygen is None else 0
    high = (vitals.oxygen_flow or 0) >= HIGH_FLOW or (vitals.oxygen_percent or 0) >= HIGH_PERCENT
    return 4 if high else 2


def _result(tally: Tally) -> TriageResult:
    if tally.total >= TRIGGER_FROM:
        band, colour = "trigger", Colour.RED
    else:
        band, colour = (NOT_TRIAGEABLE if tally.missing else "no_trigger"), Colour.NONE
    return TriageResult(
        chart=NAME,
        version=VERSION,
        score=tally.total,
        band=band,
        colour=colour,
        complete=not tally.missing,
        missing=tally.missing,
        reasons=[*tally.reasons, *([LOWER_BOUND] if tally.missing else [])],
    )
