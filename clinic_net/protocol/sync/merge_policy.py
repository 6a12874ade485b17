"""What happens when two places changed one record, by the class of the record (sync §4.5; ADR 24). As of 2026-11-24.

=====================  =============================================================================================
Facts                  What was seen or done. Two corrections of one fact are for a person; notes are added by both.
Demographics           Merged by field; the same field changed twice is for a person.
Safety lists           Union: nothing is removed and nothing made inactive by a merge. In effect at one place and
                       refuted, stopped or over at the other: for a person, urgently, and both are shown until then.
Workflow               The state further on; done at one place and called off at the other is for a person.
Stock                  A movement with its sign is a fact; what is there is their sum (``clinical.stock``), never a
                       number that somebody sets.
Everything else        Merged by field.
Identity               Two people under one national number are both kept; whether they are one is for a person.
Deleted and changed    The change wins, and somebody is asked.
=====================  =============================================================================================

Sources: FHIR R4 for the states (Task.status and its state machine §task.10, request-status, appointmentstatus,
encounter-status) and for clinicalStatus and verificationStatus; "never lose an allergy, problem or medicine silently"
is §4.5's rule for safety lists; a ledger instead of a counter likewise.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from clinic_net.protocol.sync.merge import Choose, Merged, Resource, Rules, merge, whole
from clinic_net.protocol.sync.merge_values import ABSENT, Json, words


class Class(StrEnum):
    """What a record is, as far as two changes of it are concerned."""

    FACT = "fact"
    DEMOGRAPHICS = "demographics"
    SAFETY = "safety"
    WORKFLOW = "workflow"
    STOCK = "stock"
    OTHER = "other"


_CLASSES: Mapping[Class, str] = {
    Class.FACT: (
        "Observation Immunization MedicationAdministration MedicationDispense DiagnosticReport Procedure "
        "Composition DocumentReference Media ClinicalImpression RiskAssessment AdverseEvent FamilyMemberHistory "
        "QuestionnaireResponse Communication ImmunizationEvaluation Specimen DetectedIssue MeasureReport Provenance "
        "AuditEvent Binary Claim ClaimResponse Consent"
    ),
    Class.DEMOGRAPHICS: (
        "Patient RelatedPerson Person Coverage Group Practitioner PractitionerRole Location Organization"
    ),
    Class.SAFETY: (
        "AllergyIntolerance Condition MedicationRequest MedicationStatement CarePlan Flag "
        "EpisodeOfCare NutritionOrder DeviceUseStatement Goal"
    ),
    Class.WORKFLOW: (
        "Task ServiceRequest Appointment AppointmentResponse CommunicationRequest Encounter DeviceRequest "
        "ImmunizationRecommendation RequestGroup Schedule Slot"
    ),
    Class.STOCK: "SupplyDelivery SupplyRequest",
}
_CLASS_OF = {rtype: group for group, rtypes in _CLASSES.items() for rtype in rtypes.split()}


def class_of(rtype: str) -> Class:
    """Return the class of a resource type."""
    return _CLASS_OF.get(rtype, Class.OTHER)


# -- safety lists: whether they say that something holds

_OVER = words(
    "inactive resolved remission stopped completed cancelled revoked ended finished entered-in-error refuted "
    "not-taken rejected achieved"
)
"""Codes of clinicalStatus, verificationStatus, status and lifecycleStatus under which a list no longer warns of, or no
longer gives, what it names."""

SAYS_EFFECT = words(
    "clinicalStatus verificationStatus status lifecycleStatus abatement[x] doNotPerform statusReason"
)


def in_effect(resource: Mapping[str, Json]) -> bool:
    """Whether an entry of a safety list holds, as its statuses say; one that does not say so holds."""
    said = {resource.get("status"), resource.get("lifecycleStatus")}
    for member in ("clinicalStatus", "verificationStatus"):
        concept = resource.get(member)
        codings = concept.get("coding") if isinstance(concept, dict) else None
        said |= {coding.get("code") for coding in codings or () if isinstance(coding, dict)}
    return not said & _OVER and not any(member.startswith("abatement") for member in resource)


# -- workflow: which way a state goes

_WAY: Mapping[str, tuple[str, ...]] = {
    "Task": ("draft", "requested", "received", "accepted", "ready", "in-progress", "on-hold", "completed"),
    "Appointment": ("proposed", "pending", "waitlist", "booked", "arrived", "checked-in", "fulfilled"),
    "Encounter": ("planned", "arrived", "triaged", "in-progress", "onleave", "finished"),
    "Slot": ("free", "busy-tentative", "busy-unavailable", "busy"),
}
_REQUEST = ("draft", "active", "on-hold", "completed")
"""The way of a request (FHIR R4 request-status), for types that have none of their own."""


def _join(way: tuple[str, ...]) -> Callable[[Json, Json], Json]:
    def further(ours: Json, theirs: Json) -> Json:
        if ours in way and theirs in way:
            return max(ours, theirs, key=way.index)
        return ABSENT  # called off at one place, gone on with at the other

    return further


_TREATMENT = words("medication[x] dosage dosageInstruction dispenseRequest substitution code substance")
"""What is given and how much of it: never one place's medicine with the other's dose."""


def _rules(rtype: str) -> Rules:
    match class_of(rtype):
        case Class.FACT | Class.STOCK:
            return Rules(rest_is_one=True, free=frozenset({"note", "identifier", "extension"}))
        case Class.SAFETY:
            statuses = frozenset({"clinicalStatus", "verificationStatus", "abatement[x]", "lifecycleStatus"})
            return Rules(
                units=(statuses, frozenset({"status", "statusReason", "doNotPerform"}), _TREATMENT),
                in_effect=in_effect, says_effect=SAYS_EFFECT, keeps=True,
            )  # fmt: skip
        case Class.WORKFLOW:
            return Rules(states={"status": _join(_WAY.get(rtype, _REQUEST))})
        case _:
            return Rules()


RULES: Mapping[str, Rules] = {rtype: _rules(rtype) for rtype in _CLASS_OF}
_OTHER = Rules()

REVIEW_SYSTEM = "urn:clinic-net:task"
REVIEW_CODE = "conflict-review"


def is_review(resource: Mapping[str, Any]) -> bool:
    """Whether a resource is the Task that asks a person to settle a conflict."""
    if resource.get("resourceType") != "Task":
        return False
    code = resource.get("code")
    codings = code.get("coding") if isinstance(code, dict) else None
    return any(
        isinstance(coding, dict)
        and (coding.get("system"), coding.get("code")) == (REVIEW_SYSTEM, REVIEW_CODE)
        for coding in codings or ()
    )


Sound = Callable[[Resource], bool]
"""Whether a resource is structurally valid; the hub has the rules for that."""


def reconciled(
    base: Resource | None,
    ours: Resource,
    theirs: Resource,
    *,
    sound: Sound = lambda _: True,
    choose: Choose | None = None,
) -> Merged:
    """Merge two changes of one record as its class demands.

    What would not be sound by the rules of its type once it is put together (a period that ends before it begins) is
    one clash of the whole.

    Raises:
        ValueError: the two are not of one type.
    """
    rules = RULES.get(str(ours.get("resourceType")), _OTHER)
    merged = merge(base, ours, theirs, rules=rules, choose=choose)
    if merged.resource is None or merged.resource is ours or merged.resource is theirs:
        return merged
    if sound(merged.resource):
        return merged
    return Merged(None, (whole(base, ours, theirs),))


def is_urgent(rtype: str) -> bool:
    """Whether a conflict about this type must be settled before anything else: a safety list says two things."""
    return class_of(rtype) is Class.SAFETY
