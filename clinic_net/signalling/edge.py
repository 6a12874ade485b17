"""``/signal``: who may open a socket, and what the application does to have one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from clinic_net.access.errors import CredentialRevoked, CrossSite
from clinic_net.access.http import principal_of_socket
from clinic_net.access.principals import ClientPrincipal, Principal
from clinic_net.kernel.errors import Refusal, Unauthenticated
from clinic_net.kernel.http import hub_of
from clinic_net.protocol.signalling import SUBPROTOCOL, CloseCode
from clinic_net.signalling.node import Node

log = structlog.get_logger()


def mount(app: FastAPI) -> None:
    """Add the route."""
    app.router.routes.append(WebSocketRoute("/signal", signal))


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[Node]:
    """Run this process's node while the application lives; ``app.state.hub`` must be open."""
    node = Node(app.state.hub)
    app.state.signalling = node
    async with node.running():
        yield node


async def signal(websocket: WebSocket) -> None:
    """Serve one socket of ``clinicnet.signal.v1``.

    Without the sub-protocol, or with a cookie from another site's page, the handshake is refused. Other
    refusals are close codes, because a browser does not tell a page the status of a refused handshake.
    """
    if SUBPROTOCOL not in websocket.scope["subprotocols"]:
        await websocket.close()
        return
    try:
        principal = await _principal(websocket)
    except CrossSite:
        log.warning("signal_cross_site")
        await websocket.close()
        return
    await websocket.accept(subprotocol=SUBPROTOCOL)
    if isinstance(principal, CloseCode):
        await websocket.close(principal)
        return
    await websocket.app.state.signalling.serve(websocket, principal)


async def _principal(websocket: WebSocket) -> Principal | CloseCode:
    try:
        principal = await principal_of_socket(websocket, hub_of(websocket))
    except CrossSite:
        raise
    except CredentialRevoked:
        return CloseCode.REVOKED
    except Unauthenticated:
        return CloseCode.UNAUTHENTICATED
    except (Refusal, SQLAlchemyError, OSError, TimeoutError):
        return CloseCode.TRY_AGAIN
    return CloseCode.REVOKED if isinstance(principal, ClientPrincipal) else principal
