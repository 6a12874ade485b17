"""Pure rules of the records: whose record a resource is part of, what an identity may look like, what goes first."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from clinic_net.fhir import parse

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
"""FHIR R4 datatypes: id."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)

_LOCAL = re.compile(
    r"([A-Z][A-Za-z]{1,39})/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?", re.ASCII
)

_ABOUT: Mapping[str, tuple[str, ...]] = {
    "Appointment": ("participant.actor",),
    "AppointmentResponse": ("actor",),
    "AuditEvent": ("entity.what", "agent.who"),
    "Coverage": ("beneficiary",),
    "EnrollmentRequest": ("candidate",),
    "Person": ("link.target",),
    "Provenance": ("target",),
    "ResearchSubject": ("individual",),
    "Schedule": ("actor",),
    "Task": ("for",),
}
"""Where a type says whom it is about, if not in ``subject`` or ``patient`` (R4 CompartmentDefinition/patient)."""


def may_choose(fid: str, *, everywhere: bool) -> bool:
    """Whether a caller may make a resource under this id of its own choice.

    An update of an id answers 404 where it is somebody else's and 201 where it is free. So whoever does not reach
    every record may choose only ids that nobody guesses; for any other id the two look alike.
    """
    return everywhere or _UUID.fullmatch(fid) is not None


def local_reference(reference: str) -> tuple[str, str] | None:
    """Return (type, id) of a relative reference, without its version; None for any other."""
    match = _LOCAL.fullmatch(reference)
    return (match[1], match[2]) if match else None


def patient_of(resource: Mapping[str, Any], fid: str) -> str | None:
    """Return the id of the one patient whose record this resource is part of.

    None where it is about nobody, or about several: then only those see it who answer for it.
    """
    rtype = resource["resourceType"]
    if rtype == "Patient":
        return fid
    found = {
        target[1]
        for path in _ABOUT.get(rtype, ("subject", "patient"))
        for value in _values(resource, path.split("."))
        if isinstance(value, dict) and isinstance(value.get("reference"), str)
        if (target := local_reference(value["reference"])) is not None and target[0] == "Patient"
    }
    return found.pop() if len(found) == 1 else None


def _values(value: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _values(item, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _values(value[path[0]], path[1:])


_FINAL = frozenset({"final", "amended", "corrected", "appended"})
_UNFINISHED = frozenset({"registered", "partial", "preliminary"})


def goes_back(rtype: str, before: bytes | None, after: Mapping[str, Any]) -> bool:
    """Whether a document that was signed off would be unfinished again: it may be amended or corrected instead.

    Circular 13/2025/TT-BYT: what has been confirmed electronically in a record is not changed without a trace.
    """
    if rtype not in ("Observation", "DiagnosticReport", "Composition") or before is None:
        return False
    return after.get("status") in _UNFINISHED and parse(before).get("status") in _FINAL


def etag_version(etag: str) -> int | None:
    """Return the version of ``W/"3"`` (or ``"3"``); None when it names none of ours."""
    match = re.fullmatch(r'(?:W/)?"?(\d{1,9})"?', etag.strip(), re.ASCII)
    return int(match[1]) if match else None


BUNDLE_ORDER = {"DELETE": 0, "POST": 1, "PUT": 1, "PATCH": 2, "GET": 3, "HEAD": 3}
"""The order in which a transaction's entries take effect (FHIR R4 http §3.1.0.11.2). Whole resources go together: no
two entries speak of the same one."""
