"""ETAT and Bedside PEWS: the worked cases and edges of domain §4.9."""

from typing import Any

import pytest

from clinic_net.clinical.triage import Colour, TriageResult, assess, read_vitals


def _assess(chart: str, **fields: Any) -> TriageResult:
    return assess(chart, read_vitals(fields))


WELL = {"consciousness": "A", "respiratory_rate": 30, "temperature": 37.0, "signs": []}


@pytest.mark.parametrize(
    ("fields", "band"),
    [
        ({"age_months": 9, "signs": ["diarrhoea", "sunken_eyes", "very_slow_skin_pinch"]}, "emergency"),
        ({"age_months": 9, "signs": ["diarrhoea", "sunken_eyes"]}, "priority"),
        ({"age_months": 9, "signs": ["sunken_eyes", "very_slow_skin_pinch"]}, "priority"),
        ({"age_months": 9, "signs": ["diarrhoea", "sunken_eyes"], "consciousness": "V"}, "emergency"),
        ({"age_days": 42}, "priority"),
        ({"age_years": 4, "signs": ["burn"]}, "priority"),
        (
            {"age_years": 4, "signs": ["weak_fast_pulse", "cold_extremities"], "capillary_refill": 4},
            "emergency",
        ),
        (
            {"age_years": 4, "signs": ["weak_fast_pulse", "cold_extremities"], "capillary_refill": 3},
            "priority",
        ),
        ({"age_years": 4, "signs": ["active_convulsions"]}, "emergency"),
        ({"age_years": 4, "consciousness": "P"}, "emergency"),
        ({"age_years": 4, "consciousness": "V"}, "priority"),
        ({"age_years": 4, "temperature": 39.5}, "priority"),
        ({"age_years": 4, "trauma": True}, "priority"),
        ({"age_years": 4}, "queue"),
        ({"age_years": 4, "signs": None}, "not_triageable"),
        ({"age_years": 4, "temperature": None}, "not_triageable"),
        ({"age_years": 12}, "not_applicable"),
    ],
)
def test_etat_worked_cases(fields: dict[str, Any], band: str) -> None:
    assert _assess("etat", **{**WELL, **fields}).band == band


@pytest.mark.parametrize(("age_months", "limit"), [(1, 60), (2, 50), (11, 50), (12, 40), (100, 40)])
def test_etat_fast_breathing_depends_on_age(age_months: int, limit: int) -> None:
    def fast(rate: int) -> bool:
        result = _assess("etat", **{**WELL, "age_months": age_months, "respiratory_rate": rate})
        return "etat-yellow-fast-breathing" in [reason.code for reason in result.reasons]

    assert (fast(limit), fast(limit + 1)) == (False, True)


PEWS_FIELDS = (
    "pulse",
    "systolic",
    "capillary_refill",
    "respiratory_rate",
    "respiratory_effort",
    "spo2",
    "oxygen_flow",
)


def _pews(age: dict[str, Any], case: tuple[Any, ...]) -> TriageResult:
    return _assess("pews", **age, **dict(zip(PEWS_FIELDS, case, strict=True)), oxygen=case[-1] > 0)


@pytest.mark.parametrize(
    ("age", "case", "score", "band"),
    [
        ({"age_years": 3}, (105, 100, 2, 28, "normal", 98, 0), 0, "no_trigger"),
        ({"age_years": 3}, (155, 96, 2, 48, "moderate", 93, 2), 8, "trigger"),
        ({"age_months": 8}, (185, 68, 4, 75, "severe", 88, 8), 22, "trigger"),
        ({"age_years": 6}, (109, 100, 2, 25, "normal", 98, 0), 0, "no_trigger"),
        ({"age_years": 6}, (110, 100, 2, 25, "normal", 98, 0), 1, "no_trigger"),
        ({"age_years": 13}, (145, 60, 3, 32, "apnoea", 85, 10), 26, "trigger"),
    ],
)
def test_pews_worked_cases(age: dict[str, Any], case: tuple[Any, ...], score: int, band: str) -> None:
    result = _pews(age, case)
    assert (result.score, result.band, result.complete) == (score, band, True)


MIDDLE = {
    1: (130, 70, 45),
    6: (120, 90, 35),
    24: (105, 100, 30),
    96: (90, 105, 25),
    160: (80, 115, 14),
}


@pytest.mark.parametrize(
    ("age_months", "field", "edges"),
    [
        (1, 0, {80: 4, 81: 2, 90: 2, 91: 1, 110: 1, 111: 0, 149: 0, 150: 1, 179: 1, 180: 2, 189: 2, 190: 4}),
        (6, 0, {70: 4, 71: 2, 80: 2, 81: 1, 100: 1, 101: 0, 149: 0, 150: 1, 169: 1, 170: 2, 179: 2, 180: 4}),
        (24, 0, {60: 4, 61: 2, 70: 2, 71: 1, 90: 1, 91: 0, 119: 0, 120: 1, 149: 1, 150: 2, 169: 2, 170: 4}),
        (96, 0, {50: 4, 51: 2, 60: 2, 61: 1, 70: 1, 71: 0, 109: 0, 110: 1, 129: 1, 130: 2, 149: 2, 150: 4}),
        (160, 0, {40: 4, 41: 2, 50: 2, 51: 1, 60: 1, 61: 0, 99: 0, 100: 1, 119: 1, 120: 2, 139: 2, 140: 4}),
        (1, 1, {45: 4, 46: 2, 50: 2, 51: 1, 60: 1, 61: 0, 79: 0, 80: 1, 99: 1, 100: 2, 129: 2, 130: 4}),
        (6, 1, {60: 4, 61: 2, 70: 2, 71: 1, 80: 1, 81: 0, 99: 0, 100: 1, 119: 1, 120: 2, 149: 2, 150: 4}),
        (24, 1, {65: 4, 66: 2, 75: 2, 76: 1, 90: 1, 91: 0, 109: 0, 110: 1, 124: 1, 125: 2, 159: 2, 160: 4}),
        (96, 1, {70: 4, 71: 2, 80: 2, 81: 1, 90: 1, 91: 0, 119: 0, 120: 1, 139: 1, 140: 2, 169: 2, 170: 4}),
        (
            160,
            1,
            {75: 4, 76: 2, 85: 2, 86: 1, 100: 1, 101: 0, 129: 0, 130: 1, 149: 1, 150: 2, 189: 2, 190: 4},
        ),
        (1, 2, {15: 4, 16: 2, 19: 2, 20: 1, 29: 1, 30: 0, 60: 0, 61: 1, 80: 1, 81: 2, 90: 2, 91: 4}),
        (6, 2, {15: 4, 16: 2, 19: 2, 20: 1, 24: 1, 25: 0, 50: 0, 51: 1, 70: 1, 71: 2, 80: 2, 81: 4}),
        (24, 2, {12: 4, 13: 2, 15: 2, 16: 1, 19: 1, 20: 0, 40: 0, 41: 1, 60: 1, 61: 2, 70: 2, 71: 4}),
        (96, 2, {10: 4, 11: 2, 14: 2, 15: 1, 19: 1, 20: 0, 30: 0, 31: 1, 40: 1, 41: 2, 50: 2, 51: 4}),
        (160, 2, {9: 4, 10: 2, 11: 1, 12: 0, 16: 0, 17: 1, 22: 1, 23: 2, 29: 2, 30: 4}),
    ],
)
def test_pews_edges_of_every_row(age_months: int, field: int, edges: dict[int, int]) -> None:
    for value, points in edges.items():
        pulse, systolic, rate = (
            value if index == field else own for index, own in enumerate(MIDDLE[age_months])
        )
        assert (
            _pews({"age_months": age_months}, (pulse, systolic, 2, rate, "normal", 98, 0)).score == points
        ), value


@pytest.mark.parametrize(
    ("field", "edges"),
    [
        ("capillary_refill", {2.9: 0, 3: 4}),
        ("respiratory_effort", {"normal": 0, "mild": 1, "moderate": 2, "severe": 4, "apnoea": 4}),
        ("spo2", {90: 2, 91: 1, 94: 1, 95: 0}),
        ("oxygen_flow", {0: 0, 3.9: 2, 4: 4}),
    ],
)
def test_pews_edges_of_the_other_items(field: str, edges: dict[Any, int]) -> None:
    for value, points in edges.items():
        case = {**dict(zip(PEWS_FIELDS, (105, 100, 2, 28, "normal", 98, 0), strict=True)), field: value}
        assert _pews({"age_months": 24}, tuple(case[name] for name in PEWS_FIELDS)).score == points, value


def test_pews_takes_the_higher_row_where_the_age_allows_two() -> None:
    assert _pews({"age_years": 0}, (155, 85, 2, 40, "normal", 98, 0)).score == 2
    assert _pews({"age_months": 6}, (155, 85, 2, 40, "normal", 98, 0)).score == 1


def test_pews_needs_the_flow_of_oxygen_to_be_complete() -> None:
    case = dict(zip(PEWS_FIELDS, (105, 100, 2, 28, "normal", 98, None), strict=True))
    result = _assess("pews", age_years=3, oxygen=True, **case)
    assert (result.score, result.band, result.missing) == (2, "not_triageable", ["oxygen_flow"])


def test_pews_below_its_trigger_makes_no_claim_and_is_not_for_adults() -> None:
    assert _pews({"age_years": 3}, (105, 100, 2, 28, "normal", 98, 0)).colour is Colour.NONE
    assert _pews({"age_years": 18}, (80, 115, 2, 14, "normal", 98, 0)).band == "not_applicable"
