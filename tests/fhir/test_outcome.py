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
