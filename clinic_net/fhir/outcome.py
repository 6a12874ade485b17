"""OperationOutcome: what went wrong, in FHIR's own words.

An issue says where twice: ``expression`` in FHIRPath, ``location`` as FHIR R4 had it before: a simple XPath for an
element, ``http.`` and the name for a parameter, line and column for a text that cannot be read.
"""

import re
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
from .tables import capitalised, tables

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


_STEP = re.compile(r"(?P<name>[A-Za-z]\w*)(?:\[(?P<index>\d+)\])?(?:\.ofType\((?P<type>\w+)\))?", re.ASCII)
_IN_TEXT = re.compile(r"(\d+):(\d+)", re.ASCII)
_PARAMETER = re.compile(r"[A-Za-z_][\w:.\-]*", re.ASCII)


def _where(path: str) -> dict[str, list[str]]:
    """Return the members of an issue that tell where, for a FHIRPath, a parameter or ``line:column``."""
    if not path:
        return {}
    if (text := _IN_TEXT.fullmatch(path)) is not None:
        return {"location": [f"line {text[1]}, column {text[2]}"]}
    first = re.split(r"[.\[]", path, maxsplit=1)[0]
    if first in tables():
        return {"expression": [path], "location": [_xpath(path)]}
    if _PARAMETER.fullmatch(path):
        return {"expression": [path], "location": [f"http.{path}"]}
    return {"expression": [path]}


def _xpath(expression: str) -> str:
    """Return ``/f:Patient/f:name[1]/f:given[2]`` for ``Patient.name[0].given[1]``; a contained resource is ``*``."""
    table = None
    parts = []
    for step in _STEP.finditer(expression):
        name, index, of_type = step["name"], step["index"], step["type"]
        member = name + capitalised(of_type) if of_type else name
        parts.append(f"/f:{member}" + (f"[{int(index) + 1}]" if index else ""))
        if len(parts) == 1:
            table = tables()[name]
            continue
        slot = table.slots.get(member) if table is not None else None
        if (slot is not None and slot.resource) or (table is None and name == "contained"):
            parts[-1] += "/*"
        table = slot.table if slot is not None else None
    return "".join(parts)


def operation_outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    """Return an OperationOutcome with ``issues``; without any, one that says all is well."""
    found = [
        {
            "severity": issue.severity,
            "code": issue.code,
            "diagnostics": issue.diagnostics,
            **_where(issue.expression),
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
            issue.update(_where(place.path))
        issues.append(issue)
    return {"resourceType": "OperationOutcome", "issue": issues}
