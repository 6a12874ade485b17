"""FHIR R4 search at ``/fhir/Type`` and ``/fhir/Type/_search``. Included before the other records routes."""

from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Response

from clinic_net.fhir import Search
from clinic_net.fhir.search import parse_everywhere, parse_types
from clinic_net.records import audit_answers
from clinic_net.records.entries import Pairs
from clinic_net.records.formats import demand_format
from clinic_net.records.http import Exchange, Exchanging, FhirRoute, fhir_json
from clinic_net.records.reading import Found
from clinic_net.records.render import search_bundle
from clinic_net.records.searching import Searching, find, find_everywhere, find_types

router = APIRouter(prefix="/fhir", route_class=FhirRoute, dependencies=[Depends(demand_format)])
_READ = ["GET", "HEAD"]


@router.post("/{rtype:type_name}/_search")
async def search_by_form(rtype: str, exchange: Exchanging) -> Response:
    """Search a type, with parameters that stay out of the address."""
    return await _search(exchange, rtype, await exchange.form())


@router.api_route("", methods=_READ)
@router.api_route("/", methods=_READ, include_in_schema=False)
async def search_types(exchange: Exchanging) -> Response:
    """Search several types at once, or all."""
    return await _search_types(exchange, exchange.request.query_params.multi_items())


@router.post("/_search")
async def search_types_by_form(exchange: Exchanging) -> Response:
    """Search several types at once, or all, with parameters that stay out of the address."""
    return await _search_types(exchange, await exchange.form())


async def _search(exchange: Exchange, rtype: str, pairs: Pairs) -> Response:
    if audit_answers.is_asked(exchange, rtype):
        return await audit_answers.search(exchange, pairs)
    exchange.demand(rtype, "s")
    asked, cursor = exchange.asked(rtype, pairs)
    found = await find(exchange.s, asked, Searching(exchange.caller, exchange.now), cursor=cursor)
    return page(exchange, found, asked, rtype)


async def _search_types(exchange: Exchange, pairs: Pairs) -> Response:
    cursor = next((value for name, value in pairs if name == "_cursor"), None)
    rest = [pair for pair in pairs if pair[0] != "_cursor"]
    lenient = exchange.preference("handling") == "lenient"
    if not any(name == "_type" for name, _ in rest):
        everywhere = parse_everywhere(rest, lenient=lenient, base_url=exchange.base)
        by = Searching(exchange.caller, exchange.now)
        everything = await find_everywhere(exchange.s, everywhere, by, cursor=cursor)
        return page(exchange, everything, everywhere, "")
    asked = parse_types(rest, lenient=lenient, base_url=exchange.base)
    found = await find_types(exchange.s, asked, Searching(exchange.caller, exchange.now), cursor=cursor)
    return page(exchange, found, asked[0], "")


def page(exchange: Exchange, found: Found, asked: Search, path: str) -> Response:
    """Return a page of a search at ``path``, with the links to itself and to the next one."""
    address = f"{exchange.base}/{path}?" if path else f"{exchange.base}?"
    links = [("self", address + urlencode(asked.applied))]
    if found.next is not None:
        links.append(("next", address + urlencode([*asked.applied, ("_cursor", found.next)])))
    return fhir_json(search_bundle(found, asked, base=exchange.base, links=links))
