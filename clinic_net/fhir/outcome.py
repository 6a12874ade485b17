"""OperationOutcome: what went wrong, in FHIR's own words."""

from collections.abc import Iterable
from typing import Any

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

from .structure import Issue

REFUSAL_SYSTEM = "urn:clinic-net:refusal"
"""The code system of refusal codes in ``issue.details``: stable, for programs to branch on."""

_FAMILIES: tuple[tuple[type[Refusal], str], ...] = (
    (Unauthenticated, "login"),
    (Forbidden, "forbidden"),
    (NotFound, "not-found"),
    (PreconditionFailed, "conflict"),
    (Conflict, "conflict"),
    (TooLarge, "too-long"),
    (Invalid, "invalid"),
    (TooMany, "throttled"),
    (Unavailable, "transient"),
)

_ISSUE_TYPES = {
    "malformed-json": "structure",
    "async-unsupported": "not-supported",
    "unsupported-search": "not-supported",
    "unknown-search-parameter": "not-supported",
    "unknown-resource-type": "not-supported",
    "too-many-search-terms": "too-costly",
}
"""Refusals of this capability that say more than their family."""

_OWN_ISSUE_TYPES = frozenset(
    {"structure", "required", "value", "code-invalid", "invalid", "invariant", "not-supported"}
)


def operation_outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    """Return an OperationOutcome with ``issues``; without any, one that says all is well."""
    found = [
        {
            "severity": issue.severity,
            "code": issue.code,
            "diagnostics": issue.diagnostics,
            **({"expression": [issue.expression]} if issue.expression else {}),
        }
        for issue in issues
    ]
    if not found:
        found = [{"severity": "information", "code": "informational", "diagnostics": "No issues found"}]
    return {"resourceType": "OperationOutcome", "issue": found}


def issue_type(refusal: Refusal) -> str:
    """Return the FHIR issue-type code of a refusal."""
    if refusal.code in _ISSUE_TYPES:
        return _ISSUE_TYPES[refusal.code]
    for family, code in _FAMILIES:
        if isinstance(refusal, family):
            return code
    return "processing"


def from_refusal(refusal: Refusal) -> dict[str, Any]:
    """Return the OperationOutcome of a refusal: one issue per place, or one for the whole."""
    code = issue_type(refusal)
    details = {"coding": [{"system": REFUSAL_SYSTEM, "code": refusal.code}]}
    places: Iterable[Place | None] = refusal.places or (None,)
    issues = []
    for place in places:
        issue: dict[str, Any] = {"severity": "error", "code": code, "details": details}
        if place is None:
            issue["diagnostics"] = refusal.message
        else:
            if place.code in _OWN_ISSUE_TYPES:
                issue["code"] = place.code
            issue["diagnostics"] = place.message
            issue["expression"] = [place.path]
        issues.append(issue)
    return {"resourceType": "OperationOutcome", "issue": issues}
