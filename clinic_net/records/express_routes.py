"""The busy addresses of ``/fhir``: read, search a type, create, update, bundles.

They are plain Starlette routes: what FastAPI does for a request costs more than reading a record does. A system
client's plain requests share transactions with others (``lanes``); any other has a transaction of its own.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clinic_net.access.http import claimed_by_token, principal_of
from clinic_net.access.principals import ClientPrincipal
from clinic_net.kernel.http import hub_of
from clinic_net.kernel.hub import Hub
from clinic_net.records import rules, service
from clinic_net.records.bundles import Asking
from clinic_net.records.drafts import Order, draft
from clinic_net.records.entries import pairs_of
from clinic_net.records.errors import MalformedRequest
from clinic_net.records.formats import demand_format
from clinic_net.records.http import Exchange, answered, exchange_of, fhir_json, not_changed, resource, written
from clinic_net.records.lanes import lanes_of
from clinic_net.records.preconditions import none_match
from clinic_net.records.search_routes import page
from clinic_net.records.searching import Searching, find
from clinic_net.records.shapes import Stored

Handler = Callable[[Exchange], Awaitable[Response]]


@asynccontextmanager
async def _alone(request: Request, hub: Hub) -> AsyncIterator[Exchange]:
    """Give an exchange with a transaction of its own."""
    now = hub.now()
    async with hub.sessions() as session, session.begin():
        caller = await principal_of(request, session, hub.settings, now=now)
        yield exchange_of(request, hub, session, caller, now)


def _route(
    path: str,
    methods: list[str],
    handler: Handler,
    *,
    shares: Callable[[Request], bool] = lambda request: True,
) -> Route:
    """Return the route of a handler; a client's requests that ``shares`` allows come without a transaction."""

    async def handle(request: Request) -> Response:
        await demand_format(request)
        hub = hub_of(request)
        client = claimed_by_token(request, hub) if shares(request) else None
        if client is not None:
            return await handler(exchange_of(request, hub, None, client, hub.now()))
        async with _alone(request, hub) as exchange:
            return await handler(exchange)

    async def endpoint(request: Request) -> Response:
        request.scope["route"] = route  # for the log, which must not hold the path
        return await answered(request, handle)

    route = Route(path, endpoint, methods=methods)
    return route


async def read(exchange: Exchange) -> Response:
    """Read the current version."""
    rtype, fid = exchange.named
    exchange.demand(rtype, "r", fid)
    if exchange.session is None and isinstance(exchange.caller, ClientPrincipal):
        stored = await lanes_of(exchange.hub).read(exchange.caller, rtype, fid)
    else:
        stored = await service.read(
            exchange.s, rtype, fid, scope=exchange.scope, now=exchange.now, by=exchange.by
        )
    if not_changed(exchange.request, stored):
        return Response(status_code=304, headers={"ETag": f'W/"{stored.version}"'})
    return resource(stored)


async def search(exchange: Exchange) -> Response:
    """Search a type."""
    rtype, _ = exchange.named
    exchange.demand(rtype, "s")
    asked, cursor = exchange.asked(rtype, exchange.pairs)
    travelling = None
    if exchange.session is None and isinstance(exchange.caller, ClientPrincipal):
        travelling = lanes_of(exchange.hub).looking(exchange.caller, asked, cursor)
    if travelling is not None:
        found = await lanes_of(exchange.hub).search(travelling)
    elif exchange.session is not None:
        found = await find(exchange.s, asked, Searching(exchange.caller, exchange.now), cursor=cursor)
    else:
        async with _alone(exchange.request, exchange.hub) as alone:
            found = await find(alone.s, asked, Searching(alone.caller, alone.now), cursor=cursor)
    return page(exchange, found, asked, rtype)


async def create(exchange: Exchange) -> Response:
    """Create a resource, or find it by the criteria of ``If-None-Exist``."""
    rtype, _ = exchange.named
    exchange.demand(rtype, "c")
    text = await exchange.body()
    criteria = exchange.request.headers.get("if-none-exist")
    if criteria is None:
        return written(exchange, await _store(exchange, text, rtype, None))
    stored = await service.put_unless_found(
        exchange.s,
        text,
        exchange.criteria(rtype, pairs_of(criteria)),
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
    if not rules.ID.fullmatch(fid):
        raise MalformedRequest("an id has 1 to 64 letters, digits, hyphens and dots")
    return written(exchange, await _store(exchange, text, rtype, fid))


async def _store(exchange: Exchange, text: bytes, rtype: str, fid: str | None) -> Stored:
    made = draft(text, rtype=rtype, fid=fid, now=exchange.now)
    if fid is not None and made.resource.get("id") != fid:
        raise MalformedRequest("the resource's id must be the id of the address")
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
        return await lanes_of(exchange.hub).write(exchange.caller, order)
    return await service.put_order(exchange.s, order, now=exchange.now)


async def bundle(exchange: Exchange) -> Response:
    """Carry out a transaction or a batch."""
    text = await exchange.body()
    whole = exchange.preference("return") == "representation"
    asking = Asking(exchange.caller, exchange.tenant, exchange.base, exchange.now, whole)
    return fhir_json(await service.run_bundle(exchange.s, text, asking))


routes = [
    _route("/fhir/{rtype:type_name}/{fid:identity}", ["GET", "HEAD"], read),
    _route("/fhir/{rtype:type_name}", ["GET", "HEAD"], search),
    _route(
        "/fhir/{rtype:type_name}",
        ["POST"],
        create,
        shares=lambda request: "if-none-exist" not in request.headers,
    ),
    _route("/fhir/{rtype:type_name}/{fid:identity}", ["PUT"], update),
    _route("/fhir", ["POST"], bundle, shares=lambda request: False),
    _route("/fhir/", ["POST"], bundle, shares=lambda request: False),
]
"""To be put before every other route of ``/fhir``."""
