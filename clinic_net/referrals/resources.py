"""The FHIR resources of a referral (domain §3.3): the order, the negotiation, the station's follow-up. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from clinic_net.referrals.rules import PRIORITY

_OURS = "http://clinic-net.vn/fhir/CodeSystem/"
_FACILITY = "http://clinic-net.vn/fhir/sid/facility"
_TASK_CODE = "http://hl7.org/fhir/CodeSystem/task-code"


@dataclass(frozen=True)
class Place:
    """A facility as resources name it."""

    code: str
    name: str


@dataclass(frozen=True)
class Order:
    """What a referral asks for, of whom, why."""

    id: UUID
    consultation: UUID
    patient: str
    encounter: str | None
    specialty: str
    urgency: str
    reason: str
    requester: dict[str, Any]


def instant(at: datetime) -> str:
    """Return a FHIR instant in UTC."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _place(place: Place) -> dict[str, Any]:
    return {
        "type": "Organization",
        "identifier": {"system": _FACILITY, "value": place.code},
        "display": place.name,
    }


def service_request(order: Order, to: Place, now: datetime) -> dict[str, Any]:
    """Return the clinical order."""
    encounter = (
        {} if order.encounter is None else {"encounter": {"reference": f"Encounter/{order.encounter}"}}
    )
    return {
        "resourceType": "ServiceRequest",
        "id": str(order.id),
        "basedOn": [{"reference": f"ServiceRequest/{order.consultation}"}],
        "status": "active",
        "intent": "order",
        "category": [{"coding": [{"system": _OURS + "request-category", "code": "referral"}]}],
        "priority": PRIORITY[order.urgency],
        "code": {"text": "Chuyển cơ sở khám bệnh, chữa bệnh"},
        "subject": {"reference": f"Patient/{order.patient}"},
        **encounter,
        "authoredOn": instant(now),
        "requester": order.requester,
        "performerType": {"coding": [{"system": _OURS + "specialty", "code": order.specialty}]},
        "performer": [_place(to)],
        "reasonCode": [{"text": order.reason}],
    }


def task(identifier: UUID, order: Order, to: Place, *, due: datetime, now: datetime) -> dict[str, Any]:
    """Return the negotiation with one receiver, who owes an answer by ``due``."""
    return {
        "resourceType": "Task",
        "id": str(identifier),
        "status": "requested",
        "businessStatus": _business_status("sent"),
        "intent": "order",
        "priority": PRIORITY[order.urgency],
        "code": {"coding": [{"system": _TASK_CODE, "code": "fulfill"}]},
        "focus": {"reference": f"ServiceRequest/{order.id}"},
        "for": {"reference": f"Patient/{order.patient}"},
        "authoredOn": instant(now),
        "lastModified": instant(now),
        "requester": order.requester,
        "owner": _place(to),
        "restriction": {"period": {"end": instant(due)}},
    }


def moved(
    task: dict[str, Any],
    *,
    status: str,
    business_status: str,
    reason: tuple[str, str] | None = None,
    now: datetime,
) -> dict[str, Any]:
    """Return a Task in its next status; ``reason`` is a code of ours and words."""
    changed = {
        **task,
        "status": status,
        "businessStatus": _business_status(business_status),
        "lastModified": instant(now),
    }
    if reason is not None:
        code, words = reason
        coding = {"system": _OURS + "referral-reason", "code": code}
        changed["statusReason"] = {"coding": [coding], "text": words}
    return changed


def follow_up(
    identifier: UUID, order_id: UUID, patient: str, *, station: Place, plan: str, due: datetime, now: datetime
) -> dict[str, Any]:
    """Return the station's task after a counter-referral: what to do for the patient who comes home."""
    return {
        "resourceType": "Task",
        "id": str(identifier),
        "basedOn": [{"reference": f"ServiceRequest/{order_id}"}],
        "status": "requested",
        "businessStatus": _business_status("counter-referred"),
        "intent": "plan",
        "code": {"coding": [{"system": _OURS + "task", "code": "follow-up-at-station"}]},
        "description": plan,
        "for": {"reference": f"Patient/{patient}"},
        "authoredOn": instant(now),
        "lastModified": instant(now),
        "owner": _place(station),
        "restriction": {"period": {"end": instant(due)}},
    }


def _business_status(code: str) -> dict[str, Any]:
    return {"coding": [{"system": _OURS + "referral-status", "code": code}]}


def onward(
    former: dict[str, Any], identifier: UUID, to: Place, *, due: datetime, now: datetime
) -> dict[str, Any]:
    """Return the Task for the next receiver of the same order."""
    kept = {key: value for key, value in former.items() if key not in ("meta", "statusReason", "output")}
    return {
        **kept,
        "id": str(identifier),
        "status": "requested",
        "businessStatus": _business_status("sent"),
        "authoredOn": instant(now),
        "lastModified": instant(now),
        "owner": _place(to),
        "restriction": {"period": {"end": instant(due)}},
    }
