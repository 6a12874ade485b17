"""What referrals do on news: a promise that was not kept is noted, and the next one made."""

from datetime import datetime
from uuid import UUID

from clinic_net.kernel.hub import Hub
from clinic_net.kernel.jobs import Payload, on
from clinic_net.referrals import service, writing


@on(writing.DUE)
async def fire_timer(hub: Hub, payload: Payload) -> None:
    """Note that a referral's answer is overdue, if it still is."""
    async with hub.sessions() as session, session.begin():
        await service.remind_when_due(
            session,
            UUID(payload["referral"]),
            due=datetime.fromisoformat(payload["due"]),
            now=hub.now(),
        )
