"""A request for a doctor, from "saved here" to "over", with the call in between."""

import asyncio
from uuid import UUID

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from station_agent import service
from station_agent.errors import UnknownRecord
from station_agent.ids import is_uuid
from station_agent.web import views
from station_agent.web.pages.common import agent_of, doing, id_in_path, now, see
from station_agent.web.render import page

log = structlog.get_logger()


async def _case(request: Request) -> views.CaseView:
    call_id = id_in_path(request)
    case = await agent_of(request).database.run(lambda tx: views.case(tx, call_id))
    if case is None or not is_uuid(call_id):
        raise UnknownRecord("no such request on this computer")
    return case


async def show(request: Request) -> Response:
    """The case's page."""
    return page(request, "case.html", case=await _case(request))


async def state(request: Request) -> Response:
    """The part of the page that changes as the case goes on."""
    return page(request, "partials/case_state.html", case=await _case(request))


async def withdraw(request: Request) -> Response:
    """Take the request back, here at once and at the hub when it can be told."""
    case, at = await _case(request), now()
    agent = agent_of(request)
    known_to_hub = case.state not in ("waiting", "refused")
    await agent.database.run(lambda tx: service.withdraw(tx, case.call.id, doing=doing(request, at)))
    agent.saved()
    if known_to_hub:
        # The hub may be away: the session repeats it until it is answered, and the revoked request says the same.
        task = asyncio.create_task(_end_at_hub(request, UUID(case.call.id)))
        agent.keep(task)
    return see(f"/cases/{case.call.id}")


async def _end_at_hub(request: Request, call: UUID) -> None:
    answer = await agent_of(request).signal.request("call.end", {"reason": "cancelled"}, call=call)
    if not answer.ok:
        log.info("call_end_refused", code=str(answer.d.get("code")))


routes: list[BaseRoute] = [
    Route("/cases/{id}", show),
    Route("/cases/{id}/state", state),
    Route("/cases/{id}/withdraw", withdraw, methods=["POST"]),
]
