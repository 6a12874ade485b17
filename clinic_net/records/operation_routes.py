"""Operations: their addresses, parameters and rights."""

from urllib.parse import urlencode

from fastapi import APIRouter, Response

from clinic_net.fhir import Patch, parse, write
from clinic_net.records import operations, rules, service
from clinic_net.records.errors import MalformedRequest, UnknownResource, UnsupportedInteraction
from clinic_net.records.http import Exchange, Exchanging, FhirRoute, fhir_json
from clinic_net.records.operation_inputs import all_inputs, whole_number
from clinic_net.records.render import everything_bundle, match_bundle
from clinic_net.records.searching import Searching
from clinic_net.records.shapes import Stored

router = APIRouter(route_class=FhirRoute)
_ALL_WAYS = ["GET", "HEAD", "POST"]

MOST_OF_EACH = 999


def _returned(stored: Stored) -> Response:
    returned = [{"name": "return", "valueMeta": parse(stored.text)["meta"]}]
    return fhir_json(write({"resourceType": "Parameters", "parameter": returned}))


async def _meta(exchange: Exchange, rtype: str, fid: str) -> Response:
    return _returned(
        await service.read(exchange.s, rtype, fid, scope=exchange.scope, now=exchange.now, by=exchange.by)
    )


@router.api_route("/{rtype:type_name}/{fid}/$meta", methods=_ALL_WAYS)
async def meta(rtype: str, fid: str, exchange: Exchanging) -> Response:
    """Return the profiles, tags and security labels of a resource."""
    exchange.demand(rtype, "r", fid)
    return await _meta(exchange, rtype, fid)


@router.api_route("/{rtype:type_name}/{fid}/_history/{vid}/$meta", methods=_ALL_WAYS)
async def meta_of_version(rtype: str, fid: str, vid: str, exchange: Exchanging) -> Response:
    """Return the profiles, tags and security labels of one version."""
    exchange.demand(rtype, "r", fid)
    version = rules.etag_version(vid) if vid.isascii() and vid.isdigit() else None
    if version is None:
        raise UnknownResource
    found = await service.vread(
        exchange.s, rtype, fid, version, scope=exchange.scope, now=exchange.now, by=exchange.by
    )
    return _returned(found)


@router.api_route("/$meta", methods=_ALL_WAYS, include_in_schema=False)
@router.api_route("/{rtype:type_name}/$meta", methods=_ALL_WAYS, include_in_schema=False)
@router.post("/{rtype:type_name}/{fid}/_history/{vid}/$meta-add", include_in_schema=False)
@router.post("/{rtype:type_name}/{fid}/_history/{vid}/$meta-delete", include_in_schema=False)
async def no_meta(exchange: Exchanging) -> Response:
    """Refuse to sum up the labels of a type or of all, as the standard allows, and to change a version."""
    raise UnsupportedInteraction("name a resource; its versions never change")


@router.post("/{rtype:type_name}/{fid}/$meta-add")
async def meta_add(rtype: str, fid: str, exchange: Exchanging) -> Response:
    """Add profiles, tags and security labels; this makes a version."""
    given = operations.meta_of(operations.parameters_of(parse(await exchange.body())))
    return await _change_meta(exchange, rtype, fid, operations.adding_meta(given))


@router.post("/{rtype:type_name}/{fid}/$meta-delete")
async def meta_delete(rtype: str, fid: str, exchange: Exchanging) -> Response:
    """Delete profiles, tags and security labels; this makes a version."""
    given = operations.meta_of(operations.parameters_of(parse(await exchange.body())))
    return await _change_meta(exchange, rtype, fid, operations.deleting_meta(given))


async def _change_meta(exchange: Exchange, rtype: str, fid: str, change: Patch) -> Response:
    exchange.demand(rtype, "u", fid)
    exchange.demand(rtype, "r", fid)
    await service.patch(exchange.s, rtype, fid, change, exchange.writer, if_match=exchange.if_match)
    return await _meta(exchange, rtype, fid)


@router.api_route("/Observation/$lastn", methods=_ALL_WAYS)
async def lastn(exchange: Exchanging) -> Response:
    """Return the last observations of each code of a patient: ``max`` of each, one if it is not given."""
    exchange.demand("Observation", "s")
    pairs = await all_inputs(exchange)
    most = whole_number(pairs, "max", most=MOST_OF_EACH) or 1
    rest = [pair for pair in pairs if pair[0] != "max"]
    if not {name.partition(":")[0] for name, _ in rest} & {"patient", "subject"}:
        raise MalformedRequest("patient or subject is needed")
    asked, _ = exchange.asked("Observation", [*rest, ("_sort", "-date")])
    by = Searching(exchange.caller, exchange.now)
    found, whole = await operations.last_of_each(exchange.s, asked, by, most=most)
    links = [("self", f"{exchange.base}/Observation/$lastn?{urlencode(pairs)}")]
    return fhir_json(everything_bundle(found, base=exchange.base, links=links, whole=whole))


@router.post("/Patient/$match")
async def match(exchange: Exchanging) -> Response:
    """Return the patients within reach that fit a description, with score and grade."""
    exchange.demand("Patient", "s")
    exchange.demand("Patient", "r")
    asked = operations.match_of(parse(await exchange.body()), exchange.request.query_params.multi_items())
    by = Searching(exchange.caller, exchange.now)
    found = await operations.matches(exchange.s, asked, by)
    return fhir_json(match_bundle(found, base=exchange.base))
