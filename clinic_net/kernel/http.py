"""The seams through which HTTP reaches use cases: the process's hub, a transaction, the time."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import Depends
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import HTTPConnection

from clinic_net.kernel.hub import Hub


def hub_of(connection: HTTPConnection) -> Hub:
    """Return the hub that serves this request or socket."""
    hub = connection.app.state.hub
    assert isinstance(hub, Hub)
    return hub


async def _unit_of_work(hub: "CurrentHub") -> AsyncIterator[AsyncSession]:
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

Now = Annotated[datetime, Depends(_now)]
