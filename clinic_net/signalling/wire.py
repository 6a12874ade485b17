"""What nodes tell each other through Redis: only hints. Whoever misses one looks into PostgreSQL a second later.

The exception is what is worth nothing later anyhow: ``peer.lost`` and pokes.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.kernel.hub import Hub
from clinic_net.kernel.redis import publish
from clinic_net.protocol.signalling import Envelope
from clinic_net.signalling.service import WOKEN

CHANNEL = "signalling"


Hint = dict[str, Any]


@asynccontextmanager
async def transaction(hub: Hub) -> AsyncIterator[AsyncSession]:
    """One transaction; when it has committed, the nodes of the sessions that it sent to are woken."""
    async with hub.sessions() as session:
        async with session.begin():
            yield session
        hint = wake(session)
    if hint is not None:
        await tell(hub, hint)


async def tell(hub: Hub, hint: Hint) -> None:
    await publish(hub.redis, CHANNEL, [json.dumps(hint)])


def wake(session: AsyncSession) -> Hint | None:
    """Return the hint that the sessions have mail that a transaction sent to, if it did."""
    woken = session.info.get(WOKEN)
    return {"wake": sorted(woken)} if woken else None


def push(envelope: Envelope, *, sid: str) -> Hint:
    """Return the hint that hands an unsequenced message to one session."""
    return {"push": sid, "frame": envelope.encode()}


BOARD = {"poke": "board"}
"""Something changed on the lists of cases."""


def poke_address(address: str, what: str) -> Hint:
    """Return the hint that an address has something to fetch."""
    return {"poke": what, "address": address}


def check(address: str) -> Hint:
    """Return the hint that an address may have lost its right to speak."""
    return {"check": address}
