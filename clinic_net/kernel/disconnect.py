"""Work for a client that has gone away is stopped, in the database too."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

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


async def unless_gone(request: Request, work: Awaitable[_Answer]) -> _Answer:
    """Return what ``work`` returns, or cancel it when the client of ``request``, whose body was read, goes away.

    The work stays in its caller's task, which what surrounds it may rely on. A cancelled statement is cancelled on the
    database's side as well (psycopg does that).

    Raises:
        ClientGone: it has gone.
    """
    task = asyncio.current_task()
    assert task is not None
    watching: list[asyncio.Task[None]] = []
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone = True
        task.cancel()

    def begin() -> None:
        watching.append(asyncio.create_task(watch(), name="disconnect"))

    timer = asyncio.get_running_loop().call_later(PATIENCE_S, begin)
    try:
        return await work
    except asyncio.CancelledError:
        if not gone:
            raise
        task.uncancel()
        raise ClientGone("the client has gone away") from None
    finally:
        timer.cancel()
        for watcher in watching:
            watcher.cancel()
