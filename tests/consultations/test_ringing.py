"""Who is rung, who wins, and what happens when nobody answers."""

import asyncio
from uuid import UUID, uuid4

import pytest

from clinic_net.access import service as access
from clinic_net.access.principals import UserPrincipal
from clinic_net.consultations import jobs, service
from clinic_net.consultations.errors import AnsweredElsewhere, NotInThisState, UnknownConsultation
from clinic_net.kernel.hub import Hub
from tests.consultations.support import (
    CENTRAL,
    CENTRE,
    NOW,
    PROVINCIAL,
    SITE,
    accept,
    after,
    ask,
    call_for_help,
    coordinator,
    doctor,
    on_duty,
    rings_for,
    state_of,
    steps_of,
    sweep,
    told,
)


async def test_the_referral_hospitals_doctors_of_the_specialty_are_rung_at_once(clinic: Hub) -> None:
    near, surgeon, far = (
        doctor("Lò Văn An"),
        doctor("Cầm Bình", CENTRE, ["surgery"]),
        doctor("Vũ Chi", CENTRAL),
    )
    await on_duty(clinic, near, surgeon, far)

    case = await ask(clinic, call_for_help())

    assert await state_of(clinic, case) == "ringing"
    assert await rings_for(clinic, near) == [case]
    assert await rings_for(clinic, surgeon) == await rings_for(clinic, far) == []
    assert await steps_of(clinic, case) == ["requested", "received", "rung"]


async def test_an_invite_says_what_is_needed_and_nothing_of_the_patient(clinic: Hub) -> None:
    near = doctor("Lò Văn An")
    await on_duty(clinic, near)
    await ask(clinic, call_for_help(patient="p-secret"))

    async with clinic.sessions() as session:
        [invite] = await service.invites_for(session, near)

    assert (invite.urgency, invite.specialty, invite.tier) == ("red", "cardiology", 1)
    assert invite.station == "Trạm Y tế Mường Pồn"
    assert invite.expires_at == "2036-11-20T02:01:30.000Z"
    assert "p-secret" not in invite.model_dump_json()


async def test_the_same_request_twice_is_one_case_and_one_ring(clinic: Hub) -> None:
    near = doctor("Lò Văn An")
    await on_duty(clinic, near)
    asked = call_for_help()

    await ask(clinic, asked)
    await ask(clinic, asked, after(5))
    await clinic.jobs.run_pending()

    assert await rings_for(clinic, near) == [asked.id]
    assert [kind for kind, _ in told] == ["rung"]


async def test_an_empty_tier_is_skipped_at_once(clinic: Hub) -> None:
    far = doctor("Vũ Chi", CENTRAL)
    await on_duty(clinic, far)

    case = await ask(clinic, call_for_help())

    assert await rings_for(clinic, far) == [case]
    async with clinic.sessions() as session:
        assert (await service.view(session, case)).tier == 3


async def test_a_red_case_without_its_specialty_rings_emergency_doctors(clinic: Hub) -> None:
    emergency = doctor("Hà Dũng", CENTRE, ["emergency"])
    await on_duty(clinic, emergency)

    red = await ask(clinic, call_for_help("red", "neurology"))
    await ask(clinic, call_for_help("yellow", "neurology"))

    assert await rings_for(clinic, emergency) == [red]


@pytest.mark.parametrize("doctors", [2, 5])
async def test_of_doctors_who_accept_at_the_same_instant_exactly_one_wins(clinic: Hub, doctors: int) -> None:
    rung = [doctor(f"Bác sĩ {number}") for number in range(doctors)]
    await on_duty(clinic, *rung)
    case = await ask(clinic, call_for_help())

    async def try_to_accept(person: UserPrincipal) -> str:
        try:
            await accept(clinic, case, person)
        except AnsweredElsewhere as refusal:
            return f"lost to {refusal.by}"
        return "won"

    results = await asyncio.gather(*(try_to_accept(person) for person in rung))

    [winner] = [person for person, result in zip(rung, results, strict=True) if result == "won"]
    assert results.count(f"lost to {winner.name}") == doctors - 1
    assert (await steps_of(clinic, case)).count("accepted") == 1


async def test_those_who_were_slower_are_told_who_was_faster(clinic: Hub) -> None:
    fast, slow = doctor("Lò Văn An"), doctor("Quàng Thị Bích")
    await on_duty(clinic, fast, slow)
    case = await ask(clinic, call_for_help())

    await accept(clinic, case, fast)
    await clinic.jobs.run_pending()

    [payload] = [payload for kind, payload in told if kind == "unrung"]
    assert payload == {
        "consultation": str(case), "users": [str(slow.id)], "reason": "answered_elsewhere", "by": "Lò Văn An",
    }  # fmt: skip
    assert await rings_for(clinic, slow) == []


async def test_accepting_again_is_the_same_answer(clinic: Hub) -> None:
    near = doctor("Lò Văn An")
    await on_duty(clinic, near)
    case = await ask(clinic, call_for_help())

    await accept(clinic, case, near)
    await accept(clinic, case, near, after(3))

    assert (await steps_of(clinic, case)).count("accepted") == 1


async def test_without_an_answer_the_next_tiers_are_rung_and_then_the_coordinator_has_it(clinic: Hub) -> None:
    near, province, nation = doctor("A"), doctor("B", PROVINCIAL), doctor("C", CENTRAL)
    desk = coordinator()
    await on_duty(clinic, near, province, nation)
    case = await ask(clinic, call_for_help())

    await sweep(clinic, after(34))
    assert await rings_for(clinic, province) == [case]
    assert await rings_for(clinic, near) == [case], "an earlier tier rings on"
    await sweep(clinic, after(68))
    assert await rings_for(clinic, nation) == [case]
    await sweep(clinic, after(102))

    assert await state_of(clinic, case) == "unanswered"
    async with clinic.sessions() as session:
        [row] = await service.open_cases(session, desk, now=after(103))
    assert (row.id, row.owner, row.next_step) == (case, "coordinator", "answer")
    assert row.time_left is not None
    assert row.time_left.total_seconds() > 0


async def test_nobody_on_duty_anywhere_is_the_coordinators_case_at_once(clinic: Hub) -> None:
    case = await ask(clinic, call_for_help("green"))

    assert await state_of(clinic, case) == "unanswered"


async def test_an_unanswered_case_rings_whoever_comes_on_duty(clinic: Hub) -> None:
    case = await ask(clinic, call_for_help())
    late = doctor("Vũ Chi", CENTRAL)

    await on_duty(clinic, late, now=after(600))

    assert await rings_for(clinic, late) == [case]
    await accept(clinic, case, late, after(610))
    assert await state_of(clinic, case) == "accepted"


async def test_an_unanswered_emergency_is_rung_again_round_after_round(clinic: Hub) -> None:
    near = doctor("Lò Văn An")
    await on_duty(clinic, near)
    case = await ask(clinic, call_for_help())
    for seconds in range(0, 1800, 30):
        await sweep(clinic, after(seconds))

    assert await state_of(clinic, case) == "unanswered"
    assert await rings_for(clinic, near) == [case]
    assert (await steps_of(clinic, case)).count("overdue") >= 10


async def test_when_all_decline_the_next_tier_is_rung_without_waiting(clinic: Hub) -> None:
    near, province = doctor("A"), doctor("B", PROVINCIAL)
    await on_duty(clinic, near, province)
    case = await ask(clinic, call_for_help())

    async with clinic.sessions() as session, session.begin():
        await service.reject(session, case, by=near, reason="not_my_specialty", now=after(2))

    assert await rings_for(clinic, province) == [case]
    assert await rings_for(clinic, near) == []


async def test_who_goes_off_duty_while_ringing_is_not_waited_for(clinic: Hub) -> None:
    near, province = doctor("A"), doctor("B", PROVINCIAL)
    await on_duty(clinic, near, province)
    case = await ask(clinic, call_for_help())

    async with clinic.sessions() as session, session.begin():
        await service.set_presence(session, near.address, online=False, now=after(1))
    await clinic.jobs.run_pending()

    assert await rings_for(clinic, near) == []
    assert await rings_for(clinic, province) == [case]


async def test_a_busy_doctor_is_waited_for_a_while_and_rung_when_free(clinic: Hub) -> None:
    only = doctor("Lò Văn An")
    await on_duty(clinic, only)
    first = await ask(clinic, call_for_help("yellow"))
    await accept(clinic, first, only)

    second = await ask(clinic, call_for_help("yellow"), after(10))
    assert await state_of(clinic, second) == "queued"
    async with clinic.sessions() as session, session.begin():
        await service.end(session, first, by=only, reason="completed", now=after(20))
    await clinic.jobs.run_pending()

    assert await state_of(clinic, second) == "ringing"
    assert await rings_for(clinic, only) == [second]


async def test_a_doctor_who_accepts_and_never_comes_loses_the_case(clinic: Hub) -> None:
    lost, other = doctor("A"), doctor("B")
    await on_duty(clinic, lost, other)
    case = await ask(clinic, call_for_help())
    await accept(clinic, case, lost, after(5))

    await sweep(clinic, after(70))

    assert await state_of(clinic, case) == "ringing"
    assert await rings_for(clinic, other) == [case]
    assert await rings_for(clinic, lost) == []
    await accept(clinic, case, other, after(72))


async def test_a_timer_of_a_step_that_is_past_does_nothing(clinic: Hub) -> None:
    near, other, province = doctor("A"), doctor("B"), doctor("C", PROVINCIAL)
    await on_duty(clinic, near, other, province)
    case = await ask(clinic, call_for_help())
    due = after(30).isoformat()

    await accept(clinic, case, near, after(1))
    await jobs.fire_timer(clinic, {"consultation": str(case), "rev": 2, "due": due})
    assert await state_of(clinic, case) == "accepted"
    assert await rings_for(clinic, province) == []

    still_ringing = await ask(clinic, call_for_help())
    await jobs.fire_timer(clinic, {"consultation": str(still_ringing), "rev": 2, "due": due})
    await jobs.fire_timer(clinic, {"consultation": str(still_ringing), "rev": 2, "due": due})
    assert await rings_for(clinic, province) == [still_ringing]


async def test_who_is_rung_may_see_the_patient_while_it_rings_and_the_doctor_during_care(clinic: Hub) -> None:
    fast, slow = doctor("A"), doctor("B")
    await on_duty(clinic, fast, slow)
    case = await ask(clinic, call_for_help(patient="p7"))
    await accept(clinic, case, fast, after(10))
    async with clinic.sessions() as session, session.begin():
        relations = await access.relations_of(session, "p7")
        await service.end(session, case, by=fast, reason="completed", now=after(600))
        later = await access.relations_of(session, "p7")

    def see(person: UserPrincipal, given: tuple[object, ...], seconds: float) -> bool:
        return any(
            getattr(one, "grantee", "") == person.address and one.holds(after(seconds))  # type: ignore[attr-defined]
            for one in given
        )

    assert see(slow, relations, 60)
    assert not see(slow, relations, 10 + 121)
    assert see(fast, relations, 7 * 24 * 3600)
    assert see(fast, later, 29 * 24 * 3600)
    assert not see(fast, later, 31 * 24 * 3600)


async def test_a_case_that_is_not_mine_looks_like_none(clinic: Hub) -> None:
    near, stranger = doctor("A"), doctor("B", CENTRAL)
    await on_duty(clinic, near)
    case = await ask(clinic, call_for_help())

    codes = []
    for unknown in (case, uuid4()):
        async with clinic.sessions() as session, session.begin():
            with pytest.raises(UnknownConsultation) as refusal:
                await service.accept(session, unknown, by=stranger, now=NOW)
            codes.append(refusal.value.code)
            with pytest.raises(UnknownConsultation):
                await service.view(session, unknown, by=stranger)
    assert codes[0] == codes[1]


async def test_a_coordinator_of_the_province_picks_who_is_rung(clinic: Hub) -> None:
    resting, desk, elsewhere = doctor("A", PROVINCIAL, ["surgery"]), coordinator(), coordinator(CENTRAL)
    await on_duty(clinic, resting)
    case = await ask(clinic, call_for_help())
    assert await rings_for(clinic, resting) == []

    async with clinic.sessions() as session, session.begin():
        with pytest.raises(UnknownConsultation):
            await service.coordinator_ring(session, case, user=resting.id, by=elsewhere, now=after(5))
        await service.coordinator_ring(session, case, user=resting.id, by=desk, now=after(5))

    assert await rings_for(clinic, resting) == [case]


async def test_a_station_takes_its_request_back(clinic: Hub) -> None:
    near = doctor("A")
    await on_duty(clinic, near)
    case = await ask(clinic, call_for_help())

    async with clinic.sessions() as session, session.begin():
        await service.withdraw_request(session, case, site=SITE, now=after(8))
    await clinic.jobs.run_pending()

    assert await rings_for(clinic, near) == []
    assert told[-1] == (
        "unrung", {"consultation": str(case), "users": [str(near.id)], "reason": "withdrawn", "by": None},
    )  # fmt: skip
    async with clinic.sessions() as session, session.begin():
        with pytest.raises(NotInThisState):
            await service.accept(session, case, by=near, now=after(9))


async def test_the_list_is_ordered_by_urgency_and_then_by_time_left(clinic: Hub) -> None:
    await on_duty(clinic, doctor("A"))
    asked: list[UUID] = []
    for seconds, urgency in ((0, "green"), (1, "red"), (2, "yellow"), (3, "red"), (4, "orange")):
        asked.append(await ask(clinic, call_for_help(urgency), after(seconds)))

    async with clinic.sessions() as session:
        rows = await service.open_cases(session, coordinator(), now=after(10))

    assert [row.id for row in rows] == [asked[1], asked[3], asked[4], asked[2], asked[0]]
    assert rows[0].commune == "Xã Mường Pồn"
