"""What schemathesis is told about FHIR: sound resources for what it sends as valid, and fewer types."""

from typing import Any

import schemathesis
from schemathesis import Case, GenerationMode, HookContext

from clinic_net.fhir.definitions import resource_types
from tests.clients.resources import smallest

_TYPES = {"Basic", "Encounter", "Flag", "Observation", "Patient"}
"""Every value of an enumeration is tried at every operation; tests/records/test_capability.py calls all types."""


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:
    """Leave a few resource types."""

    def visit(node: Any) -> None:
        if isinstance(node, dict):
            names = node.get("enum")
            if isinstance(names, list) and len(names) > len(_TYPES) and resource_types().issuperset(names):
                node["enum"] = sorted(_TYPES.intersection(names))
            for child in node.values():
                visit(child)
        elif isinstance(node, list):
            for child in node:
                visit(child)

    visit(raw_schema)
    resource = raw_schema["components"]["schemas"]["Resource"]["properties"]
    resource["resourceType"] = {
        "type": "string",
        "pattern": "^[A-Z][A-Za-z]{1,39}$",
    }  # answers are of any type


@schemathesis.hook
def map_case(context: HookContext, case: Case[Any]) -> Case[Any]:
    """Send a sound resource of the address's type where a valid body is meant."""
    address = case.path_parameters or {}
    means_well = case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE
    if (
        means_well
        and case.media_type == "application/fhir+json"
        and case.operation.path in ("/{type}", "/{type}/{id}", "/{type}/$validate")
        and address.get("type") in resource_types()
    ):
        case.body = smallest(str(address["type"])) | ({"id": address["id"]} if "id" in address else {})
    return case
