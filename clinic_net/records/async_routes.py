"""``Prefer: respond-async`` (FHIR R4 async): a request is kept, and its answer fetched later at an address of its own.

These routes come before all others and see only requests that prefer so. What cannot be answered later is refused,
because whoever asks for it does not wait for an answer.
"""

from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.routing import Match, compile_path
from starlette.types import Scope

from clinic_net.records import async_requests
from clinic_net.records.async_model import AsyncRequest
from clinic_net.records.async_requests import Deferred
from clinic_net.records.errors import AsyncUnsupported
from clinic_net.records.formats import demand_format
from clinic_net.records.http import Exchanging, FhirRoute, fhir_json, http_date
from clinic_net.records.render import async_bundle

RETRY_AFTER_S = 1
"""Seconds until it is worth to ask again."""

_KEPT_HEADERS = ("content-type", "content-encoding", "prefer")
_LATER_ANYWAY = ("metadata", ".well-known", "_async", "_reindex", "$reindex")
"""First parts of addresses to which the preference means nothing."""
_SEEN = "records.prefers_async"

_ALL_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

_DEFERRABLE = (
    ("bundle", "POST", ""),
    ("search-types", "GET", ""),
    ("search-types-by-form", "POST", "_search"),
    ("search", "GET", "{rtype:type_name}"),
    ("search-by-form", "POST", "{rtype:type_name}/_search"),
    ("search-compartment", "GET", "{owner:type_name}/{fid}/{rtype:type_name}"),
    ("search-compartment-by-form", "POST", "{owner:type_name}/{fid}/{rtype:type_name}/_search"),
    ("search-whole-compartment", "GET", "{owner:type_name}/{fid}/*"),
    ("search-whole-compartment-by-form", "POST", "{owner:type_name}/{fid}/_search"),
    ("everything-of-patient", "GET", "Patient/{fid}/$everything"),
    ("everything-of-patient", "POST", "Patient/{fid}/$everything"),
    ("everything-of-encounter", "GET", "Encounter/{fid}/$everything"),
    ("everything-of-encounter", "POST", "Encounter/{fid}/$everything"),
)
"""Interaction (see ``async_running``), method and address of what may be answered later."""
_PATTERNS = [(interaction, method, compile_path(address)[0]) for interaction, method, address in _DEFERRABLE]


def _prefers_async(scope: Scope) -> bool:
    """Whether a request wants its answer later; looked up once a request."""
    found: bool | None = scope.get(_SEEN)
    if found is None:
        preferences = b",".join(value for name, value in scope["headers"] if name == b"prefer")
        parts = preferences.replace(b";", b",").lower().split(b",")
        found = b"respond-async" in (part.strip() for part in parts)
        scope[_SEEN] = found
    return found


class AsyncRoute(FhirRoute):
    """Is there only for requests that prefer an answer later, at addresses to which that means something."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or not _prefers_async(scope):
            return Match.NONE, {}
        first = scope["path"].removeprefix("/fhir").lstrip("/").partition("/")[0]
        return (Match.NONE, {}) if first in _LATER_ANYWAY else super().matches(scope)


router = APIRouter(prefix="/fhir", route_class=AsyncRoute, dependencies=[Depends(demand_format)])
status_router = APIRouter(route_class=FhirRoute)


@router.api_route("", methods=_ALL_METHODS, include_in_schema=False)
@router.api_route("/{path:path}", methods=_ALL_METHODS, include_in_schema=False)
async def defer(request: Request, exchange: Exchanging, path: str = "") -> Response:
    """Keep the request and say where its answer will be; refuse what is always answered at once."""
    deferred = Deferred(
        *_interaction(request.method, path),
        method=request.method,
        query=request.scope["query_string"].decode("latin-1"),
        headers={name: request.headers[name] for name in _KEPT_HEADERS if name in request.headers},
        body=await request.body(),
    )
    name = await async_requests.keep(exchange.s, deferred, exchange.caller, now=exchange.now)
    return Response(status_code=202, headers={"Content-Location": f"{exchange.base}/_async/{name}"})


def _interaction(method: str, path: str) -> tuple[str, dict[str, str]]:
    for interaction, by, pattern in _PATTERNS:
        found = pattern.fullmatch(path) if method == by else None
        if found is not None:
            return interaction, found.groupdict()
    raise AsyncUnsupported("this is answered at once only: ask without respond-async")


@status_router.api_route("/_async/{name}", methods=["GET", "HEAD"])
async def status(name: str, exchange: Exchanging) -> Response:
    """Say that a request is not answered yet, or give its answer as the one entry of a batch-response."""
    found = await async_requests.status(exchange.s, name, owner=exchange.by, now=exchange.now)
    if found.finished_at is None:
        headers = {
            "X-Progress": "waiting" if found.started_at is None else "running",
            "Retry-After": str(RETRY_AFTER_S),
        }
        return Response(status_code=202, headers=headers)
    response = fhir_json(_answer(found))
    response.headers["Expires"] = http_date(found.expires_at)
    return response


@status_router.delete("/_async/{name}")
async def forget(name: str, exchange: Exchanging) -> Response:
    """Take a request back, or forget its answer."""
    await async_requests.forget(exchange.s, name, owner=exchange.by, now=exchange.now)
    return Response(status_code=202)


def _answer(found: AsyncRequest) -> bytes:
    marks: dict[str, Any] = dict(found.marks or {})
    refused = marks.pop("refused", False)
    return async_bundle(found.status or 500, async_requests.said(found, found.answer), marks, refused=refused)
