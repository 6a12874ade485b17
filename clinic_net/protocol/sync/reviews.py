"""A conflict as both programs say it in FHIR.

=============  ====================================================================================================
Task           ``code`` conflict-review; one for each record, opened anew when it is needed again. ``focus`` is the
               record, ``for`` its patient, ``input`` each version that waits for a decision, ``output`` each that
               was decided. ``priority`` urgent for safety lists.
Binary         A version's text as it came, never changed. ``securityContext`` is the record.
Provenance     Of a version that was merged or clashes: who wrote it where, from which version, against which.
=============  ====================================================================================================
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from clinic_net.protocol.sync.merge_policy import REVIEW_CODE, REVIEW_SYSTEM, is_review, is_urgent

Resource = dict[str, Any]

STATION_SYSTEM = "urn:clinic-net:station"
DETAIL = "urn:clinic-net:conflict:"
"""Extensions of an input: ``base`` (Reference), ``by`` (string), ``at`` (dateTime), ``site`` (string), ``against``
(the hub's version, integer)."""

SIBLING = "version"
DELETED = "deleted-and-changed"
OPEN = "requested"
CLOSED = "completed"


@dataclass(frozen=True)
class Sibling:
    """A version that stands beside the hub's. ``text`` and ``base`` are ids of Binary; ``against`` is the hub's version
    that it clashed with, ``at`` an instant, ``by`` whoever wrote it as the station named them."""

    text: str
    base: str | None
    against: int
    by: str
    at: str
    site: str


@dataclass(frozen=True)
class Review:
    """What a person is asked about one record."""

    task: str
    rtype: str
    fid: str
    patient: str | None
    siblings: tuple[Sibling, ...]
    deleted: bool
    """It was deleted at one place and changed at the other: the change stands until somebody decides."""
    urgent: bool
    open: bool
    since: str


def read_review(task: Mapping[str, Any]) -> Review | None:
    """Return what a Task asks, or None if it is no review."""
    if not is_review(task):
        return None
    rtype, _, fid = str(task.get("focus", {}).get("reference", "")).partition("/")
    patient = str(task.get("for", {}).get("reference", "")).removeprefix("Patient/") or None
    siblings = tuple(_sibling(given) for given in task.get("input", ()) if _code_of(given) == SIBLING)
    reasons = task.get("reasonCode", {}).get("coding", ())
    deleted = any(coding.get("code") == DELETED for coding in reasons)
    return Review(
        str(task["id"]), rtype, fid, patient, siblings, deleted,
        urgent=task.get("priority") == "urgent", open=task.get("status") == OPEN,
        since=str(task.get("authoredOn", "")),
    )  # fmt: skip


def open_among(tasks: Iterable[Mapping[str, Any]]) -> tuple[Review, ...]:
    """Return what some Tasks ask that nobody has decided yet, urgent first."""
    found = [review for task in tasks if (review := read_review(task)) is not None and review.open]
    return tuple(sorted(found, key=lambda review: not review.urgent))


def _code_of(given: Mapping[str, Any]) -> str:
    codings = given.get("type", {}).get("coding", ())
    return next((str(c.get("code")) for c in codings if c.get("system") == REVIEW_SYSTEM), "")


def _sibling(given: Mapping[str, Any]) -> Sibling:
    said = {str(e.get("url", "")).removeprefix(DETAIL): e for e in given.get("extension", ())}
    base = said.get("base", {}).get("valueReference", {}).get("reference")
    return Sibling(
        text=_id(given.get("valueReference", {}).get("reference", "")),
        base=None if base is None else _id(base),
        against=int(said.get("against", {}).get("valueInteger", 0)),
        by=str(said.get("by", {}).get("valueString", "")),
        at=str(said.get("at", {}).get("valueDateTime", "")),
        site=str(said.get("site", {}).get("valueString", "")),
    )


def _id(reference: str) -> str:
    return reference.removeprefix("Binary/").partition("/")[0]


# -- what the hub says


@dataclass(frozen=True)
class Subject:
    """The record in question."""

    rtype: str
    fid: str
    patient: str | None

    @property
    def reference(self) -> str:
        return f"{self.rtype}/{self.fid}"


def asked(
    before: Mapping[str, Any] | None, fid: str, about: Subject, *, sibling: Sibling | None, now: str
) -> Resource:
    """Return the Task about a record with one more version to decide on; ``sibling`` None: deleted and changed.

    ``before`` is the Task as it is. A version that is in it already is not added twice.
    """
    review = None if before is None else read_review(before)
    goes_on = before is not None and review is not None and review.open
    inputs = list(before.get("input", ())) if goes_on and before is not None else []
    if sibling is not None and all(_sibling(given).text != sibling.text for given in inputs):
        inputs.append(_input(sibling))
    deleted = sibling is None or (review is not None and review.open and review.deleted)
    task: Resource = {
        "resourceType": "Task", "id": fid, "status": OPEN, "intent": "order",
        "priority": "urgent" if is_urgent(about.rtype) else "routine",
        "code": {"coding": [{"system": REVIEW_SYSTEM, "code": REVIEW_CODE}]},
        "focus": {"reference": about.reference},
    }  # fmt: skip
    if about.patient is not None:
        task["for"] = {"reference": f"Patient/{about.patient}"}
    task["authoredOn"] = before["authoredOn"] if goes_on and before is not None else now
    task["lastModified"] = now
    task["requester"] = {"display": "clinic-net"}
    if sibling is not None:
        task["owner"] = station(sibling.site)
    if deleted:
        task["reasonCode"] = {"coding": [{"system": REVIEW_SYSTEM, "code": DELETED}]}
    if inputs:
        task["input"] = inputs
    return task


def station(site: str) -> Resource:
    """Return a station as something that is referred to."""
    return {"identifier": {"system": STATION_SYSTEM, "value": site}, "display": site}


def _input(sibling: Sibling) -> Resource:
    said: list[Resource] = [
        {"url": f"{DETAIL}against", "valueInteger": sibling.against},
        {"url": f"{DETAIL}at", "valueDateTime": sibling.at},
        {"url": f"{DETAIL}site", "valueString": sibling.site},
    ]
    if sibling.by:
        said.append({"url": f"{DETAIL}by", "valueString": sibling.by})
    if sibling.base is not None:
        said.append({"url": f"{DETAIL}base", "valueReference": {"reference": f"Binary/{sibling.base}"}})
    return {
        "extension": said,
        "type": {"coding": [{"system": REVIEW_SYSTEM, "code": SIBLING}]},
        "valueReference": {"reference": f"Binary/{sibling.text}"},
    }


def settled(task: Mapping[str, Any], sibling: str | None, *, now: str) -> Resource:
    """Return the Task after a person decided on a version (``sibling`` is its Binary; None: on the deletion).

    It is closed when nothing is left to decide.
    """
    after = {name: value for name, value in task.items() if name not in ("input", "output", "meta")}
    inputs = list(task.get("input", ()))
    done = [given for given in inputs if _sibling(given).text == sibling]
    left = [given for given in inputs if given not in done]
    outputs = [*task.get("output", ()), *done]
    if sibling is None:
        after.pop("reasonCode", None)
    if not left and "reasonCode" not in after:
        after["status"] = CLOSED
    after["lastModified"] = now
    return after | ({"input": left} if left else {}) | ({"output": outputs} if outputs else {})


def decided(ours: Mapping[str, Any], theirs: Mapping[str, Any], *, now: str) -> Resource | None:
    """Return the hub's Task with what somebody decided who knew an older one; None when that is nothing new.

    What they did not know of stays open.
    """
    after: Mapping[str, Any] = ours
    known = {_sibling(given).text for given in theirs.get("output", ())}
    for sibling in _siblings(ours):
        if sibling.text in known:
            after = settled(after, sibling.text, now=now)
    if "reasonCode" in after and "reasonCode" not in theirs:
        after = settled(after, None, now=now)
    return None if after is ours else dict(after)


def _siblings(task: Mapping[str, Any]) -> list[Sibling]:
    return [_sibling(given) for given in task.get("input", ())]


def text_beside(fid: str, text: str, about: Subject, *, labels: list[Resource]) -> Resource:
    """Return the Binary that keeps a version's text. ``labels`` are its security labels."""
    binary: Resource = {"resourceType": "Binary", "id": fid}
    if labels:
        binary["meta"] = {"security": labels}
    return binary | {
        "contentType": "application/fhir+json",
        "securityContext": {"reference": about.reference},
        "data": base64.b64encode(text.encode()).decode(),
    }


def text_of(binary: Mapping[str, Any]) -> str:
    """Return the text that a Binary keeps."""
    return base64.b64decode(str(binary.get("data", ""))).decode()


@dataclass(frozen=True)
class Origin:
    """Who wrote something, where and when (instants), and when the hub took it in."""

    by: str
    site: str | None
    at: str
    recorded: str


def provenance(
    fid: str, target: str, origin: Origin, *, activity: str, entities: Mapping[str, str]
) -> Resource:
    """Return the Provenance of a version. ``activity`` is ``merge``, ``conflict`` or ``resolve``; ``entities`` are the
    versions it was made from, each with its role (FHIR R4 provenance-entity-role)."""
    agents: list[Resource] = []
    if origin.by:
        agents.append({"type": _agent("author"), "who": {"display": origin.by}})
    if origin.site is not None:
        agents.append({"type": _agent("assembler"), "who": {"type": "Device", **station(origin.site)}})
    return {
        "resourceType": "Provenance", "id": fid,
        "target": [{"reference": target}],
        "occurredDateTime": origin.at, "recorded": origin.recorded,
        "activity": {"coding": [{"system": REVIEW_SYSTEM, "code": activity}]},
        "agent": agents or [{"type": _agent("assembler"), "who": {"display": "clinic-net"}}],
        "entity": [{"role": role, "what": {"reference": what}} for what, role in entities.items()],
    }  # fmt: skip


def _agent(code: str) -> Resource:
    system = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
    return {"coding": [{"system": system, "code": code}]}


def labels_in(*resources: Mapping[str, Any] | None) -> list[Resource]:
    """Return the security labels of several versions, each once."""
    found: list[Resource] = []
    for resource in resources:
        meta = None if resource is None else resource.get("meta")
        for label in meta.get("security", ()) if isinstance(meta, dict) else ():
            if label not in found:
                found.append(label)
    return found
