"""The Interagency Integrated Triage Tool and ``auto``: worked cases of domain §4.3 and the safety rules."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.clinical.triage import (
    CHARTS,
    SIGNS,
    Colour,
    InvalidVitals,
    TriageResult,
    Vitals,
    assess,
    read_vitals,
)


def _assess(chart: str, fields: dict[str, Any]) -> TriageResult:
    return assess(chart, read_vitals(fields))


def _codes(result: TriageResult) -> list[str]:
    return [reason.code for reason in result.reasons]


NORMAL = {
    "pulse": 80,
    "respiratory_rate": 16,
    "temperature": 36.8,
    "spo2": 98,
    "consciousness": "A",
    "signs": [],
}
CHILD = {**NORMAL, "respiratory_rate": 28, "pulse": 110}
INFANT = {**NORMAL, "respiratory_rate": 40, "pulse": 140}

CASES: list[tuple[str, dict[str, Any], str]] = [
    ("1 chest pain at 67", {**NORMAL, "age_years": 67, "signs": ["chest_pain"]}, "red"),
    ("2 pulse 155", {**NORMAL, "age_years": 30, "pulse": 155}, "red"),
    ("3 pulse 140", {**NORMAL, "age_years": 30, "pulse": 140}, "yellow"),
    ("4 pulse 100", {**NORMAL, "age_years": 30, "pulse": 100}, "green"),
    ("5 no SpO2", {**NORMAL, "age_years": 30, "pulse": 100, "spo2": None}, "not_triageable"),
    ("6 headache and fever", {**NORMAL, "age_years": 25, "temperature": 38.8, "signs": ["headache"]}, "red"),
    ("6 headache alone", {**NORMAL, "age_years": 25, "signs": ["headache"]}, "yellow"),
    ("7 altered at 3", {**CHILD, "age_years": 3, "consciousness": "V"}, "yellow"),
    ("7 altered with fever", {**CHILD, "age_years": 3, "consciousness": "V", "temperature": 39.2}, "red"),
    ("8 five days old", {**INFANT, "age_days": 5}, "red"),
    ("9 five weeks, 39.2", {**INFANT, "age_days": 35, "temperature": 39.2}, "red"),
    ("9 five weeks, 37", {**INFANT, "age_days": 35, "temperature": 37.0}, "yellow"),
    ("10 four months", {**INFANT, "age_months": 4}, "yellow"),
    ("11 lethargy, sunken eyes", {**CHILD, "age_years": 2, "signs": ["lethargy", "sunken_eyes"]}, "red"),
    ("12 pulse 150 at 8 months", {**INFANT, "age_months": 8, "pulse": 150}, "green"),
    ("12 pulse 150 at 10 years", {**NORMAL, "age_years": 10, "pulse": 150}, "yellow"),
    (
        "13 pregnant, 165/95",
        {**NORMAL, "age_years": 28, "pregnant": True, "systolic": 165, "diastolic": 95},
        "red",
    ),
]


@pytest.mark.parametrize(("fields", "band"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
@pytest.mark.parametrize("chart", ["iitt", "auto"])
def test_worked_cases(chart: str, fields: dict[str, Any], band: str) -> None:
    result = _assess(chart, fields)
    if band == "not_triageable":
        assert (result.band, result.colour, result.missing) == (band, Colour.NONE, ["spo2"])
    else:
        assert result.colour == band


@pytest.mark.parametrize("chart", ["iitt", "etat", "pews", "auto"])
def test_without_an_age_the_age_is_asked(chart: str) -> None:
    with pytest.raises(InvalidVitals) as refusal:
        _assess(chart, NORMAL)
    assert [(issue.code, issue.field) for issue in refusal.value.issues] == [("age-required", "age_years")]


@pytest.mark.parametrize(
    ("pulse", "colour", "reason"),
    [
        (49, "red", "iitt-red-pulse"),
        (50, "yellow", "iitt-yellow-high-risk-pulse"),
        (59, "yellow", "iitt-yellow-high-risk-pulse"),
        (60, "green", None),
        (130, "green", None),
        (131, "yellow", "iitt-yellow-high-risk-pulse"),
        (150, "yellow", "iitt-yellow-high-risk-pulse"),
        (151, "red", "iitt-red-pulse"),
    ],
)
def test_the_two_pulse_bands_of_adults_are_kept_apart(pulse: int, colour: str, reason: str | None) -> None:
    result = _assess("iitt", {**NORMAL, "age_years": 30, "pulse": pulse})
    assert result.colour == colour
    assert reason is None or reason in _codes(result)


@pytest.mark.parametrize(
    ("field", "edges"),
    [
        ("respiratory_rate", {9: "yellow", 10: "green", 30: "green", 31: "yellow"}),
        ("temperature", {35.9: "yellow", 36.0: "green", 39.0: "green", 39.1: "yellow"}),
        ("spo2", {91: "yellow", 92: "green"}),
        ("consciousness", {"A": "green", "C": "yellow", "V": "yellow", "P": "red", "U": "red"}),
        ("capillary_refill", {3: "green", 3.5: "red"}),
        ("trauma", {False: "green", True: "yellow"}),
        ("gcs", {15: "green", 14: "yellow", 9: "yellow", 8: "red"}),
    ],
)
def test_edges_of_the_adult_vitals(field: str, edges: dict[Any, str]) -> None:
    for value, colour in edges.items():
        assert _assess("iitt", {**NORMAL, "age_years": 30, field: value}).colour == colour, value


@pytest.mark.parametrize(
    ("months", "rates", "pulses"),
    [(8, (25, 50), (90, 180)), (24, (20, 40), (80, 160)), (96, (10, 30), (70, 140))],
)
def test_edges_of_the_child_vitals(months: int, rates: tuple[int, int], pulses: tuple[int, int]) -> None:
    middle = {"age_months": months, "respiratory_rate": rates[0] + 5, "pulse": pulses[0] + 30}
    for field, (low, high) in (("respiratory_rate", rates), ("pulse", pulses)):
        for value, colour in {low - 1: "yellow", low: "green", high: "green", high + 1: "yellow"}.items():
            assert _assess("iitt", {**NORMAL, **middle, field: value}).colour == colour, (field, value)


@pytest.mark.parametrize(
    ("days", "colour"), [(0, "red"), (7, "red"), (8, "yellow"), (180, "yellow"), (240, "green")]
)
def test_the_age_of_an_infant_alone_raises(days: int, colour: str) -> None:
    assert _assess("iitt", {**INFANT, "age_days": days}).colour == colour


def test_an_age_that_may_be_under_8_days_is_taken_as_such_and_says_so() -> None:
    result = _assess("iitt", {**INFANT, "age_years": 0})
    assert (result.colour, result.missing, result.complete) == (Colour.RED, ["age_months"], False)
    assert "age-not-exact" in _codes(result)
    assert _assess("iitt", {**INFANT, "age_months": 0}).missing == ["age_days"]


def test_an_age_on_the_border_takes_the_more_severe_list() -> None:
    fields = {**NORMAL, "pulse": 145, "age_years": 11, "age_years_max": 12}
    assert _assess("iitt", fields).colour == "yellow"
    assert _assess("iitt", {**fields, "pulse": 155}).colour == "red"


@pytest.mark.parametrize(("age", "colour"), [(50, "yellow"), (51, "red")])
@pytest.mark.parametrize("sign", ["chest_pain", "abdominal_pain"])
def test_chest_or_abdominal_pain_is_red_over_fifty(age: int, colour: str, sign: str) -> None:
    assert _assess("iitt", {**NORMAL, "age_years": age, "signs": [sign]}).colour == colour


@pytest.mark.parametrize(
    "fields",
    [
        {"consciousness": "C", "signs": ["headache"]},
        {"temperature": 35.5, "signs": ["stiff_neck"]},
        {"signs": ["fever", "headache"]},
        {"consciousness": "V", "temperature": 38.0},
    ],
)
def test_any_two_of_four_are_red_in_adults(fields: dict[str, Any]) -> None:
    result = _assess("iitt", {**NORMAL, "age_years": 25, **fields})
    assert result.colour == "red"
    assert "iitt-red-two-of-four" in _codes(result)


def test_fever_and_hypothermia_are_one_of_the_four() -> None:
    assert _assess("iitt", {**NORMAL, "age_years": 25, "signs": ["fever", "hypothermia"]}).colour == "yellow"


PREGNANT = {**NORMAL, "age_years": 28, "pregnant": True, "systolic": 118, "diastolic": 74}


@pytest.mark.parametrize(
    ("fields", "colour"),
    [
        ({}, "green"),
        ({"systolic": 159, "diastolic": 109}, "green"),
        ({"systolic": 160}, "red"),
        ({"systolic": 150, "diastolic": 110}, "red"),
        ({"consciousness": "C"}, "red"),
        ({"trauma": True}, "red"),
        ({"signs": ["active_labour"]}, "red"),
        ({"signs": ["severe_headache"]}, "red"),
        ({"signs": ["visual_disturbance"]}, "red"),
        ({"signs": ["severe_abdominal_pain"]}, "red"),
        ({"signs": ["pregnancy_complication"]}, "yellow"),
    ],
)
def test_pregnancy_has_its_own_red_criteria(fields: dict[str, Any], colour: str) -> None:
    assert _assess("iitt", {**PREGNANT, **fields}).colour == colour


@pytest.mark.parametrize("field", ["systolic", "diastolic"])
def test_a_pregnant_woman_without_a_pressure_is_not_green(field: str) -> None:
    result = _assess("iitt", {**PREGNANT, field: None})
    assert (result.band, result.missing) == ("not_triageable", [field])


def test_a_woman_who_may_be_pregnant_is_asked_before_green() -> None:
    woman = {**NORMAL, "age_years": 30, "sex": "female"}
    assert _assess("iitt", woman).missing == ["pregnant"]
    assert _assess("iitt", {**woman, "pregnant": False}).band == "green"
    assert _assess("iitt", {**woman, "age_years": 70}).band == "green"


@pytest.mark.parametrize("age", [{"age_years": 3}, {"age_years": 30}, {"age_years": 70}])
def test_every_recorded_danger_sign_rules_out_green(age: dict[str, Any]) -> None:
    for sign in SIGNS:
        for chart in ("iitt", "auto"):
            assert _assess(chart, {**CHILD, **age, "signs": [sign]}).colour.raises, (sign, chart)


def test_signs_have_the_band_that_the_catalogue_prints() -> None:
    for sign in SIGNS.values():
        for key, age in (("iitt_adult", 30), ("iitt_child", 3)):
            if (band := sign.bands.get(key)) in ("red", "yellow"):
                vitals = NORMAL if age == 30 else CHILD
                assert _assess("iitt", {**vitals, "age_years": age, "signs": [sign.code]}).colour == band, (
                    sign.code
                )


def test_the_catalogue_is_in_two_languages_with_known_bands() -> None:
    known = {"red", "orange", "yellow", "pair", "red_over_50", "emergency", "priority", "positive"}
    for code, sign in SIGNS.items():
        assert code == sign.code
        assert sign.en
        assert sign.vi
        assert sign.charts
        assert set(sign.bands.values()) <= known


COMPLETE: dict[str, Any] = {
    **NORMAL,
    "systolic": 120,
    "diastolic": 75,
    "oxygen": False,
    "mobility": "walking",
    "trauma": False,
    "respiratory_rate": 14,
}


@pytest.mark.parametrize("person", [{"age_years": 30}, {"age_years": 30, "sex": "female", "pregnant": True}])
def test_auto_says_green_when_everything_was_assessed(person: dict[str, Any]) -> None:
    result = _assess("auto", {**COMPLETE, **person})
    assert (result.band, result.complete, result.missing) == ("green", True, [])
    assert result.chart == "iitt"
    assert _codes(result)[0] == "decided-by-iitt"


@pytest.mark.parametrize(
    "person",
    [
        {"age_years": 30, "sex": "male"},
        {"age_years": 28, "sex": "female", "pregnant": True},
        {"age_years": 28, "sex": "female", "pregnant": False, "postpartum_days": 10},
        {"age_years": 7, "respiratory_rate": 20},
    ],
)
def test_auto_never_says_green_with_anything_required_missing(person: dict[str, Any]) -> None:
    whole = {**COMPLETE, **person}
    assert _assess("auto", whole).colour == "green"
    required = ["pulse", "respiratory_rate", "temperature", "spo2", "consciousness", "signs"]
    if person.get("pregnant") or "postpartum_days" in person:
        required += ["systolic", "diastolic"]
    for field in required:
        result = _assess("auto", {name: value for name, value in whole.items() if name != field})
        assert (result.colour, result.complete) == (Colour.NONE, False), field
        assert field in result.missing


def test_auto_takes_the_most_severe_chart_and_names_it() -> None:
    sick = {**COMPLETE, "age_years": 60, "respiratory_rate": 25, "systolic": 88, "spo2": 93, "pulse": 112}
    result = _assess("auto", sick)
    assert (result.chart, result.version, result.colour, result.band) == (
        "news2",
        "RCP NEWS2 2017",
        "red",
        "high",
    )
    assert [applied.chart for applied in result.applied] == ["iitt", "news2", "tews"]
    assert "qsofa-positive" in _codes(result)


def test_auto_uses_the_obstetric_charts_until_six_weeks_after_birth() -> None:
    bleeding = {**COMPLETE, "age_years": 28, "pregnant": False, "pulse": 125, "systolic": 100}
    for days, charts in ((10, ["iitt", "meows", "shock_index"]), (43, ["iitt", "news2", "tews"])):
        result = _assess("auto", {**bleeding, "postpartum_days": days})
        assert [applied.chart for applied in result.applied] == charts


def test_auto_uses_tews_where_there_is_no_oximeter() -> None:
    injured = {"mobility": "stretcher", "trauma": True, "pulse": 105, "respiratory_rate": 18}
    result = _assess("auto", {**COMPLETE, **injured, "age_years": 40, "spo2": None})
    assert (result.chart, result.score, result.colour, result.within_minutes) == ("tews", 5, "orange", 10)
    assert (result.complete, result.missing) == (False, ["spo2"])


def test_auto_calls_a_stroke_red() -> None:
    result = _assess("auto", {**COMPLETE, "age_years": 60, "signs": ["arm_drift"]})
    assert (result.chart, result.colour) == ("be_fast", "red")


def test_auto_applies_etat_to_children() -> None:
    fields = {**CHILD, "age_months": 18, "signs": ["severe_wasting"]}
    assert [applied.chart for applied in _assess("auto", fields).applied] == ["iitt", "etat"]


anyone = st.fixed_dictionaries(
    {"age_years": st.integers(0, 99)},
    optional={
        "sex": st.sampled_from(["male", "female"]),
        "pregnant": st.booleans(),
        "respiratory_rate": st.integers(1, 80),
        "spo2": st.integers(60, 100),
        "oxygen": st.booleans(),
        "systolic": st.integers(121, 220),
        "diastolic": st.integers(30, 120),
        "pulse": st.integers(30, 220),
        "temperature": st.floats(33, 42),
        "consciousness": st.sampled_from("AAAACVPU"),
        "mobility": st.sampled_from(["walking", "with_help", "stretcher"]),
        "trauma": st.booleans(),
        "capillary_refill": st.integers(0, 6),
        "respiratory_effort": st.sampled_from(["normal", "mild", "severe"]),
        "signs": st.lists(st.sampled_from(sorted(SIGNS)), max_size=2),
    },
)


@given(anyone, st.sampled_from(sorted(CHARTS)))
def test_green_is_only_said_of_a_complete_assessment(fields: dict[str, Any], chart: str) -> None:
    result = _assess(chart, fields)
    assert result.complete is not bool(result.missing) or result.band == "not_applicable"
    if result.colour is Colour.GREEN:
        assert result.complete
    if result.band in ("not_triageable", "not_applicable"):
        assert not result.complete
    assert TriageResult.model_validate_json(result.model_dump_json()) == result


@given(
    anyone, st.sampled_from(["pulse", "respiratory_rate", "temperature", "spo2", "consciousness", "signs"])
)
def test_without_a_required_measurement_nobody_is_green(fields: dict[str, Any], dropped: str) -> None:
    fields.pop(dropped, None)
    for chart in ("iitt", "auto"):
        assert _assess(chart, fields).colour is not Colour.GREEN


@given(anyone)
def test_each_reason_is_given_once_and_in_two_languages(fields: dict[str, Any]) -> None:
    result = _assess("auto", fields)
    codes = _codes(result)
    assert len(codes) == len(set(codes))
    assert all(reason.text and reason.text_vi for reason in result.reasons)


def test_results_name_only_fields_that_exist() -> None:
    for chart in CHARTS:
        result = _assess(chart, {"age_years": 30, "pregnant": True, "oxygen": True})
        assert {name.split(".")[0] for name in result.missing} <= set(Vitals.model_fields)
