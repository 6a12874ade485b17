"""Sockets and sessions: who gets in, what survives, who is let go."""

import asyncio
import json
from contextlib import suppress
from uuid import uuid4

import pytest
import websockets
from websockets.typing import Origin

from clinic_net.access import service as access
from clinic_net.access import sessions
from clinic_net.access.administration import service as administration
from clinic_net.access.principals import Role
from clinic_net.kernel.settings import HubSettings
from clinic_net.protocol.signalling import Envelope
from clinic_net.protocol.signalling.messages import FLOOD_DEBT, MAX_FRAME_BYTES, MESSAGE_BURST
from clinic_net.signalling import service, wire
from tests.consultations.support import SITE
from tests.signalling.support import (
    SUBPROTOCOL,
    Peer,
    Server,
    count,
    enrol,
    now,
    page,
    serving,
    sign_in,
    token_of,
)


async def news(server: Server, to: str, *numbers: int) -> None:
    async with wire.transaction(server.hub) as session:
        for n in numbers:
            await service.send(session, Envelope(t="call.state", d={"n": n}), to=to, now=now())


def numbers(peer: Peer) -> list[object]:
    return [message.d["n"] for message in peer.heard if message.t == "call.state"]


async def test_a_new_session_begins_with_a_snapshot(server: Server) -> None:
    doctor, _, _ = await sign_in(server.hub)
    await doctor.connect(server)
    await doctor.until(lambda: doctor.welcomes)

    [welcome] = doctor.welcomes
    assert not welcome.resumed
    assert welcome.snapshot == {"calls": [], "invites": []}
    await doctor.close()


async def test_mail_reaches_every_session_of_an_address_in_order(server: Server) -> None:
    first, who, token = await sign_in(server.hub)
    second = page(token)
    for peer in (first, second):
        await peer.connect(server)
        await peer.until(lambda peer=peer: peer.welcomes)
    await news(server, who.address, 1, 2, 3)

    for peer in (first, second):
        await peer.until(lambda peer=peer: len(numbers(peer)) == 3)
        assert numbers(peer) == [1, 2, 3]
        await peer.close()


async def test_a_lost_socket_resumes_and_misses_nothing(server: Server) -> None:
    doctor, who, _ = await sign_in(server.hub)
    await doctor.connect(server)
    await doctor.until(lambda: doctor.welcomes)
    await news(server, who.address, 1)
    await doctor.until(lambda: numbers(doctor))
    await doctor.lose()
    await news(server, who.address, 2, 3)

    await doctor.connect(server)
    await doctor.until(lambda: len(numbers(doctor)) == 3)
    assert doctor.welcomes[-1].resumed
    assert numbers(doctor) == [1, 2, 3]
    await doctor.close()


async def test_another_process_takes_the_session_over_when_the_first_has_died(
    server: Server, quick: HubSettings
) -> None:
    doctor, who, _ = await sign_in(server.hub)
    async with serving(quick, worker=False) as first:
        await doctor.connect(first)
        await doctor.until(lambda: doctor.welcomes)
        await news(first, who.address, 1)
        await doctor.until(lambda: numbers(doctor))
        await first.kill()
        await doctor.is_closed()
    await news(server, who.address, 2)

    await doctor.connect(server)
    await doctor.until(lambda: len(numbers(doctor)) == 2)
    assert doctor.welcomes[-1].resumed
    await doctor.close()


async def test_mail_arrives_within_two_seconds_while_redis_is_away(
    server: Server, quick: HubSettings
) -> None:
    doctor, who, _ = await sign_in(server.hub)
    lonely = quick.model_copy(update={"redis": "redis://127.0.0.1:1"})
    async with serving(lonely, worker=False) as node:
        await doctor.connect(node)
        await doctor.until(lambda: doctor.welcomes)
        await news(node, who.address, 1)
        await doctor.until(lambda: numbers(doctor), within=2.0)
        await doctor.close()


async def test_many_senders_leave_no_gap(server: Server) -> None:
    doctor, who, _ = await sign_in(server.hub)
    await doctor.connect(server)
    await doctor.until(lambda: doctor.welcomes)
    await asyncio.gather(*(news(server, who.address, n, n + 100) for n in range(40)))

    await doctor.until(lambda: len(numbers(doctor)) == 80, within=10)
    assert doctor.half.last_seq == 80
    assert doctor.closed_with is None
    await doctor.close()


async def test_the_same_session_opened_again_supersedes_the_first(server: Server) -> None:
    doctor, who, token = await sign_in(server.hub)
    await doctor.connect(server)
    await doctor.until(lambda: doctor.welcomes)
    twin = page(token)
    twin.half.sid, twin.half.last_seq = doctor.half.sid, doctor.half.last_seq
    await twin.connect(server)
    await twin.until(lambda: twin.welcomes)

    assert twin.welcomes[-1].resumed
    assert await doctor.is_closed() == 4003
    await news(server, who.address, 1)
    await twin.until(lambda: numbers(twin))
    await twin.close()


async def test_superseded_at_another_node_within_its_next_check(server: Server, quick: HubSettings) -> None:
    doctor, _, token = await sign_in(server.hub)
    async with serving(quick, worker=False) as other:
        await doctor.connect(other)
        await doctor.until(lambda: doctor.welcomes)
        twin = page(token)
        twin.half.sid = doctor.half.sid
        await twin.connect(server)
        await twin.until(lambda: twin.welcomes)
        assert await doctor.is_closed(within=5) == 4003
        await twin.close()


async def test_anothers_session_cannot_be_resumed(server: Server) -> None:
    doctor, _, _ = await sign_in(server.hub)
    await doctor.connect(server)
    await doctor.until(lambda: doctor.welcomes)
    thief, _, _ = await sign_in(server.hub)
    thief.half.sid = doctor.half.sid
    await thief.connect(server)
    await thief.until(lambda: thief.welcomes)

    assert not thief.welcomes[-1].resumed
    assert thief.half.sid != doctor.half.sid
    for peer in (doctor, thief):
        await peer.close()


async def test_acknowledged_mail_is_deleted(server: Server) -> None:
    doctor, who, _ = await sign_in(server.hub)
    await doctor.connect(server)
    await doctor.until(lambda: doctor.welcomes)
    before = await count(server.hub, "signalling_mail")
    await news(server, who.address, *range(8))
    await doctor.until(lambda: len(numbers(doctor)) == 8)
    async with asyncio.timeout(5):
        while await count(server.hub, "signalling_mail") > before:  # noqa: ASYNC110 -- it is a table
            await asyncio.sleep(0.1)
    await doctor.close()


async def test_who_reads_nothing_loses_the_session_and_starts_from_a_snapshot(server: Server) -> None:
    doctor, who, _ = await sign_in(server.hub)
    await doctor.connect(server)
    await doctor.until(lambda: doctor.welcomes)
    await doctor.lose()
    await news(server, who.address, *range(300))
    await server.node._tidy()

    await doctor.connect(server)
    await doctor.until(lambda: len(doctor.welcomes) == 2)
    assert not doctor.welcomes[-1].resumed
    await doctor.close()


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
async def test_a_page_of_another_site_is_refused_at_the_door(server: Server, origin: str) -> None:
    _, _, token = await sign_in(server.hub)
    with pytest.raises(websockets.InvalidStatus) as refused:
        await page(token, origin).connect(server)
    assert refused.value.response.status_code == 403


async def test_without_the_sub_protocol_nobody_gets_in(server: Server) -> None:
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(server.url, proxy=None)


async def test_who_is_not_signed_in_is_told_so(server: Server) -> None:
    stranger = Peer({}, Origin("http://hub.test"))
    await stranger.connect(server, hello=False)
    assert await stranger.is_closed() == 4001


async def test_a_person_who_signs_out_loses_the_socket_within_ten_seconds(server: Server) -> None:
    doctor, _, token = await sign_in(server.hub)
    await doctor.connect(server)
    await doctor.until(lambda: doctor.welcomes)
    async with server.hub.sessions() as session, session.begin():
        await access.sign_out(session, token, now=now())
    assert await doctor.is_closed(within=10) == 4001


@pytest.mark.parametrize("how", ["others", "by_name", "password", "role"])
async def test_a_session_that_is_ended_loses_the_socket_within_ten_seconds(server: Server, how: str) -> None:
    doctor, who, _ = await sign_in(server.hub)
    await doctor.connect(server)
    await doctor.until(lambda: doctor.welcomes)
    if how == "password":
        await access.change_password(server.hub.sessions, who, "bốn từ chẳng liên quan", now=now())
    async with server.hub.sessions() as session, session.begin():
        if how == "others":
            await access.end_sessions(session, who.id, by=who.address, now=now())
        elif how == "by_name":
            await access.end_own_session(session, who, who.session, now=now())
        elif how == "role":
            operator = await access.user(session, (await sign_in(server.hub, Role.OPERATOR))[1].id)
            await administration.set_role(session, who.id, Role.NURSE, by=operator, now=now())
    assert await doctor.is_closed(within=10) == 4001


async def test_a_fresh_proof_changes_the_cookie_and_keeps_the_socket(server: Server) -> None:
    """A doctor proves in another tab that it is them; the call goes on."""
    doctor, who, token = await sign_in(server.hub)
    await doctor.connect(server)
    await doctor.until(lambda: doctor.welcomes)
    async with server.hub.sessions() as session, session.begin():
        fresh = await sessions.renew(session, who, assurance="mfa", now=now())
    with pytest.raises(TimeoutError):
        await doctor.is_closed(within=2.5)
    await doctor.close()
    old, new = page(token), page(fresh)
    await old.connect(server, hello=False)
    assert await old.is_closed() == 4001
    await new.connect(server)
    await new.until(lambda: new.welcomes)
    await new.close()


async def test_a_revoked_station_loses_the_socket_within_ten_seconds_and_stops(server: Server) -> None:
    station, _, _ = await enrol(server.hub)
    await station.connect(server)
    await station.until(lambda: station.welcomes)
    async with server.hub.sessions() as session, session.begin():
        await access.revoke_device(session, by="user:operator", now=now(), site=SITE)

    assert await station.is_closed(within=10) == 4002
    assert station.half.retry_after(lambda: 0.5) is None
    await station.connect(server, hello=False)
    assert await station.is_closed() == 4002


async def test_a_station_refreshes_its_token_on_the_open_socket(server: Server) -> None:
    station, device, _ = await enrol(server.hub)
    await station.connect(server)
    await station.until(lambda: station.welcomes)
    fresh = await station.ask("auth.refresh", {"token": await token_of(server.hub, device)})
    stale = await station.ask("auth.refresh", {"token": "x"})

    assert fresh.ok
    assert (stale.ok, stale.d["code"]) == (False, "not_allowed")
    await station.close()


async def test_a_crowd_of_requests_is_slowed_down_and_all_are_answered(server: Server) -> None:
    doctor, _, _ = await sign_in(server.hub)
    await doctor.connect(server)
    await doctor.until(lambda: doctor.welcomes)
    asked = [asyncio.create_task(doctor.ask("ice.get", within=20)) for _ in range(MESSAGE_BURST + 20)]
    ticking = asyncio.create_task(_flush_for_ever(doctor))
    answers = await asyncio.gather(*asked)
    ticking.cancel()

    assert all(answer.ok for answer in answers)
    await doctor.close()


async def _flush_for_ever(peer: Peer) -> None:
    while True:
        await asyncio.sleep(0.05)
        await peer.flush()


async def test_a_flood_closes_the_socket(server: Server) -> None:
    doctor, _, _ = await sign_in(server.hub)
    await doctor.connect(server)
    await doctor.until(lambda: doctor.welcomes)
    assert doctor.socket is not None
    with suppress(websockets.ConnectionClosed):
        for _ in range(20 * (MESSAGE_BURST + FLOOD_DEBT)):
            await doctor.socket.send(json.dumps({"t": "nothing", "id": str(uuid4())}))
    assert await doctor.is_closed() == 4009


async def test_an_oversize_frame_closes_the_socket(server: Server) -> None:
    doctor, _, _ = await sign_in(server.hub)
    await doctor.connect(server)
    await doctor.until(lambda: doctor.welcomes)
    assert doctor.socket is not None
    await doctor.socket.send("x" * (MAX_FRAME_BYTES + 1))
    assert await doctor.is_closed() in (1009, 4009)


async def test_a_drained_node_says_bye_and_takes_nobody_new(quick: HubSettings, server: Server) -> None:
    doctor, _, token = await sign_in(server.hub)
    async with serving(quick, worker=False) as node:
        await doctor.connect(node)
        await doctor.until(lambda: doctor.welcomes)
        await node.node.drain()
        bye = await doctor.hears("bye")
        assert await doctor.is_closed() == 4000
        late = page(token)
        await late.connect(node)
        assert await late.is_closed() == 4013
    assert 0 <= int(str(bye.d["delay_ms"])) < 5000


async def test_a_board_is_poked_whoever_it_concerns(server: Server) -> None:
    coordinator, _, _ = await sign_in(server.hub, Role.COORDINATOR)
    station, _, _ = await enrol(server.hub)
    for peer in (coordinator, station):
        await peer.connect(server)
        await peer.until(lambda peer=peer: peer.welcomes)
    await wire.tell(server.hub, wire.BOARD)
    await wire.tell(server.hub, wire.poke_address(f"station:{SITE}", "sync"))

    await coordinator.hears("poke", what="board")
    await station.hears("poke", what="sync")
    assert not [m for m in station.heard if m.d.get("what") == "board"]
    for peer in (coordinator, station):
        await peer.close()


async def test_the_websocket_speaks_the_sub_protocol(server: Server) -> None:
    doctor, _, _ = await sign_in(server.hub)
    await doctor.connect(server)
    assert doctor.socket is not None
    assert doctor.socket.subprotocol == SUBPROTOCOL
    await doctor.close()
