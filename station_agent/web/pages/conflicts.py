"""Two versions of a record side by side, and the decision; it works with the link down."""

from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from clinic_net.protocol.sync.comparing import UndecidedError
from clinic_net.protocol.sync.merge import Side
from station_agent import reviewing
from station_agent.reviewing import ChangedMeanwhileError, Decision
from station_agent.store import Tx, patients
from station_agent.web.conflict_words import FIELDS, said
from station_agent.web.pages.common import agent_of, doing, fields_of, form_of, id_in_path, now, see
from station_agent.web.render import page

_ANSWERS = 200
"""Questions that a form can answer."""


async def show(request: Request) -> Response:
    """One record of which two versions wait."""
    task, version = id_in_path(request), request.query_params.get("version")

    def gather(tx: Tx) -> dict[str, Any]:
        looked = reviewing.look(tx, task, version)
        patient = looked.review.patient
        people = patients.names(tx, [patient]) if patient else {}
        return {"looked": looked, "person": people.get(patient) if patient else None}

    found = await agent_of(request).database.run(gather)
    problem = request.query_params.get("problem", "")
    return page(request, "conflict.html", fields=FIELDS, said=said, problem=problem, **found)


async def decide(request: Request) -> Response:
    """Store what the nurse decided, and go on to what else waits."""
    task, at, agent = id_in_path(request), now(), agent_of(request)
    decision = _decision(task, fields_of(await form_of(request)))
    site = str((agent.enrolment or {}).get("station", ""))
    try:
        done = await agent.database.run(
            lambda tx: reviewing.settle(tx, decision, site=site, doing=doing(request, at))
        )
    except UndecidedError:
        again = {"problem": "undecided", **({"version": decision.sibling} if decision.sibling else {})}
        return see(f"/conflicts/{task}?{urlencode(again)}")
    except ChangedMeanwhileError:
        return see(f"/conflicts/{task}?problem=changed")
    agent.saved()
    return see("/waiting" if done else f"/conflicts/{task}")


def _decision(task: str, fields: dict[str, str]) -> Decision:
    sides = {each.value: each for each in Side}
    chosen = {number: fields.get(f"q{number}", "") for number in range(_ANSWERS)}
    answers = {number: sides[side] for number, side in chosen.items() if side in sides}
    whole = sides.get(fields.get("whole", ""))
    return Decision(task, fields.get("version") or None, fields.get("seen", ""), whole, answers)


routes: list[BaseRoute] = [
    Route("/conflicts/{id}", show),
    Route("/conflicts/{id}", decide, methods=["POST"]),
]
