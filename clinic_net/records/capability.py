"""The CapabilityStatement, made from what is really there: the definitions, the index, the routes."""

from functools import lru_cache
from typing import Any

from clinic_net.fhir import write
from clinic_net.fhir.definitions import FHIR_VERSION, resource_types, search_parameters
from clinic_net.fhir.index import uncompiled
from clinic_net.fhir.search import OF_ALL
from clinic_net.fhir.search_compartments import compartments
from clinic_net.fhir.search_terms import FULL_TEXT

PUBLISHED = "2026-11-24"
"""When what this statement says last changed."""

REINDEX = "urn:clinic-net:operation:reindex"
"""Our own: no standard defines it."""

_INTERACTIONS = (
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
)


_EVERYWHERE = (
    ("validate", "Resource-validate"),
    ("meta", "Resource-meta"),
    ("meta-add", "Resource-meta-add"),
    ("meta-delete", "Resource-meta-delete"),
)
_OPERATIONS = {
    "Encounter": (("everything", "Encounter-everything"),),
    "Observation": (("lastn", "Observation-lastn"),),
    "Patient": (("everything", "Patient-everything"), ("match", "Patient-match")),
}


def _search_parameters(rtype: str) -> list[dict[str, Any]]:
    unavailable = uncompiled(rtype)
    return [
        {"name": name, "type": parameter.type, "definition": parameter.url}
        for name, parameter in sorted(search_parameters(rtype).items())
        if name not in unavailable or name in FULL_TEXT
    ]


def _resource(rtype: str) -> dict[str, Any]:
    parameters = _search_parameters(rtype)
    resource: dict[str, Any] = {
        "type": rtype,
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "single",
        "referencePolicy": ["literal", "logical"],
        "searchParam": parameters,
    }
    includes = [f"{rtype}:{item['name']}" for item in parameters if item["type"] == "reference"]
    if includes:
        resource["searchInclude"] = ["*", *includes]
    resource["operation"] = [
        {"name": name, "definition": f"http://hl7.org/fhir/OperationDefinition/{definition}"}
        for name, definition in (*_EVERYWHERE, *_OPERATIONS.get(rtype, ()))
    ]
    return resource


_EVERY_SEARCH = (
    (
        "_filter",
        "special",
        "The whole grammar of R4; ne of codes, texts and references means that none is equal.",
    ),
    ("_has", "special", "Nested, with chains inside, up to four links in all."),
    ("_list", "special", "The id of one List; the functional lists of R4 are not there."),
    (
        "_type",
        "special",
        "For searches of the whole system: 1 to 12 types; without it, all that are open.",
    ),
    ("_contained", "token", "Only false: contained resources are found as part of what contains them."),
    ("_containedType", "token", "Only container."),
)
"""Parameters that no definition describes with an expression, and how far they go here."""


def _system_parameters() -> list[dict[str, Any]]:
    common = {**search_parameters("Basic")}
    described = [{"name": name, "type": kind, "documentation": said} for name, kind, said in _EVERY_SEARCH]
    return [
        *({"name": name, "type": common[name].type, "definition": common[name].url} for name in OF_ALL),
        *described,
    ]


@lru_cache(maxsize=4)
def capability_statement(base: str) -> bytes:
    """Return the statement of the hub at ``base``, its own FHIR address."""
    doors = ("authorize", "token", "introspect", "revoke")
    oauth = base.removesuffix("/fhir") + "/oauth/"
    return write(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": PUBLISHED,
            "kind": "instance",
            "software": {"name": "clinic-net"},
            "implementation": {"description": "clinic-net hub", "url": base},
            "fhirVersion": FHIR_VERSION,
            "format": ["application/fhir+json", "application/fhir+xml", "json", "xml"],
            "patchFormat": [
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/fhir+json",
                "application/fhir+xml",
            ],
            "rest": [
                {
                    "mode": "server",
                    "security": {
                        "extension": [
                            {
                                "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                                "extension": [{"url": door, "valueUri": oauth + door} for door in doors],
                            }
                        ],
                        "service": [
                            {
                                "coding": [
                                    {
                                        "system": "http://terminology.hl7.org/CodeSystem/"
                                        "restful-security-service",
                                        "code": "SMART-on-FHIR",
                                    }
                                ]
                            }
                        ],
                    },
                    "resource": [_resource(rtype) for rtype in sorted(resource_types())],
                    "interaction": [
                        {"code": code} for code in ("transaction", "batch", "history-system", "search-system")
                    ],
                    "searchParam": _system_parameters(),
                    "operation": [{"name": "reindex", "definition": REINDEX}],
                    "compartment": [compartment.url for compartment in compartments().values()],
                }
            ],
        }
    )
