"""What a peer's requests mean: each is one transaction of ``consultations``, or a relay to the other party."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, JsonValue, ValidationError
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.errors import RoleNotAllowed
from clinic_net.access.principals import Principal, StationPrincipal, UserPrincipal
from clinic_net.consultations import service as consultations
from clinic_net.consultations.service import Party, PartyName
from clinic_net.kernel.settings import HubSettings
from clinic_net.protocol.signalling import Envelope
from clinic_net.protocol.signalling.messages import Candidates, End, Media, NeedOffer, Reject, Sdp
from clinic_net.signalling import service, turn
from clinic_net.signalling.errors import NotARequest, NotJoined, NotYourCall, StaleEpoch, WrongSide

Answer = dict[str, JsonValue]
_M = TypeVar("_M", bound=BaseModel)


@dataclass(frozen=True)
class Asking:
    """A request with who makes it, in which session and when."""

    envelope: Envelope
    principal: Principal
    sid: str
    now: datetime
    settings: HubSettings

    @property
    def call(self) -> UUID:
        if self.envelope.call is None:
            raise NotARequest
        return self.envelope.call

    @property
    def user(self) -> UserPrincipal:
        if not isinstance(self.principal, UserPrincipal):
            raise RoleNotAllowed
        return self.principal

    @property
    def party(self) -> PartyName:
        match self.principal:
            case StationPrincipal():
                return "station"
            case UserPrincipal():
                return "doctor"
        raise NotYourCall

    def content(self, form: type[_M]) -> _M:
        """Return the content, checked.

        Raises:
            NotARequest: it is not of this form.
        """
        try:
            return form.model_validate(self.envelope.d)
        except ValidationError:
            raise NotARequest from None


async def answer(session: AsyncSession, asking: Asking) -> Answer:
    """Do what is asked and return the answer's content.

    Raises:
        Refusal: it is refused; nothing of it happened.
    """
    handler = _HANDLERS.get(asking.envelope.t)
    if handler is None:
        raise NotARequest
    return await handler(session, asking)


async def _ringing(session: AsyncSession, asking: Asking) -> Answer:
    await consultations.ringing(session, asking.call, by=asking.user, now=asking.now)
    return {}


async def _seen(session: AsyncSession, asking: Asking) -> Answer:
    await consultations.seen(session, asking.call, by=asking.user, now=asking.now)
    return {}


async def _accept(session: AsyncSession, asking: Asking) -> Answer:
    case = await consultations.accept(session, asking.call, by=asking.user, now=asking.now)
    return {"state": case.state}


async def _reject(session: AsyncSession, asking: Asking) -> Answer:
    reason = asking.content(Reject).reason
    await consultations.reject(session, asking.call, by=asking.user, reason=reason, now=asking.now)
    return {}


async def _join(session: AsyncSession, asking: Asking) -> Answer:
    joined = await consultations.join(
        session,
        asking.call,
        party=asking.party,
        address=asking.principal.address,
        sid=asking.sid,
        now=asking.now,
    )
    return {"role": joined.role, "ep": joined.epoch, "ice": _ice_servers(asking)}


async def _media(session: AsyncSession, asking: Asking) -> Answer:
    media = asking.content(Media)
    await _this_side(session, asking)
    await _current_epoch(session, asking)
    await consultations.media(
        session,
        asking.call,
        party=asking.party,
        flowing=media.flowing,
        audio=media.audio,
        video=media.video,
        now=asking.now,
    )
    return {}


async def _end(session: AsyncSession, asking: Asking) -> Answer:
    reason = asking.content(End).reason
    await consultations.end(session, asking.call, by=asking.principal, reason=reason, now=asking.now)
    return {}


async def _need_offer(session: AsyncSession, asking: Asking) -> Answer:
    why = asking.content(NeedOffer).why
    await _this_side(session, asking)
    current = (await consultations.view(session, asking.call)).ep
    if asking.envelope.ep is not None and asking.envelope.ep < current:
        return {"ep": current}  # the other side asked first: what is wanted is on its way
    return {
        "ep": await consultations.need_offer(
            session, asking.call, party=asking.party, why=why, now=asking.now
        )
    }


async def _ice(session: AsyncSession, asking: Asking) -> Answer:
    return {"ice": _ice_servers(asking)}


def _ice_servers(asking: Asking) -> list[JsonValue]:
    servers = turn.ice_servers(asking.settings, asking.principal.address, now=asking.now)
    return [server.model_dump(mode="json", exclude_none=True) for server in servers]


async def _this_side(session: AsyncSession, asking: Asking) -> Party | None:
    """Return the other party, after checking that this session speaks for its own.

    Raises:
        NotYourCall: the owner is not a party.
        NotJoined: another session, or none, carries this party's media.
    """
    parties = await consultations.parties(session, asking.call)
    mine = parties[asking.party]
    if mine is None or mine.address != asking.principal.address:
        raise NotYourCall
    if mine.sid != asking.sid:
        raise NotJoined
    return parties["station" if asking.party == "doctor" else "doctor"]


async def _current_epoch(session: AsyncSession, asking: Asking) -> int:
    current = (await consultations.view(session, asking.call)).ep
    if asking.envelope.ep != current:
        raise StaleEpoch
    return current


def _relay(form: type[BaseModel], *, only: PartyName | None = None) -> "Handler":
    """Return the handler that hands a message of this form to the other party."""

    async def relay(session: AsyncSession, asking: Asking) -> Answer:
        content = asking.content(form)
        other = await _this_side(session, asking)
        if only is not None and asking.party != only:
            raise WrongSide
        epoch = await _current_epoch(session, asking)
        if other is None or other.sid is None:
            raise NotJoined
        passed: dict[str, Any] = content.model_dump(mode="json", exclude_defaults=True)
        envelope = Envelope(t=asking.envelope.t, call=asking.call, ep=epoch, d=passed)
        await service.send(session, envelope, to=other.address, sid=other.sid, now=asking.now)
        return {}

    return relay


Handler = Callable[[AsyncSession, Asking], Awaitable[Answer]]

_HANDLERS: dict[str, Handler] = {
    "call.ringing": _ringing,
    "call.seen": _seen,
    "call.accept": _accept,
    "call.reject": _reject,
    "call.join": _join,
    "call.media": _media,
    "call.end": _end,
    "ice.get": _ice,
    "media.need_offer": _need_offer,
    "media.offer": _relay(Sdp, only="doctor"),
    "media.answer": _relay(Sdp, only="station"),
    "media.cand": _relay(Candidates),
}

TYPES = frozenset({*_HANDLERS, "auth.refresh"})
"""What a peer may ask."""
