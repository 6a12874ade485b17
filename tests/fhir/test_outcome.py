"""OperationOutcomes are sound FHIR and carry the stable code."""

import pytest

from clinic_net.fhir import MalformedJson, UnknownSearchParameter, check, from_refusal, operation_outcome
from clinic_net.kernel.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Place,
    PreconditionFailed,
    Refusal,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)

FAMILIES: list[tuple[Refusal, str]] = [
    (Unauthenticated("m"), "login"),
    (Forbidden("m"), "forbidden"),
    (NotFound("m"), "not-found"),
    (Conflict("m"), "conflict"),
    (PreconditionFailed("m"), "conflict"),
    (Invalid("m"), "invalid"),
    (TooLarge("m"), "too-long"),
    (TooMany("m", retry_after=1), "throttled"),
    (Unavailable("m"), "transient"),
    (Refusal("m"), "processing"),
    (MalformedJson("m", line=1, column=2), "structure"),
    (UnknownSearchParameter("m"), "not-supported"),
]


@pytest.mark.parametrize(("refusal", "code"), FAMILIES)
def test_every_family_has_its_issue_type(refusal: Refusal, code: str) -> None:
    outcome = from_refusal(refusal)
    assert check(outcome) == []
    assert outcome["issue"][0]["code"] == code
    assert outcome["issue"][0]["details"]["coding"][0]["code"] == refusal.code


def test_every_place_is_an_issue() -> None:
    places = [Place("Patient.name", "required", "missing"), Place("Patient.x", "own-code", "unknown")]
    outcome = from_refusal(Invalid("m", places=places))
    assert check(outcome) == []
    assert [(issue["code"], issue["expression"]) for issue in outcome["issue"]] == [
        ("required", ["Patient.name"]),
        ("invalid", ["Patient.x"]),
    ]


def test_issues_become_an_outcome_and_none_is_said_too() -> None:
    outcome = operation_outcome(check({"resourceType": "Patient", "gender": "x"}))
    assert check(outcome) == []
    assert outcome["issue"][0]["expression"] == ["Patient.gender"]
    assert check(operation_outcome([])) == []


@pytest.mark.parametrize(
    ("path", "expression", "location"),
    [
        ("Patient.name[0].given[1]", "Patient.name[0].given[1]", "/f:Patient/f:name[1]/f:given[2]"),
        ("Patient", "Patient", "/f:Patient"),
        (
            "Observation.component[1].value.ofType(Quantity).code",
            "Observation.component[1].value.ofType(Quantity).code",
            "/f:Observation/f:component[2]/f:valueQuantity/f:code",
        ),
        ("Patient.contained[0].name", "Patient.contained[0].name", "/f:Patient/f:contained[1]/*/f:name"),
        (
            "Bundle.entry[3].resource.contained[0].id",
            "Bundle.entry[3].resource.contained[0].id",
            "/f:Bundle/f:entry[4]/f:resource/*/f:contained[1]/*/f:id",
        ),
        ("birthdate:missing", "birthdate:missing", "http.birthdate:missing"),
        ("3:15", None, "line 3, column 15"),
        ("", None, None),
    ],
)
def test_an_issue_says_where_in_both_ways(path: str, expression: str | None, location: str | None) -> None:
    outcome = from_refusal(Invalid("m", places=[Place(path, "value", "wrong")]))
    [issue] = outcome["issue"]
    assert check(outcome) == []
    assert issue.get("expression") == ([expression] if expression else None)
    assert issue.get("location") == ([location] if location else None)
