"""How the link is, what waits, what was refused and why, clashes to settle, and how this computer is."""

from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from station_agent import service
from station_agent.condition import machine
from station_agent.errors import UnknownRecord
from station_agent.store import Tx, figures, files, outbox, patients, records, reviews, settings
from station_agent.store.outbox import Waiting
from station_agent.web.link_view import Facts, clock_is_wrong, link_view
from station_agent.web.pages.common import agent_of, doing, fields_of, form_of, now, see, session_of
from station_agent.web.render import page

MOST_MEGABYTES = 100_000


async def waiting(request: Request) -> Response:
    """The link and this computer, in plain words."""

    at = now()

    def gather(tx: Tx) -> dict[str, Any]:
        listed = outbox.listing(tx)
        return {
            "view": link_view(_facts(tx, at)),
            "refused": [w for w in listed if w.leg == "quarantined"],
            "reviews": reviews.listing(tx),
            "clashes": [(w, _clash(tx, w)) for w in listed if _is_clash(tx, w)],
            "waiting": [w for w in listed if w.leg in ("waiting", "sent")],
            "attachments": files.waiting(tx),
            "contact": settings.get(tx, "last_contact"),
            "people": patients.names(
                tx,
                sorted(
                    {w.patient for w in listed if w.patient}
                    | {r.patient for r in reviews.listing(tx) if r.patient}
                ),
            ),
            "clock_wrong": clock_is_wrong(settings.get(tx, "clock_offset")),
        }

    agent = agent_of(request)
    found = await agent.database.run(gather)
    return page(request, "waiting.html", machine=machine(agent.options.directory), **found)


def _facts(tx: Tx, at: datetime) -> Facts:
    today, counts = figures.day_of(at), outbox.counts(tx)
    return Facts(
        queues=figures.queues(tx),
        spent=figures.spent_on(tx, today),
        month=figures.spent_since(tx, today.replace(day=1)).total,
        budget=figures.budget(tx),
        progresses=figures.progresses(tx),
        needs_you=counts.refused + counts.conflicts,
        last_contact=settings.get(tx, "last_contact"),
    )


def _is_clash(tx: Tx, waiting: Waiting) -> bool:
    """Whether a clash is to be settled here: a hub of the release before asks nobody."""
    return waiting.leg == "conflict" and reviews.state_of(tx, waiting.rtype, waiting.id) == "synced"


def _clash(tx: Tx, waiting: Waiting) -> bool:
    """Whether the hub's version has come down, so that a person can choose."""
    return records.hub_copy(tx, waiting.rtype, waiting.id) is not None


async def resolve(request: Request) -> Response:
    """Settle a clash as the nurse decided."""
    op = str(request.path_params["op"])
    choice, at = fields_of(await form_of(request)).get("keep"), now()
    if not op.isdecimal() or choice not in ("ours", "theirs"):
        raise UnknownRecord("no such clash")
    await agent_of(request).database.run(
        lambda tx: service.resolve_conflict(tx, int(op), keep_ours=choice == "ours", doing=doing(request, at))
    )
    agent_of(request).saved()
    return see("/waiting")


async def budget(request: Request) -> Response:
    """Set what a day may cost, for who leads the station; nothing written is no limit."""
    if not session_of(request).lead:
        raise UnknownRecord("this form is for who leads the station")
    text = fields_of(await form_of(request)).get("megabytes", "").strip()
    if text and not (text.isascii() and text.isdecimal() and 0 < int(text[:6]) <= MOST_MEGABYTES):
        raise UnknownRecord("no such limit")

    def keep(tx: Tx) -> None:
        figures.put_budget(tx, int(text) * 1_000_000 if text else None)
        settings.put(tx, "budget_is_local", "1")  # what the hub says of it does not change it any more

    await agent_of(request).database.run(keep)
    return see("/waiting")


async def try_now(request: Request) -> Response:
    """Try the link at once."""
    agent_of(request).syncing.poke(pull=True)
    return see("/waiting")


routes: list[BaseRoute] = [
    Route("/waiting", waiting),
    Route("/waiting/try", try_now, methods=["POST"]),
    Route("/waiting/budget", budget, methods=["POST"]),
    Route("/waiting/{op}", resolve, methods=["POST"]),
]
