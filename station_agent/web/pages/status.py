"""How the station is: for the head of every page, and for programs."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from station_agent import clock
from station_agent.condition import machine, summary
from station_agent.staff.sessions import touched
from station_agent.store import Tx, calls, outbox, settings
from station_agent.web.pages.common import agent_of, now, session_of
from station_agent.web.render import page

CALLED = ("accepted", "connecting", "active", "reconnecting")


async def status(request: Request) -> Response:
    """Return the station's state as JSON: counts and codes, nothing about patients."""
    agent = agent_of(request)
    at = now()
    found = await agent.database.run(lambda tx: summary(tx, running=True, now=at))
    found |= {"link": agent.link.state.value, "link_reason": agent.link.reason}
    return JSONResponse({**found, **machine(agent.options.directory)})


async def bar(request: Request) -> Response:
    """The head's state: link, what waits, and a doctor who is there."""

    def gather(tx: Tx) -> dict[str, Any]:
        return {
            "counts": outbox.counts(tx),
            "contact": settings.get(tx, "last_contact"),
            "called": [call for call in calls.open_calls(tx) if call.state in CALLED],
            "here": request.headers.get("HX-Current-URL", ""),
        }

    found = await agent_of(request).database.run(gather)
    if any(found["here"].endswith(f"/cases/{call.id}") for call in found["called"]):
        touched(session_of(request), at=clock.since_boot())  # who talks to a doctor does not touch the desk
    return page(request, "partials/bar.html", **found)


routes: list[BaseRoute] = [Route("/api/status", status), Route("/status-bar", bar)]
