"""Input is read without mercy: unmeasured is unmeasured, impossible is refused (domain §4, rules 1, 3, 4)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.clinical.triage import GlasgowComa, InvalidVitals, Vitals, VitalsIssue, read_vitals


def _issues(obj: object) -> list[tuple[str, str]]:
    with pytest.raises(InvalidVitals) as refusal:
        read_vitals(obj)
    assert refusal.value.code == "vitals-invalid"
    return [(issue.code, issue.field) for issue in refusal.value.issues]


@pytest.mark.parametrize(
    ("obj", "code", "field"),
    [
        ({"temperature": 98.6}, "impossible", "temperature"),
        ({"spo2": 0.98}, "impossible", "spo2"),
        ({"spo2": 101}, "impossible", "spo2"),
        ({"systolic": 16}, "impossible", "systolic"),
        ({"systolic": 0}, "impossible", "systolic"),
        ({"pulse": 0}, "impossible", "pulse"),
        ({"respiratory_rate": 0}, "impossible", "respiratory_rate"),
        ({"respiratory_rate": -3}, "impossible", "respiratory_rate"),
        ({"pulse": float("nan")}, "impossible", "pulse"),
        ({"pulse": float("inf")}, "impossible", "pulse"),
        ({"age_years": 200}, "impossible", "age_years"),
        ({"gcs": 16}, "impossible", "gcs"),
        ({"gcs": 0}, "impossible", "gcs"),
        ({"gcs": {"eye": 5}}, "impossible", "gcs.eye"),
        ({"gcs": {"eye": "4"}}, "not-a-code", "gcs.eye"),
        ({"gcs": {"eye": True}}, "wrong-type", "gcs.eye"),
        ({"gcs": {"ear": 4}}, "field-unknown", "gcs.ear"),
        ({"gcs": True}, "wrong-type", "gcs"),
        ({"gcs": "15"}, "wrong-type", "gcs"),
        ({"spo2_scale": 3}, "impossible", "spo2_scale"),
        ({"pulse": "72"}, "wrong-type", "pulse"),
        ({"pulse": True}, "wrong-type", "pulse"),
        ({"spo2": False}, "wrong-type", "spo2"),
        ({"spo2_scale": True}, "wrong-type", "spo2_scale"),
        ({"oxygen": 1}, "wrong-type", "oxygen"),
        ({"pregnant": "no"}, "wrong-type", "pregnant"),
        ({"consciousness": "X"}, "not-a-code", "consciousness"),
        ({"mobility": "flying"}, "not-a-code", "mobility"),
        ({"sex": "x"}, "not-a-code", "sex"),
        ({"signs": "stridor"}, "wrong-type", "signs"),
        ({"signs": ["stridor", "stubbed_toe"]}, "sign-unknown", "signs[1]"),
        ({"signs": [3]}, "wrong-type", "signs[0]"),
        ({"signs": ["stridor"] * 201}, "too-many", "signs"),
        ({"heart_rate": 72}, "field-unknown", "heart_rate"),
        ({"systolic": 80, "diastolic": 120}, "pressure-inconsistent", "diastolic"),
        ({"oxygen": False, "oxygen_flow": 4}, "oxygen-inconsistent", "oxygen"),
        ({"age_years": 1, "age_months": 30}, "age-inconsistent", "age_years"),
        ({"age_years": 40, "age_days": 5}, "age-inconsistent", "age_years"),
        ({"age_years": 70, "age_years_max": 69}, "age-inconsistent", "age_years"),
    ],
)
def test_what_cannot_be_is_refused_with_code_and_place(obj: dict[str, Any], code: str, field: str) -> None:
    assert _issues(obj) == [(code, field)]


@pytest.mark.parametrize("obj", [None, [], 3, "vitals", True])
def test_only_an_object_holds_vitals(obj: object) -> None:
    assert _issues(obj) == [("not-an-object", "")]


def test_all_that_is_wrong_is_named_at_once() -> None:
    assert _issues({"pulse": "72", "spo2": 0.98, "x": 1}) == [
        ("impossible", "spo2"),
        ("wrong-type", "pulse"),
        ("field-unknown", "x"),
    ]


def test_a_refusal_never_quotes_the_input() -> None:
    with pytest.raises(InvalidVitals) as refusal:
        read_vitals({"Nguyễn Văn A 001085012345": 1, "signs": ["H'Hen Niê"], "temperature": 98.6})
    assert str(refusal.value) == "temperature: impossible; signs[0]: sign-unknown; ?: field-unknown"


def test_null_and_absent_both_mean_not_assessed() -> None:
    assert read_vitals({"pulse": None, "signs": None, "gcs": None}) == read_vitals({})


def test_an_empty_list_of_signs_says_that_somebody_looked() -> None:
    assert read_vitals({"signs": []}).signs == ()
    assert read_vitals({}).signs is None


def test_the_words_that_charts_print_are_taken() -> None:
    vitals = read_vitals({"mobility": "With help", "sex": "F", "signs": ["Snake-bite"]})
    assert (vitals.mobility, vitals.sex, vitals.signs) == ("with_help", "female", ("snake_bite",))


@pytest.mark.parametrize(
    ("obj", "months", "days"),
    [
        ({"age_years": 3}, (36, 47), None),
        ({"age_months": 8}, (8, 8), None),
        ({"age_years": 2, "age_months": 6}, (30, 30), None),
        ({"age_years": 2, "age_months": 30}, (30, 30), None),
        ({"age_years": 0, "age_months": 0}, (0, 0), (0, 30)),
        ({"age_days": 5}, (0, 0), (5, 5)),
        ({"age_days": 35}, (1, 1), (35, 35)),
        ({"age_years": 5 / 365}, (0, 0), (5, 5)),
        ({"age_years": 69, "age_years_max": 70}, (828, 851), None),
    ],
)
def test_an_age_is_a_range(
    obj: dict[str, Any], months: tuple[int, int], days: tuple[int, int] | None
) -> None:
    age = read_vitals(obj).age
    assert age is not None
    assert (age.min_months, age.max_months) == months
    if days is not None:
        assert (age.min_days, age.max_days) == days


@pytest.mark.parametrize(
    ("obj", "altered"),
    [
        ({}, None),
        ({"consciousness": "A"}, False),
        ({"consciousness": "C"}, True),
        ({"gcs": 15}, False),
        ({"gcs": 14}, True),
        ({"consciousness": "A", "gcs": 9}, True),
        ({"gcs": {"eye": 4, "verbal": "NT", "motor": 6}}, None),
        ({"gcs": {"eye": 1, "verbal": "NT", "motor": 6}}, True),
        ({"consciousness": "A", "signs": ["altered_mental_status"]}, True),
    ],
)
def test_the_worse_account_of_the_mind_counts(obj: dict[str, Any], altered: bool | None) -> None:
    assert read_vitals(obj).altered is altered


def test_a_flow_of_oxygen_says_that_oxygen_is_given() -> None:
    assert read_vitals({"oxygen_flow": 2}).on_oxygen is True
    assert read_vitals({}).on_oxygen is None


def test_an_untestable_part_leaves_no_total() -> None:
    assert GlasgowComa(eye=1, verbal="NT", motor=1).total is None
    assert GlasgowComa(eye=4, verbal=5, motor=6).total == 15


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted(Vitals.model_fields)) | st.text(), JSON) | JSON)
def test_nothing_but_invalid_vitals_is_raised(obj: object) -> None:
    assert all(isinstance(issue, VitalsIssue) for issue in _issues_or_none(obj))


def _issues_or_none(obj: object) -> tuple[VitalsIssue, ...]:
    try:
        read_vitals(obj)
    except InvalidVitals as refusal:
        return refusal.issues
    return ()


def test_numbers_too_large_for_a_machine_are_refused() -> None:
    with pytest.raises(InvalidVitals):
        read_vitals(json.loads('{"pulse": 1' + "0" * 400 + "}"))
