"""Work for a client that has gone away is stopped, in the database too."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from starlette.requests import Request

from clinic_net.kernel.errors import Refusal, Retry

_Answer = TypeVar("_Answer")

PATIENCE_S = 0.25
"""How long work may take before anybody looks whether its client is still there: looking costs more than most work."""


class ClientGone(Refusal):
    """Nobody waits for the answer any more. Raised so that the transaction is rolled back; nobody reads it."""

    code = "client-gone"
    retry = Retry.LATER
    status = 499


async def unless_gone(request: Request, work: Coroutine[Any, Any, _Answer]) -> _Answer:
    """Return what ``work`` returns, or cancel it when the client of ``request``, whose body was read, goes away.

    A cancelled statement is cancelled on the database's side as well (psycopg does that).

    Raises:
        ClientGone: it has gone.
    """
    working = asyncio.ensure_future(work)
    watching: asyncio.Future[None] | None = None
    try:
        await asyncio.wait({working}, timeout=PATIENCE_S)
        if not working.done():
            watching = asyncio.ensure_future(_gone(request))
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        raise ClientGone("the client has gone away")
    finally:
        working.cancel()
        if watching is not None:
            watching.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
