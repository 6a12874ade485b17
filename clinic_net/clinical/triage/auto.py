"""The charts that fit this patient, applied together: the most severe result stands and says which chart decided.

Everyone: IITT. Under 12 years: ETAT too. In pregnancy and six weeks after birth: MEOWS and the shock index
too. These are required: without all of them complete nobody is GREEN. Adults also get NEWS2, TEWS where
there is no oximeter or mobility was recorded, BE-FAST where a stroke sign was: these only raise. qSOFA is a
flag beside the result. Source: domain §4.10.
"""

from collections.abc import Sequence

from clinic_net.clinical.triage import be_fast, etat, iitt, meows, news2, qsofa, shock_index, tews
from clinic_net.clinical.triage.result import (
    NOT_APPLICABLE,
    NOT_TRIAGEABLE,
    Colour,
    Reason,
    TriageResult,
    distinct,
)
from clinic_net.clinical.triage.vitals import Age, Vitals

NAME = "auto"
VERSION = "clinic-net auto 1"

POSTPARTUM_DAYS = 42

_QSOFA = Reason(
    code="qsofa-positive",
    text="qSOFA is positive: think of sepsis",
    text_vi="qSOFA dương tính: nghĩ đến nhiễm khuẩn huyết",
)


def assess(vitals: Vitals) -> TriageResult:
    """Triage anyone. ``chart``, ``version``, ``score`` and ``band`` are those of the chart that decided.

    ``missing`` and ``complete`` are those of all required charts. Raises InvalidVitals ``age-required``.
    """
    age = vitals.required_age()
    required = _required(vitals, age)
    raising = [result for result in _raising(vitals, age) if result.colour.raises or result.complete]
    applied = [result for result in (*required, *raising) if result.band != NOT_APPLICABLE]
    decider = max(applied, key=lambda result: result.colour.severity)  # the first of equals: IITT
    missing = list(dict.fromkeys(name for result in required for name in result.missing))
    reasons = _reasons(decider, applied)
    if age.min_months >= news2.ADULT_MONTHS and qsofa.assess(vitals).band == "positive":
        reasons.append(_QSOFA)
    open_question = bool(missing) and not decider.colour.raises
    return TriageResult(
        chart=decider.chart,
        version=decider.version,
        score=decider.score,
        band=NOT_TRIAGEABLE if open_question else decider.band,
        colour=Colour.NONE if open_question else decider.colour,
        complete=not missing,
        missing=missing,
        reasons=reasons,
        within_minutes=None if open_question else decider.within_minutes,
        applied=[result.as_applied() for result in applied],
    )


def _required(vitals: Vitals, age: Age) -> list[TriageResult]:
    results = [iitt.assess(vitals)]
    if age.may_be_under(etat.CHILD_MONTHS):
        results.append(etat.assess(vitals))
    if _maternal(vitals):
        results += [meows.assess(vitals), shock_index.assess(vitals)]
    return results


def _raising(vitals: Vitals, age: Age) -> list[TriageResult]:
    results: list[TriageResult] = []
    if be_fast.POSITIVE & vitals.recorded:
        results.append(be_fast.assess(vitals))
    if _maternal(vitals) or age.may_be_under(iitt.ADULT_MONTHS):
        return results
    results.append(news2.assess(vitals))
    if vitals.spo2 is None or vitals.mobility is not None:
        results.append(tews.assess(vitals))
    return results


def _maternal(vitals: Vitals) -> bool:
    after_birth = vitals.postpartum_days is not None and vitals.postpartum_days <= POSTPARTUM_DAYS
    return vitals.with_child or after_birth


def _reasons(decider: TriageResult, applied: Sequence[TriageResult]) -> list[Reason]:
    """Those of the deciding chart first, then those of the charts that also raise."""
    shown = f"decided-by-{decider.chart}".replace("_", "-")
    decided = Reason(
        code=shown, text=f"Decided by {decider.version}", text_vi=f"Quyết định theo {decider.version}"
    )
    others = [result for result in applied if result is not decider and result.colour.raises]
    return distinct([decided, *decider.reasons, *(reason for result in others for reason in result.reasons)])
