"""A record is read from resources as stations and doctors write them; what is not there is not made up."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from clinic_net.console import record
from tests.console import patients

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
TODAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def chart() -> record.Record:
    return record.read(reversed(patients.chest_pain(NOW).resources), on=TODAY)


def test_the_patient_is_named_with_the_ages_that_a_year_of_birth_leaves_open(chart: record.Record) -> None:
    assert (chart.name, chart.sex, chart.birth_date) == (patients.NAME, "female", "1972")
    assert chart.age == "53–54"


def test_allergies_and_long_term_medicines_are_found(chart: record.Record) -> None:
    assert chart.allergies == (patients.ALLERGY,)
    assert [each.name for each in chart.medicines_now] == [patients.MEDICINE]


def test_every_vital_sign_of_both_visits_is_there_oldest_first(chart: record.Record) -> None:
    (pulse,) = chart.series_of("pulse")
    assert [reading.value for reading in pulse.readings] == [84, 128]
    assert pulse.written == "128"
    assert chart.series_of("temperature")[0].written == "37.4"
    assert chart.diastolic == "58"


def test_what_lies_outside_the_adult_band_is_said_in_words(chart: record.Record) -> None:
    outside = {series.key: series.outside for series in chart.series if series.outside}
    assert outside == {"respiratory_rate": "high", "spo2": "low", "systolic": "low", "pulse": "high"}


def test_the_adult_band_says_nothing_about_a_child() -> None:
    chart = record.read(patients.chest_pain(NOW, years=4).resources, on=TODAY)
    assert chart.months is not None
    assert chart.months < 72
    assert {series.outside for series in chart.series} == {""}


def test_the_triage_keeps_its_colour_and_its_danger_signs(chart: record.Record) -> None:
    assert chart.triage_colour == "red"
    assert chart.signs == ("respiratory_distress",)
    assert (chart.consciousness, chart.on_oxygen) == ("A", False)


def test_nobody_looked_for_danger_signs_is_not_the_same_as_none_found() -> None:
    assert record.read([], on=TODAY).signs is None
    found_none = {
        "resourceType": "Observation",
        "code": {"coding": [{"code": "danger-signs"}]},
        "valueInteger": 0,
    }
    assert record.read([found_none], on=TODAY).signs == ()


def test_visits_are_newest_first_with_their_reasons(chart: record.Record) -> None:
    assert [visit.reason for visit in chart.visits] == [patients.REASON, "Khám tăng huyết áp định kỳ"]


@pytest.mark.parametrize(
    "allergy",
    [
        {"verificationStatus": {"coding": [{"code": "entered-in-error"}]}},
        {"verificationStatus": {"coding": [{"code": "refuted"}]}},
        {"clinicalStatus": {"coding": [{"code": "resolved"}]}},
    ],
)
def test_an_allergy_that_is_none_any_more_is_left_out(allergy: dict[str, Any]) -> None:
    resource = {"resourceType": "AllergyIntolerance", "code": {"text": "Tôm"}, **allergy}
    assert record.read([resource], on=TODAY).allergies == ()


def test_a_measurement_entered_in_error_is_left_out() -> None:
    resources = patients.chest_pain(NOW).resources
    wrong = [
        {**each, "status": "entered-in-error"} if each["resourceType"] == "Observation" else each
        for each in resources
    ]
    chart = record.read(wrong, on=TODAY)
    assert chart.series == ()
    assert chart.triage_colour == ""


def test_a_medicine_that_was_stopped_is_not_a_medicine_now() -> None:
    stopped = {
        "resourceType": "MedicationRequest", "status": "stopped", "medicationCodeableConcept": {"text": "Aspirin"}
    }  # fmt: skip
    chart = record.read([stopped], on=TODAY)
    assert len(chart.medicines) == 1
    assert chart.medicines_now == ()


def test_a_resource_in_a_shape_nobody_expects_leaves_the_rest_readable() -> None:
    strange: list[dict[str, Any]] = [
        {"resourceType": "Patient", "name": [{}], "birthDate": "not a date"},
        {"resourceType": "Observation", "code": {"text": "?"}, "valueQuantity": {"value": "12"}},
        {"resourceType": "Encounter"},
        {"resourceType": "Composition", "section": [{}]},
    ]
    chart = record.read(strange, on=TODAY)
    assert (chart.name, chart.age, chart.months) == ("", "", None)
    assert chart.series == ()


@pytest.mark.parametrize(
    ("div", "words"),
    [
        ('<div xmlns="http://www.w3.org/1999/xhtml"><p>một</p><p>hai</p></div>', "một\nhai"),
        ("<div>a &lt;b&gt; c<script>alert(1)</script></div>", "a <b> calert(1)"),
        ("", ""),
    ],
)
def test_a_narrative_becomes_words_without_markup(div: str, words: str) -> None:
    assert record.plain_text(div) == words
