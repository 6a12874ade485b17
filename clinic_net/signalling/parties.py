"""Who must hear what about a call: both its sides, whoever is rung, the other party's page."""

from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.principals import Principal
from clinic_net.consultations import service as consultations
from clinic_net.protocol.signalling import Envelope


async def news_for_others(
    session: AsyncSession, principal: Principal, sid: str, t: str
) -> list[tuple[str, Envelope]]:
    """Return ``peer.lost`` or ``peer.back`` for the other party of every call that this session carries."""
    news: list[tuple[str, Envelope]] = []
    for call in await consultations.calls_of(session, principal.address):
        sides = await consultations.parties(session, call.call)
        for name, side in sides.items():
            other = sides["station" if name == "doctor" else "doctor"]
            if side is None or (side.address, side.sid) != (principal.address, sid):
                continue
            if other is not None and other.sid is not None:
                news.append((other.sid, Envelope(t=t, call=call.call, d={"party": name})))
    return news


async def addresses(session: AsyncSession, consultation: UUID) -> list[str]:
    """Return whose pages show the state of a call, in the order in which mailboxes are locked."""
    sides = await consultations.parties(session, consultation)
    return sorted(side.address for side in sides.values() if side is not None)
