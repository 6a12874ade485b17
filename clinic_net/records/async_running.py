"""Carrying out requests that are answered later, with the caller's rights as they are by then."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import structlog
from fastapi import Request
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.responses import Response

from clinic_net.access.standing import recalled
from clinic_net.fhir import from_refusal, write
from clinic_net.kernel.errors import Invalid, Refusal, Unavailable
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.logging import where
from clinic_net.records import (
    async_requests,
    compartment_routes,
    everything_routes,
    express_routes,
    search_routes,
)
from clinic_net.records.async_model import AsyncRequest
from clinic_net.records.async_requests import Answer, Forgotten, finish, taken
from clinic_net.records.errors import TryAgain
from clinic_net.records.http import Exchange, exchange_of
from clinic_net.records.outcomes import refusal_of, status_of

log = structlog.get_logger()


def _express(handler: express_routes.Handler) -> Callable[..., Awaitable[Response]]:
    """Return a handler of the busy addresses, which finds what varies in its address by itself."""

    async def carried_out(*, exchange: Exchange, **_: str) -> Response:
        return await handler(exchange)

    return carried_out


INTERACTIONS: Mapping[str, Callable[..., Awaitable[Response]]] = {
    "search": _express(express_routes.search),
    "search-by-form": search_routes.search_by_form,
    "search-types": search_routes.search_types,
    "search-types-by-form": search_routes.search_types_by_form,
    "search-compartment": compartment_routes.search_compartment,
    "search-compartment-by-form": compartment_routes.search_compartment_by_form,
    "search-whole-compartment": compartment_routes.search_whole_compartment,
    "search-whole-compartment-by-form": compartment_routes.search_whole_compartment_by_form,
    "bundle": _express(express_routes.bundle),
    "everything-of-patient": everything_routes.everything_of_patient,
    "everything-of-encounter": everything_routes.everything_of_encounter,
}
"""What may be answered later. The names are kept with requests and outlive a release."""

_FAILED = Unavailable("something went wrong here; try again")


async def run(hub: Hub, name: str) -> None:
    """Carry out a request, once: a second run finds it answered, and what it did is undone.

    A database that goes away meanwhile, or another transaction in the way, is for the next try.
    """
    async with hub.sessions() as s, s.begin():
        request = await taken(s, name, now=hub.now())
    if request is None:
        return
    try:
        tired = request.tries > async_requests.MOST_TRIES
        answer = _refused(_FAILED, status=500) if tired else await _answered(hub, request)
        if answer is not None:
            async with hub.sessions() as s, s.begin():
                await finish(s, name, answer, now=hub.now())
    except Forgotten:
        return


async def _answered(hub: Hub, request: AsyncRequest) -> Answer | None:
    """Return why a request was refused; None when it was carried out and its answer is there with what it did."""
    try:
        async with hub.sessions() as s, s.begin():
            await _carry_out(s, hub, request, now=hub.now())
    except Refusal as refusal:
        return _refused(refusal)
    except DBAPIError as failure:
        return _refused(_meant(failure))
    except (Forgotten, PoolTimeout):
        raise
    except Exception as failure:  # noqa: BLE001 -- whoever asked must hear of it, as over HTTP
        log.error("async_request_failed", error=type(failure).__name__, place=where(failure))
        return _refused(_FAILED, status=500)
    return None


def _meant(failure: DBAPIError) -> Refusal:
    """Return what a failure of the database means to whoever asked; what may go better next time is raised again."""
    if isinstance(failure, DataError):
        return Invalid("the request holds a value that cannot be stored")
    refusal = refusal_of(failure)
    if isinstance(refusal, TryAgain):
        raise failure
    return refusal


def _refused(refusal: Refusal, *, status: int | None = None) -> Answer:
    return Answer(status or status_of(refusal), write(from_refusal(refusal)), {}, refused=True)


async def _carry_out(s: AsyncSession, hub: Hub, request: AsyncRequest, *, now: datetime) -> None:
    caller = await recalled(s, request.standing, now=now)
    exchange = exchange_of(_as_it_came(request), hub, s, caller, now)
    response = await INTERACTIONS[request.interaction](**request.path, exchange=exchange)
    marks = {name: response.headers[name] for name in ("etag", "location") if name in response.headers}
    answer = Answer(response.status_code, bytes(response.body), marks)
    await finish(s, request.id, answer, now=now)


def _as_it_came(request: AsyncRequest) -> Request:
    """Return the request as its handler would have seen it."""
    body = async_requests.said(request, request.body)
    scope = {
        "type": "http",
        "method": request.method,
        "path": "/fhir",
        "query_string": async_requests.said(request, request.query),
        "headers": [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers.items()
        ],
        "path_params": request.path,
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(scope, receive)
