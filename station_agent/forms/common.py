"""What all forms share: problems in a form, references, instants."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Resource = dict[str, Any]

OWN_SYSTEM = "http://clinic-net.vn/fhir/CodeSystem/"


@dataclass(frozen=True)
class Problem:
    """Something in a form that a person must mend (``warning``: may look at). ``code`` is stable, and translated."""

    field: str
    code: str
    warning: bool = False


def text_of(form: Mapping[str, str], field: str, *, longest: int = 2000) -> str:
    """Return a field without surrounding or repeated white space and without control characters."""
    raw = form.get(field, "")[: longest * 2]
    return " ".join("".join(letter for letter in raw if letter.isprintable() or letter.isspace()).split())[
        :longest
    ]


def lines_of(form: Mapping[str, str], field: str, *, most: int = 20) -> tuple[str, ...]:
    """Return the lines of a field that say something."""
    lines = (text_of({field: line}, field, longest=200) for line in form.get(field, "").splitlines())
    return tuple(line for line in lines if line)[:most]


def fhir_instant(at: datetime) -> str:
    """Return an instant as FHIR writes it, UTC, to the second: ``2026-11-22T02:14:00Z``."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def fhir_moment(at: datetime) -> str:
    """Return an instant to the millisecond: two measurements a moment apart must keep their order."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def reference(rtype: str, rid: str) -> dict[str, str]:
    """Return a FHIR Reference to a resource."""
    return {"reference": f"{rtype}/{rid}"}


def author(by: str) -> dict[str, str]:
    """Return a Reference to whoever works here; a nurse who gave no name is still a nurse."""
    return {"display": by or "nurse"}


def concept(system: str, code: str, display: str) -> Resource:
    """Return a CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def without_empty(resource: Resource) -> Resource:
    """Return a resource without members that say nothing: FHIR knows no empty text, list or object."""
    return {key: value for key, value in resource.items() if value not in (None, "", [], {}, ())}
