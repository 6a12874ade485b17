"""The OpenAPI 3.1 document of ``/fhir``, made from the routes that are there and the definitions.

FHIR's own description is the CapabilityStatement; this one is for tools that know HTTP and not FHIR: generators of
clients, gateways, testers. It says of a resource only what all of them share.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from clinic_net.fhir import write
from clinic_net.fhir.search_compartments import compartments
from clinic_net.records.addresses import Route
from clinic_net.records.formats import FHIR_JSON, FHIR_XML, JSON_PATCH, MERGE_PATCH
from clinic_net.records.openapi_parts import (
    CRITERIA,
    FORMAT_PARAMETERS,
    HEADERS,
    HISTORY_PARAMETERS,
    ID,
    OPERATION_PARAMETERS,
    RESPONSE_HEADERS,
    SEARCH_PARAMETERS,
    SEVERAL_TYPES,
    SUMMARY,
    VERSION,
    parameter,
    schemas,
)

Json = dict[str, Any]
_NAMES = {"rtype": "type", "fid": "id"}
"""How the handlers call what FHIR calls otherwise."""
_FORM = "application/x-www-form-urlencoded"
_EXAMPLE = {"resourceType": "Patient", "name": [{"text": "Nguyễn Thị Hòa"}], "gender": "female"}

_ALWAYS = (401, 403, 406, 503)
"""No or a wrong credential, not the right to it, no such format, the database away or the work too costly."""
_BODY = (400, 413, 415, 422)
"""Not understood, too large, not of this content type, not valid."""

_REFUSALS: dict[str, tuple[int, ...]] = {
    "capabilities": (400, 406),
    "smart": (400, 406),
    "description": (400, 406),
    "transaction": (*_BODY, 404, 409, 410, 412),
    "read": (400, 404, 410),
    "vread": (400, 404, 410),
    "history": (400, 404),
    "search": (400, 404, 422),
    "create": (*_BODY, 404, 409, 412),
    "update": (*_BODY, 404, 409, 412),
    "patch": (*_BODY, 404, 409, 410, 412),
    "delete": (400, 404, 409, 412),
    "operation": (*_BODY, 404, 409, 410, 412),
    "begun": _BODY,
    "progress": (400, 404),
    "forgotten": (400, 404),
}


@lru_cache(maxsize=4)
def openapi(base: str, routes: tuple[Route, ...]) -> bytes:
    """Return the document of the hub at ``base``, its own FHIR address."""
    paths: dict[str, Json] = {}
    for method, path, about in routes:
        address = _address(path)
        if method != "HEAD" and method.lower() not in paths.setdefault(address, {}):
            paths[address][method.lower()] = _operation(method, address, about)
    return write(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "clinic-net, FHIR R4",
                "version": "4.0.1",
                "description": "What a resource may hold and which search parameters a type has is told by "
                f"the CapabilityStatement at {base}/metadata. HEAD is answered wherever GET is.",
            },
            "servers": [{"url": base}],
            "paths": paths,
            "components": {
                "schemas": schemas(),
                "securitySchemes": {
                    "oauth2": {
                        "type": "oauth2",
                        "flows": {
                            "clientCredentials": {
                                "tokenUrl": base.removesuffix("/fhir") + "/oauth/token",
                                "scopes": {"system/*.cruds": "Everything", "system/*.rs": "Read and search"},
                            }
                        },
                    }
                },
            },
        }
    )


def _address(path: str) -> str:
    path = re.sub(r"\{(\w+):\w+\}", r"{\1}", path)
    for ours, theirs in _NAMES.items():
        path = path.replace(f"{{{ours}}}", f"{{{theirs}}}")
    return path.removeprefix("/fhir") or "/"


def _kind(method: str, address: str) -> str:
    last = address.rpartition("/")[2]
    known = {
        "metadata": "capabilities",
        "smart-configuration": "smart",
        "openapi.json": "description",
        "_history": "history",
        "{vid}": "vread",
        "_search": "search",
    }
    if address == "/$reindex":
        return "begun"
    if address.startswith(("/_reindex/", "/_async/")):
        return "progress" if method == "GET" else "forgotten"
    if last.startswith("$"):
        return "operation"
    if last in known:
        return known[last]
    if method == "GET":
        return "read" if last == "{id}" else "search"
    if method == "POST":
        return "create" if last else "transaction"
    return {"PUT": "update", "PATCH": "patch", "DELETE": "delete"}[method]


def _operation(method: str, address: str, about: str) -> Json:
    kind = _kind(method, address)
    summary, _, description = about.partition("\n")
    operation: Json = {
        "operationId": _operation_id(method, address),
        "summary": summary.rstrip("."),
        "tags": [kind],
        "parameters": list(_parameters(kind, method, address)),
        "responses": dict(_responses(kind, address)),
    }
    if description.strip():
        operation["description"] = description.strip()
    if method in ("POST", "PUT", "PATCH"):
        operation["requestBody"] = _request_body(kind, address)
    if kind in ("capabilities", "smart", "description"):
        operation["security"] = []
    else:
        operation["security"] = [{"oauth2": ["system/*.cruds"]}]
    return operation


def _operation_id(method: str, address: str) -> str:
    words = [part.strip("{}$_.") for part in address.split("/") if part]
    return "-".join([method.lower(), *(words or ["system"])])


def _parameters(kind: str, method: str, address: str) -> Iterable[Json]:
    for part in address.split("/"):
        if part.startswith("{"):
            name = part.strip("{}")
            schema = _PLACES.get(name, ID)
            if name == "type" and address.startswith("/{owner}/"):
                schema = {"type": "string", "enum": compartments()[_OWNER].types}
            if name == "owner":
                schema = {"type": "string", "enum": [_OWNER]}
            yield parameter(name, "path", schema, example=_EXAMPLES.get(name))
    if kind in ("smart", "description"):
        return
    yield from FORMAT_PARAMETERS
    if kind in ("read", "vread"):
        yield SUMMARY
    if method == "GET":
        yield from {"search": SEARCH_PARAMETERS, "history": HISTORY_PARAMETERS}.get(kind, ())
        yield from OPERATION_PARAMETERS.get(address.rpartition("/")[2], ())
        if address == "/":
            yield SEVERAL_TYPES
    elif address == "/{type}" and kind != "create":
        yield from CRITERIA
    yield from (HEADERS[name] for name in _ASKED_IN_HEADERS.get(kind, ()))


_ASKED_IN_HEADERS = {
    "read": ("If-None-Match", "If-Modified-Since"),
    "create": ("If-None-Exist", "Prefer"),
    "update": ("If-Match", "Prefer"),
    "patch": ("If-Match", "Prefer"),
    "delete": ("If-Match",),
    "search": ("Prefer",),
    "history": ("Prefer",),
    "transaction": ("Prefer",),
}
_OWNER = "Patient"
"""The compartment that is described; each of the others has its own types, which one schema cannot say."""
_PLACES: dict[str, Json] = {"type": {"$ref": "#/components/schemas/ResourceType"}, "vid": VERSION}
_EXAMPLES = {"type": "Patient", "vid": "1", "id": "0190f6a2-5a7e-7b30-9a3e-0f5b8f2f0c11"}


def _request_body(kind: str, address: str) -> Json:
    if kind == "search":
        content: Json = {_FORM: {"schema": {"$ref": "#/components/schemas/SearchForm"}}}
        return {"content": content}
    name = "Transaction" if kind == "transaction" else "Resource"
    if kind == "operation" and not address.endswith("$validate"):
        name = "Parameters"
    schema: Json = {"schema": {"$ref": f"#/components/schemas/{name}"}}
    if kind == "create":
        schema["example"] = _EXAMPLE
    content = {FHIR_JSON: schema, FHIR_XML: {"schema": {"type": "string", "contentMediaType": FHIR_XML}}}
    if kind == "patch":
        content = {
            JSON_PATCH: {"schema": {"$ref": "#/components/schemas/JsonPatch"}},
            MERGE_PATCH: {"schema": {"type": "object"}},
            FHIR_JSON: {"schema": {"$ref": "#/components/schemas/Parameters"}},
        }
    return {"required": kind != "begun", "content": content}


_MARKS = ("ETag", "Last-Modified")
_WRITTEN = (*_MARKS, "Location")

_SUCCESSES: dict[str, tuple[tuple[int, str, tuple[str, ...]], ...]] = {
    "read": ((200, "Resource", _MARKS), (304, "", ("ETag",))),
    "vread": ((200, "Resource", _MARKS),),
    "create": ((200, "Resource", _WRITTEN), (201, "Resource", _WRITTEN)),
    "update": ((200, "Resource", _WRITTEN), (201, "Resource", _WRITTEN)),
    "patch": ((200, "Resource", _WRITTEN),),
    "delete": ((204, "", ()),),
    "search": ((200, "Bundle", ()),),
    "history": ((200, "Bundle", ()),),
    "transaction": ((200, "Bundle", ()),),
    "capabilities": ((200, "Resource", ()),),
    "operation": ((200, "Resource", ()),),
    "begun": ((202, "", ()),),
    "progress": ((200, "Resource", ()), (202, "Resource", ())),
    "forgotten": ((202, "", ()),),
}
"""Status, schema and headers."""


def _responses(kind: str, address: str) -> Iterable[tuple[str, Json]]:
    for status, schema, headers in _SUCCESSES.get(kind, ()):
        links = {"links": _links("$response.body#/id")} if kind == "create" else {}
        if kind == "delete" and "{id}" in address:
            links = {"links": _links("$request.path.id")}
        yield str(status), {**_answer(status, schema, *headers), **links}
    refusals = _REFUSALS[kind]
    if "/{type}" in address[1:] or address.startswith("/{owner}/"):
        refusals += (405,)  # below a resource's address stand other things than types
    if kind in ("smart", "description"):
        shape = {"schema": {"$ref": "#/components/schemas/SmartConfiguration"}} if kind == "smart" else {}
        yield "200", {"description": HTTPStatus(200).phrase, "content": {"application/json": shape}}
    elif kind != "capabilities":
        refusals += _ALWAYS
    for status in sorted(refusals):
        named = {401: ("WWW-Authenticate",), 503: ("Retry-After",)}.get(status, ())
        yield str(status), _answer(status, "OperationOutcome", *named)


def _links(fid: str) -> Json:
    """Return what can be done with a resource whose id stands at ``fid``."""
    parameters = {"type": "$request.path.type", "id": fid}
    operations = ("get-type-id", "delete-type-id", "patch-type-id", "get-type-id-history")
    return {name: {"operationId": name, "parameters": parameters} for name in operations}


def _answer(status: int, schema: str, *headers: str) -> Json:
    answer: Json = {"description": HTTPStatus(status).phrase}
    if schema:
        shape = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
        answer["content"] = {FHIR_JSON: shape, FHIR_XML: {}}
    if headers:
        answer["headers"] = {name: RESPONSE_HEADERS[name] for name in headers}
    return answer
