"""``$everything`` of a patient and of an encounter, by GET and by POST."""

from urllib.parse import urlencode

from fastapi import APIRouter, Response

from clinic_net.fhir.definitions import resource_types
from clinic_net.records.errors import UnsupportedInteraction
from clinic_net.records.everything import MAX_PAGE, Asked, everything
from clinic_net.records.http import Exchange, Exchanging, FhirRoute, fhir_json
from clinic_net.records.operation_inputs import (
    dates,
    moment,
    only,
    simple_inputs,
    type_names,
    whole_number,
)
from clinic_net.records.render import record_bundle
from clinic_net.records.searching import Searching
from clinic_net.records.vault import keys_of

router = APIRouter(route_class=FhirRoute)
_ALL_WAYS = ["GET", "HEAD", "POST"]
_OF_BOTH = frozenset({"_since", "_type", "_count"})


@router.api_route("/Patient/{fid}/$everything", methods=_ALL_WAYS)
async def everything_of_patient(fid: str, exchange: Exchanging) -> Response:
    """Return a patient's record, their compartment and what it refers to."""
    return await _everything(exchange, "Patient", fid)


@router.api_route("/Encounter/{fid}/$everything", methods=_ALL_WAYS)
async def everything_of_encounter(fid: str, exchange: Exchanging) -> Response:
    """Return an encounter, what refers to it and what that refers to."""
    return await _everything(exchange, "Encounter", fid)


@router.api_route("/Patient/$everything", methods=_ALL_WAYS, include_in_schema=False)
@router.api_route("/Encounter/$everything", methods=_ALL_WAYS, include_in_schema=False)
async def everything_of_everybody(exchange: Exchanging) -> Response:
    """Refuse to give everybody's record at once, as the standard allows."""
    raise UnsupportedInteraction("name the patient or encounter")


async def _everything(exchange: Exchange, rtype: str, fid: str) -> Response:
    exchange.demand(rtype, "r", fid)
    known = _OF_BOTH | {"start", "end"} if rtype == "Patient" else _OF_BOTH
    pairs = await simple_inputs(exchange, known)
    start, end = dates(pairs, "start"), dates(pairs, "end")
    named = type_names(pairs, "_type")
    for name in named or ():
        exchange.demand(name, "r")
    asked = Asked(
        rtype,
        fid,
        types=tuple(name for name in sorted(named or resource_types()) if exchange.allows(name)),
        since=moment(pairs, "_since"),
        start=None if start is None else start[0],
        end=None if end is None else end[1],
        count=whole_number(pairs, "_count", most=MAX_PAGE) or MAX_PAGE,
    )
    cursor = only(exchange.request.query_params.multi_items(), "_cursor")
    by = Searching(exchange.caller, exchange.now)
    told = await everything(exchange.s, asked, await keys_of(exchange.s), by, cursor=cursor)
    found = told.found
    address = f"{exchange.base}/{rtype}/{fid}/$everything"
    links = [("self", address + ("?" + urlencode(pairs) if pairs else ""))]
    if found.next is not None:
        links.append(("next", f"{address}?{urlencode([*pairs, ('_cursor', found.next)])}"))
    return fhir_json(record_bundle(found, base=exchange.base, links=links, whole=told.whole))
