"""What the records do behind a request: chunks of a reindexing."""

import structlog

from clinic_net.kernel.hub import Hub
from clinic_net.kernel.jobs import Payload, on
from clinic_net.records import reindexing

log = structlog.get_logger()


@on(reindexing.TOPIC)
async def reindex_a_chunk(hub: Hub, payload: Payload) -> None:
    """Do one chunk; the next is announced with it."""
    expected = reindexing.Expected(payload["rtype"], payload["through"])
    async with hub.sessions() as session, session.begin():
        done = await reindexing.step(session, payload["run"], now=hub.now(), expected=expected)
    if done is not None and done.finished is not None:
        log.info("reindex_finished", count=done.done, state=done.state)
