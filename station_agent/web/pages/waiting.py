"""What waits for the hub, what it refused and why, and clashes to settle."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from station_agent import service
from station_agent.errors import UnknownRecord
from station_agent.store import Tx, files, outbox, patients, records, settings
from station_agent.store.outbox import Waiting
from station_agent.web.pages.common import agent_of, doing, fields_of, form_of, now, see
from station_agent.web.render import page


async def waiting(request: Request) -> Response:
    """The outbox, in plain words."""

    def gather(tx: Tx) -> dict[str, Any]:
        listed = outbox.listing(tx)
        return {
            "refused": [w for w in listed if w.leg == "quarantined"],
            "clashes": [(w, _clash(tx, w)) for w in listed if w.leg == "conflict"],
            "waiting": [w for w in listed if w.leg in ("waiting", "sent")],
            "counts": outbox.counts(tx),
            "attachments": files.waiting(tx),
            "contact": settings.get(tx, "last_contact"),
            "people": patients.names(tx, sorted({w.patient for w in listed if w.patient})),
        }

    return page(request, "waiting.html", **await agent_of(request).database.run(gather))


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
        lambda tx: service.resolve_conflict(tx, int(op), keep_ours=choice == "ours", doing=doing(tx, at))
    )
    agent_of(request).saved()
    return see("/waiting")


async def try_now(request: Request) -> Response:
    """Try the link at once."""
    agent_of(request).syncing.poke(pull=True)
    return see("/waiting")


routes: list[BaseRoute] = [
    Route("/waiting", waiting),
    Route("/waiting/try", try_now, methods=["POST"]),
    Route("/waiting/{op}", resolve, methods=["POST"]),
]
