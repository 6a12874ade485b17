"""Triage Early Warning Score with the South African Triage Scale's signs, for adults.

Source: SATS manual 2012 (domain §4.4). Seven items, 0 to 17: 7 or more RED at once, 5–6 ORANGE within 10
minutes, 3–4 YELLOW within 60, 0–2 GREEN within 240. An emergency sign is RED, a very urgent one at least
ORANGE, any other danger sign at least YELLOW. Other versions of the scale have other cut-offs: this one is
pinned. Needs no oximeter.
"""

from clinic_net.clinical.triage import signs
from clinic_net.clinical.triage.findings import Findings
from clinic_net.clinical.triage.result import (
    AGE_NOT_GIVEN,
    LOWER_BOUND,
    NOT_TRIAGEABLE,
    Colour,
    Reason,
    TriageResult,
    not_applicable,
    worst,
)
from clinic_net.clinical.triage.scoring import Tally, bands
from clinic_net.clinical.triage.vitals import Vitals

NAME = "tews"
VERSION = "SATS 2012 adult TEWS"

MOBILITY = {"walking": 0, "with_help": 1, "stretcher": 2}
CONSCIOUSNESS = {"A": 0, "V": 1, "C": 2, "P": 2, "U": 3}
RESPIRATORY_RATE = bands((None, 8, 2), (9, 14, 0), (15, 20, 1), (21, 29, 2), (30, None, 3))
PULSE = bands((None, 40, 2), (41, 50, 1), (51, 100, 0), (101, 110, 1), (111, 129, 2), (130, None, 3))
SYSTOLIC = bands((None, 70, 3), (71, 80, 2), (81, 100, 1), (101, 199, 0), (200, None, 2))
TEMPERATURE = bands((None, 34.9, 2), (35, 38.4, 0), (38.5, None, 2))

ADULT_MONTHS = 13 * 12
ADULT_HEIGHT_CM = 150
WITHIN_MINUTES = {Colour.RED: 0, Colour.ORANGE: 10, Colour.YELLOW: 60, Colour.GREEN: 240}

_RED_SIGNS = signs.banded(signs.TEWS, "red")
_ORANGE_SIGNS = signs.banded(signs.TEWS, "orange")
_NOT_FOR = Reason(
    code="tews-not-for-patient",
    text="Adult TEWS is for people over 12 years or taller than 150 cm",
    text_vi="TEWS người lớn dùng cho người trên 12 tuổi hoặc cao trên 150 cm",
)


def assess(vitals: Vitals) -> TriageResult:
    """Score one adult. Bands: ``red``, ``orange``, ``yellow``, ``green``, ``not_triageable``."""
    tall = (vitals.height_cm or 0) > ADULT_HEIGHT_CM
    if vitals.age is not None and vitals.age.may_be_under(ADULT_MONTHS) and not tall:
        return not_applicable(NAME, VERSION, _NOT_FOR)
    tally = Tally(NAME)
    tally.add("mobility", None if vitals.mobility is None else MOBILITY[vitals.mobility])
    tally.add_banded("respiratory_rate", RESPIRATORY_RATE, vitals.respiratory_rate)
    tally.add_banded("pulse", PULSE, vitals.pulse)
    tally.add_banded("systolic", SYSTOLIC, vitals.systolic)
    tally.add_banded("temperature", TEMPERATURE, vitals.temperature)
    tally.add("consciousness", _consciousness(vitals))
    tally.add("trauma", _trauma(vitals))
    return _result(vitals, tally, _look(vitals))


def _consciousness(vitals: Vitals) -> int | None:
    if vitals.consciousness is not None:
        return CONSCIOUSNESS[vitals.consciousness]
    return 0 if vitals.altered is False else None


def _trauma(vitals: Vitals) -> int | None:
    if vitals.trauma or vitals.recorded & signs.TRAUMA_SIGNS:
        return 1
    return None if vitals.trauma is None else 0


def _look(vitals: Vitals) -> Findings:
    findings = Findings(NAME)
    findings.add_signs(Colour.RED, _RED_SIGNS, vitals.recorded)
    findings.add_signs(Colour.ORANGE, _ORANGE_SIGNS, vitals.recorded)
    if vitals.altered:
        findings.add(
            Colour.ORANGE, "altered", "Reduced consciousness or confusion", "Giảm tri giác hoặc lú lẫn"
        )
    if vitals.with_child and ("abdominal_pain" in vitals.recorded or vitals.trauma):
        findings.counted.add("abdominal_pain")
        findings.add(
            Colour.ORANGE,
            "pregnant-abdomen",
            "Pregnant with abdominal pain or trauma",
            "Mang thai, đau bụng hoặc chấn thương",
        )
    findings.add_uncounted(Colour.YELLOW, vitals.recorded)
    return findings


def _result(vitals: Vitals, tally: Tally, findings: Findings) -> TriageResult:
    colour = worst((_category(tally.total), findings.colour))
    if tally.missing and colour is Colour.GREEN:
        colour = Colour.NONE
    reasons = [*findings.reasons(), *tally.reasons]
    if tally.missing:
        reasons.append(LOWER_BOUND)
    if vitals.age is None:
        reasons.append(AGE_NOT_GIVEN)
    return TriageResult(
        chart=NAME,
        version=VERSION,
        score=tally.total,
        band=NOT_TRIAGEABLE if colour is Colour.NONE else colour.value,
        colour=colour,
        complete=not tally.missing,
        missing=tally.missing,
        reasons=reasons,
        within_minutes=WITHIN_MINUTES.get(colour),
    )


def _category(points: int) -> Colour:
    if points >= 7:
        return Colour.RED
    if points >= 5:
        return Colour.ORANGE
    return Colour.YELLOW if points >= 3 else Colour.GREEN
