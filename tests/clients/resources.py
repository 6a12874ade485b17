"""The smallest valid resource of each type, made from the definitions."""

from typing import Any

from clinic_net.fhir.definitions import ElementDefinition, elements, value_set

_PRIMITIVES: dict[str, Any] = {
    "base64Binary": "AA==",
    "boolean": True,
    "canonical": "urn:example:a",
    "code": "a",
    "date": "2026-11-21",
    "dateTime": "2026-11-21",
    "decimal": 1,
    "id": "a",
    "instant": "2026-11-21T08:30:00Z",
    "integer": 1,
    "markdown": "a",
    "oid": "urn:oid:1.2",
    "positiveInt": 1,
    "string": "a",
    "time": "08:30:00",
    "unsignedInt": 1,
    "uri": "urn:example:a",
    "url": "urn:example:a",
    "uuid": "urn:uuid:6a6e4a2c-0c5e-4f5c-9f0e-2a4f4f0c1a01",
    "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml">a</div>',
}
_COMPLEX: dict[str, Any] = {
    "Attachment": {"url": "urn:example:a"},
    "CodeableConcept": {"text": "a"},
    "Coding": {"code": "a"},
    "ContactPoint": {"system": "phone", "value": "1"},
    "HumanName": {"text": "a"},
    "Identifier": {"value": "a"},
    "Money": {"value": 1, "currency": "VND"},
    "Period": {"start": "2026"},
    "Quantity": {"value": 1},
    "Timing": {"code": {"text": "a"}},
}
_ALSO: dict[str, dict[str, Any]] = {
    "ActivityDefinition": {"name": "A"},
    "Bundle": {"type": "collection"},
    "Consent": {"policyRule": {"text": "a"}},
}
"""What an invariant asks for beside the elements that are always there."""


def smallest(rtype: str) -> dict[str, Any]:
    """Return the least that a resource of this type may hold."""
    return {"resourceType": rtype, **_required(rtype), **_ALSO.get(rtype, {})}


def _required(type_name: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, element in elements(type_name).items():
        if element.minimum:
            kind = element.types[0]
            written = name.replace("[x]", kind[0].upper() + kind[1:])
            value = _value(kind, element)
            made[written] = [value] if element.many else value
    return made


def _value(kind: str, element: ElementDefinition) -> Any:
    if element.binding is not None and kind == "code":
        return next(iter(value_set(element.binding).values()))[0]
    if kind in _PRIMITIVES:
        return _PRIMITIVES[kind]
    if kind == "Reference":
        return {"reference": f"{min(element.targets or ('Patient',)).replace('Resource', 'Patient')}/a"}
    if kind in _COMPLEX:
        return _COMPLEX[kind]
    return smallest("Basic") if kind == "Resource" else _required(kind) or {"id": "a"}
