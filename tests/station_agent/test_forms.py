"""Forms become FHIR that the hub takes."""

import json
from collections.abc import Iterator
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.fhir import check, parse
from station_agent import service, suggest
from station_agent.forms import patient as patient_form
from station_agent.forms import reading
from station_agent.forms import visit as visit_form
from station_agent.forms.patient import read_patient
from station_agent.forms.visit import TriageSummary
from station_agent.forms.vitals import (
    MEASURES,
    Setting,
    age_fields,
    observations,
    read_vitals_form,
    triage_observation,
)
from tests.station_agent.conftest import NOW

TODAY = date(2026, 11, 22)
ADULT = {"age_years": 40.0, "age_years_max": 41.0}


def problems_of(resource: dict[str, Any]) -> list[Any]:
    """Return what the hub's own check finds."""
    return list(check(parse(json.dumps(resource, ensure_ascii=False).encode())))


def registration(**changed: str) -> dict[str, str]:
    return {"name": "Nguyễn Thị Hoà", "sex": "female", "birth_year": "1956", **changed}


def every_resource() -> Iterator[dict[str, Any]]:
    rid, visit = str(uuid4()), str(uuid4())
    full = registration(
        birth_month="3", birth_day="15", cccd="001156012345", bhyt="DN4790123456789", phone="0912345678",
        address="12 Lý Thường Kiệt", commune="Sủng Là", allergies="Penicillin\nTôm", medicines="Amlodipine 5 mg",
    )  # fmt: skip
    for form in (
        full,
        registration(),
        registration(name="Y Moan Êban", birth_year="", birth_age="60"),
        registration(name="Lan"),
    ):
        entry, _ = read_patient(form, today=TODAY)
        yield patient_form.patient(entry, rid=rid)
        for by in ("Lan", ""):
            yield from patient_form.allergies(entry, patient_id=rid, by=by, now=NOW)
            yield from patient_form.medicines(entry, patient_id=rid, by=by, now=NOW)
    opened = visit_form.encounter(rid=visit, patient_id=rid, reason="Đau ngực", by="", started=NOW)
    yield opened
    yield visit_form.finished(opened, ended=NOW)
    form = {name: "40" for name in MEASURES} | {
        "systolic": "120",
        "diastolic": "80",
        "temperature": "37,2",
        "capillary_refill": "2",
    }
    form |= {"consciousness": "A", "oxygen": "no", "trauma": "no", "pregnant": "no", "mobility": "walking"}
    vitals, problems = read_vitals_form(form, ["headache", "chest_pain"], age=ADULT, sex="female")
    assert problems == ()
    setting = Setting(str(uuid4()), rid, visit, "", NOW)
    measured = observations(vitals, setting)
    yield from measured
    result = service.triage(vitals)
    assert result is not None
    yield triage_observation(result, setting, [item["id"] for item in measured])
    ask = visit_form.Ask(rid, visit, "cardiology", "Cardiology", "Đau ngực", "")
    summary = TriageSummary("red", 7, "news2", "RCP NEWS2 2017", True)
    yield visit_form.consult_request(ask, rid=str(uuid4()), triage=summary, observations=[rid], now=NOW)
    yield visit_form.consult_request(ask, rid=str(uuid4()), triage=None, observations=[], now=NOW)


@pytest.mark.parametrize("resource", list(every_resource()), ids=lambda resource: resource["resourceType"])
def test_the_hub_takes_what_a_form_becomes(resource: dict[str, Any]) -> None:
    assert problems_of(resource) == []


@pytest.mark.parametrize("resource", list(every_resource()), ids=lambda resource: resource["resourceType"])
def test_the_reference_library_takes_it_too(resource: dict[str, Any]) -> None:
    from fhir.resources.R4B import get_fhir_model_class

    get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def test_a_name_is_kept_whole_and_parted_the_vietnamese_way() -> None:
    entry, _ = read_patient(registration(), today=TODAY)
    name = patient_form.patient(entry, rid="p")["name"][0]
    assert (name["text"], name["family"], name["given"]) == ("Nguyễn Thị Hoà", "Nguyễn", ["Thị", "Hoà"])
    entry, _ = read_patient(registration(name="Y Moan Êban"), today=TODAY)
    assert patient_form.patient(entry, rid="p")["name"][0].get("family") != "Y"


def test_a_request_says_what_the_hub_needs_to_ring_the_right_doctor() -> None:
    ask = visit_form.Ask("p", "e", "cardiology", "Cardiology", "Đau ngực", "Lan")
    summary = TriageSummary("orange", 5, "tews", "2012", False)
    made = visit_form.consult_request(ask, rid="r", triage=summary, observations=["o"], now=NOW)
    assert made["priority"] == "asap"
    assert made["performerType"]["coding"][0] == {
        "system": "http://clinic-net.vn/fhir/CodeSystem/specialty", "code": "cardiology", "display": "Cardiology",
    }  # fmt: skip
    assert made["category"][0]["coding"][0]["code"] == "teleconsultation"
    assert made["supportingInfo"] == [{"reference": "Observation/o"}]
    assert made["authoredOn"] == "2026-11-22T02:14:00Z"


def test_pressures_are_one_panel_with_units() -> None:
    vitals, _ = read_vitals_form({"systolic": "120", "diastolic": "80"}, [], age=ADULT, sex="male")
    (panel,) = observations(vitals, Setting(str(uuid4()), "p", "e", "", NOW))
    assert [part["valueQuantity"]["code"] for part in panel["component"]] == ["mm[Hg]", "mm[Hg]"]
    assert reading.numbers_in(panel) == {"systolic": 120, "diastolic": 80}


def test_nobody_looked_is_not_nothing_found() -> None:
    nobody, _ = read_vitals_form({"pulse": "80"}, [], age=ADULT, sex="male")
    nothing, _ = read_vitals_form({"pulse": "80", "signs_looked": "1"}, [], age=ADULT, sex="male")
    assert nobody.vitals is not None
    assert nothing.vitals is not None
    assert (nobody.vitals.signs, nothing.vitals.signs) == (None, ())


@pytest.mark.parametrize(
    ("birth", "fields"),
    [
        ("2026-11-20", {"age_days": 2}),
        ("1956", {"age_years": 69, "age_years_max": 70}),
        ("", {}),
        ("2031", {}),
    ],
)
def test_an_age_is_as_sure_as_the_birth_date(birth: str, fields: dict[str, float]) -> None:
    assert age_fields(birth, TODAY) == fields


@pytest.mark.parametrize(
    ("signs", "age", "sex", "pregnant", "wanted"),
    [
        (["chest_pain"], ADULT, "male", "", "cardiology"),
        (["face_droop"], ADULT, "male", "", "neurology"),
        (["snake_bite"], {"age_years": 5.0}, "male", "", "toxicology"),
        (["headache"], {"age_years": 5.0}, "male", "", "paediatrics"),
        (["severe_headache"], ADULT, "female", "yes", "obstetrics"),
        (["unresponsive"], {"age_years": 5.0}, "male", "", "emergency"),
        ([], ADULT, "male", "", "general"),
    ],
)
def test_the_suggested_specialty_follows_what_was_found(
    signs: list[str], age: dict[str, float], sex: str, pregnant: str, wanted: str
) -> None:
    vitals, problems = read_vitals_form({"pregnant": pregnant, "signs_looked": "1"}, signs, age=age, sex=sex)
    assert problems == ()
    assert suggest.specialty(vitals.vitals, service.triage(vitals)) == wanted


@given(
    st.dictionaries(st.sampled_from([*MEASURES, "consciousness", "oxygen", "mobility"]), st.text(max_size=15))
)
def test_whatever_is_typed_is_read_or_refused_and_never_breaks(form: dict[str, str]) -> None:
    entry, problems = read_vitals_form(form, ["nonsense"], age=ADULT, sex="male")
    assert problems
    assert entry.vitals is None


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "name",
                "sex",
                "birth_year",
                "birth_month",
                "birth_day",
                "birth_age",
                "cccd",
                "bhyt",
                "phone",
                "address",
                "allergies",
            ]
        ),
        st.text(max_size=40),
    )
)
def test_whatever_is_registered_is_fhir_or_a_problem(form: dict[str, str]) -> None:
    entry, problems = read_patient(form, today=TODAY)
    if not [problem for problem in problems if not problem.warning]:
        assert problems_of(patient_form.patient(entry, rid=str(uuid4()))) == []


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
            st.sampled_from(["coding", "text", "section", "div", "code", "valueQuantity", "value", "component", "date",
                             "title", "author", "display", "category", "dosageInstruction", "note", "reasonCode"]),
            inner, max_size=4),
        max_leaves=12,
    )
)  # fmt: skip
def test_whatever_comes_down_is_shown_or_left_out_and_never_breaks_the_page(anything: Any) -> None:
    for rtype in ("Composition", "MedicationRequest", "ServiceRequest", "Observation"):
        resource = {
            **(anything if isinstance(anything, dict) else {"section": anything}),
            "resourceType": rtype,
        }
        reading.letters([resource])
        reading.numbers_in(resource)
        reading.form_values([resource])
        reading.triage_of(resource)


def test_a_narrative_is_shown_as_text_only() -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml"><p>Nghỉ &lt;ngơi&gt;<script>x()</script></p><p>Uống nước</p></div>'
    assert reading.narrative_text(div) == ["Nghỉ <ngơi>x()", "Uống nước"]
