"""What a request costs, and from whose bucket it is drawn: a person's, a station's, a system's, an address's."""

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from clinic_net.access.principals import ClientPrincipal, Principal, StationPrincipal, UserPrincipal
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.rates import TOLD, Left, LimitReached, rates_of

READ, WRITE, HEAVY = 1, 5, 20
"""Points. A write costs some five reads, and what collects a whole record or stores a bundle some twenty."""
FAILED = 5
"""Points that a request whose credential is none costs the address it came from."""

_HEAVY_ENDS = ("$everything", "$reindex", "$export", "/_history", "/fhir", "/fhir/", "/fhir/_search")
_URGENT_ENDS = ("/accept", "/ring", "/card")
"""Of a consultation: taking it, ringing for it, looking at it while it rings."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def cost_of(method: str, path: str) -> int:
    """Return the points that a request costs."""
    if path.endswith(_HEAVY_ENDS):
        return HEAVY
    return READ if method in _SAFE or path.endswith("/_search") else WRITE


def is_urgent(path: str) -> bool:
    """Whether a person's request may draw what is kept for the urgent."""
    return path.startswith(("/consultations/", "/cases/")) and path.endswith(_URGENT_ENDS)


async def charge(connection: HTTPConnection, hub: Hub, caller: Principal, *, urgent: bool = False) -> None:
    """Draw what this request costs from its caller's bucket.

    A system client's bucket is this process's own: its requests are many and must not wait for Valkey.

    Raises:
        LimitReached: nothing is left for such a request.
    """
    path, settings = connection.url.path, hub.settings
    cost = cost_of(connection.scope.get("method", "GET"), path)
    rates = rates_of(hub)
    try:
        match caller:
            case ClientPrincipal(client_id=client):
                left = rates.here("client", client, limit=settings.rate_client, cost=cost)
            case StationPrincipal(address=address):
                left = await rates.everywhere(
                    "station", address, limit=settings.rate_station, cost=cost, urgent=urgent
                )
            case UserPrincipal(address=address):
                left = await rates.everywhere(
                    "person", address, limit=settings.rate_person, cost=cost, urgent=urgent or is_urgent(path)
                )
    except LimitReached as reached:
        connection.scope[TOLD] = reached.left
        raise
    _tell(connection, left)


def charge_client(request: Request, hub: Hub, client: ClientPrincipal) -> None:
    """Draw what a system client's request costs, without waiting for anything.

    Raises:
        LimitReached: see ``charge``.
    """
    cost = cost_of(request.method, request.scope["path"])
    try:
        left = rates_of(hub).here("client", client.client_id, limit=hub.settings.rate_client, cost=cost)
    except LimitReached as reached:
        request.scope[TOLD] = reached.left
        raise
    _tell(request, left)


def _tell(connection: HTTPConnection, left: Left | None) -> None:
    """Have the answer tell what is left, once it is less than half."""
    if left is not None and left.remaining * 2 < left.limit:
        connection.scope[TOLD] = left


def address_of(connection: HTTPConnection) -> str:
    return connection.client.host[:60] if connection.client is not None else "unknown"


def failed(connection: HTTPConnection, hub: Hub) -> None:
    """Note that a credential from this address was none. Its next requests without one may be refused for it."""
    try:
        rates_of(hub).here("address", address_of(connection), limit=hub.settings.rate_address, cost=FAILED)
    except LimitReached:
        return


class LimitStrangers:
    """Bound what an address may ask for without any credential.

    Requests with one are bounded by it: a province behind one router must not be locked out by a neighbour.
    """

    _FREE = ("/healthz", "/readyz", "/metrics", "/static/", "/browser/")

    def __init__(self, app: ASGIApp, *, cookie: str) -> None:
        self._app = app
        self._cookie = f"{cookie}=".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = None
        if scope["type"] == "http" and not self._has_credential(scope):
            refused = None if scope["path"].startswith(self._FREE) else self._charge(scope)
        await (refused or self._app)(scope, receive, send)

    def _has_credential(self, scope: Scope) -> bool:
        return any(
            name == b"authorization" or (name == b"cookie" and self._cookie in value)
            for name, value in scope["headers"]
        )

    def _charge(self, scope: Scope) -> Response | None:
        request = Request(scope)
        hub = getattr(request.app.state, "hub", None)
        if hub is None:
            return None
        cost = cost_of(scope["method"], scope["path"])
        try:
            rates_of(hub).here("address", address_of(request), limit=hub.settings.rate_address, cost=cost)
        except LimitReached as reached:
            headers = {"Retry-After": str(reached.retry_after), **reached.left.headers()}
            return Response(b"", 429, headers)
        return None
