"""The structural check: the cases that libraries miss, and that it says where without saying what."""

import copy
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.fhir import check
from clinic_net.fhir.definitions import resource_types

Json = dict[str, Any]
Sample = Callable[[str], Json]

GONE = object()
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'


def _changed(resource: Json, path: str, value: object) -> Json:
    """Return the resource with the value at a dotted path set, or taken away."""
    root: Any = copy.deepcopy(resource)
    node = root
    *steps, last = path.split(".")
    for step in steps:
        node = node[int(step)] if step.isdigit() else node[step]
    if value is GONE:
        del node[last]
    else:
        node[int(last) if last.isdigit() else last] = value
    return root  # type: ignore[no-any-return]  # the root is the dict that was copied


CASES: list[tuple[str, str, str, object, str, str]] = [
    # name, resource type, path, value, issue code, expression
    ("an unknown element", "Patient", "nickname", "A", "structure", "Patient.nickname"),
    ("an unknown nested element", "Patient", "name.0.middle", "A", "structure", "Patient.name[0].middle"),
    ("an element in the wrong case", "Patient", "birthdate", "1990", "structure", "Patient.birthdate"),
    (
        "an unknown element in a bundle",
        "Bundle",
        "entry.0.resource.x",
        1,
        "structure",
        "Bundle.entry[0].resource.x",
    ),
    ("an object for a list", "Patient", "name", {"text": "A"}, "structure", "Patient.name"),
    ("a list for a scalar", "Patient", "gender", ["male"], "structure", "Patient.gender"),
    ("a list for an object", "Observation", "code", [{"text": "A"}], "structure", "Observation.code"),
    ("a string for an object", "Observation", "subject", "Patient/1", "structure", "Observation.subject"),
    ("a gender that is no code", "Patient", "gender", "bogus", "code-invalid", "Patient.gender"),
    ("a status that is no code", "Observation", "status", "bogus", "code-invalid", "Observation.status"),
    ("a bundle type that is no code", "Bundle", "type", "bogus", "code-invalid", "Bundle.type"),
    (
        "a system that is no code",
        "Patient",
        "telecom.0.system",
        "x",
        "code-invalid",
        "Patient.telecom[0].system",
    ),
    (
        "a comparator that is no code",
        "Observation",
        "component.0.valueQuantity.comparator",
        "~",
        "code-invalid",
        "Observation.component[0].value.ofType(Quantity).comparator",
    ),
    (
        "a concept outside its required value set",
        "Condition",
        "clinicalStatus.coding.0.code",
        "bogus",
        "code-invalid",
        "Condition.clinicalStatus",
    ),
    (
        "a required concept as text only",
        "Condition",
        "clinicalStatus",
        {"text": "active"},
        "code-invalid",
        "Condition.clinicalStatus",
    ),
    ("no status", "Observation", "status", GONE, "required", "Observation.status"),
    ("no code", "Observation", "code", GONE, "required", "Observation.code"),
    ("no subject", "Condition", "subject", GONE, "required", "Condition.subject"),
    ("a link without other", "Patient", "link", [{"type": "seealso"}], "required", "Patient.link[0].other"),
    (
        "a parameter without a name",
        "Bundle",
        "entry.0.resource",
        {"resourceType": "Parameters", "parameter": [{"valueCode": "a"}]},
        "required",
        "Bundle.entry[0].resource.parameter[0].name",
    ),
    ("a thirteenth month", "Patient", "birthDate", "1970-13-01", "value", "Patient.birthDate"),
    ("31 February", "Patient", "birthDate", "1970-02-31", "value", "Patient.birthDate"),
    ("29 February of a common year", "Patient", "birthDate", "2025-02-29", "value", "Patient.birthDate"),
    ("a date with slashes", "Patient", "birthDate", "30/03/1970", "value", "Patient.birthDate"),
    ("a date with a time", "Patient", "birthDate", "1970-03-30T10:00:00Z", "value", "Patient.birthDate"),
    (
        "a dateTime without a zone",
        "Observation",
        "effectiveDateTime",
        "2026-05-01T08:30:00",
        "value",
        "Observation.effective.ofType(dateTime)",
    ),
    (
        "an hour of 25",
        "Observation",
        "effectiveDateTime",
        "2026-05-01T25:00:00Z",
        "value",
        "Observation.effective.ofType(dateTime)",
    ),
    ("an instant of a day", "Observation", "issued", "2026-05-01", "value", "Observation.issued"),
    ("two values", "Observation", "valueString", "x", "structure", "Observation.value"),
    ("two deceased", "Patient", "deceasedDateTime", "2026", "structure", "Patient.deceased"),
    ("a boolean as text", "Patient", "active", "true", "structure", "Patient.active"),
    ("a boolean as number", "Patient", "active", 1, "structure", "Patient.active"),
    ("a number as boolean", "Patient", "multipleBirthInteger", True, "structure", ""),
    (
        "a decimal as text",
        "Observation",
        "component.0.valueQuantity.value",
        "152",
        "structure",
        "Observation.component[0].value.ofType(Quantity).value",
    ),
    ("an integer with a point", "Patient", "multipleBirthInteger", Decimal("1.0"), "value", ""),
    ("an integer beyond 32 bits", "Patient", "multipleBirthInteger", 2**31, "value", ""),
    ("an illegal id", "Patient", "id", "a b!", "value", "Patient.id"),
    ("an id of 65 characters", "Patient", "id", "a" * 65, "value", "Patient.id"),
    ("an id that ends in a line feed", "Patient", "id", "a\n", "value", "Patient.id"),
    ("an empty list", "Patient", "name", [], "structure", "Patient.name"),
    ("null", "Patient", "gender", None, "structure", "Patient.gender"),
    ("null for an object", "Observation", "code", None, "structure", "Observation.code"),
    ("null in a list of objects", "Patient", "name", [None], "structure", "Patient.name[0]"),
    ("null in a list of texts", "Patient", "name.0.given", [None], "structure", "Patient.name[0].given[0]"),
    ("an empty object", "Patient", "maritalStatus", {}, "structure", "Patient.maritalStatus"),
    ("an empty text", "Patient", "name.0.family", "", "value", "Patient.name[0].family"),
    ("a text of spaces", "Patient", "name.0.family", "  ", "value", "Patient.name[0].family"),
    (
        "a text with control characters",
        "Patient",
        "name.0.family",
        "a\x07",
        "value",
        "Patient.name[0].family",
    ),
    ("a uri with a space", "Patient", "implicitRules", "a b", "value", "Patient.implicitRules"),
    (
        "a reference to a type not allowed there",
        "Observation",
        "subject.reference",
        "Practitioner/1",
        "invalid",
        "Observation.subject.reference",
    ),
    (
        "a reference to a type that does not exist",
        "Observation",
        "subject.reference",
        "Person2/1",
        "invalid",
        "Observation.subject.reference",
    ),
    (
        "a reference that climbs",
        "Observation",
        "subject.reference",
        "../Patient/1",
        "invalid",
        "Observation.subject.reference",
    ),
    (
        "a search as a reference",
        "Observation",
        "subject.reference",
        "Patient?identifier=1",
        "invalid",
        "Observation.subject.reference",
    ),
    (
        "an extension with a value and extensions",
        "Patient",
        "extension",
        [{"url": "u", "valueString": "x", "extension": [{"url": "u", "valueString": "x"}]}],
        "invariant",
        "Patient.extension[0]",
    ),
    (
        "an extension without anything",
        "Patient",
        "extension",
        [{"url": "u"}],
        "invariant",
        "Patient.extension[0]",
    ),
    (
        "an extension without url",
        "Patient",
        "extension",
        [{"valueString": "x"}],
        "required",
        "Patient.extension[0].url",
    ),
    (
        "a contact that says nothing",
        "Patient",
        "contact",
        [{"gender": "male"}],
        "invariant",
        "Patient.contact[0]",
    ),
    (
        "a period that ends before it starts",
        "Encounter",
        "period.end",
        "2026-04",
        "invariant",
        "Encounter.period",
    ),
    (
        "an extension of a primitive that is a text",
        "Patient",
        "_birthDate",
        "x",
        "structure",
        "Patient.birthDate",
    ),
    ("an empty extension of a primitive", "Patient", "_birthDate", {}, "structure", "Patient.birthDate"),
    (
        "an unknown member beside a primitive",
        "Patient",
        "_birthDate",
        {"x": 1},
        "structure",
        "Patient.birthDate.x",
    ),
    (
        "fewer extensions than values",
        "Patient",
        "name.0._given",
        [{"id": "a"}],
        "structure",
        "Patient.name[0].given",
    ),
    (
        "a contained resource of unknown type",
        "Patient",
        "contained",
        [{"resourceType": "Bogus"}],
        "not-supported",
        "Patient.contained[0]",
    ),
    (
        "a contained resource in a contained one",
        "Patient",
        "contained",
        [{"resourceType": "Patient", "contained": [{"resourceType": "Patient", "id": "x"}]}],
        "invariant",
        "Patient.contained[0]",
    ),
    (
        "an entry of unknown resource type",
        "Bundle",
        "entry.0.resource.resourceType",
        "Bogus",
        "not-supported",
        "Bundle.entry[0].resource",
    ),
    (
        "an entry without resource type",
        "Bundle",
        "entry.0.resource.resourceType",
        GONE,
        "required",
        "Bundle.entry[0].resource",
    ),
    (
        "an entry of an abstract type",
        "Bundle",
        "entry.0.resource.resourceType",
        "DomainResource",
        "not-supported",
        "Bundle.entry[0].resource",
    ),
]


@pytest.mark.parametrize(
    ("resource_type", "path", "value", "code", "expression"),
    [case[1:] for case in CASES],
    ids=[c[0] for c in CASES],
)
def test_a_breach_of_the_structure_is_found(
    sample: Sample, resource_type: str, path: str, value: object, code: str, expression: str
) -> None:
    resource = sample(resource_type)
    if path in ("valueString", "deceasedDateTime"):
        resource |= {"valueInteger": 1} if path == "valueString" else {"deceasedBoolean": True}
    issues = check(_changed(resource, path, value))
    assert [issue.code for issue in issues] == [code]
    if expression:
        assert issues[0].expression == expression


SOUND: list[tuple[str, str, str, object]] = [
    ("a year", "Patient", "birthDate", "1990"),
    ("a year and month", "Patient", "birthDate", "1990-02"),
    ("29 February of a leap year", "Patient", "birthDate", "2024-02-29"),
    ("a leap second", "Observation", "issued", "2016-12-31T23:59:60Z"),
    (
        "extensions of a primitive",
        "Patient",
        "_birthDate",
        {"extension": [{"url": "u", "valueTime": "08:30:00"}]},
    ),
    ("placeholders in extensions", "Patient", "name.0._given", [None, {"id": "a"}]),
    ("a whole number as decimal", "Observation", "component.0.valueQuantity.value", 120),
    (
        "an extension of an extension",
        "Patient",
        "extension",
        [{"url": "u", "extension": [{"url": "v", "valueCode": "c"}]}],
    ),
    ("an absolute reference", "Observation", "subject.reference", "https://other.example/fhir/Patient/1"),
    ("a versioned reference", "Observation", "subject.reference", "Patient/1/_history/2"),
    ("a urn", "Observation", "subject.reference", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"),
    ("a reference to the resource around it", "Observation", "subject.reference", "#"),
    ("a logical reference", "Observation", "subject", {"identifier": {"value": "1"}}),
    ("a contained resource", "Observation", "contained", [{"resourceType": "Patient", "id": "p"}]),
    (
        "a search as a reference in a bundle",
        "Bundle",
        "entry.1.resource.subject.reference",
        "Patient?identifier=1",
    ),
    ("text with line feeds and marks", "Patient", "name.0.text", "Ế\n\tđ😀"),
    ("a narrative", "Patient", "text", {"status": "generated", "div": DIV.format("An")}),
]


@pytest.mark.parametrize(
    ("resource_type", "path", "value"), [case[1:] for case in SOUND], ids=[case[0] for case in SOUND]
)
def test_what_the_standard_allows_passes(
    sample: Sample, resource_type: str, path: str, value: object
) -> None:
    assert check(_changed(sample(resource_type), path, value)) == []


@pytest.mark.parametrize("resource_type", ["Patient", "Observation", "Condition", "Encounter", "Bundle"])
def test_a_sound_resource_passes(sample: Sample, resource_type: str) -> None:
    assert check(sample(resource_type)) == []


def test_a_value_that_is_absent_for_a_reason_counts_as_given(sample: Sample) -> None:
    resource = sample("Observation")
    del resource["status"]
    url = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
    resource["_status"] = {"extension": [{"url": url, "valueCode": "unknown"}]}
    assert check(resource) == []


def test_a_null_value_needs_its_extension(sample: Sample) -> None:
    extension = {"extension": [{"url": "u", "valueCode": "c"}]}
    name = {"given": [None, "An"], "_given": [extension, None]}
    assert check(sample("Patient") | {"name": [name]}) == []
    name["_given"] = [{"id": "a"}, None]
    assert [issue.expression for issue in check(sample("Patient") | {"name": [name]})] == [
        "Patient.name[0].given[0]"
    ]


@pytest.mark.parametrize(
    "value", [None, [], "Patient", 1, {}, {"resourceType": 1}, {"resourceType": "Bogus"}]
)
def test_what_is_no_resource_is_one_issue(value: object) -> None:
    assert len(check(value)) == 1


def test_issues_stop_at_the_limit(sample: Sample) -> None:
    resource = sample("Patient") | {f"x{number}": 1 for number in range(100)}
    assert len(check(resource)) == 50
    assert len(check(resource, limit=3)) == 3


def test_data_deeper_than_any_parsed_text_ends_in_an_issue() -> None:
    extension: Json = {"url": "u", "valueString": "x"}
    for _ in range(500):
        extension = {"url": "u", "extension": [extension]}
    assert [i.code for i in check({"resourceType": "Patient", "extension": [extension]})] == ["structure"]


def test_issues_never_quote_values_or_odd_member_names(sample: Sample) -> None:
    resource = sample("Patient") | {
        "birthDate": "SECRET",
        "Nguyễn Văn An": 1,
        "gender": "SECRET",
        "id": "SECRET!",
    }
    issues = check(resource)
    assert len(issues) == 4
    assert not any("SECRET" in str(issue) or "Nguyễn" in str(issue) for issue in issues)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.decimals(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "coding", "extension", "_given", "given", "value", "url"]), inner
        )
    ),
    max_leaves=10,
)


@given(
    st.sampled_from(sorted(resource_types())),
    st.dictionaries(
        st.sampled_from(
            [
                "name",
                "contained",
                "entry",
                "status",
                "subject",
                "code",
                "text",
                "meta",
                "id",
                "_id",
                "_status",
            ]
        ),
        json_values,
    ),
)
def test_any_plain_data_is_judged_without_an_accident(resource_type: str, members: Json) -> None:
    check({"resourceType": resource_type, **members})
