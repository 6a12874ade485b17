"""What signalling does with news: it becomes mail for those whom it concerns. Handlers may run twice and out of
order, so each says what is true now, and a call's ``rev`` and ``ep`` tell a peer what is older."""

from uuid import UUID

from clinic_net.consultations import service as consultations
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.jobs import Payload, on
from clinic_net.protocol.signalling import Envelope
from clinic_net.signalling import parties, service, store, wire


@on("consultation.changed")
async def tell_the_state(hub: Hub, payload: Payload) -> None:
    """Both sides get the call's state; boards are told to look."""
    call = UUID(payload["consultation"])
    async with wire.transaction(hub) as session:
        addresses = await parties.addresses(session, call)
        for address in addresses:
            await store.hold_address(session, address)
        view = await consultations.view(session, call)
        d = view.model_dump(mode="json", exclude_none=True)
        for address in addresses:
            await service.send(session, Envelope(t="call.state", call=call, d=d), to=address, now=hub.now())
    await wire.tell(hub, wire.BOARD)


@on("consultation.rung")
async def ring(hub: Hub, payload: Payload) -> None:
    """A person's pages ring, if it still rings for them."""
    call, user = UUID(payload["consultation"]), UUID(payload["user"])
    async with wire.transaction(hub) as session:
        await store.hold_address(session, f"user:{user}")
        invite = await consultations.invite(session, call, user=user)
        if invite is None:
            return
        envelope = Envelope(t="call.invite", call=call, d=invite.model_dump(mode="json", exclude_none=True))
        await service.send(session, envelope, to=f"user:{user}", now=hub.now())


@on("consultation.unrung")
async def stop_ringing(hub: Hub, payload: Payload) -> None:
    """A person's pages fall silent, unless it rings for them again by now."""
    call = UUID(payload["consultation"])
    d = {name: payload[name] for name in ("reason", "by") if payload.get(name) is not None}
    for user in payload["users"]:
        async with wire.transaction(hub) as session:
            await store.hold_address(session, f"user:{user}")
            if await consultations.invite(session, call, user=UUID(user)) is None:
                envelope = Envelope(t="call.cancelled", call=call, d=d)
                await service.send(session, envelope, to=f"user:{user}", now=hub.now())


@on("consultation.media_reset")
async def ask_for_an_offer(hub: Hub, payload: Payload) -> None:
    """The offerer is asked for an offer in the new epoch, the answerer to wait for it."""
    call, ep = UUID(payload["consultation"]), int(payload["epoch"])
    async with wire.transaction(hub) as session:
        sides = await consultations.parties(session, call)
        if (await consultations.view(session, call)).ep != ep:
            return  # built anew again: that news follows
        for name, t in (("station", "media.reset"), ("doctor", "media.need_offer")):
            side = sides["station" if name == "station" else "doctor"]
            if side is None or side.sid is None:
                continue
            envelope = Envelope(t=t, call=call, ep=ep, d={"ep": ep, "why": payload["why"]})
            await service.send(session, envelope, to=side.address, sid=side.sid, now=hub.now())


@on("sync.feed_grew")
async def poke_the_station(hub: Hub, payload: Payload) -> None:
    """A station with a socket pulls now instead of at its next look."""
    await wire.tell(hub, wire.poke_address(f"station:{payload['site']}", "sync"))


@on("credential.revoked")
async def check_now(hub: Hub, payload: Payload) -> None:
    """Sockets of who was revoked are closed now instead of at the next check."""
    await wire.tell(hub, wire.check(payload["address"]))


@on("referral.changed")
async def look_again(hub: Hub, payload: Payload) -> None:
    """Boards show referrals too."""
    await wire.tell(hub, wire.BOARD)
