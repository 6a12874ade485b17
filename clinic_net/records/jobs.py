"""What the records do behind requests: chunks of a reindexing, and requests that are answered later."""

import structlog

from clinic_net.kernel.hub import Hub
from clinic_net.kernel.jobs import Payload, on
from clinic_net.records import async_requests, async_running, guardians, registration, reindexing
from clinic_net.records.writing import TOPIC

log = structlog.get_logger()


@on(reindexing.TOPIC)
async def reindex_a_chunk(hub: Hub, payload: Payload) -> None:
    """Do one chunk; the next is announced with it."""
    expected = reindexing.Expected(payload["rtype"], payload["through"])
    async with hub.sessions() as session, session.begin():
        done = await reindexing.step(session, payload["run"], now=hub.now(), expected=expected)
    if done is not None and done.finished is not None:
        log.info("reindex_finished", count=done.done, state=done.state)


@on(async_requests.TOPIC)
async def answer_later(hub: Hub, payload: Payload) -> None:
    """Carry out a request whose sender does not wait."""
    await async_running.run(hub, payload["request"])


def _registers(payload: Payload) -> bool:
    return any(map(registration.is_registration, payload["records"]))


@on(TOPIC, when=_registers)
async def follow_registrations(hub: Hub, payload: Payload) -> None:
    """Open or close the care of a patient's home station."""
    for record in filter(registration.is_registration, payload["records"]):
        async with hub.sessions() as session, session.begin():
            await registration.follow(session, record["fid"], now=hub.now())


def _guards(payload: Payload) -> bool:
    return any(map(guardians.is_guardian, payload["records"]))


@on(TOPIC, when=_guards)
async def follow_guardians(hub: Hub, payload: Payload) -> None:
    """Open or close what a child's guardian may see."""
    for record in filter(guardians.is_guardian, payload["records"]):
        async with hub.sessions() as session, session.begin():
            await guardians.follow(session, record["fid"], now=hub.now())
