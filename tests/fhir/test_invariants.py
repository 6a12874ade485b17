"""The formal constraints: what each refuses, by its key and at its element, and that its counterpart passes."""

from decimal import Decimal
from typing import Any

import pytest

from clinic_net.fhir import check
from clinic_net.fhir.invariants import INVARIANTS
from clinic_net.fhir.invariants_resources import RESOURCE_INVARIANTS

Json = dict[str, Any]

UCUM = "http://unitsofmeasure.org"
CODE = {"coding": [{"system": "http://loinc.org", "code": "1"}]}


def holding(**value: Any) -> Json:
    """A resource that holds one value of a data type, in an extension."""
    return {"resourceType": "Basic", "code": {"text": "x"}, "extension": [{"url": "u", **value}]}


def held(name: str) -> str:
    return f"Basic.extension[0].value.ofType({name})"


def observation(**more: Any) -> Json:
    return {"resourceType": "Observation", "status": "final", "code": CODE, **more}


def bundle(kind: str, *entries: Json, **more: Any) -> Json:
    return {"resourceType": "Bundle", "type": kind, **({"entry": list(entries)} if entries else {}), **more}


def condition(**more: Any) -> Json:
    return {"resourceType": "Condition", "subject": {"reference": "Patient/1"}, **more}


def concept(system: str, code: str) -> Json:
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code}]}


def allergy(**more: Any) -> Json:
    return {"resourceType": "AllergyIntolerance", "patient": {"reference": "Patient/1"}, **more}


def listed(mode: str, **entry: Any) -> Json:
    item = {"item": {"reference": "Patient/1"}, **entry}
    return {"resourceType": "List", "status": "current", "mode": mode, "entry": [item]}


PATIENT = {"resourceType": "Patient", "active": True}
POST = {"method": "POST", "url": "Patient"}
DONE = {"status": "201"}
STAMPED = {"identifier": {"system": "urn:a", "value": "1"}, "timestamp": "2026-11-22T00:00:00Z"}
COMPOSITION: Json = {
    "resourceType": "Composition",
    "status": "final",
    "type": {"text": "a"},
    "date": "2026",
    "author": [{"display": "a"}],
    "title": "a",
}
MESSAGE = {"resourceType": "MessageHeader", "eventUri": "urn:a", "source": {"endpoint": "urn:a"}}
WRONG = concept("condition-ver-status", "entered-in-error")
ACTIVE = concept("condition-clinical", "active")


BREACHES: list[tuple[str, Json, str, Json]] = [
    # key, a resource that breaks it, where, and one that does not
    ("ele-1", {**PATIENT, "maritalStatus": {"id": "a"}}, "Patient.maritalStatus",
     {**PATIENT, "maritalStatus": {"id": "a", "text": "b"}}),
    ("ele-1", {**PATIENT, "_birthDate": {"id": "a"}}, "Patient.birthDate",
     {**PATIENT, "birthDate": "1990", "_birthDate": {"id": "a"}}),
    ("ext-1", holding(valueCode="a", extension=[{"url": "v", "valueCode": "b"}]), "Basic.extension[0]",
     holding(extension=[{"url": "v", "valueCode": "b"}])),
    ("qty-3", holding(valueQuantity={"code": "mm"}), held("Quantity"),
     holding(valueQuantity={"code": "mm", "system": UCUM})),
    ("qty-3", holding(valueAge={"value": 1, "code": "a"}), held("Age"),
     holding(valueAge={"value": 1, "code": "a", "system": UCUM})),
    ("sqty-1", holding(valueRange={"low": {"value": 1, "comparator": "<"}}), f"{held('Range')}.low",
     holding(valueQuantity={"value": 1, "comparator": "<"})),
    ("age-1", holding(valueAge={"value": Decimal("-1"), "code": "a", "system": UCUM}), held("Age"),
     holding(valueAge={"value": Decimal("0.5"), "code": "a", "system": UCUM})),
    ("age-1", holding(valueAge={"value": 3}), held("Age"), holding(valueAge={"unit": "năm"})),
    ("cnt-3", holding(valueCount={"value": Decimal("1.5"), "code": "1", "system": UCUM}), held("Count"),
     holding(valueCount={"value": 2, "code": "1", "system": UCUM})),
    ("dis-1", holding(valueDistance={"value": 3, "code": "m", "system": "urn:a"}), held("Distance"),
     holding(valueDistance={"value": 3, "code": "m", "system": UCUM})),
    ("drt-1", holding(valueDuration={"code": "s", "system": UCUM}), held("Duration"),
     holding(valueDuration={"value": 3, "code": "s", "system": UCUM})),
    ("per-1", holding(valuePeriod={"start": "2026-05-02", "end": "2026-05-01T15:00:00Z"}), held("Period"),
     holding(valuePeriod={"start": "2026-05-01", "end": "2026-05"})),
    ("rng-2", holding(valueRange={"low": {"value": 3}, "high": {"value": Decimal("2.9")}}), held("Range"),
     holding(valueRange={"low": {"value": 3, "unit": "a"}, "high": {"value": 3, "unit": "a"}})),
    ("rng-2", holding(valueRange={"low": {"value": 3}, "high": {"value": 2}}), held("Range"),
     holding(valueRange={"low": {"value": 30, "code": "mm", "system": UCUM},
                         "high": {"value": 4, "code": "cm", "system": UCUM}})),
    ("rat-1", holding(valueRatio={"numerator": {"value": 1}}), held("Ratio"),
     holding(valueRatio={"extension": [{"url": "v", "valueCode": "b"}]})),
    ("cpt-2", holding(valueContactPoint={"value": "1"}), held("ContactPoint"),
     holding(valueContactPoint={"value": "1", "system": "phone"})),
    ("att-1", holding(valueAttachment={"data": "AAAA"}), held("Attachment"),
     holding(valueAttachment={"data": "AAAA", "contentType": "text/plain"})),
    ("exp-1", holding(valueExpression={"language": "text/cql"}), held("Expression"),
     holding(valueExpression={"language": "text/cql", "expression": "1"})),
    *(
        (key, holding(valueTiming={"repeat": wrong}), f"{held('Timing')}.repeat",
         holding(valueTiming={"repeat": right}))
        for key, wrong, right in (
            ("tim-1", {"duration": 1}, {"duration": 1, "durationUnit": "s"}),
            ("tim-2", {"period": 1}, {"period": 1, "periodUnit": "d"}),
            ("tim-4", {"duration": -1, "durationUnit": "s"}, {"duration": 0, "durationUnit": "s"}),
            ("tim-5", {"period": -1, "periodUnit": "s"}, {"period": 0, "periodUnit": "s"}),
            ("tim-6", {"periodMax": 1}, {"period": 1, "periodMax": 2, "periodUnit": "d"}),
            ("tim-7", {"durationMax": 1}, {"duration": 1, "durationMax": 2, "durationUnit": "s"}),
            ("tim-8", {"countMax": 2}, {"count": 1, "countMax": 2}),
            ("tim-9", {"offset": 3, "when": ["CM"]}, {"offset": 3, "when": ["AC"]}),
            ("tim-9", {"offset": 3}, {"when": ["C"]}),
            ("tim-10", {"timeOfDay": ["08:00:00"], "when": ["AC"]}, {"timeOfDay": ["08:00:00"]}),
        )
    ),
    ("drq-1", holding(valueDataRequirement={"type": "Patient", "codeFilter": [{"valueSet": "urn:a"}]}),
     f"{held('DataRequirement')}.codeFilter[0]",
     holding(valueDataRequirement={"type": "Patient", "codeFilter": [{"path": "a"}]})),
    ("drq-2", holding(valueDataRequirement={"type": "Patient",
                                            "dateFilter": [{"path": "a", "searchParam": "b"}]}),
     f"{held('DataRequirement')}.dateFilter[0]",
     holding(valueDataRequirement={"type": "Patient", "dateFilter": [{"searchParam": "a"}]})),
    ("dom-2", {**PATIENT, "contained": [{**PATIENT, "contained": [{**PATIENT, "id": "x"}]}]},
     "Patient.contained[0]", {**PATIENT, "contained": [{**PATIENT, "id": "x"}]}),
    ("dom-4", {**PATIENT, "contained": [{**PATIENT, "meta": {"versionId": "1"}}]},
     "Patient.contained[0].meta", {**PATIENT, "contained": [{**PATIENT, "meta": {"source": "urn:a"}}]}),
    ("dom-5", {**PATIENT, "contained": [{**PATIENT, "meta": {"security": [{"code": "R"}]}}]},
     "Patient.contained[0].meta", {**PATIENT, "contained": [{**PATIENT, "meta": {"tag": [{"code": "R"}]}}]}),
    ("ref-1", observation(subject={"reference": "#p"}), "Observation.subject.reference",
     observation(subject={"reference": "#p"}, contained=[{**PATIENT, "id": "p"}])),
    ("ref-1",
     bundle("collection", {"resource": {**PATIENT, "contained": [{**PATIENT, "id": "p"}]}},
            {"resource": observation(subject={"reference": "#p"})}),
     "Bundle.entry[1].resource.subject.reference",
     bundle("collection", {"resource": observation(subject={"reference": "#p"},
                                                   contained=[{**PATIENT, "id": "p"}])})),
    ("ait-2", allergy(clinicalStatus=concept("allergyintolerance-clinical", "active"),
                      verificationStatus=concept("allergyintolerance-verification", "entered-in-error")),
     "AllergyIntolerance",
     allergy(clinicalStatus=concept("allergyintolerance-clinical", "active"),
             verificationStatus=concept("allergyintolerance-verification", "confirmed"))),
    ("app-2", {"resourceType": "Appointment", "status": "booked", "start": "2026-11-22T00:00:00Z",
               "participant": [{"status": "accepted"}]}, "Appointment",
     {"resourceType": "Appointment", "status": "proposed", "participant": [{"status": "accepted"}]}),
    ("app-4", {"resourceType": "Appointment", "status": "proposed", "cancelationReason": {"text": "a"},
               "participant": [{"status": "accepted"}]}, "Appointment",
     {"resourceType": "Appointment", "status": "cancelled", "cancelationReason": {"text": "a"},
      "participant": [{"status": "accepted"}]}),
    ("bdl-1", bundle("collection", total=1), "Bundle", bundle("searchset", total=1)),
    ("bdl-2", bundle("collection", {"resource": PATIENT, "search": {"mode": "match"}}), "Bundle",
     bundle("searchset", {"resource": PATIENT, "search": {"mode": "match"}})),
    ("bdl-3", bundle("collection", {"resource": PATIENT, "request": POST}), "Bundle",
     bundle("batch", {"resource": PATIENT, "request": POST})),
    ("bdl-3", bundle("transaction", {"resource": PATIENT}), "Bundle", bundle("collection", {"resource": PATIENT})),
    ("bdl-4", bundle("collection", {"resource": PATIENT, "response": DONE}), "Bundle",
     bundle("history", {"resource": PATIENT, "request": POST, "response": DONE})),
    ("bdl-5", bundle("collection", {"fullUrl": "urn:a"}), "Bundle.entry[0]",
     bundle("collection", {"fullUrl": "urn:a", "resource": PATIENT})),
    ("bdl-7", bundle("collection", {"fullUrl": "urn:a", "resource": PATIENT},
                     {"fullUrl": "urn:a", "resource": PATIENT}), "Bundle",
     bundle("collection", {"fullUrl": "urn:a", "resource": PATIENT},
            {"fullUrl": "urn:a", "resource": {**PATIENT, "meta": {"versionId": "2"}}})),
    ("bdl-8", bundle("collection", {"fullUrl": "http://a.vn/Patient/1/_history/2", "resource": PATIENT}),
     "Bundle.entry[0]", bundle("collection", {"fullUrl": "http://a.vn/Patient/1", "resource": PATIENT})),
    ("bdl-9", bundle("document", {"resource": COMPOSITION}, timestamp="2026-11-22T00:00:00Z"), "Bundle",
     bundle("document", {"resource": COMPOSITION}, **STAMPED)),
    ("bdl-10", bundle("document", {"resource": COMPOSITION}, identifier=STAMPED["identifier"]), "Bundle",
     bundle("document", {"resource": COMPOSITION}, **STAMPED)),
    ("bdl-11", bundle("document", {"resource": PATIENT}, **STAMPED), "Bundle",
     bundle("document", {"resource": COMPOSITION}, **STAMPED)),
    ("bdl-12", bundle("message", {"resource": PATIENT}), "Bundle", bundle("message", {"resource": MESSAGE})),
    ("con-4", condition(abatementDateTime="2026", clinicalStatus=ACTIVE), "Condition",
     condition(abatementDateTime="2026", clinicalStatus=concept("condition-clinical", "resolved"))),
    ("con-5", condition(clinicalStatus=ACTIVE, verificationStatus=WRONG), "Condition",
     condition(verificationStatus=WRONG)),
    ("lst-1", {**listed("working"), "emptyReason": {"text": "a"}}, "List", listed("working")),
    ("lst-2", listed("working", deleted=True), "List", listed("changes", deleted=True)),
    ("lst-3", listed("snapshot", date="2026"), "List", listed("working", date="2026")),
    ("obs-6", observation(valueInteger=1, dataAbsentReason={"text": "a"}), "Observation",
     observation(dataAbsentReason={"text": "a"})),
    ("obs-7", observation(valueInteger=1, component=[{"code": CODE, "valueInteger": 1}]), "Observation",
     observation(valueInteger=1, component=[{"code": {"text": "b"}, "valueInteger": 1}])),
    ("pat-1", {**PATIENT, "contact": [{"gender": "male"}]}, "Patient.contact[0]",
     {**PATIENT, "contact": [{"name": {"text": "a"}}]}),
    ("inv-1", {"resourceType": "Parameters", "parameter": [{"name": "a", "valueCode": "b", "resource": PATIENT}]},
     "Parameters.parameter[0]", {"resourceType": "Parameters", "parameter": [{"name": "a", "resource": PATIENT}]}),
    ("org-3", {"resourceType": "Organization", "name": "a",
               "telecom": [{"system": "phone", "value": "1", "use": "home"}]}, "Organization",
     {"resourceType": "Organization", "name": "a", "telecom": [{"system": "phone", "value": "1", "use": "work"}]}),
]  # fmt: skip


@pytest.mark.parametrize(("key", "wrong", "where", "right"), BREACHES)
def test_a_constraint_refuses_its_breach_and_nothing_else(
    key: str, wrong: Json, where: str, right: Json
) -> None:
    found = [(issue.code, issue.expression, issue.diagnostics.partition(":")[0]) for issue in check(wrong)]
    assert ("invariant", where, key) in found
    assert {name for _, _, name in found} <= {key, "age-1", "cnt-3"}
    assert check(right) == []


@pytest.mark.parametrize(
    ("name", "rules"), [*INVARIANTS.items(), *RESOURCE_INVARIANTS.items()], ids=lambda value: str(value)[:30]
)
def test_a_constraint_takes_whatever_an_object_holds(name: str, rules: tuple[Any, ...]) -> None:
    members = ("type", "entry", "start", "end", "low", "high", "value", "code", "when", "offset", "meta", "mode",
               "component", "valueInteger", "identifier", "telecom", "address", "clinicalStatus", "contained",
               "verificationStatus", "abatementAge", "fullUrl", "probabilityDecimal")  # fmt: skip
    odds: tuple[Any, ...] = (
        None,
        [],
        {},
        [None],
        [{"resource": []}],
        {"coding": [1]},
        "x",
        1,
        Decimal("NaN"),
    )
    for odd in odds:
        for _, holds, _ in rules:
            assert isinstance(holds(dict.fromkeys(members, odd)), bool), name


def test_a_reference_to_what_is_contained_must_find_an_allowed_type() -> None:
    [issue] = check(
        observation(subject={"reference": "#o"}, contained=[{"resourceType": "Organization", "id": "o"}])
    )
    assert (issue.code, issue.expression) == ("invalid", "Observation.subject.reference")


@pytest.mark.parametrize(
    ("subject", "wrong"),
    [
        ({"reference": "Patient/1", "type": "Patient"}, ""),
        (
            {
                "reference": "http://a.vn/fhir/Patient/1",
                "type": "http://hl7.org/fhir/StructureDefinition/Patient",
            },
            "",
        ),
        ({"identifier": {"value": "1"}, "type": "Group"}, ""),
        ({"identifier": {"value": "1"}, "type": "https://a.vn/StructureDefinition/own"}, ""),
        ({"reference": "Patient/1", "type": "Group"}, "Observation.subject.type"),
        ({"identifier": {"value": "1"}, "type": "Practitioner"}, "Observation.subject.type"),
        ({"identifier": {"value": "1"}, "type": "Bogus"}, "Observation.subject.type"),
        ({"type": "Patient"}, "Observation.subject"),
    ],
)
def test_a_reference_says_what_it_is_of_only_one_type_and_allowed(subject: Json, wrong: str) -> None:
    assert [issue.expression for issue in check(observation(subject=subject))] == ([wrong] if wrong else [])
