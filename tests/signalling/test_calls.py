"""A call over signalling: it rings, one answers, both come in, media sessions are built and built anew."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from clinic_net.access.principals import UserPrincipal
from clinic_net.consultations import service as consultations
from tests.signalling.support import Peer, Server, call_for_help, enrol, on_duty, page, sign_in


@dataclass
class Case:
    server: Server
    call: UUID
    doctor: Peer
    who: UserPrincipal
    cookie: str
    station: Peer

    async def join(self) -> int:
        """Both come in; return the epoch in which the doctor is asked for an offer."""
        for peer in (self.station, self.doctor):
            joined = await peer.ask("call.join", call=self.call)
            assert joined.ok, joined.d
        asked = await self.doctor.hears("media.need_offer")
        assert asked.ep is not None
        return asked.ep


@pytest.fixture
async def ringing(server: Server) -> AsyncIterator[Case]:
    """A doctor on duty whose page rings for a station's call."""
    doctor, who, cookie = await sign_in(server.hub)
    station, _, _ = await enrol(server.hub)
    for peer in (doctor, station):
        await peer.connect(server)
        await peer.until(lambda peer=peer: peer.welcomes)
    await on_duty(server.hub, who)
    call = await call_for_help(server.hub)
    yield Case(server, call, doctor, who, cookie, station)
    for peer in (doctor, station):
        await peer.close()


@pytest.fixture
async def accepted(ringing: Case) -> Case:
    await ringing.doctor.hears("call.invite")
    answer = await ringing.doctor.ask("call.accept", call=ringing.call)
    assert answer.d == {"state": "accepted"}
    return ringing


def offer(n: int = 1) -> dict[str, object]:
    return {"sdp": f"v=0 offer {n}"}


async def test_a_call_rings_at_the_doctors_page_and_the_station_knows(ringing: Case) -> None:
    invite = await ringing.doctor.hears("call.invite")
    state = await ringing.station.hears("call.state", state="ringing")

    assert invite.call == ringing.call
    assert invite.d["urgency"] == "red"
    assert state.call == ringing.call


async def test_a_page_that_opens_later_finds_the_ring_in_its_snapshot(ringing: Case) -> None:
    await ringing.doctor.hears("call.invite")
    late = page(ringing.cookie)
    await late.connect(ringing.server)
    await late.until(lambda: late.welcomes)
    assert late.welcomes[0].snapshot is not None
    invites = late.welcomes[0].snapshot["invites"]

    assert isinstance(invites, list)
    assert [invite["call"] for invite in invites if isinstance(invite, dict)] == [str(ringing.call)]
    await late.close()


async def test_seen_and_ringing_are_noted(ringing: Case) -> None:
    await ringing.doctor.hears("call.invite")
    assert (await ringing.doctor.ask("call.ringing", call=ringing.call)).ok
    assert (await ringing.doctor.ask("call.seen", call=ringing.call)).ok
    async with ringing.server.hub.sessions() as session:
        steps = [entry.step for entry in await consultations.timeline(session, ringing.call)]
    assert "seen" in steps


async def test_the_second_doctor_is_told_who_was_faster_and_falls_silent(ringing: Case) -> None:
    second, who, _ = await sign_in(ringing.server.hub, name="BS. Quàng Văn Pản")
    await second.connect(ringing.server)
    await second.until(lambda: second.welcomes)
    await on_duty(ringing.server.hub, who)
    for doctor in (ringing.doctor, second):
        await doctor.hears("call.invite")
    first, other = await asyncio.gather(
        ringing.doctor.ask("call.accept", call=ringing.call), second.ask("call.accept", call=ringing.call)
    )
    winner, loser, name, pages = (
        (first, other, ringing.who.name, second) if first.ok else (other, first, who.name, ringing.doctor)
    )
    cancelled = await pages.hears("call.cancelled")

    assert winner.ok
    assert loser.d == {"code": "answered_elsewhere", "by": name}
    assert cancelled.d == {"reason": "answered_elsewhere", "by": name}
    await second.close()


async def test_accepting_again_after_a_lost_socket_is_one_acceptance(ringing: Case) -> None:
    doctor = ringing.doctor
    await doctor.hears("call.invite")
    request = doctor.half.request("call.accept", call=ringing.call)
    await doctor.flush()
    await doctor.lose()
    await doctor.connect(ringing.server)
    answer = await doctor.until(lambda: doctor._answers.get(request))
    async with ringing.server.hub.sessions() as session:
        steps = [entry.step for entry in await consultations.timeline(session, ringing.call)]

    assert answer.ok
    assert steps.count("accepted") == 1


async def test_both_come_in_and_the_doctor_offers(accepted: Case) -> None:
    waiting = await accepted.station.ask("call.join", call=accepted.call)
    joined = await accepted.doctor.ask("call.join", call=accepted.call)
    asked = await accepted.doctor.hears("media.need_offer")
    reset = await accepted.station.hears("media.reset")

    assert waiting.d["role"] == "answerer"
    assert joined.d["role"] == "offerer"
    assert asked.ep == reset.ep == joined.d["ep"] == 1
    assert accepted.who.address in str(joined.d["ice"])


async def test_descriptions_and_candidates_are_relayed_in_order(accepted: Case) -> None:
    ep = await accepted.join()
    call = accepted.call
    assert (await accepted.doctor.ask("media.offer", offer(), call=call, ep=ep)).ok
    candidate = {"candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": None}
    assert (await accepted.doctor.ask("media.cand", {"c": [candidate], "end": True}, call=call, ep=ep)).ok
    assert (await accepted.station.ask("media.answer", {"sdp": "v=0 answer"}, call=call, ep=ep)).ok

    got = await accepted.station.hears("media.offer")
    candidates = await accepted.station.hears("media.cand")
    answer = await accepted.doctor.hears("media.answer")
    assert (got.call, got.ep, got.d) == (accepted.call, ep, offer())
    assert candidates.d == {"c": [candidate], "end": True}
    assert (got.seq or 0) < (candidates.seq or 0)
    assert answer.d == {"sdp": "v=0 answer"}


async def test_an_offer_of_a_former_epoch_is_stale(accepted: Case) -> None:
    ep = await accepted.join()
    renewed = await accepted.station.ask("media.need_offer", {"why": "failed"}, call=accepted.call, ep=ep)
    asked = await accepted.doctor.hears("media.need_offer", why="failed")
    stale = await accepted.doctor.ask("media.offer", offer(), call=accepted.call, ep=ep)
    fresh = await accepted.doctor.ask("media.offer", offer(2), call=accepted.call, ep=ep + 1)

    assert renewed.d == {"ep": ep + 1}
    assert asked.ep == ep + 1
    assert stale.d == {"code": "stale_epoch"}
    assert fresh.ok
    assert (await accepted.station.hears("media.offer")).d == offer(2)


async def test_both_complaining_at_once_begin_one_new_epoch(accepted: Case) -> None:
    ep = await accepted.join()
    first = await accepted.station.ask("media.need_offer", {"why": "failed"}, call=accepted.call, ep=ep)
    second = await accepted.doctor.ask("media.need_offer", {"why": "failed"}, call=accepted.call, ep=ep)
    assert first.d == second.d == {"ep": ep + 1}


async def test_only_the_doctor_offers_and_only_the_station_answers(accepted: Case) -> None:
    ep = await accepted.join()
    wrong = await accepted.station.ask("media.offer", offer(), call=accepted.call, ep=ep)
    also = await accepted.doctor.ask("media.answer", offer(), call=accepted.call, ep=ep)
    assert wrong.d == also.d == {"code": "not_allowed"}


async def test_anothers_call_looks_like_none(accepted: Case) -> None:
    ep = await accepted.join()
    stranger, _, _ = await sign_in(accepted.server.hub)
    await stranger.connect(accepted.server)
    await stranger.until(lambda: stranger.welcomes)
    for t, d in (
        ("call.join", {}),
        ("call.accept", {}),
        ("call.seen", {}),
        ("call.end", {}),
        ("call.media", {"flowing": True}),
        ("media.offer", offer()),
        ("media.cand", {"c": []}),
        ("media.need_offer", {"why": "x"}),
    ):
        theirs = await stranger.ask(t, d, call=accepted.call, ep=ep)
        nobodys = await stranger.ask(t, d, call=uuid4(), ep=ep)
        assert theirs.d == nobodys.d == {"code": "not_found"}, t
    await stranger.close()


async def test_a_message_of_the_wrong_form_is_malformed(accepted: Case) -> None:
    ep = await accepted.join()
    for t, d in (
        ("media.offer", {}),
        ("media.offer", {"sdp": "x" * 40_000}),
        ("call.end", {"reason": "because"}),
    ):
        assert (await accepted.doctor.ask(t, d, call=accepted.call, ep=ep)).d == {"code": "malformed"}
    assert (await accepted.doctor.ask("call.dance", call=accepted.call)).d == {"code": "malformed"}
    assert (await accepted.doctor.ask("call.join")).d == {"code": "malformed"}


async def test_media_at_both_parties_makes_the_call_active(accepted: Case) -> None:
    ep = await accepted.join()
    for peer in (accepted.doctor, accepted.station):
        media = {"flowing": True, "audio": True, "video": True}
        assert (await peer.ask("call.media", media, call=accepted.call, ep=ep)).ok
    await accepted.station.hears("call.state", state="active")
    await accepted.doctor.hears("call.state", state="active")


async def test_a_lost_socket_does_not_end_the_call_and_the_other_side_is_told(accepted: Case) -> None:
    ep = await accepted.join()
    await accepted.station.lose()
    await accepted.doctor.hears("peer.lost", party="station")
    await accepted.doctor.ask("media.offer", offer(), call=accepted.call, ep=ep)
    await accepted.station.connect(accepted.server)

    await accepted.doctor.hears("peer.back", party="station")
    assert (await accepted.station.hears("media.offer")).d == offer()
    async with accepted.server.hub.sessions() as session:
        assert (await consultations.view(session, accepted.call)).state == "connecting"


async def test_a_reloaded_page_joins_again_with_a_new_epoch_and_the_old_one_is_out(accepted: Case) -> None:
    ep = await accepted.join()
    reloaded = page(accepted.cookie)
    await reloaded.connect(accepted.server)
    joined = await reloaded.ask("call.join", call=accepted.call)
    asked = await reloaded.hears("media.need_offer")
    outdated = await accepted.doctor.ask("media.offer", offer(), call=accepted.call, ep=ep + 1)

    assert joined.d["ep"] == asked.ep == ep + 1
    assert outdated.d == {"code": "bad_state"}
    assert not [message for message in accepted.doctor.heard if message.t == "media.need_offer"]
    await reloaded.close()


async def test_an_ended_call_is_ended_for_both(accepted: Case) -> None:
    await accepted.join()
    assert (await accepted.doctor.ask("call.end", {"reason": "completed"}, call=accepted.call)).ok
    ended = await accepted.station.hears("call.state", state="ended")
    again = await accepted.station.ask("call.join", call=accepted.call)

    assert ended.d["end_reason"] == "completed"
    assert again.d == {"code": "bad_state"}


async def test_a_station_that_comes_back_finds_its_call_in_the_snapshot(accepted: Case) -> None:
    await accepted.station.close()
    accepted.station.half.sid = None
    await accepted.station.connect(accepted.server)
    await accepted.station.until(lambda: len(accepted.station.welcomes) == 2)
    assert accepted.station.welcomes[-1].snapshot is not None
    calls = accepted.station.welcomes[-1].snapshot["calls"]

    assert isinstance(calls, list)
    assert [call["call"] for call in calls if isinstance(call, dict)] == [str(accepted.call)]


async def test_a_doctor_whose_pages_are_gone_is_out_of_reach_until_one_opens(server: Server) -> None:
    doctor, who, _ = await sign_in(server.hub)
    await doctor.connect(server)
    await doctor.until(lambda: doctor.welcomes)
    await on_duty(server.hub, who)
    await doctor.close()
    async with asyncio.timeout(5):
        while await _reachable(server, who):
            await _let_absent_sessions_end(server)

    await doctor.connect(server)
    await doctor.until(lambda: len(doctor.welcomes) == 2)
    async with asyncio.timeout(5):
        while not await _reachable(server, who):  # noqa: ASYNC110 -- it is a table
            await asyncio.sleep(0.05)
    await doctor.close()


async def _reachable(server: Server, who: UserPrincipal) -> bool:
    async with server.hub.sessions() as session:
        return any(view.online for view in await consultations.on_duty(session) if view.user == who.id)


async def _let_absent_sessions_end(server: Server) -> None:
    async with server.hub.sessions() as session, session.begin():
        connection = await session.connection()
        await connection.execute(text("update signalling_session set expires_at = now() where node is null"))
    await server.node._tidy()
