"""The seams through which HTTP reaches use cases: the process's hub, a transaction, the time; statuses of refusals."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import Depends
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import HTTPConnection

from clinic_net.kernel.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionFailed,
    Refusal,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from clinic_net.kernel.hub import Hub

STATUS: tuple[tuple[type[Refusal], int], ...] = (
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (PreconditionFailed, 412),
    (TooLarge, 413),
    (Invalid, 422),
    (TooMany, 429),
    (Unavailable, 503),
)
"""A family's HTTP status."""


def status_of(refusal: Refusal) -> int:
    """Return the HTTP status of a refusal: its own ``status`` if it has one, else its family's."""
    own = getattr(refusal, "status", None)
    if isinstance(own, int):
        return own
    return next((status for family, status in STATUS if isinstance(refusal, family)), 400)


def hub_of(connection: HTTPConnection) -> Hub:
    """Return the hub that serves this request or socket."""
    hub = connection.app.state.hub
    assert isinstance(hub, Hub)
    return hub


async def _unit_of_work(hub: "CurrentHub") -> AsyncIterator[AsyncSession]:
    async with hub.requests() as session, session.begin():
        yield session


async def _hubs_work(hub: "CurrentHub") -> AsyncIterator[AsyncSession]:
    async with hub.sessions() as session, session.begin():
        yield session


def _now(hub: "CurrentHub") -> datetime:
    return hub.now()


CurrentHub = Annotated[Hub, Depends(hub_of)]

UnitOfWork = Annotated[AsyncSession, Depends(_unit_of_work, scope="function")]
"""One transaction, committed before the first byte of the answer leaves.

With FastAPI's default scope the commit comes after the response: a failed commit would be answered 200.
Never inject it into a WebSocket: it would live as long as the socket.
"""

HubsWork = Annotated[AsyncSession, Depends(_hubs_work, scope="function")]
"""The same for what the hub does by itself at somebody's request: not kept to the records that the caller may see.

Only for those whose office it is, and who are shown nothing of a record. It is a connection beside the caller's own, of
another pool: nobody who holds one of these waits for one of those.
"""

Now = Annotated[datetime, Depends(_now)]
