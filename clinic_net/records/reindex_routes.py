"""``$reindex`` and its status: a system client has the index rows of types made anew."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response

from clinic_net.access.errors import RoleNotAllowed
from clinic_net.access.principals import ClientPrincipal
from clinic_net.fhir import parse, write
from clinic_net.fhir.definitions import resource_types
from clinic_net.records import reindexing
from clinic_net.records.errors import MalformedRequest, UnknownResource
from clinic_net.records.http import Exchange, Exchanging, FhirRoute, fhir_json
from clinic_net.records.operations import parameters_of
from clinic_net.records.shapes import instant

router = APIRouter(route_class=FhirRoute)

RETRY_AFTER_S = 2
"""Seconds until it is worth to ask for the status again."""


@router.post("/$reindex")
async def reindex(exchange: Exchanging) -> Response:
    """Begin to make index rows anew, of the types that are named or of all; the right to update each is needed."""
    types = await _types(exchange) or sorted(resource_types())
    _demand(exchange, types)
    run = await reindexing.begin(exchange.s, types, by=exchange.by, now=exchange.now)
    return Response(status_code=202, headers={"Content-Location": f"{exchange.base}/_reindex/{run}"})


@router.api_route("/_reindex/{run}", methods=["GET", "HEAD"])
async def status(run: str, exchange: Exchanging) -> Response:
    """Say how far a reindexing is."""
    known = run.isascii() and run.isprintable()
    found = await reindexing.progress(exchange.s, run) if known else None
    if found is None:
        raise UnknownResource
    _demand(exchange, found.types)
    running = found.finished is None
    response = fhir_json(_parameters(found), 202 if running else 200)
    if running:
        response.headers["X-Progress"] = f"{found.done}/{found.total}"
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _demand(exchange: Exchange, types: list[str] | tuple[str, ...]) -> None:
    if not isinstance(exchange.caller, ClientPrincipal):
        raise RoleNotAllowed
    for rtype in types:
        exchange.demand(rtype, "u")


async def _types(exchange: Exchange) -> list[str]:
    named: list[Any] = [
        value for name, value in exchange.request.query_params.multi_items() if name == "type"
    ]
    if await exchange.request.body():
        given = parameters_of(parse(await exchange.body()))
        if given.keys() - {"type"}:
            raise MalformedRequest("the only parameter is type")
        named += [item.get("valueCode", item.get("valueString")) for item in given.get("type", ())]
    if not all(isinstance(name, str) for name in named):
        raise MalformedRequest("type is a code")
    return sorted({part for name in named for part in name.split(",")})


def _parameters(found: reindexing.Progress) -> bytes:
    said: list[dict[str, Any]] = [
        {"name": "state", "valueCode": found.state},
        *({"name": name, "valueInteger": count} for name, count in _counts(found)),
        *({"name": name, "valueInstant": instant(at)} for name, at in _instants(found)),
        *({"name": "type", "valueCode": rtype} for rtype in found.types),
    ]
    return write({"resourceType": "Parameters", "parameter": said})


def _counts(found: reindexing.Progress) -> list[tuple[str, int]]:
    """FHIR's integer has 32 bits; a hub with more resources than that says so much."""
    counts = {"total": found.total, "done": found.done, "changed": found.changed, "failed": found.failed}
    return [(name, min(count, 2**31 - 1)) for name, count in counts.items()]


def _instants(found: reindexing.Progress) -> list[tuple[str, datetime]]:
    instants = {"started": found.started, "finished": found.finished}
    return [(name, at) for name, at in instants.items() if at is not None]
