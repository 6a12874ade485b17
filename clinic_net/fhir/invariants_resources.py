"""The formal constraints of FHIR R4's resources that the structural check holds a resource to, each by its key.

Those of Bundle, and those whose breach contradicts itself, so that two readers would understand different things. Left
to whoever validates on purpose are constraints that ask for an element which is otherwise optional, those of
conformance resources, and dom-3: a contained resource that nothing refers to misleads nobody.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from .invariants import Holds, Rule, chosen, coded, excludes, given, in_order, needs, number

_CONDITION = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_CONDITION_IS = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_ALLERGY_IS = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"

Json = Mapping[str, Any]

_observes = chosen("Observation", "value")
_abated = chosen("Condition", "abatement")
_aged, _born = chosen("FamilyMemberHistory", "age"), chosen("FamilyMemberHistory", "born")
_details = chosen("Goal.target", "detail")
_passes = chosen("Parameters.parameter", "value")


def _objects(value: Json, name: str) -> Iterator[Json]:
    """Yield the objects of a list, of whatever a caller wrote there."""
    found = value.get(name)
    if isinstance(found, list):
        yield from (item for item in found if isinstance(item, dict))


def _obs_6(observation: Json) -> bool:
    return "dataAbsentReason" not in observation or not _observes(observation)


def _codes(owner: Json) -> set[tuple[str, str]]:
    code = owner.get("code")
    return {
        (str(coding.get("system")), str(coding.get("code")))
        for coding in (_objects(code, "coding") if isinstance(code, dict) else ())
    }


def _obs_7(observation: Json) -> bool:
    if "component" not in observation or not _observes(observation):
        return True
    own = _codes(observation)
    return all(own.isdisjoint(_codes(part)) for part in _objects(observation, "component"))


def _pat_1(contact: Json) -> bool:
    return any(name in contact for name in ("name", "telecom", "address", "organization"))


def _con_4(condition: Json) -> bool:
    status = condition.get("clinicalStatus")
    return not _abated(condition) or coded(status, _CONDITION, "inactive", "resolved", "remission")


def _con_5(condition: Json) -> bool:
    wrong = coded(condition.get("verificationStatus"), _CONDITION_IS, "entered-in-error")
    return not wrong or "clinicalStatus" not in condition


def _ait_2(allergy: Json) -> bool:
    wrong = coded(allergy.get("verificationStatus"), _ALLERGY_IS, "entered-in-error")
    return not wrong or "clinicalStatus" not in allergy


def _app_4(appointment: Json) -> bool:
    return "cancelationReason" not in appointment or appointment.get("status") in ("no-show", "cancelled")


def _only_in_mode(mode: str, element: str) -> Holds:
    def holds(value: Json) -> bool:
        return value.get("mode") == mode or not any(
            given(entry, element) for entry in _objects(value, "entry")
        )

    return holds


def _not_at_home(name: str) -> Holds:
    def holds(value: Json) -> bool:
        return all(part.get("use") != "home" for part in _objects(value, name))

    return holds


def _fhs_1(history: Json) -> bool:
    return not _aged(history) or not _born(history)


def _fhs_2(history: Json) -> bool:
    return not given(history, "estimatedAge") or _aged(history)


def _grp_1(group: Json) -> bool:
    return "member" not in group or group.get("actual") is True


def _gol_1(target: Json) -> bool:
    return not _details(target) or "measure" in target


def _mdd_1(dispense: Json) -> bool:
    return in_order(dispense.get("whenPrepared"), dispense.get("whenHandedOver"))


def _ras_2(prediction: Json) -> bool:
    probability = number(prediction, "probabilityDecimal")
    return probability is None or probability <= 100


def _inv_1(parameter: Json) -> bool:
    return _passes(parameter) + ("resource" in parameter) + ("part" in parameter) <= 1


def _in_types(*types: str) -> Holds:
    """Return whether a bundle is of one of these types."""
    return lambda bundle: bundle.get("type") in types


_answers = _in_types("batch-response", "transaction-response", "history")
_asks = _in_types("batch", "transaction", "history")
_counts = _in_types("searchset", "history")


def _bdl_1(bundle: Json) -> bool:
    return not given(bundle, "total") or _counts(bundle)


def _bdl_2(bundle: Json) -> bool:
    return bundle.get("type") == "searchset" or not any(
        "search" in entry for entry in _objects(bundle, "entry")
    )


def _bdl_3(bundle: Json) -> bool:
    asks = _asks(bundle)
    return all(("request" in entry) == asks for entry in _objects(bundle, "entry"))


def _bdl_4(bundle: Json) -> bool:
    answers = _answers(bundle)
    return all(("response" in entry) == answers for entry in _objects(bundle, "entry"))


def _bdl_5(entry: Json) -> bool:
    return "resource" in entry or "request" in entry or "response" in entry


def _bdl_7(bundle: Json) -> bool:
    if bundle.get("type") == "history":
        return True
    seen: set[tuple[str, str]] = set()
    for entry in _objects(bundle, "entry"):
        if isinstance(url := entry.get("fullUrl"), str):
            meta = resource.get("meta") if isinstance(resource := entry.get("resource"), dict) else None
            version = str(meta.get("versionId")) if isinstance(meta, dict) else ""
            if (url, version) in seen:
                return False
            seen.add((url, version))
    return True


def _bdl_8(entry: Json) -> bool:
    url = entry.get("fullUrl")
    return not isinstance(url, str) or "/_history/" not in url


def _bdl_9(bundle: Json) -> bool:
    identifier = bundle.get("identifier")
    named = isinstance(identifier, dict) and given(identifier, "system") and given(identifier, "value")
    return bundle.get("type") != "document" or named


def _bdl_10(bundle: Json) -> bool:
    return bundle.get("type") != "document" or "timestamp" in bundle


def _begins_with(kind: str, rtype: str) -> Holds:
    def holds(bundle: Json) -> bool:
        first = next(_objects(bundle, "entry"), {}).get("resource")
        return bundle.get("type") != kind or (isinstance(first, dict) and first.get("resourceType") == rtype)

    return holds


RESOURCE_INVARIANTS: dict[str, tuple[Rule, ...]] = {
    "AllergyIntolerance": (("ait-2", _ait_2, "entered in error, it has no clinical status"),),
    "Appointment": (
        ("app-2", lambda value: given(value, "start") == given(value, "end"), "start and end go together"),
        ("app-4", _app_4, "a reason for cancellation is for what was cancelled"),
    ),
    "AuditEvent.entity": (("sev-1", excludes("name", "query"), "a name or a query, not both"),),
    "Bundle": (
        ("bdl-1", _bdl_1, "only searches and histories have a total"),
        ("bdl-2", _bdl_2, "only entries of searches have a search"),
        ("bdl-3", _bdl_3, "entries have a request in a batch, transaction or history, and nowhere else"),
        ("bdl-4", _bdl_4, "entries have a response in the answer to one, or a history, and nowhere else"),
        ("bdl-7", _bdl_7, "two entries have one fullUrl"),
        ("bdl-9", _bdl_9, "a document has an identifier with system and value"),
        ("bdl-10", _bdl_10, "a document has a timestamp"),
        ("bdl-11", _begins_with("document", "Composition"), "a document begins with a Composition"),
        ("bdl-12", _begins_with("message", "MessageHeader"), "a message begins with a MessageHeader"),
    ),
    "Bundle.entry": (
        ("bdl-5", _bdl_5, "an entry has a resource, a request or a response"),
        ("bdl-8", _bdl_8, "a fullUrl names no version"),
    ),
    "CarePlan.activity": (("cpl-3", excludes("detail", "reference"), "a detail or a reference, not both"),),
    "Composition.section": (
        ("cmp-2", excludes("emptyReason", "entry"), "only what is empty has emptyReason"),
    ),
    "Condition": (
        ("con-4", _con_4, "abated, it is inactive, resolved or in remission"),
        ("con-5", _con_5, "entered in error, it has no clinical status"),
    ),
    "FamilyMemberHistory": (
        ("fhs-1", _fhs_1, "an age or a birth, not both"),
        ("fhs-2", _fhs_2, "only an age is estimated"),
    ),
    "Goal.target": (("gol-1", _gol_1, "a detail needs its measure"),),
    "Group": (("grp-1", _grp_1, "only an actual group has members"),),
    "List": (
        ("lst-1", excludes("emptyReason", "entry"), "only what is empty has emptyReason"),
        ("lst-2", _only_in_mode("changes", "deleted"), "only a list of changes has deleted entries"),
        ("lst-3", _only_in_mode("working", "date"), "only a working list has dates of entries"),
    ),
    "MedicationDispense": (("mdd-1", _mdd_1, "handed over before it was prepared"),),
    "Observation": (
        ("obs-6", _obs_6, "a reason for absence excludes a value"),
        ("obs-7", _obs_7, "a value excludes a component of the same code"),
    ),
    "Organization": (
        ("org-2", _not_at_home("address"), "its address is nobody's home"),
        ("org-3", _not_at_home("telecom"), "its telecom is nobody's home"),
    ),
    "Parameters.parameter": (("inv-1", _inv_1, "only one of value, resource and part"),),
    "Patient.contact": (("pat-1", _pat_1, "a contact needs a name, telecom, address or organisation"),),
    "QuestionnaireResponse.item": (("qrs-1", excludes("answer", "item"), "answers or items, not both"),),
    "RequestGroup.action": (("rqg-1", excludes("resource", "action"), "a resource or actions, not both"),),
    "RiskAssessment.prediction": (("ras-2", _ras_2, "a probability is at most 100"),),
    "ServiceRequest": (("prr-1", needs("orderDetail", "code"), "details of an order need its code"),),
}
