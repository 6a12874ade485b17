"""The station's web program: pages, their socket, and the browser's libraries."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

import clinic_net.protocol
from station_agent.agent import Agent
from station_agent.errors import StoreDamaged, StoreFull, UnknownRecord
from station_agent.relay.endpoint import Endpoint
from station_agent.staff.sessions import Sessions
from station_agent.web.gate import Desk, Gate, cookie_name
from station_agent.web.guard import Guard, from_own_page
from station_agent.web.pages import (
    accounts,
    cases,
    conflicts,
    home,
    patients,
    pictures,
    sign_in,
    status,
    visits,
    waiting,
)
from station_agent.web.render import HERE, page

BROWSER = Path(clinic_net.protocol.__path__[0]) / "browser"


def create_app(agent: Agent, *, with_link: bool = True, lan: str | None = None) -> Starlette:
    """Build the program around an agent; ``with_link`` False serves the pages and leaves the hub alone.

    ``lan`` is the address under which devices of the local network reach it over TLS.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            if with_link:
                await agent.link_up()
            yield
        finally:
            try:
                if with_link:
                    await agent.link_down()
            finally:
                agent.close()

    desk = Desk(Sessions(), cookie_name(agent.options.port))
    app = Starlette(
        routes=_routes(agent, lan, desk),
        lifespan=lifespan,
        middleware=[Middleware(Guard, lan=lan), Middleware(Gate, desk=desk)],
        exception_handlers={
            UnknownRecord: _not_here, 404: _not_here, StoreFull: _not_saved, StoreDamaged: _not_saved,
        },
    )  # fmt: skip
    app.state.agent = agent
    app.state.desk = desk
    return app


def _routes(agent: Agent, lan: str | None, desk: Desk) -> list[BaseRoute]:
    return [
        *home.routes,
        *sign_in.routes,
        *accounts.routes,
        *status.routes,
        *patients.routes,
        *visits.routes,
        *pictures.routes,
        *cases.routes,
        *waiting.routes,
        *conflicts.routes,
        WebSocketRoute(
            "/signal",
            Endpoint(
                agent.relay,
                trusted=lambda socket: (
                    from_own_page(socket.headers, socket.scope, lan) and desk.lets(socket.headers)
                ),
            ).serve,
        ),
        Mount("/browser", StaticFiles(directory=BROWSER)),
        Mount("/static", StaticFiles(directory=HERE / "static")),
        Route("/healthz", _alive),
    ]


async def _alive(_: Request) -> Response:
    return Response("ok\n", media_type="text/plain")


async def _not_saved(request: Request, error: Exception) -> Response:
    """The disk refused: say so in words, so that nobody believes that it was saved."""
    damaged = isinstance(error, StoreDamaged)
    return page(request, "not_saved.html", status=503 if damaged else 507, damaged=damaged)


async def _not_here(request: Request, _: Exception) -> Response:
    return page(request, "not_here.html", status=404)
