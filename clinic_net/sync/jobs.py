"""What the synchronisation does with news: a stored record goes into its station's feed."""

from uuid import UUID

from clinic_net.kernel.hub import Hub
from clinic_net.kernel.jobs import Payload, on
from clinic_net.sync import erasures, moving, service, snapshots
from clinic_net.sync.scopes import scope_of_record


def _is_of_a_scope(payload: Payload) -> bool:
    return any(
        scope_of_record(record["tenant"], record["rtype"], record["patient"]) is not None
        for record in payload["records"]
    )


@on("record.stored", when=_is_of_a_scope)
async def feed_stored_records(hub: Hub, payload: Payload) -> None:
    async with hub.sessions() as session, session.begin():
        await service.feed(session, payload["records"], now=hub.now())


@on("sync.snapshot_wanted")
async def make_snapshot(hub: Hub, payload: Payload) -> None:
    await snapshots.build(hub.sessions, str(payload["scope"]), now=hub.now())


@on("sync.move")
async def carry_out_move(hub: Hub, payload: Payload) -> None:
    while True:
        async with hub.sessions() as session, session.begin():
            if (await moving.step(session, UUID(payload["move"]), now=hub.now())).done_at is not None:
                return


@on("sync.late_entries")
async def forward_late_entries(hub: Hub, payload: Payload) -> None:
    async with hub.sessions() as session, session.begin():
        await moving.forward(session, str(payload["origin"]), payload["patients"], now=hub.now())


def _is_of_a_device(payload: Payload) -> bool:
    return "device" in payload


@on("credential.revoked", when=_is_of_a_device)
async def have_a_revoked_device_erased(hub: Hub, payload: Payload) -> None:
    async with hub.sessions() as session, session.begin():
        await erasures.revoked(session, UUID(payload["device"]), now=hub.now())


@on("privacy.erased")
async def have_an_erased_record_erased(hub: Hub, payload: Payload) -> None:
    async with hub.sessions() as session, session.begin():
        await erasures.erased(session, str(payload["patient"]), now=hub.now())


@on("care.reach_changed")
async def follow_the_right_to_see(hub: Hub, payload: Payload) -> None:
    async with hub.sessions() as session, session.begin():
        await erasures.reach_changed(session, str(payload["patient"]), now=hub.now())
