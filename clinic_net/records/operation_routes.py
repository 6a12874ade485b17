"""Operations: their addresses, parameters and rights."""

from typing import Any

from fastapi import APIRouter, Response

from clinic_net.fhir import Patch, check, operation_outcome, parse, write
from clinic_net.records import operations, service
from clinic_net.records.entries import Pairs
from clinic_net.records.errors import MalformedRequest
from clinic_net.records.http import Exchange, Exchanging, FhirRoute, fhir_json
from clinic_net.records.render import everything_bundle, match_bundle
from clinic_net.records.searching import Searching

router = APIRouter(route_class=FhirRoute)
_READ = ["GET", "HEAD"]
_RIGHTS = {"create": "c", "update": "u", "delete": "d"}


async def _meta(exchange: Exchange, rtype: str, fid: str) -> Response:
    stored = await service.read(
        exchange.s, rtype, fid, scope=exchange.scope, now=exchange.now, by=exchange.by
    )
    returned = [{"name": "return", "valueMeta": parse(stored.text)["meta"]}]
    return fhir_json(write({"resourceType": "Parameters", "parameter": returned}))


@router.api_route("/{rtype:type_name}/{fid}/$meta", methods=_READ)
async def meta(rtype: str, fid: str, exchange: Exchanging) -> Response:
    """Return the profiles, tags and security labels of a resource."""
    exchange.demand(rtype, "r", fid)
    return await _meta(exchange, rtype, fid)


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


@router.api_route("/Observation/$lastn", methods=_READ)
async def lastn(exchange: Exchanging) -> Response:
    """Return the last observations of each code of a patient: ``max`` of each, one if it is not given."""
    exchange.demand("Observation", "s")
    pairs = exchange.request.query_params.multi_items()
    most = [value for name, value in pairs if name == "max"] or ["1"]
    rest = [pair for pair in pairs if pair[0] != "max"]
    if len(most) != 1 or not (most[0].isascii() and most[0].isdigit() and 0 < len(most[0]) < 4):
        raise MalformedRequest("max is one whole number up to 999")
    if not {name.partition(":")[0] for name, _ in rest} & {"patient", "subject"}:
        raise MalformedRequest("patient or subject is needed")
    asked, _ = exchange.asked("Observation", [*rest, ("_sort", "-date")])
    by = Searching(exchange.caller, exchange.now)
    found = await operations.last_of_each(exchange.s, asked, by, most=int(most[0]))
    links = [("self", str(exchange.base) + "/Observation/$lastn")]
    return fhir_json(everything_bundle(found, base=exchange.base, links=links))


@router.post("/Patient/$match")
async def match(exchange: Exchanging) -> Response:
    """Return the patients within reach that fit a description, with score and grade."""
    exchange.demand("Patient", "s")
    exchange.demand("Patient", "r")
    given = operations.parameters_of(parse(await exchange.body()))
    described = [item.get("resource") for item in given.get("resource", ())]
    count = [item.get("valueInteger") for item in given.get("count", ())] or [20]
    certain = [item.get("valueBoolean") for item in given.get("onlyCertainMatches", ())] or [False]
    if len(described) != 1 or not isinstance(described[0], dict) or type(count[0]) is not int:
        raise MalformedRequest("one Patient as resource, and count as a whole number, are expected")
    if described[0].get("resourceType") != "Patient" or check(described[0]):
        raise MalformedRequest("the resource must be a valid Patient")
    by = Searching(exchange.caller, exchange.now)
    most = min(max(count[0], 0), 100)
    only = certain[0] is True
    found = await operations.matches(exchange.s, described[0], by, only_certain=only, count=most)
    return fhir_json(match_bundle(found, base=exchange.base))


@router.post("/{rtype:type_name}/$validate")
async def validate(rtype: str, exchange: Exchanging) -> Response:
    """Say what is wrong with a resource, without storing it."""
    return await _validate(exchange, rtype, None)


@router.post("/{rtype:type_name}/{fid}/$validate")
async def validate_instance(rtype: str, fid: str, exchange: Exchanging) -> Response:
    """Say what would be wrong with a change or the deletion of a resource, without doing it."""
    return await _validate(exchange, rtype, fid)


async def _validate(exchange: Exchange, rtype: str, fid: str | None) -> Response:
    content: Any = parse(await exchange.body())
    query: Pairs = exchange.request.query_params.multi_items()
    modes = [value for name, value in query if name == "mode"]
    profiles: list[Any] = [value for name, value in query if name == "profile"]
    if content.get("resourceType") == "Parameters" and rtype != "Parameters":
        given = operations.parameters_of(content)
        modes += [item.get("valueCode", "") for item in given.get("mode", ())]
        for item in given.get("profile", ()):
            profiles.append(item.get("valueUri") or item.get("valueCanonical"))
        content = next((item.get("resource") for item in given.get("resource", ())), None)
    mode = modes[0] if modes else ("create" if fid is None else "update")
    if mode not in _RIGHTS or len(modes) > 1 or (mode == "delete" and fid is None):
        raise MalformedRequest("mode is create, update, or delete at the address of a resource")
    exchange.demand(rtype, _RIGHTS[mode], fid)
    operations.checked_profile(profiles, rtype)
    if fid is not None:
        exchange.demand(rtype, "r", fid)
        await service.read(exchange.s, rtype, fid, scope=exchange.scope, now=exchange.now, by=exchange.by)
    if mode == "delete":
        return fhir_json(write(operation_outcome([])))
    if not isinstance(content, dict) or content.get("resourceType") != rtype:
        raise MalformedRequest("a resource of the type of the address is expected")
    if mode == "update" and (not content.get("id") or fid not in (None, content["id"])):
        raise MalformedRequest("an update needs the id of the address in the resource")
    return fhir_json(write(operation_outcome(check(content))))
