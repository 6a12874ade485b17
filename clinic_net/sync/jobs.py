"""What the synchronisation does with news: a stored record goes into its station's feed."""

from clinic_net.kernel.hub import Hub
from clinic_net.kernel.jobs import Payload, on
from clinic_net.sync import service


def _is_of_a_site(payload: Payload) -> bool:
    return any(service.is_site(record["tenant"]) for record in payload["records"])


@on("record.stored", when=_is_of_a_site)
async def feed_stored_records(hub: Hub, payload: Payload) -> None:
    async with hub.sessions() as session, session.begin():
        await service.feed(session, payload["records"], now=hub.now())
