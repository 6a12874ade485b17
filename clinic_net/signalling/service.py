"""Use cases of signalling: sessions, their mailboxes, presence. They take a transaction and do not commit it."""

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.principals import Principal, UserPrincipal
from clinic_net.consultations import service as consultations
from clinic_net.protocol.signalling import Envelope
from clinic_net.signalling import store
from clinic_net.signalling.model import SignallingSession

WOKEN = "signalling.woken"
"""Where a transaction keeps the sessions that have mail once it commits (``session.info``)."""

ANSWERS_KEPT = timedelta(minutes=15)
"""Longer than a session may be away, so that whoever resumes finds every answer."""


@dataclass(frozen=True)
class Opened:
    """A session that has a socket from now on. ``last_seq`` is what the peer already holds."""

    sid: str
    fence: int
    resumed: bool
    last_seq: int = 0


async def begin(session: AsyncSession, address: str, *, node: str, expires_at: datetime) -> Opened:
    """Begin a session with an empty mailbox. Take the snapshot in a transaction after this one."""
    sid = secrets.token_urlsafe(24)
    store.add_session(session, SignallingSession(sid=sid, address=address, node=node, expires_at=expires_at))
    await session.flush()
    return Opened(sid, 1, resumed=False)


async def resume(
    session: AsyncSession, sid: str, last_seq: int, *, address: str, node: str, now: datetime, ttl: timedelta
) -> Opened | None:
    """Give a session its next socket; None when it is not there, not this address's, or has lost mail."""
    found = await store.lock_session(session, sid, address=address, now=now)
    if found is None or last_seq > found.last_seq:
        return None
    if await store.count_mail_after(session, sid, last_seq) != found.last_seq - last_seq:
        return None
    found.node, found.expires_at, found.fence = node, now + ttl, found.fence + 1
    await session.flush()
    return Opened(sid, found.fence, resumed=True, last_seq=last_seq)


async def snapshot(session: AsyncSession, principal: Principal) -> dict[str, object]:
    """Return the whole truth for a new session: its owner's calls, and what rings for them."""
    calls = await consultations.calls_of(session, principal.address)
    invites = (
        await consultations.invites_for(session, principal) if isinstance(principal, UserPrincipal) else []
    )
    return {
        "calls": [call.model_dump(mode="json", exclude_none=True) for call in calls],
        "invites": [invite.model_dump(mode="json", exclude_none=True) for invite in invites],
    }


async def send(
    session: AsyncSession, envelope: Envelope, *, to: str, sid: str | None = None, now: datetime
) -> int:
    """Send a reliable message to every living session of an address, or to one of them.

    It is delivered if, and only if, this transaction commits. Returns how many sessions it reaches.
    """
    stamped = envelope.model_copy(update={"ts": int(now.timestamp() * 1000)})
    reached = await store.append(session, stamped.encode(), address=to, sid=sid, now=now)
    woken = session.info.setdefault(WOKEN, set())
    woken.update(reached)
    return len(reached)


def numbered(letter: store.Letter) -> Envelope:
    """Return a message of a mailbox as it goes over the wire."""
    return Envelope.model_validate({**json.loads(letter.body), "seq": letter.seq})


async def online(session: AsyncSession, addresses: Collection[str], *, now: datetime) -> frozenset[str]:
    """Return those who have a session, with a socket or within the time to come back."""
    return await store.online(session, addresses, now=now)


async def say_presence(session: AsyncSession, address: str, *, now: datetime) -> None:
    """Tell consultations whether a page of this person can ring; one at a time, so the last to say it is right."""
    if not address.startswith("user:"):
        return
    await store.one_at_a_time(session, address)
    there = bool(await store.online(session, [address], now=now))
    await consultations.set_presence(session, address, online=there, now=now)
