"""Search within a compartment: one type of it, several, or all."""

from fastapi import APIRouter, Response

from clinic_net.fhir.search import parse_types
from clinic_net.fhir.search_compartments import Compartment, compartments, confine
from clinic_net.records import compartments as store
from clinic_net.records.entries import Pairs
from clinic_net.records.errors import UnsupportedInteraction
from clinic_net.records.http import Exchange, Exchanging, FhirRoute
from clinic_net.records.search_routes import page
from clinic_net.records.searching import Searching, find, find_types

router = APIRouter(route_class=FhirRoute)
_READ = ["GET", "HEAD"]


@router.api_route("/{owner:type_name}/{fid}/{rtype:type_name}", methods=_READ)
async def search_compartment(owner: str, fid: str, rtype: str, exchange: Exchanging) -> Response:
    """Search the resources of a type that belong to a patient, an encounter, a practitioner and so on."""
    return await _search(exchange, (owner, fid), rtype, exchange.request.query_params.multi_items())


@router.post("/{owner:type_name}/{fid}/{rtype:type_name}/_search")
async def search_compartment_by_form(owner: str, fid: str, rtype: str, exchange: Exchanging) -> Response:
    """Search a type within a compartment, with parameters that stay out of the address."""
    return await _search(exchange, (owner, fid), rtype, await exchange.form())


@router.api_route("/{owner:type_name}/{fid}/*", methods=_READ)
async def search_whole_compartment(owner: str, fid: str, exchange: Exchanging) -> Response:
    """Search everything that belongs to a patient, an encounter, a practitioner and so on."""
    return await _search_all(exchange, (owner, fid), exchange.request.query_params.multi_items())


@router.post("/{owner:type_name}/{fid}/_search")
async def search_whole_compartment_by_form(owner: str, fid: str, exchange: Exchanging) -> Response:
    """Search a whole compartment, with parameters that stay out of the address."""
    return await _search_all(exchange, (owner, fid), await exchange.form())


def _compartment(owner: str) -> Compartment:
    found = compartments().get(owner)
    if found is None:
        raise UnsupportedInteraction("resources of this type make no compartment")
    return found


async def _search(exchange: Exchange, owner: tuple[str, str], rtype: str, pairs: Pairs) -> Response:
    compartment = _compartment(owner[0])
    exchange.demand(rtype, "s")
    asked, cursor = exchange.asked(rtype, pairs)
    confine(asked, compartment, owner[1])
    found = await find(exchange.s, asked, Searching(exchange.caller, exchange.now), cursor=cursor)
    return page(exchange, found, asked, f"{owner[0]}/{owner[1]}/{rtype}")


async def _search_all(exchange: Exchange, owner: tuple[str, str], pairs: Pairs) -> Response:
    """Search the types that are there and that the caller may search; a type that is named needs the right to it."""
    compartment, fid = _compartment(owner[0]), owner[1]
    cursor = next((value for name, value in pairs if name == "_cursor"), None)
    rest = [pair for pair in pairs if pair[0] != "_cursor"]
    lenient = exchange.preference("handling") == "lenient"
    types = None
    if all(name != "_type" for name, _ in rest):
        allowed = [rtype for rtype in compartment.types if exchange.allows(rtype, "s")]
        if not allowed:
            exchange.demand(compartment.types[0], "s")
        there = await store.types_within(exchange.s, compartment, fid, scope=exchange.scope, now=exchange.now)
        # The first is always asked for, so that every page of the search has the same first part and cursor.
        types = [rtype for rtype in allowed if rtype in there or rtype == allowed[0]]
    searches = parse_types(rest, lenient=lenient, base_url=exchange.base, types=types)
    for search in searches:
        confine(search, compartment, fid)
    by = Searching(exchange.caller, exchange.now)
    found = await find_types(exchange.s, searches, by, cursor=cursor)
    return page(exchange, found, searches[0], f"{owner[0]}/{fid}/*")
