"""The busy addresses of ``/fhir``: read, search a type, create, update, bundles.

They are plain Starlette routes: what FastAPI does for a request costs more than reading a record does. A system
client's plain requests share transactions with others (``lanes``); any other has a transaction of its own.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clinic_net.access.http import claimed_by_token, principal_of
from clinic_net.access.limits import charge, charge_client
from clinic_net.access.principals import ClientPrincipal
from clinic_net.kernel.disconnect import unless_gone
from clinic_net.kernel.errors import Place
from clinic_net.kernel.gate import lightly
from clinic_net.kernel.http import hub_of
from clinic_net.kernel.hub import Hub
from clinic_net.records import audit_answers, service
from clinic_net.records.bundle_rules import Asking
from clinic_net.records.drafts import Order, draft
from clinic_net.records.entries import pairs_of
from clinic_net.records.errors import MalformedRequest
from clinic_net.records.formats import demand_format
from clinic_net.records.http import (
    TRANSPORT,
    Exchange,
    answered,
    exchange_of,
    fhir_json,
    not_changed,
    resource,
    written,
)
from clinic_net.records.lanes import lanes_of
from clinic_net.records.plain_bundles import read_plain
from clinic_net.records.preconditions import none_match
from clinic_net.records.search_routes import page
from clinic_net.records.searching import Searching, find
from clinic_net.records.shapes import Stored

Handler = Callable[[Exchange], Awaitable[Response]]
_Done = TypeVar("_Done")


async def _by_itself(
    request: Request, hub: Hub, work: Callable[[Exchange], Awaitable[_Done]], *, charged: bool = True
) -> _Done:
    """Do something in a transaction of its own, as long as the client waits for it."""

    async def alone() -> _Done:
        now = hub.now()
        async with hub.requests() as session, session.begin():
            caller = await principal_of(request, session, hub.settings, now=now)
            if not charged:
                await charge(request, hub, caller)
            return await work(exchange_of(request, hub, session, caller, now))

    return await unless_gone(request, alone())


async def _alone(exchange: Exchange, work: Callable[[Exchange], Awaitable[_Done]]) -> _Done:
    """Do something in the exchange's own transaction, or in one made for it."""
    if exchange.session is not None:
        return await work(exchange)
    return await _by_itself(exchange.request, exchange.hub, work)


def _route(
    path: str,
    methods: list[str],
    handler: Handler,
    *,
    shares: Callable[[Request], bool] = lambda request: True,
    described: bool = True,
) -> Route:
    """Return the route of a handler; a client's requests that ``shares`` allows come without a transaction."""

    async def handle(request: Request) -> Response:
        await demand_format(request)
        hub = hub_of(request)
        client = claimed_by_token(request, hub) if shares(request) else None
        if client is not None:
            charge_client(request, hub, client)
            return await handler(exchange_of(request, hub, None, client, hub.now()))
        return await _by_itself(request, hub, handler, charged=False)

    async def endpoint(request: Request) -> Response:
        request.scope["route"] = route  # for the log, which must not hold the path
        return await answered(request, handle)

    endpoint.__doc__ = handler.__doc__  # told in the OpenAPI document
    route = Route(path, endpoint, methods=methods, include_in_schema=described)
    return route


def _is_plain(request: Request) -> bool:
    """Whether a create has no criteria."""
    return "if-none-exist" not in request.headers and not request.query_params and _stands_alone(request)


def _stands_alone(request: Request) -> bool:
    """Whether nothing follows from a write: a Consent decides who sees what."""
    return request.path_params.get("rtype") != "Consent"


async def read(exchange: Exchange) -> Response:
    """Read the current version."""
    rtype, fid = exchange.named
    if audit_answers.is_asked(exchange, rtype):
        return await _alone(exchange, lambda alone: audit_answers.read(alone, fid))
    exchange.demand(rtype, "r", fid)
    if exchange.session is None and isinstance(exchange.caller, ClientPrincipal):
        with lightly():
            stored = await lanes_of(exchange.hub).read(exchange.caller, rtype, fid)
    else:
        stored = await service.read(
            exchange.s, rtype, fid, scope=exchange.scope, now=exchange.now, by=exchange.by
        )
    if not_changed(exchange.request, stored):
        return Response(status_code=304, headers={"ETag": f'W/"{stored.version}"'})
    return resource(exchange.cut(stored))


async def search(exchange: Exchange) -> Response:
    """Search a type."""
    rtype, _ = exchange.named
    if audit_answers.is_asked(exchange, rtype):
        return await _alone(exchange, lambda alone: audit_answers.search(alone, alone.pairs))
    exchange.demand(rtype, "s")
    asked, cursor = exchange.asked(rtype, exchange.pairs)
    travelling = None
    if exchange.session is None and isinstance(exchange.caller, ClientPrincipal):
        travelling = lanes_of(exchange.hub).looking(exchange.caller, asked, cursor)
    if travelling is not None:
        with lightly():
            found = await lanes_of(exchange.hub).search(travelling)
    elif exchange.session is not None:
        found = await find(exchange.s, asked, Searching(exchange.caller, exchange.now), cursor=cursor)
    else:
        found = await _by_itself(
            exchange.request,
            exchange.hub,
            lambda alone: find(alone.s, asked, Searching(alone.caller, alone.now), cursor=cursor),
        )
    return page(exchange, found, asked, rtype)


async def create(exchange: Exchange) -> Response:
    """Create a resource, or find it by the criteria of ``If-None-Exist``.

    Criteria in the address mean the same: some clients put them there, and a create that overlooked them would make
    what its caller asked not to make.
    """
    rtype, _ = exchange.named
    exchange.demand(rtype, "c")
    text = await exchange.body()
    header = exchange.request.headers.get("if-none-exist")
    query = [pair for pair in exchange.pairs if pair[0] not in TRANSPORT]
    if header is not None and query:
        raise MalformedRequest("criteria stand in If-None-Exist or in the address, not in both")
    if header is None and not query:
        return written(exchange, await _store(exchange, text, rtype, None))
    stored = await service.put_unless_found(
        exchange.s,
        text,
        exchange.criteria(rtype, query or pairs_of(header or "")),
        scope=exchange.scope,
        author=exchange.by,
        tenant=exchange.tenant,
        now=exchange.now,
        with_patient=True,
    )
    return written(exchange, stored)


async def update(exchange: Exchange) -> Response:
    """Write the next version, or create a resource under an id of the caller's choice."""
    rtype, fid = exchange.named
    exchange.demand(rtype, "u")
    text = await exchange.body()
    return written(exchange, await _store(exchange, text, rtype, fid))


async def _store(exchange: Exchange, text: bytes, rtype: str, fid: str | None) -> Stored:
    made = draft(text, rtype=rtype, fid=fid, now=exchange.now)
    if fid is not None and made.resource.get("id") != fid:
        place = Place(f"{rtype}.id", "wrong-id", "not the id of the address")
        raise MalformedRequest("the resource's id must be the id of the address", places=[place])
    order = Order(
        made,
        exchange.scope,
        exchange.by,
        exchange.tenant,
        if_match=exchange.if_match if fid else None,
        if_none_match=none_match(exchange.request.headers.get("if-none-match")) if fid else None,
        with_patient=True,
    )
    if exchange.session is None and isinstance(exchange.caller, ClientPrincipal):
        with lightly():
            return await lanes_of(exchange.hub).write(exchange.caller, order)
    return await service.put_order(exchange.s, order, now=exchange.now)


async def bundle(exchange: Exchange) -> Response:
    """Carry out a transaction or a batch."""
    text = await exchange.body()
    whole = exchange.preference("return") == "representation"
    asking = Asking(exchange.caller, exchange.tenant, exchange.base, exchange.now, whole)
    lanes = lanes_of(exchange.hub)
    if exchange.session is not None:
        return fhir_json(await service.run_bundle(exchange.s, text, asking))
    async with lanes.heavy.turn():
        plain = await read_plain(text, asking)
        if plain is None:
            return fhir_json(
                await _by_itself(
                    exchange.request,
                    exchange.hub,
                    lambda alone: service.run_bundle(alone.s, text, asking),
                )
            )
    assert isinstance(exchange.caller, ClientPrincipal)
    return fhir_json(plain.answer(await lanes.store(exchange.caller, plain)))


routes = [
    _route("/fhir/{rtype:type_name}/{fid:resource_id}", ["GET", "HEAD"], read),
    _route("/fhir/{rtype:type_name}", ["GET", "HEAD"], search),
    _route(
        "/fhir/{rtype:type_name}",
        ["POST"],
        create,
        shares=_is_plain,
    ),
    _route("/fhir/{rtype:type_name}/{fid:resource_id}", ["PUT"], update, shares=_stands_alone),
    _route("/fhir", ["POST"], bundle),
    _route("/fhir/", ["POST"], bundle, described=False),
]
"""To be put before every other route of ``/fhir``."""
