"""The parts of the OpenAPI document that its operations share: parameters, headers, schemas."""

from typing import Any

from clinic_net.fhir.definitions import resource_types, value_set
from clinic_net.fhir.search import MAX_COUNT, MAX_TYPES, SUMMARIES, TOTALS
from clinic_net.records.formats import FORMATS

Json = dict[str, Any]
_TYPES = "#/components/schemas/ResourceType"
_RESOURCE = "#/components/schemas/Resource"

ID: Json = {"type": "string", "pattern": r"^[A-Za-z0-9\-.]{1,64}$"}
VERSION: Json = {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"}

_DAY = (
    r"(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8])"
)
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+\-](0[0-9]|1[0-3]):[0-5][0-9])"
_YEAR = "(1[0-9]|20)[0-9]{2}"
_DATE: Json = {"type": "string", "pattern": f"^{_YEAR}(-(0[1-9]|1[0-2])|-({_DAY})(T{_TIME})?)?$"}
_DATE_CRITERION: Json = {
    "type": "string",
    "pattern": f"^(eq|ne|gt|lt|ge|le|sa|eb|ap)?{_DATE['pattern'].removeprefix('^')}",
}
_COUNT: Json = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_ETAG: Json = {"type": "string", "pattern": r'^W/"[0-9]{1,9}"$'}
_HTTP_DATE: Json = {
    "type": "string",
    "pattern": r"^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$",
}


def parameter(name: str, place: str, schema: Json, *, about: str = "", example: str | None = None) -> Json:
    """Return a parameter; one of a path is required."""
    made: Json = {"name": name, "in": place, "schema": schema}
    if place == "path":
        made["required"] = True
    if about:
        made["description"] = about
    if example is not None:
        made["example"] = example
    return made


FORMAT_PARAMETERS = (
    parameter("_format", "query", {"type": "string", "enum": list(FORMATS)}, about="Before Accept."),
    parameter("_pretty", "query", {"type": "string", "enum": ["true", "false"]}),
)

OPERATION_PARAMETERS = {
    "$lastn": (
        {**parameter("patient", "query", ID), "required": True},
        parameter("max", "query", {"type": "integer", "minimum": 1, "maximum": 999}),
    )
}
"""Of operations that are called by GET and need some."""

_CHARACTER = r"(\\[^\x00-\x1f\x7f]|[^,|\\\x00-\x1f\x7f])"
_TOKEN = rf"({_CHARACTER}+(\|{_CHARACTER}*)?|\|{_CHARACTER}+)"
_TOKENS: Json = {"type": "string", "pattern": rf"^{_TOKEN}(,{_TOKEN})*\\?$"}

_OF_ALL_TYPES = (
    parameter("_id", "query", _TOKENS, about="One id, or several with commas between them."),
    parameter("_lastUpdated", "query", _DATE_CRITERION),
)
SEVERAL_TYPES = {
    **parameter(
        "_type",
        "query",
        {"type": "array", "minItems": 1, "items": {"$ref": _TYPES}},
        about=f"The types that are searched, at most {MAX_TYPES}.",
    ),
    "required": True,
    "style": "form",
    "explode": False,
}
_PAGE = parameter(
    "_count",
    "query",
    _COUNT,
    about=f"How many on a page, at most {MAX_COUNT}: more are not sent, though more may be asked for.",
)
SUMMARY = parameter("_summary", "query", {"type": "string", "enum": sorted(SUMMARIES)})

SEARCH_PARAMETERS = (
    *_OF_ALL_TYPES,
    _PAGE,
    parameter("_sort", "query", {"type": "string", "enum": ["_lastUpdated", "-_lastUpdated"]}),
    parameter("_total", "query", {"type": "string", "enum": sorted(TOTALS)}),
    SUMMARY,
)
"""Those of every type. The others are in the CapabilityStatement."""

HISTORY_PARAMETERS = (_PAGE, parameter("_since", "query", _DATE), parameter("_at", "query", _DATE))

CRITERIA = tuple(
    {**each, "description": "Criteria of the type's search; at least one is needed."}
    for each in _OF_ALL_TYPES
)

HEADERS = {
    name: parameter(name, "header", schema, about=about)
    for name, schema, about in (
        ("If-Match", _ETAG, "Refuse with 412 unless this is the current version."),
        ("If-None-Match", {"type": "string"}, "Answer 304 where this is the current version."),
        ("If-Modified-Since", {"type": "string"}, "Answer 304 where nothing changed since."),
        ("If-None-Exist", {"type": "string"}, "Criteria: what meets them is returned and nothing made."),
        (
            "Prefer",
            {"type": "string"},
            "return=minimal, representation or OperationOutcome; handling=lenient.",
        ),
    )
}

RESPONSE_HEADERS: dict[str, Json] = {
    "ETag": {"description": "The version.", "required": True, "schema": _ETAG},
    "Last-Modified": {"description": "When it was made.", "required": True, "schema": _HTTP_DATE},
    "Location": {"description": "The version's address.", "required": True, "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds.", "required": True, "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "How to come back.", "required": True, "schema": {"type": "string"}},
}


def schemas() -> Json:
    """Return what all resources share, and the shapes of what is made here."""
    (severities,) = value_set("issue-severity").values()
    (types,) = value_set("issue-type").values()
    issue = {
        "type": "object",
        "required": ["severity", "code"],
        "properties": {
            "severity": {"enum": list(severities)},
            "code": {"enum": list(types)},
            "diagnostics": {"type": "string"},
            "expression": {"type": "array", "items": {"type": "string"}},
        },
    }
    entry = {"type": "object", "properties": {"fullUrl": {"type": "string"}, "resource": {"$ref": _RESOURCE}}}
    pointer = {"type": "string", "pattern": "^(/[A-Za-z0-9]+)*$"}
    operations = [
        {
            "required": ["op", "path", *more],
            "properties": {"op": {"enum": kinds}, "path": pointer, "from": pointer},
        }
        for kinds, more in (
            (["add", "replace", "test"], ["value"]),
            (["remove"], []),
            (["move", "copy"], ["from"]),
        )
    ]
    return {
        "ResourceType": {"type": "string", "enum": sorted(resource_types())},
        "Resource": _resource({"$ref": _TYPES}, id=ID, meta={"type": "object"}),
        "Bundle": _resource(
            {"const": "Bundle"}, type={"type": "string"}, entry={"type": "array", "items": entry}
        ),
        "Transaction": {
            **_resource({"const": "Bundle"}, type={"enum": ["transaction", "batch"]}),
            "required": ["resourceType", "type"],
        },
        "Parameters": _resource(
            {"const": "Parameters"}, parameter={"type": "array", "items": {"type": "object"}}
        ),
        "OperationOutcome": {
            **_resource(
                {"const": "OperationOutcome"}, issue={"type": "array", "items": issue, "minItems": 1}
            ),
            "required": ["resourceType", "issue"],
        },
        "JsonPatch": {"type": "array", "items": {"type": "object", "oneOf": operations}},
        "SearchForm": {
            "type": "object",
            "properties": {each["name"]: each["schema"] for each in SEARCH_PARAMETERS},
        },
        "SmartConfiguration": {"type": "object", "required": ["token_endpoint", "grant_types_supported"]},
    }


def _resource(rtype: Json, **more: Json) -> Json:
    properties = {"resourceType": rtype, **more}
    return {"type": "object", "required": ["resourceType"], "properties": properties}
