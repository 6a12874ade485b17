"""What is done with each message between page and hub."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol
from uuid import UUID

from pydantic import JsonValue, ValidationError

from clinic_net.protocol.signalling.hub_half import HubHalf
from clinic_net.protocol.signalling.messages import CallView, Envelope, ErrorCode
from clinic_net.protocol.signalling.peer_half import Answered, Welcomed
from station_agent.relay.sessions import Session, Sessions
from station_agent.store import Database, calls

MEDIA = frozenset({"media.offer", "media.answer", "media.cand", "media.need_offer", "call.media", "ice.get"})
"""From the page that carries the media, to the hub."""
HUB_DOWN_RETRY_MS = 1000
ANSWER_WITHIN_S = 8.0
"""A page doubts its socket after 15 s without an answer: tell it before that the hub cannot be asked now."""

NOTHING_YET = {"waiting", "received"}
"""States that only the station knows: the hub has said nothing about the call."""


class Hub(Protocol):
    """The session with the hub, as the relay needs it."""

    @property
    def open(self) -> bool: ...

    async def request(
        self,
        t: str,
        d: dict[str, JsonValue] | None = None,
        *,
        call: UUID | None = None,
        ep: int | None = None,
    ) -> Answered: ...


class Relay:
    """Between pages and hub. ``poked`` is told when the hub has records for this station."""

    def __init__(self, database: Database, *, now: Callable[[], datetime], poked: Callable[[], None]) -> None:
        self.sessions = Sessions()
        self._database = database
        self._now = now
        self._poked = poked
        self._hub: Hub | None = None

    def use(self, hub: Hub) -> None:
        """Speak to this hub session."""
        self._hub = hub

    # -- from the hub

    async def welcomed(self, event: Welcomed) -> None:
        """The hub session is open. A new one holds the whole truth, and no call is joined in it."""
        self._poked()  # the link is there: what waits need not wait for its back-off
        if event.resumed:
            return
        self.sessions.end_all()
        snapshot = event.snapshot or {}
        said = snapshot.get("calls")
        views = [view for item in said if (view := _view(item)) is not None] if isinstance(said, list) else []
        await self._database.run(lambda tx: [calls.seen(tx, view.model_dump(mode="json")) for view in views])

    async def delivered(self, envelope: Envelope) -> None:
        """The hub said something."""
        if envelope.t == "poke" and envelope.d.get("what") == "sync":
            self._poked()
        elif envelope.t == "call.state" and (view := _view(envelope.d)) is not None:
            await self._database.run(lambda tx: calls.seen(tx, view.model_dump(mode="json")))
            self.tell_pages(view)
        elif envelope.call is not None and (carrier := self.sessions.media_of(envelope.call)) is not None:
            bare = envelope.model_copy(update={"seq": None, "ack": None})
            (carrier.send if envelope.seq is not None else carrier.push)(bare)

    # -- from the station itself

    async def known(self, call: str) -> None:
        """Tell the pages what is known of a call now."""
        found = await self._database.run(lambda tx: calls.find(tx, call))
        if found is not None:
            self.tell_pages(view_of(found))

    def tell_pages(self, view: CallView) -> None:
        """Tell every page a call's state."""
        told = Envelope(t="call.state", call=view.call, d=view.model_dump(mode="json", exclude_none=True))
        for session in self.sessions.all():
            session.send(told)

    async def snapshot(self) -> dict[str, JsonValue]:
        """Return what a page that starts anew must know."""
        views = await self._database.run(lambda tx: [view_of(call) for call in calls.open_calls(tx)])
        return {"calls": [view.model_dump(mode="json", exclude_none=True) for view in views], "invites": []}

    # -- from a page

    async def asked(self, session: Session, half: HubHalf, request: Envelope) -> None:
        """Answer a page's request, after the hub where it is the hub's to answer."""
        if request.t == "presence.set":
            half.answer(request)
        elif request.call is None or not (request.t in MEDIA or request.t in ("call.join", "call.end")):
            half.refuse(request, ErrorCode.NOT_ALLOWED)
        elif request.t in MEDIA and not self.sessions.carries(request.call, session):
            half.refuse(request, ErrorCode.BAD_STATE)
        elif self._hub is None or not self._hub.open:
            half.refuse(request, ErrorCode.UNAVAILABLE, retry_ms=HUB_DOWN_RETRY_MS)
        else:
            await self._ask_hub(self._hub, session, half, request)
        session.wake.set()

    async def _ask_hub(self, hub: Hub, session: Session, half: HubHalf, request: Envelope) -> None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                if request.t == "call.join":
                    answer = await self._join(hub, session, request)
                else:
                    answer = await hub.request(request.t, request.d, call=request.call, ep=request.ep)
        except TimeoutError:
            half.refuse(request, ErrorCode.UNAVAILABLE, retry_ms=HUB_DOWN_RETRY_MS)
            return
        kind = "ok" if answer.ok else "err"
        half.reply(Envelope(t=kind, re=request.id, d={k: v for k, v in answer.d.items() if k != "retry_ms"}))

    async def _join(self, hub: Hub, session: Session, request: Envelope) -> Answered:
        """Join for this page. The hub sees one session, so a page that was reloaded must ask for new media itself."""
        assert request.call is not None
        answer = await hub.request("call.join", {}, call=request.call)
        if not answer.ok:
            return answer
        before = self.sessions.carry(request.call, session)
        if before is None or before == session.sid:
            return answer
        epoch = answer.d.get("ep")
        renewed = await hub.request(
            "media.need_offer",
            {"why": "reload"},
            call=request.call,
            ep=epoch if isinstance(epoch, int) else None,
        )
        newest = renewed.d.get("ep") if renewed.ok else None
        if not isinstance(newest, int):
            return answer
        return Answered(answer.id, answer.t, True, {**answer.d, "ep": newest})


def _view(d: object) -> CallView | None:
    try:
        return CallView.model_validate(d)
    except ValidationError:
        return None


def view_of(call: calls.Call) -> CallView:
    """Return a call as its page may know it, also before the hub has said anything."""
    view = _view(call.view) if call.view else None
    if view is not None and call.state not in NOTHING_YET:
        return view.model_copy(update={"state": call.state})
    return CallView(call=UUID(call.id), state=call.state, rev=0)
