"""The first page: today's visits, open requests, the language."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from station_agent.store import Tx, calls, outbox, patients, records
from station_agent.web import views
from station_agent.web.pages.common import agent_of, day_start, fields_of, form_of, local, now, see
from station_agent.web.render import LANGUAGE_COOKIE, LANGUAGES, page

YEAR_S = 365 * 24 * 3600


async def home(request: Request) -> Response:
    """Today at the station."""
    since = day_start(now())

    def gather(tx: Tx) -> dict[str, Any]:
        return {
            "visits": views.visit_rows(tx, records.visits_since(tx, since)),
            "cases": [case for call in calls.open_calls(tx) if (case := views.case(tx, call.id)) is not None],
            "counts": outbox.counts(tx),
            "people": patients.count(tx),
        }

    shown = "partials/today.html" if request.headers.get("HX-Request") else "home.html"
    return page(request, shown, **await agent_of(request).database.run(gather))


async def language(request: Request) -> Response:
    """Choose the pages' language."""
    fields = fields_of(await form_of(request))
    answer = see(local(fields.get("back", "/")))
    if fields.get("language") in LANGUAGES:
        answer.set_cookie(
            LANGUAGE_COOKIE, fields["language"], max_age=YEAR_S, httponly=True, samesite="strict", path="/"
        )
    return answer


routes: list[BaseRoute] = [
    Route("/", home),
    Route("/language", language, methods=["POST"]),
]
