"""What a program asks a person for, in plain words: one line to tick for each thing it would see or change."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from clinic_net.access.scopes import Asked, Scope
from clinic_net.console.i18n import N_

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "*": N_("everything in the record"),
        "Patient": N_("name, birth date and address"),
        "AllergyIntolerance": N_("allergies"),
        "Appointment": N_("appointments"),
        "CarePlan": N_("care plans"),
        "Communication": N_("messages"),
        "Condition": N_("diagnoses"),
        "Consent": N_("consents"),
        "Coverage": N_("health insurance"),
        "DiagnosticReport": N_("results of examinations"),
        "DocumentReference": N_("documents"),
        "Composition": N_("notes of doctors"),
        "Encounter": N_("visits"),
        "Immunization": N_("vaccinations"),
        "MedicationRequest": N_("prescriptions"),
        "MedicationStatement": N_("medicines that are taken"),
        "Observation": N_("measurements and laboratory values"),
        "Practitioner": N_("doctors and nurses"),
        "Procedure": N_("operations and treatments"),
        "ServiceRequest": N_("requests and referrals"),
        "Task": N_("tasks"),
    }
)
"""Resource types as people know them; another type is shown by its FHIR name."""

IDENTITY = ("openid", "fhirUser", "profile")


@dataclass(frozen=True)
class Line:
    """Something to allow: ``value`` is what a form sends, ``act`` of ``see``, ``change``, ``identity``, ``stay``."""

    value: str
    act: str
    kind: str = ""
    one_patient: bool = False


def lines_of(offer: Asked) -> list[Line]:
    """Return what a person can tick, what is seen before what is changed."""
    found = []
    named = [name for name in IDENTITY if name in offer.named]
    if named:
        found.append(Line(" ".join(named), "identity"))
    for act, actions in (("see", "rs"), ("change", "cud")):
        found += list(_lines(offer.resources, act, actions))
    found += [Line(name, "stay") for name in ("offline_access",) if name in offer.named]
    return found


def _lines(resources: Collection[Scope], act: str, actions: str) -> Iterable[Line]:
    for scope in sorted(resources):
        part = "".join(action for action in scope.actions if action in actions)
        said = any(
            other.type == "*" and other.level == scope.level and set(part) <= set(other.actions)
            for other in resources
            if other != scope
        )
        if part and not said:
            kind = KINDS.get(scope.type, scope.type)
            yield Line(str(Scope(scope.level, scope.type, part)), act, kind, scope.level == "patient")


UNSEEN = ("launch", "launch/patient", "online_access")
"""What needs no tick: they say how a program was opened, not what it may."""


def chosen_of(ticked: Iterable[str], offer: Asked) -> str:
    """Return the scopes of the ticked lines, with those that need no tick."""
    words = {word for value in ticked for word in value.split(" ") if word}
    return " ".join(sorted(words | (set(UNSEEN) & offer.named)))
