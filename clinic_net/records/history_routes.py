"""Histories and single versions."""

from urllib.parse import urlencode

from fastapi import APIRouter, Response

from clinic_net.fhir.definitions import resource_types
from clinic_net.records import rules, service
from clinic_net.records.errors import UnknownResource
from clinic_net.records.history import Asked, past, read_parameters
from clinic_net.records.http import Exchange, Exchanging, FhirRoute, fhir_json, resource
from clinic_net.records.render import history_bundle

router = APIRouter(route_class=FhirRoute)
_READ = ["GET", "HEAD"]


@router.api_route("/_history", methods=_READ)
async def system_history(exchange: Exchanging) -> Response:
    """List the versions of everything that the caller may search, newest first."""
    everything = sorted(resource_types())
    allowed = tuple(rtype for rtype in everything if exchange.allows(rtype, "s"))
    if not allowed:
        exchange.demand("Patient", "s")
    return await _answer(exchange, Asked(None if len(allowed) == len(everything) else allowed), "_history")


@router.api_route("/{rtype:type_name}/_history", methods=_READ)
async def type_history(rtype: str, exchange: Exchanging) -> Response:
    """List the versions of the resources of a type, newest first."""
    exchange.demand(rtype, "s")
    return await _answer(exchange, Asked((rtype,)), f"{rtype}/_history")


@router.api_route("/{rtype:type_name}/{fid}/_history", methods=_READ)
async def instance_history(rtype: str, fid: str, exchange: Exchanging) -> Response:
    """List the versions of a resource, newest first."""
    exchange.demand(rtype, "r", fid)
    return await _answer(exchange, Asked((rtype,), fid), f"{rtype}/{fid}/_history")


async def _answer(exchange: Exchange, asked: Asked, path: str) -> Response:
    pairs = exchange.request.query_params.multi_items()
    lenient = exchange.preference("handling") == "lenient"
    asked, cursor, applied = read_parameters(asked, pairs, lenient=lenient)
    found = await past(
        exchange.s, asked, scope=exchange.scope, now=exchange.now, by=exchange.by, cursor=cursor
    )
    address = f"{exchange.base}/{path}"
    links = [("self", address + ("?" + urlencode(applied) if applied else ""))]
    if found.next is not None:
        links.append(("next", f"{address}?{urlencode([*applied, ('_cursor', found.next)])}"))
    return fhir_json(history_bundle(found.versions, base=exchange.base, links=links))


@router.api_route("/{rtype:type_name}/{fid}/_history/{vid}", methods=_READ)
async def vread(rtype: str, fid: str, vid: str, exchange: Exchanging) -> Response:
    """Read one version."""
    exchange.demand(rtype, "r", fid)
    version = rules.etag_version(vid) if vid.isascii() and vid.isdigit() else None
    if version is None:
        raise UnknownResource
    stored = await service.vread(
        exchange.s, rtype, fid, version, scope=exchange.scope, now=exchange.now, by=exchange.by
    )
    return resource(exchange.cut(stored))
