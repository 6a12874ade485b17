"""From accepted to decided: both come in, media flows or fails, somebody decides."""

from uuid import UUID

import pytest

from clinic_net.access.principals import UserPrincipal
from clinic_net.consultations import service
from clinic_net.consultations.errors import NotTheDoctor, UnknownConsultation
from clinic_net.kernel.hub import Hub
from tests.consultations.support import (
    SITE,
    STATION_DEVICE,
    accept,
    after,
    ask,
    call_for_help,
    coordinator,
    doctor,
    on_duty,
    state_of,
    steps_of,
    sweep,
    told,
)


async def taken(hub: Hub, urgency: str = "red") -> tuple[UUID, UserPrincipal]:
    """A case that a doctor took ten seconds after it came."""
    near = doctor("Lò Văn An")
    await on_duty(hub, near)
    case = await ask(hub, call_for_help(urgency))
    await accept(hub, case, near, after(10))
    return case, near


async def join(hub: Hub, case: UUID, by: UserPrincipal | None, sid: str, seconds: float) -> service.Joined:
    async with hub.sessions() as session, session.begin():
        return await service.join(
            session,
            case,
            party="doctor" if by else "station",
            address=by.address if by else STATION_DEVICE.address,
            sid=sid,
            now=after(seconds),
        )


async def report(
    hub: Hub, case: UUID, party: service.PartyName, seconds: float, *, flowing: bool = True
) -> None:
    async with hub.sessions() as session, session.begin():
        await service.media(
            session, case, party=party, flowing=flowing, audio=flowing, video=flowing, now=after(seconds)
        )


async def active(hub: Hub) -> tuple[UUID, UserPrincipal]:
    case, near = await taken(hub)
    await join(hub, case, near, "d1", 11)
    await join(hub, case, None, "s1", 12)
    await report(hub, case, "doctor", 14)
    await report(hub, case, "station", 15)
    return case, near


async def epoch_of(hub: Hub, case: UUID) -> int:
    async with hub.sessions() as session:
        return (await service.view(session, case)).ep


async def test_the_timeline_tells_the_whole_case_in_seconds_since_the_request(clinic: Hub) -> None:
    case, near = await active(clinic)
    async with clinic.sessions() as session, session.begin():
        await service.decide(session, case, by=near, outcome="managed_locally", now=after(300))
        await service.end(session, case, by=near, reason="completed", now=after(320))

    async with clinic.sessions() as session:
        told_by_hub = [
            (entry.step, entry.seconds) for entry in await service.timeline(session, case, by=near)
        ]
    assert told_by_hub == [
        ("requested", 0), ("received", 0), ("rung", 0), ("seen", 10), ("accepted", 10), ("joined", 11),
        ("joined", 12), ("media", 15), ("decided", 300), ("ended", 320),
    ]  # fmt: skip


async def test_a_case_that_is_decided_and_ended_is_nobodys_any_more(clinic: Hub) -> None:
    case, near = await active(clinic)
    async with clinic.sessions() as session, session.begin():
        await service.end(session, case, by=STATION_DEVICE, reason="completed", now=after(320))
        [row] = await service.open_cases(session, near, now=after(321))
        assert (row.owner, row.next_step) == (near.address, "decide")
        await service.decide(session, case, by=near, outcome="advice", now=after(330))

    async with clinic.sessions() as session:
        assert await service.open_cases(session, coordinator(), now=after(331)) == []


async def test_the_doctor_offers_and_the_station_answers_once_both_are_there(clinic: Hub) -> None:
    case, near = await taken(clinic)

    first = await join(clinic, case, None, "s1", 11)
    assert (first.role, first.epoch) == ("answerer", 0)
    second = await join(clinic, case, near, "d1", 12)
    assert (second.role, second.epoch) == ("offerer", 1)
    await clinic.jobs.run_pending()

    assert await state_of(clinic, case) == "connecting"
    assert told[-1] == ("media_reset", {"consultation": str(case), "epoch": 1, "why": "joined"})
    async with clinic.sessions() as session:
        parties = await service.parties(session, case)
    assert parties["station"] == service.Party(f"station:{SITE}", "s1")
    assert parties["doctor"] == service.Party(near.address, "d1")


async def test_a_party_that_comes_back_with_another_session_gets_a_new_epoch(clinic: Hub) -> None:
    case, near = await active(clinic)

    await join(clinic, case, near, "d1", 20)
    assert await epoch_of(clinic, case) == 1, "the same session again is the same call"
    await join(clinic, case, near, "d2", 21)
    assert await epoch_of(clinic, case) == 2
    async with clinic.sessions() as session, session.begin():
        assert await service.need_offer(session, case, party="station", why="ice_failed", now=after(25)) == 3


async def test_only_the_doctor_who_took_it_and_its_own_station_may_come_in(clinic: Hub) -> None:
    case, _ = await taken(clinic)

    with pytest.raises(UnknownConsultation):
        await join(clinic, case, doctor("Kẻ lạ"), "d1", 11)
    async with clinic.sessions() as session, session.begin():
        with pytest.raises(UnknownConsultation):
            await service.join(
                session, case, party="station", address="station:00001-01", sid="s", now=after(11)
            )


async def test_silence_makes_it_reconnecting_and_media_makes_it_active_again(clinic: Hub) -> None:
    case, _ = await active(clinic)

    await report(clinic, case, "station", 60, flowing=False)
    assert await state_of(clinic, case) == "reconnecting"
    await report(clinic, case, "station", 80)
    assert await state_of(clinic, case) == "active"
    assert (await steps_of(clinic, case))[-2:] == ["reconnecting", "media"]


async def test_media_that_does_not_come_back_ends_the_call_and_the_coordinator_sees_it(clinic: Hub) -> None:
    case, _ = await active(clinic)
    await report(clinic, case, "station", 60, flowing=False)

    await sweep(clinic, after(170))
    assert await state_of(clinic, case) == "reconnecting"
    await sweep(clinic, after(184))

    assert await state_of(clinic, case) == "ended"
    async with clinic.sessions() as session:
        [row] = await service.open_cases(session, coordinator(), now=after(185))
    assert (row.owner, row.end_reason) == ("coordinator", "media_lost")
    assert row.next_step_at is not None


async def test_a_hub_that_was_away_does_not_end_the_calls_it_finds(clinic: Hub) -> None:
    case, _ = await active(clinic)
    await report(clinic, case, "station", 60, flowing=False)

    await sweep(clinic, after(600))
    assert await state_of(clinic, case) == "reconnecting"
    await report(clinic, case, "station", 604)

    assert await state_of(clinic, case) == "active"


async def test_a_call_that_never_connects_is_tried_anew_and_fails_in_the_end(clinic: Hub) -> None:
    case, near = await taken(clinic)
    await join(clinic, case, near, "d1", 11)
    await join(clinic, case, None, "s1", 12)

    await sweep(clinic, after(61))
    assert await epoch_of(clinic, case) == 2
    for seconds in range(70, 800, 10):
        await sweep(clinic, after(seconds))

    assert await state_of(clinic, case) == "ended"


async def test_who_was_only_rung_may_neither_end_nor_decide(clinic: Hub) -> None:
    near, other = doctor("A"), doctor("B")
    await on_duty(clinic, near, other)
    case = await ask(clinic, call_for_help())
    await accept(clinic, case, near)

    async with clinic.sessions() as session, session.begin():
        with pytest.raises(NotTheDoctor):
            await service.end(session, case, by=other, reason="completed", now=after(5))
        with pytest.raises(NotTheDoctor):
            await service.decide(session, case, by=other, outcome="advice", now=after(5))
    assert await state_of(clinic, case) == "accepted"


async def test_calls_that_run_are_found_again_by_both_sides(clinic: Hub) -> None:
    case, near = await active(clinic)

    async with clinic.sessions() as session:
        assert [view.call for view in await service.calls_of(session, near.address)] == [case]
        assert [view.call for view in await service.calls_of(session, f"station:{SITE}")] == [case]
        assert await service.calls_of(session, "client:ministry") == []
