"""Search values: what a resource can be found by."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.fhir import index
from clinic_net.fhir.dates import DAY, EARLIEST, LATEST, LOCAL_OFFSET, SECOND, date_range
from clinic_net.fhir.definitions import resource_types, search_parameters
from clinic_net.fhir.index import uncompiled, unconverted
from clinic_net.fhir.values import DateRange, QuantityValue, Text, Token

Sample = Callable[[str], dict[str, Any]]

NO_INDEX = {
    ("Bundle", "composition"): "leads into another resource of the bundle",
    ("Bundle", "message"): "leads into another resource of the bundle",
    ("DocumentReference", "relationship"): "published with its two parts exchanged",
    **{
        ("MolecularSequence", f"{start}-{kind}-coordinate"): "a composite of three parts"
        for start in ("chromosome", "referenceseqid")
        for kind in ("variant", "window")
    },
    ("*", "_content"): "full text, no expression in the standard",
    ("*", "_text"): "full text, no expression in the standard",
    ("*", "_query"): "names a query, no expression in the standard",
}

NOT_EXPRESSIBLE = {
    ("CarePlan", "activity-date", "string"): "free text is no date",
    ("Consent", "source-reference", "Attachment"): "an attachment is no reference",
    ("Immunization", "date", "string"): "free text is no date",
    ("Observation", "component-value-quantity", "SampledData"): "a series has no one amount",
    ("Observation", "value-quantity", "SampledData"): "a series has no one amount",
    ("Procedure", "date", "Age"): "an age is no date",
    ("Procedure", "date", "Range"): "a range of ages is no date",
    ("Procedure", "date", "string"): "free text is no date",
    ("RiskAssessment", "probability", "Range"): "a range is no one number",
}


def test_every_standard_parameter_is_compiled_but_those_with_a_reason() -> None:
    left_out = {(name, code) for name in resource_types() for code in uncompiled(name)}
    unnamed = {(name, code) for name, code in left_out if not {(name, code), ("*", code)} & NO_INDEX.keys()}
    assert unnamed == set()
    assert sum(len(search_parameters(name)) for name in resource_types()) > 3000


def test_every_data_type_is_converted_but_those_with_a_reason() -> None:
    found = {
        (n, code, kind) for n in resource_types() for code, kinds in unconverted(n).items() for kind in kinds
    }
    assert found == set(NOT_EXPRESSIBLE)


def test_a_patient_is_found_by_what_a_nurse_would_type(sample: Sample) -> None:
    values = index(sample("Patient"))
    assert Text("nguyen van an", "Nguyễn Văn An") in values.strings["name"]
    assert [text.folded for text in values.strings["family"]] == ["nguyen"]
    assert values.strings["address-city"] == [Text("dong van", "Đồng Văn")]
    assert values.tokens["identifier"] == [Token("http://fhir.hl7.org.vn/core/sid/cccd", "001190000001")]
    assert values.tokens["gender"] == [Token("http://hl7.org/fhir/administrative-gender", "male")]
    assert values.tokens["phone"] == [Token("phone", "+84912345678")]
    assert values.tokens["email"] == [Token("email", "an@example.vn")]
    assert values.tokens["active"] == [Token(None, "true")]
    assert values.tokens["_id"] == [Token(None, "p-100")]
    assert values.dates["birthdate"] == [DateRange(*date_range("1990-02-28"))]
    assert values.references["organization"] == ["Organization/tyt-01"]


def test_a_whole_name_is_found_in_vietnamese_order_without_its_text(sample: Sample) -> None:
    resource = sample("Patient") | {"name": [{"family": "Nguyễn", "given": ["Văn", "An"]}]}
    assert "nguyen van an" in [text.folded for text in index(resource).strings["name"]]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, "false"),
        ({"deceasedBoolean": False}, "false"),
        ({"deceasedBoolean": True}, "true"),
        ({"deceasedDateTime": "2026"}, "true"),
    ],
)
def test_every_patient_is_dead_or_not(sample: Sample, members: dict[str, Any], code: str) -> None:
    assert index(sample("Patient") | members).tokens["deceased"] == [Token(None, code)]


def test_an_observation_is_found_by_code_patient_time_and_amount(sample: Sample) -> None:
    values = index(sample("Observation"))
    loinc, ucum = "http://loinc.org", "http://unitsofmeasure.org"
    assert values.tokens["code"] == [Token(loinc, "85354-9")]
    assert values.tokens["component-code"] == [Token(loinc, c) for c in ("8480-6", "8462-4")]
    assert values.references["patient"] == values.references["subject"] == ["Patient/p-100"]
    start = date_range("2026-05-01T01:30:00Z")[0]
    assert values.dates["date"] == [DateRange(start, start + SECOND)]
    assert (
        QuantityValue(Decimal("90.50"), Decimal("90.50"), ucum, "mm[Hg]", "mmHg")
        in (values.quantities["component-value-quantity"])
    )
    assert [
        tuple(len(part) for part in parts) for parts in values.composites["component-code-value-quantity"]
    ] == [
        (1, 1),
        (1, 1),
    ]
    assert "value-quantity" not in values.names()


def test_a_patient_parameter_leaves_other_subjects_out(sample: Sample) -> None:
    values = index(sample("Observation") | {"subject": {"reference": "Group/g"}})
    assert values.references["subject"] == ["Group/g"]
    assert "patient" not in values.references


def test_practitioners_are_told_from_other_participants(sample: Sample) -> None:
    values = index(sample("Encounter"))
    assert values.references["practitioner"] == ["Practitioner/d-1"]
    assert values.references["participant"] == ["Practitioner/d-1", "RelatedPerson/r-1"]


def test_references_lose_version_and_own_address(sample: Sample) -> None:
    base = "https://hub.example/fhir"
    resource = sample("Observation") | {
        "subject": {"reference": f"{base}/Patient/1/_history/3", "identifier": {"system": "s", "value": "v"}},
        "focus": [{"reference": "#inside"}, {"reference": "https://other.example/fhir/Patient/2"}],
    }
    values = index(resource, base_url=base)
    assert values.references["subject"] == ["Patient/1"]
    assert values.references["focus"] == ["https://other.example/fhir/Patient/2"]
    assert values.identifiers["subject"] == [Token("s", "v")]


def test_an_open_period_reaches_to_the_end_of_time(sample: Sample) -> None:
    (found,) = index(sample("Encounter")).dates["date"]
    assert found == DateRange(date_range("2026-05-01T01:00:00Z")[0], LATEST)
    resource = sample("Encounter") | {"period": {"end": "2026"}}
    assert index(resource).dates["date"] == [DateRange(EARLIEST, date_range("2026")[1])]


def test_a_condition_onset_keeps_its_type(sample: Sample) -> None:
    values = index(sample("Condition"))
    assert values.dates["onset-date"] == [DateRange(date_range("2026-04")[0], date_range("2026-05-01")[1])]
    assert "onset-age" not in values.quantities


@pytest.mark.parametrize(
    ("text", "lo", "width"),
    [
        ("1970-01-01", -LOCAL_OFFSET, DAY),
        ("1970-01", -LOCAL_OFFSET, 31 * DAY),
        ("1970", -LOCAL_OFFSET, 365 * DAY),
        ("1970-01-01T00:00:00Z", 0, SECOND),
        ("1970-01-01T07:00:00.5+07:00", SECOND // 2, SECOND // 10),
        ("1970-01-01T07:00", 0, 60 * SECOND),
        ("1969-12-31T23:59:60Z", 0, SECOND),
        ("9999-12-31", date_range("9999-12-30")[1], DAY),
    ],
)
def test_a_date_is_the_range_of_what_it_may_mean(text: str, lo: int, width: int) -> None:
    assert date_range(text) == (lo, lo + width)


@given(st.datetimes())
def test_a_more_precise_date_lies_within_a_less_precise_one(moment: datetime) -> None:
    text = moment.strftime("%Y").zfill(4) + moment.strftime("-%m-%dT%H:%M:%S")
    ranges = [date_range(part) for part in (text[:4], text[:7], text[:10], text[:16], text, f"{text}.25")]
    assert all(a[0] <= b[0] and b[1] <= a[1] for a, b in pairwise(ranges))


@pytest.mark.parametrize(
    "text", ["", "26", "2026-13", "2026-02-30", "2026-01-01T24:00:00Z", "2026-1-1", "2026-01-01Z"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"date|month|day"):
        date_range(text)
