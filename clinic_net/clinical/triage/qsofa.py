"""quick SOFA: a flag for sepsis, not a triage by itself.

Source: Sepsis-3, 2016 (domain §4.2). One point each for a respiratory rate of 22 or more, altered mentation
and a systolic pressure of 100 or less; two are positive. The Surviving Sepsis Campaign 2021 advises against
it as the only screen: a negative flag therefore makes no claim (colour NONE).
"""

from clinic_net.clinical.triage.result import LOWER_BOUND, NOT_TRIAGEABLE, Colour, TriageResult
from clinic_net.clinical.triage.scoring import Tally
from clinic_net.clinical.triage.vitals import Vitals

NAME = "qsofa"
VERSION = "Sepsis-3 qSOFA 2016"

RESPIRATORY_RATE_FROM = 22
SYSTOLIC_UP_TO = 100
POSITIVE_FROM = 2


def assess(vitals: Vitals) -> TriageResult:
    """Flag one adult. Bands: ``positive``, ``negative``, ``not_triageable``."""
    tally = Tally(NAME)
    rate, systolic, altered = vitals.respiratory_rate, vitals.systolic, vitals.altered
    tally.add("respiratory_rate", None if rate is None else int(rate >= RESPIRATORY_RATE_FROM))
    tally.add("consciousness", None if altered is None else int(altered))
    tally.add("systolic", None if systolic is None else int(systolic <= SYSTOLIC_UP_TO))
    if tally.total >= POSITIVE_FROM:
        band, colour = "positive", Colour.ORANGE
    elif tally.missing:
        band, colour = NOT_TRIAGEABLE, Colour.NONE
    else:
        band, colour = "negative", Colour.NONE
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
