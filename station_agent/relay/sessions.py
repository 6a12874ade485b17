"""The sessions of this station's pages: in memory, because a page that finds its session gone simply starts anew."""

import asyncio
import secrets
from dataclasses import dataclass, field
from uuid import UUID

from clinic_net.protocol.signalling.hub_half import HubHalf
from clinic_net.protocol.signalling.mailbox import Mailbox
from clinic_net.protocol.signalling.messages import CloseCode, Envelope

RESUME_TTL_S = 180.0
MAX_SESSIONS = 32
"""A station has a handful of pages open; more is a mistake, and the oldest without a page goes."""


@dataclass
class Session:
    """A page's session. ``half`` and ``wake`` belong to its socket, while it has one."""

    sid: str
    mailbox: Mailbox = field(default_factory=Mailbox)
    half: HubHalf | None = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    unused_since: float = 0.0

    def send(self, envelope: Envelope) -> None:
        """Send a reliable message: now, or when the page is back."""
        self.mailbox.put(envelope)
        self.wake.set()

    def push(self, envelope: Envelope) -> None:
        """Send a message that is worth nothing later."""
        if self.half is not None:
            self.half.push(envelope)
            self.wake.set()


class Sessions:
    """All of them, and which one carries the station's media of a call."""

    def __init__(self) -> None:
        self._by_sid: dict[str, Session] = {}
        self._media: dict[UUID, str] = {}

    def all(self) -> list[Session]:
        """Return all sessions."""
        return list(self._by_sid.values())

    def start(self, *, now: float) -> Session:
        """Begin a session."""
        self._sweep(now)
        session = Session(secrets.token_urlsafe(16), unused_since=now)
        self._by_sid[session.sid] = session
        return session

    def resume(self, sid: str | None, last_seq: int) -> Session | None:
        """Return the session that a page names, if it can go on without a gap."""
        session = self._by_sid.get(sid or "")
        if session is None or not session.mailbox.can_resume(last_seq):
            return None
        return session

    def _sweep(self, now: float) -> None:
        idle = sorted((s for s in self._by_sid.values() if s.half is None), key=lambda s: s.unused_since)
        surplus = len(self._by_sid) - MAX_SESSIONS + 1
        for number, session in enumerate(idle):
            if now - session.unused_since > RESUME_TTL_S or number < surplus:
                del self._by_sid[session.sid]

    def end_all(self) -> None:
        """The session with the hub could not be resumed: every page starts anew, and its call joins again."""
        for session in self._by_sid.values():
            if session.half is not None:
                session.half.close(CloseCode.BYE, "hub session lost")
                session.wake.set()
        self._by_sid.clear()
        self._media.clear()

    def media_of(self, call: UUID) -> Session | None:
        """Return the session that carries a call's media."""
        return self._by_sid.get(self._media.get(call, ""))

    def carries(self, call: UUID, session: Session) -> bool:
        """Whether this session carries the call's media."""
        return self._media.get(call) == session.sid

    def carry(self, call: UUID, session: Session) -> str | None:
        """From now on this session carries a call's media. Return the sid that did before, or None."""
        before = self._media.get(call)
        self._media[call] = session.sid
        return before
