"""Events as FHIR R4 AuditEvents by IHE's Basic Audit Log Patterns (BALP): one patient each, every agent by its address.

A profile is named only where everything that it asks for is known: the client's network address may not be.
"""

import base64
import re
from datetime import UTC
from typing import Any

from clinic_net.audit import rules
from clinic_net.audit.model import AuditEvent
from clinic_net.audit.service import OK

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_INTERACTION = "http://hl7.org/fhir/restful-interaction"
_PROFILE = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
_ENTITY_TYPE = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
ACTION = "http://clinic-net.vn/fhir/CodeSystem/audit-action"
"""System of our own actions, in dotted words."""

ACTOR = "http://clinic-net.vn/fhir/sid/actor"
"""System of the addresses of people, stations, systems and what else acts here or is acted upon."""

_REFERENCE = re.compile(r"[A-Z][A-Za-z]{1,39}/[A-Za-z0-9\-.]{1,64}(/_history/[0-9]+)?", re.ASCII)
_SOURCE, _DESTINATION = ("110153", "Source Role ID"), ("110152", "Destination Role ID")


def _coding(system: str, code: str, display: str | None = None) -> dict[str, Any]:
    return {"system": system, "code": code, **({"display": display} if display else {})}


def _concept(system: str, code: str, display: str | None = None) -> dict[str, Any]:
    return {"coding": [_coding(system, code, display)]}


def _address(value: str) -> dict[str, Any]:
    return {"identifier": {"system": ACTOR, "value": value}}


def render(event: AuditEvent, *, base: str) -> dict[str, Any]:
    """Return the resource of an event. ``base`` is the hub's FHIR address."""
    interaction = rules.INTERACTIONS.get(event.action)
    rest = interaction is not None and event.action.startswith("record.")
    own = _coding(ACTION, event.action)
    if rest:
        assert interaction is not None
        kind = _coding(_TERMINOLOGY + "audit-event-type", "rest", "RESTful Operation")
        subtypes = [_coding(_INTERACTION, interaction), own]
    else:
        kind, subtypes = _coding(_DCM, *rules.kind_of(event.action)), [own]
    purpose = {"purposeOfEvent": [_purpose(event.purpose)]} if event.purpose else {}
    refused = {} if event.outcome == OK else {"outcomeDesc": event.outcome}
    place = event.place or event.actor_place
    return {
        "resourceType": "AuditEvent",
        "id": str(event.id),
        **_meta(event, interaction if rest else None),
        "type": kind,
        "subtype": subtypes,
        "action": rules.code_of(event.action),
        "recorded": event.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "outcome": "4" if refused else "0",
        **refused,
        **purpose,
        "agent": _agents(event, base),
        "source": {
            **({"site": place} if place else {}),
            "observer": _hub(base),
            "type": [_coding(_TERMINOLOGY + "security-source-type", "4", "Application Server")],
        },
        **_entities(event),
    }


def _purpose(code: str) -> dict[str, Any]:
    return _concept(_TERMINOLOGY + "v3-ActReason", code)


def _hub(base: str) -> dict[str, Any]:
    return {"identifier": {"system": "urn:ietf:rfc:3986", "value": base}, "display": "clinic-net"}


def _meta(event: AuditEvent, interaction: str | None) -> dict[str, Any]:
    name = rules.PROFILES.get(interaction or "")
    if name is None or event.address is None or event.outcome != OK:
        return {}
    return {"meta": {"profile": [f"{_PROFILE}{'Patient' if event.patient else ''}{name}"]}}


def _agents(event: AuditEvent, base: str) -> list[dict[str, Any]]:
    """Return client, server, and the person if one acted. What is read flows from the server to the client."""
    reads = rules.code_of(event.action) == "R"
    person = event.actor.startswith("user:")
    client: dict[str, Any] = {
        "type": _concept(_DCM, *(_DESTINATION if reads else _SOURCE)),
        "who": _program(event) if person else _address(event.actor),
        **({} if person else {"altId": event.actor}),
        "requestor": not person,
    }
    if event.address is not None:
        client["network"] = {"address": event.address, "type": "2"}
    if event.purpose and not person:
        client["purposeOfUse"] = [_purpose(event.purpose)]
    server = {
        "type": _concept(_DCM, *(_SOURCE if reads else _DESTINATION)),
        "who": _hub(base),
        "requestor": False,
        "network": {"address": base, "type": "5"},
    }
    if not person:
        return [client, server]
    part = "IRCP" if rules.code_of(event.action) in "RE" else "AUT"
    user: dict[str, Any] = {
        "type": _concept(_TERMINOLOGY + "v3-ParticipationType", part),
        "who": _address(event.actor),
        "altId": event.actor,
        "requestor": True,
    }
    if event.purpose:
        user["purposeOfUse"] = [_purpose(event.purpose)]
    return [client, server, user]


def _program(event: AuditEvent) -> dict[str, Any]:
    """What spoke for a person: a program that they allowed to, or their own browser."""
    return {"display": "browser"} if event.program is None else _address(f"client:{event.program}")


def _entity(type_: str, role: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        **more,
        "type": _coding(_TERMINOLOGY + "audit-entity-type", type_),
        **({"role": _coding(_TERMINOLOGY + "object-role", role)} if role else {}),
    }


def _entities(event: AuditEvent) -> dict[str, Any]:
    found = []
    if event.patient is not None:
        found.append(_entity("1", "1", what={"reference": f"Patient/{event.patient}"}))
    if event.action.endswith(".search"):
        named = event.detail or event.subject
        found.append(_entity("2", "24", query=base64.b64encode(named.encode()).decode(), description=named))
    elif _REFERENCE.fullmatch(event.subject):
        found.append(_entity("2", "4", what={"reference": event.subject}))
    elif event.subject:
        found.append(_entity("4", what=_address(event.subject)))
    if event.request is not None:
        request = {"what": {"identifier": {"value": event.request}}}
        found.append({**request, "type": _coding(_ENTITY_TYPE, "XrequestId")})
    return {"entity": found} if found else {}
