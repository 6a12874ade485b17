"""The formal constraints of FHIR R4 that the structural check holds a resource to.

A choice of those whose breach would mislead a reader or break an index; each is named by its key in the standard.
A predicate must accept any plain object: the walk reports wrong types elsewhere.
"""

from collections.abc import Callable, Mapping
from typing import Any

from .dates import date_range

Holds = Callable[[Mapping[str, Any]], bool]
Rule = tuple[str, Holds, str]


def _has(value: Mapping[str, Any], stem: str) -> bool:
    return any(key.startswith(stem) or key.startswith(f"_{stem}") for key in value)


def _ext_1(extension: Mapping[str, Any]) -> bool:
    return ("extension" in extension) != _has(extension, "value")


def _qty_3(quantity: Mapping[str, Any]) -> bool:
    return "code" not in quantity or "system" in quantity


def _cpt_2(contact: Mapping[str, Any]) -> bool:
    return "value" not in contact or "system" in contact or "_system" in contact


def _per_1(period: Mapping[str, Any]) -> bool:
    start, end = period.get("start"), period.get("end")
    if not isinstance(start, str) or not isinstance(end, str):
        return True
    try:
        return date_range(start)[0] < date_range(end)[1]
    except ValueError:
        return True


def _obs_6(observation: Mapping[str, Any]) -> bool:
    return "dataAbsentReason" not in observation or not _has(observation, "value")


def _pat_1(contact: Mapping[str, Any]) -> bool:
    return any(name in contact for name in ("name", "telecom", "address", "organization"))


def _att_1(attachment: Mapping[str, Any]) -> bool:
    return "data" not in attachment or "contentType" in attachment


INVARIANTS: dict[str, tuple[Rule, ...]] = {
    "Extension": (("ext-1", _ext_1, "either a value or extensions, and one of them"),),
    "Quantity": (("qty-3", _qty_3, "a coded unit needs its system"),),
    "ContactPoint": (("cpt-2", _cpt_2, "a value needs a system"),),
    "Period": (("per-1", _per_1, "the start must not be after the end"),),
    "Observation": (("obs-6", _obs_6, "a reason for absence excludes a value"),),
    "Patient.contact": (("pat-1", _pat_1, "a contact needs a name, telecom, address or organisation"),),
    "Attachment": (("att-1", _att_1, "data needs a contentType"),),
}
