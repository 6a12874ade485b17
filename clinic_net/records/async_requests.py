"""Requests that are answered later: kept before they are acknowledged, carried out once, forgotten in time.

What a request changes and its answer are one transaction: a worker that dies in between leaves neither. Whoever takes
the request back meanwhile has it undone, for the answer finds no place any more.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zlib import crc32

from sqlalchemy import delete, func, select, update
from sqlmodel import col
from sqlmodel import select as select_rows
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.principals import Principal
from clinic_net.access.standing import standing_of
from clinic_net.kernel.data_keys import keyring_of, unsealed
from clinic_net.kernel.errors import TooMany
from clinic_net.kernel.jobs import announce
from clinic_net.records.async_model import AsyncRequest
from clinic_net.records.errors import UnknownResource

TOPIC = "records.async"

ANSWER_KEPT = timedelta(hours=1)
"""An answer is patients' data: whoever asked fetches it soon, or asks again."""
REQUEST_KEPT = timedelta(hours=24)
"""How long a request waits for a worker: longer than any outage should last."""
LOST_AFTER = timedelta(minutes=5)
"""Longer than any request takes: one that has not ended by then lost its job."""
MOST_TRIES = 5
"""A request that ends its worker each time must not do so for ever."""
MOST_KEPT = 100
"""Requests and answers that one caller may have here at a time."""
_FULL_FOR_S = 60
_LANES = 3
"""So many are carried out at a time."""


@dataclass(frozen=True)
class Deferred:
    """A request as it came. ``interaction`` names who carries it out, ``path`` holds what varies in its address."""

    interaction: str
    path: Mapping[str, str]
    method: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What came of a request: the status and resource of its response; ``refused``: it is an OperationOutcome."""

    status: int
    text: bytes
    marks: Mapping[str, str]
    refused: bool = False


def said(request: AsyncRequest, kept: bytes | str | None) -> bytes:
    """Return what is kept of a request or its answer: query, body and answer rest sealed, whatever they hold."""
    text = kept.encode("latin-1") if isinstance(kept, str) else kept or b""
    return unsealed(text, bound=request.id.encode())


class Forgotten(Exception):
    """Whoever asked took the request back, or somebody else has answered it: undo what was done."""


async def keep(s: AsyncSession, deferred: Deferred, caller: Principal, *, now: datetime) -> str:
    """Keep a request and have it carried out, if and when this transaction commits; return the name of its status.

    Raises:
        TooMany: the caller has as many here as one may have; deleting those that are read makes room.
        RoleNotAllowed: this kind of caller is not answered later.
    """
    standing = standing_of(caller)
    mine = select(func.count()).where(
        col(AsyncRequest.owner) == caller.address, col(AsyncRequest.expires_at) > now
    )
    if (await (await s.connection()).execute(mine)).scalar_one() >= MOST_KEPT:
        raise TooMany(
            "too many requests and answers are kept; delete those you have read", retry_after=_FULL_FOR_S
        )
    name = secrets.token_urlsafe(32)
    seal = partial(keyring_of(s).seal, bound=name.encode())
    made = AsyncRequest(
        id=name,
        owner=caller.address,
        standing=standing,
        interaction=deferred.interaction,
        path=dict(deferred.path),
        method=deferred.method,
        query=seal(deferred.query.encode("latin-1")).decode(),
        headers=dict(deferred.headers),
        body=seal(deferred.body),
        asked_at=now,
        moved_at=now,
        expires_at=now + REQUEST_KEPT,
    )
    s.add(made)
    await s.flush()
    await _hand_over(s, made.id)
    return made.id


async def _hand_over(s: AsyncSession, name: str) -> None:
    lane = f"{TOPIC}.{crc32(name.encode()) % _LANES}"
    await announce(s, TOPIC, {"request": name}, lane=lane)


async def status(s: AsyncSession, name: str, *, owner: str, now: datetime) -> AsyncRequest:
    """Return a caller's own request.

    Raises:
        UnknownResource: there is none, it is somebody else's, or its time is over.
    """
    found = await s.get(AsyncRequest, name) if name.isascii() and name.isprintable() else None
    if found is None or found.owner != owner or found.expires_at <= now:
        raise UnknownResource
    return found


async def forget(s: AsyncSession, name: str, *, owner: str, now: datetime) -> None:
    """Delete a caller's own request, which ends it, or its answer.

    Raises:
        UnknownResource: as ``status``.
    """
    await s.delete(await status(s, name, owner=owner, now=now))


async def taken(s: AsyncSession, name: str, *, now: datetime) -> AsyncRequest | None:
    """Return a request that is to be carried out, and note that it is; None when there is nothing to do."""
    statement = (
        update(AsyncRequest)
        .where(
            col(AsyncRequest.id) == name,
            col(AsyncRequest.finished_at).is_(None),
            col(AsyncRequest.expires_at) > now,
        )
        .values(
            started_at=func.coalesce(col(AsyncRequest.started_at), now),
            moved_at=now,
            tries=col(AsyncRequest.tries) + 1,
        )
        .returning(col(AsyncRequest.id))
    )
    if (await (await s.connection()).execute(statement)).first() is None:
        return None
    return await s.get(AsyncRequest, name, populate_existing=True)


async def finish(s: AsyncSession, name: str, answer: Answer, *, now: datetime) -> None:
    """Put the answer where whoever asked finds it.

    Raises:
        Forgotten: nobody waits for it any more.
    """
    values: dict[str, Any] = {
        "body": None,
        "finished_at": now,
        "expires_at": now + ANSWER_KEPT,
        "status": answer.status,
        "answer": keyring_of(s).seal(answer.text, bound=name.encode()),
        "marks": {**answer.marks, "refused": answer.refused},
    }
    statement = (
        update(AsyncRequest)
        .where(col(AsyncRequest.id) == name, col(AsyncRequest.finished_at).is_(None))
        .values(**values)
        .returning(col(AsyncRequest.id))
    )
    if (await (await s.connection()).execute(statement)).first() is None:
        raise Forgotten


async def sweep(s: AsyncSession, now: datetime) -> None:
    """Delete what has expired, and give requests that lost their job another."""
    await (await s.connection()).execute(delete(AsyncRequest).where(col(AsyncRequest.expires_at) <= now))
    lost = select_rows(AsyncRequest).where(
        col(AsyncRequest.finished_at).is_(None), col(AsyncRequest.moved_at) < now - LOST_AFTER
    )
    for request in await s.exec(lost.with_for_update(skip_locked=True)):
        request.moved_at = now
        await _hand_over(s, request.id)
