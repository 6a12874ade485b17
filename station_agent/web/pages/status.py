"""How the station is: for the head of every page, and for programs."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from station_agent.agent import summary
from station_agent.store import Tx, calls, outbox, settings
from station_agent.web.pages.common import agent_of
from station_agent.web.render import page

CALLED = ("accepted", "connecting", "active", "reconnecting")


async def status(request: Request) -> Response:
    """Return the station's state as JSON: counts and codes, nothing about patients."""
    agent = agent_of(request)
    found = await agent.database.run(lambda tx: summary(tx, running=True))
    return JSONResponse({**found, "link": agent.link.state.value, "link_reason": agent.link.reason})


async def bar(request: Request) -> Response:
    """The head's state: link, what waits, and a doctor who is there."""

    def gather(tx: Tx) -> dict[str, Any]:
        return {
            "counts": outbox.counts(tx),
            "contact": settings.get(tx, "last_contact"),
            "called": [call for call in calls.open_calls(tx) if call.state in CALLED],
            "here": request.headers.get("HX-Current-URL", ""),
        }

    return page(request, "partials/bar.html", **await agent_of(request).database.run(gather))


routes: list[BaseRoute] = [Route("/api/status", status), Route("/status-bar", bar)]
