"""How events are spoken of in FHIR: the codes of IHE's Basic Audit Log Patterns (BALP) and of DICOM, by action."""

from collections.abc import Mapping

CODES: Mapping[str, str] = {
    "record.create": "C",
    "record.read": "R",
    "record.vread": "R",
    "record.history": "R",
    "audit.read": "R",
    "record.update": "U",
    "record.delete": "D",
    "audit.forget": "D",
}
"""Code of FHIR's audit-event-action; every other action is ``E``, an execution."""

INTERACTIONS: Mapping[str, str] = {
    "record.create": "create",
    "record.read": "read",
    "record.vread": "vread",
    "record.history": "history",
    "record.update": "update",
    "record.delete": "delete",
    "record.search": "search",
    "record.everything": "operation",
    "audit.read": "read",
    "audit.search": "search",
}
"""Code of FHIR's restful-interaction."""

PROFILES: Mapping[str, str] = {
    "create": "Create",
    "read": "Read",
    "vread": "Read",
    "update": "Update",
    "delete": "Delete",
    "search": "Query",
}
"""BALP's profiles; with ``Patient`` before it where a patient is concerned."""

SECURITY: tuple[tuple[str, str, str], ...] = (
    ("user.sign_in", "110114", "User Authentication"),
    ("user.sign_out", "110114", "User Authentication"),
    ("audit.", "110101", "Audit Log Used"),
    ("user.", "110113", "Security Alert"),
    ("client.", "110113", "Security Alert"),
    ("device.", "110113", "Security Alert"),
    ("care.", "110113", "Security Alert"),
)
"""Beginnings of actions with DICOM's code of what kind of event they are; any other is ``Application Activity``."""

OTHER = ("110100", "Application Activity")


def code_of(action: str) -> str:
    """Return one of C, R, U, D and E."""
    return CODES.get(action, "E")


def kind_of(action: str) -> tuple[str, str]:
    """Return DICOM's code and display of an action that is no interaction with records."""
    return next(((code, shown) for begin, code, shown in SECURITY if action.startswith(begin)), OTHER)
