"""Reading resources back for the pages: what was measured, and what a doctor sent down.

The hub's resources are other people's writing: every member may be missing or of another shape, and nothing of it
is shown but as text.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from station_agent.forms.common import OWN_SYSTEM, Resource
from station_agent.forms.vitals import LOINC, MEASURES, OWN_CODES, SIGN_SYSTEM

_TAG = re.compile(r"<[^>]{0,2000}>")
_BREAK = re.compile(r"</(p|div|li|tr|h\d)>|<br\s*/?>", re.IGNORECASE)
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&"))
_BY_LOINC = {measure.loinc: measure.name for measure in MEASURES.values()} | {"2708-6": "spo2"}


@dataclass(frozen=True)
class Letter:
    """Something a doctor wrote. ``kind``: note, prescription, referral."""

    kind: str
    at: str
    title: str
    lines: tuple[str, ...]
    author: str


def items(value: object) -> list[Resource]:
    """Return the objects of a FHIR list, whatever came."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text_in(concept: object) -> str:
    """Return what a CodeableConcept says: its text, or the first display or code."""
    if not isinstance(concept, dict):
        return ""
    codings = items(concept.get("coding"))
    said = [concept.get("text"), *(c.get("display") for c in codings), *(c.get("code") for c in codings)]
    return next((text for text in said if isinstance(text, str) and text), "")


def codes_in(concept: object) -> set[tuple[str, str]]:
    """Return the (system, code) of a CodeableConcept."""
    found = items(concept.get("coding")) if isinstance(concept, dict) else []
    return {(str(coding.get("system")), str(coding.get("code"))) for coding in found}


def kind_of(observation: Resource) -> str:
    """Return what an Observation measured, as a key."""
    return "|".join(sorted(f"{system}#{code}" for system, code in codes_in(observation.get("code"))))


def same_value(one: Resource, other: Resource | None) -> bool:
    """Whether two Observations say the same, whenever they were made."""
    return other is not None and _values(one) == _values(other)


def _values(observation: Resource) -> dict[str, object]:
    return {key: said for key, said in observation.items() if key == "component" or key.startswith("value")}


def numbers_in(observation: Resource) -> dict[str, float]:
    """Return the measures an Observation holds, by the names of ``forms.vitals.MEASURES``."""
    found: dict[str, float] = {}
    for part in (observation, *items(observation.get("component"))):
        quantity = part.get("valueQuantity")
        value = quantity.get("value") if isinstance(quantity, dict) else None
        for system, code in codes_in(part.get("code")):
            if system == LOINC and code in _BY_LOINC and isinstance(value, int | float):
                found[_BY_LOINC[code]] = value
    return found


def form_values(observations: Iterable[Resource]) -> tuple[dict[str, str], list[str]]:
    """Return one set of Observations as the form shows it: fields, and the danger signs ticked."""
    fields: dict[str, str] = {}
    signs: list[str] = []
    for observation in observations:
        fields |= {name: _plain(value) for name, value in numbers_in(observation).items()}
        for system, code in codes_in(observation.get("code")):
            if (system, code) == (LOINC, "67775-7"):
                fields["consciousness"] = _coded(observation)
            elif system == OWN_CODES and code in ("oxygen", "trauma", "pregnant"):
                fields[code] = "yes" if observation.get("valueBoolean") is True else "no"
            elif system == OWN_CODES and code == "mobility":
                fields["mobility"] = _coded(observation)
            elif system == OWN_CODES and code == "danger-signs":
                fields["signs_looked"] = "1"
                signs = _signs(observation)
    return fields, signs


def _plain(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def _coded(observation: Resource) -> str:
    return next((code for _, code in codes_in(observation.get("valueCodeableConcept"))), "")


def _signs(observation: Resource) -> list[str]:
    pairs = (pair for part in items(observation.get("component")) for pair in codes_in(part.get("code")))
    return [code for system, code in pairs if system == SIGN_SYSTEM]


def is_triage(observation: Resource) -> bool:
    """Whether an Observation is a triage."""
    return (OWN_CODES, "triage") in codes_in(observation.get("code"))


def triage_of(observation: Resource) -> tuple[str, int | None]:
    """Return colour and score of a triage Observation."""
    score = next(
        (p.get("valueInteger") for p in items(observation.get("component")) if "valueInteger" in p), None
    )
    return _coded(observation) or "none", score if isinstance(score, int) else None


def letters(resources: Iterable[Resource]) -> list[Letter]:
    """Return what doctors sent down, newest first."""
    found = [letter for resource in resources if (letter := _letter(resource)) is not None]
    return sorted(found, key=lambda letter: letter.at, reverse=True)


def _letter(resource: Resource) -> Letter | None:
    match resource.get("resourceType"):
        case "Composition":
            return _note(resource)
        case "MedicationRequest":
            return _prescription(resource)
        case "ServiceRequest" if _is_referral(resource):
            return _referral(resource)
    return None


def _is_referral(resource: Resource) -> bool:
    categories = [pair for category in items(resource.get("category")) for pair in codes_in(category)]
    return (OWN_SYSTEM + "request-category", "referral") in categories


def _note(resource: Resource) -> Letter:
    lines: list[str] = []
    for section in items(resource.get("section")):
        heading = section.get("title") or text_in(section.get("code"))
        narrative = section.get("text")
        body = narrative_text(narrative.get("div") if isinstance(narrative, dict) else "")
        lines += (
            [f"{heading}: {body[0]}" if heading and body else str(heading or ""), *body[1:]] if body else []
        )
        if not heading:
            lines = [line for line in lines if line]
    title = str(resource.get("title") or text_in(resource.get("type")))
    return Letter(
        "note", str(resource.get("date", "")), title, tuple(lines), _display(resource.get("author"))
    )


def narrative_text(div: object) -> list[str]:
    """Return the lines of an XHTML narrative as plain text. The result is escaped where it is shown."""
    text = _TAG.sub("", _BREAK.sub("\n", div if isinstance(div, str) else ""))
    for entity, letter in _ENTITIES:
        text = text.replace(entity, letter)
    return [line for raw in text.splitlines() if (line := " ".join(raw.split()))]


def _prescription(resource: Resource) -> Letter:
    medicine = text_in(resource.get("medicationCodeableConcept"))
    doses = tuple(str(dose["text"]) for dose in items(resource.get("dosageInstruction")) if dose.get("text"))
    notes = tuple(str(note["text"]) for note in items(resource.get("note")) if note.get("text"))
    requester = resource.get("requester")
    return Letter(
        "prescription", str(resource.get("authoredOn", "")), medicine, doses + notes, _display([requester])
    )


def _referral(resource: Resource) -> Letter:
    where = _display(resource.get("performer"))
    reasons = tuple(text for reason in items(resource.get("reasonCode")) if (text := text_in(reason)))
    notes = tuple(str(note["text"]) for note in items(resource.get("note")) if note.get("text"))
    author = _display([resource.get("requester")])
    return Letter("referral", str(resource.get("authoredOn", "")), where, reasons + notes, author)


def _display(references: object) -> str:
    return next((str(item["display"]) for item in items(references) if item.get("display")), "")
