"""A patient is sent on, answered for, redirected, and comes home with a plan."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from clinic_net.access.policy import hub_scope, scope_of
from clinic_net.access.principals import UserPrincipal
from clinic_net.consultations import service as consultations
from clinic_net.consultations.errors import NotTheDoctor
from clinic_net.directory.errors import UnknownFacility
from clinic_net.kernel.hub import Hub
from clinic_net.records import service as records
from clinic_net.referrals import jobs, service
from clinic_net.referrals.errors import (
    EmergencyMustNotBeRejected,
    NotACoordinator,
    NotTheReceiver,
    ReasonMissing,
    ReferralNotInThisState,
    SamePlace,
    UnknownReferral,
)
from clinic_net.referrals.service import ReferralRow
from tests.consultations.support import (
    CENTRAL,
    CENTRE,
    PROVINCIAL,
    STATION,
    STATION_DEVICE,
    after,
    coordinator,
    doctor,
    on_duty,
    steps_of,
)
from tests.consultations.test_documents import taken


async def refer(
    hub: Hub,
    case: UUID,
    by: UserPrincipal,
    *,
    urgency: str = "orange",
    to: str = PROVINCIAL,
    seconds: float = 60,
) -> ReferralRow:
    async with hub.sessions() as session, session.begin():
        return await service.refer(
            session,
            case,
            by=by,
            to_facility=to,
            urgency=urgency,
            reason="Nhồi máu cơ tim cấp",
            now=after(seconds),
        )


async def sent(hub: Hub, urgency: str = "orange") -> tuple[ReferralRow, UserPrincipal]:
    case, near = await taken(hub)
    return await refer(hub, case, near, urgency=urgency), near


async def resources(hub: Hub, patient: str, rtype: str) -> list[dict[str, Any]]:
    async with hub.sessions() as session:
        found = await records.everything(session, patient, scope=hub_scope(), now=after(3600))
    return [json.loads(one.text) for one in found if one.rtype == rtype]


async def list_of(hub: Hub, by: UserPrincipal, seconds: float = 120) -> list[ReferralRow]:
    async with hub.sessions() as session:
        return await service.open_referrals(session, by, now=after(seconds))


async def test_a_referral_is_an_order_and_a_task_that_the_station_can_read(clinic: Hub) -> None:
    referral, _ = await sent(clinic)

    [order] = [
        one
        for one in await resources(clinic, referral.patient, "ServiceRequest")
        if one["id"] == str(referral.id)
    ]
    [task] = await resources(clinic, referral.patient, "Task")
    assert (order["priority"], order["reasonCode"][0]["text"]) == ("asap", "Nhồi máu cơ tim cấp")
    assert (task["status"], task["focus"]["reference"]) == ("requested", f"ServiceRequest/{referral.id}")
    assert task["owner"]["identifier"]["value"] == PROVINCIAL
    assert task["restriction"]["period"]["end"] == "2036-11-20T02:16:00.000Z"
    async with clinic.sessions() as session, session.begin():
        await records.read(session, "Task", task["id"], scope=scope_of(STATION_DEVICE), now=after(61))


async def test_sending_on_is_the_consultations_decision_and_stands_in_its_timeline(clinic: Hub) -> None:
    referral, near = await sent(clinic)

    assert (await steps_of(clinic, referral.consultation))[-2:] == ["decided", "referred"]
    async with clinic.sessions() as session:
        assert (
            await consultations.case(session, referral.consultation, by=near, now=after(61))
        ).outcome == "transfer"


async def test_it_is_on_the_lists_of_both_sides_and_of_nobody_else(clinic: Hub) -> None:
    referral, near = await sent(clinic)

    for reader in (near, coordinator(), coordinator(PROVINCIAL), doctor("Tiếp nhận", PROVINCIAL)):
        assert [row.id for row in await list_of(clinic, reader)] == [referral.id]
    for stranger in (coordinator(CENTRAL), doctor("Kẻ lạ", CENTRE)):
        assert await list_of(clinic, stranger) == []


async def test_the_list_is_ordered_by_urgency_and_then_by_time_left(clinic: Hub) -> None:
    ids = []
    for urgency, seconds in (("green", 60), ("red", 300), ("red", 60), ("yellow", 60)):
        case, near = await taken(clinic)
        ids.append((await refer(clinic, case, near, urgency=urgency, seconds=seconds)).id)

    assert [row.id for row in await list_of(clinic, coordinator())] == [ids[2], ids[1], ids[3], ids[0]]


async def test_the_receiver_accepts_and_may_then_see_the_patient(clinic: Hub) -> None:
    referral, _ = await sent(clinic)
    receiver = doctor("Tiếp nhận", PROVINCIAL)

    async with clinic.sessions() as session, session.begin():
        row = await service.accept(session, referral.id, by=receiver, now=after(300))
        await records.read(session, "Patient", referral.patient, scope=scope_of(receiver), now=after(301))

    assert (row.state, row.answered_by) == ("accepted", "Tiếp nhận")
    [task] = await resources(clinic, referral.patient, "Task")
    assert task["status"] == "accepted"


async def test_only_the_receiver_answers(clinic: Hub) -> None:
    referral, near = await sent(clinic)

    async with clinic.sessions() as session, session.begin():
        with pytest.raises(NotTheReceiver):
            await service.accept(session, referral.id, by=near, now=after(300))
        with pytest.raises(UnknownReferral):
            await service.accept(session, referral.id, by=doctor("B", CENTRE), now=after(300))
        with pytest.raises(UnknownReferral):
            await service.accept(session, uuid4(), by=doctor("B", CENTRE), now=after(300))


async def test_an_answer_and_a_redirection_at_the_same_instant_have_one_winner(clinic: Hub) -> None:
    referral, _ = await sent(clinic)

    async def accept() -> str:
        async with clinic.sessions() as session, session.begin():
            try:
                await service.accept(session, referral.id, by=doctor("A", PROVINCIAL), now=after(300))
            except (NotTheReceiver, UnknownReferral):
                return "lost"
        return "accepted"

    async def redirect() -> str:
        async with clinic.sessions() as session, session.begin():
            try:
                await service.redirect(
                    session,
                    referral.id,
                    by=coordinator(),
                    to_facility=CENTRAL,
                    reason="no-bed",
                    words="Hết giường",
                    now=after(300),
                )
            except ReferralNotInThisState:
                return "lost"
        return "redirected"

    results = await asyncio.gather(accept(), redirect())

    assert results.count("lost") == 1
    [row] = await list_of(clinic, coordinator(), 301)
    assert row.state == ("accepted" if results[0] == "accepted" else "sent")


async def test_redirecting_closes_the_task_and_opens_the_next_on_the_same_order(clinic: Hub) -> None:
    referral, _ = await sent(clinic, "red")

    async with clinic.sessions() as session, session.begin():
        row = await service.redirect(
            session,
            referral.id,
            by=coordinator(),
            to_facility=CENTRAL,
            reason="no-bed",
            words="Hết giường hồi sức",
            now=after(200),
        )

    assert (row.id, row.to_facility, row.hops, row.due_at) == (referral.id, CENTRAL, 1, after(800))
    tasks = {task["status"]: task for task in await resources(clinic, referral.patient, "Task")}
    assert tasks["rejected"]["businessStatus"]["coding"][0]["code"] == "referred-onward"
    assert tasks["rejected"]["statusReason"]["text"] == "Hết giường hồi sức"
    assert tasks["requested"]["focus"] == tasks["rejected"]["focus"]
    assert tasks["requested"]["owner"]["identifier"]["value"] == CENTRAL
    async with clinic.sessions() as session:
        entries = await service.timeline(session, referral.id, by=coordinator())
    assert [(entry.step, entry.reason, entry.seconds) for entry in entries] == [
        ("sent", None, 0), ("redirected", "no-bed", 140),
    ]  # fmt: skip


async def test_an_emergency_cannot_be_rejected_and_others_only_with_a_reason(clinic: Hub) -> None:
    red, _ = await sent(clinic, "red")
    yellow, _ = await sent(clinic, "yellow")
    receiver = coordinator(PROVINCIAL)

    async with clinic.sessions() as session, session.begin():
        with pytest.raises(EmergencyMustNotBeRejected):
            await service.reject(session, red.id, by=receiver, reason="no-bed", words="Hết", now=after(90))
        with pytest.raises(ReasonMissing):
            await service.reject(session, yellow.id, by=receiver, reason="no-bed", words=" ", now=after(90))
        row = await service.reject(
            session, yellow.id, by=receiver, reason="no-bed", words="Hết", now=after(90)
        )

    assert row.state == "rejected"
    assert row.id in [one.id for one in await list_of(clinic, coordinator())], "it waits for a coordinator"


async def test_a_redirection_is_a_coordinators_and_goes_somewhere_else(clinic: Hub) -> None:
    referral, near = await sent(clinic)
    desk = coordinator()

    async with clinic.sessions() as session, session.begin():
        for by, place, refusal in (
            (near, CENTRAL, NotACoordinator),
            (desk, PROVINCIAL, SamePlace),
            (desk, STATION, SamePlace),
            (desk, "99999", UnknownFacility),
        ):
            with pytest.raises(refusal):
                await service.redirect(
                    session,
                    referral.id,
                    by=by,
                    to_facility=place,
                    reason="no-bed",
                    words="Hết",
                    now=after(90),
                )


async def test_a_promise_that_is_not_kept_is_counted_and_made_anew(clinic: Hub) -> None:
    referral, _ = await sent(clinic, "red")
    assert referral.due_at is not None
    news = {"referral": str(referral.id), "due": referral.due_at.isoformat()}

    await jobs.fire_timer(clinic, news)
    await jobs.fire_timer(clinic, news)

    [row] = await list_of(clinic, coordinator())
    assert row.overdue == 1
    assert row.due_at == after(60 + 600 + 600)
    async with clinic.sessions() as session, session.begin():
        assert await service.sweep(session, after(60 + 1200 + 5)) == 1


async def test_a_second_referral_for_the_same_need_is_linked_and_not_dropped(clinic: Hub) -> None:
    case, near = await taken(clinic)
    first = await refer(clinic, case, near)

    second = await refer(clinic, case, near, to=CENTRAL, seconds=90)

    assert second.duplicate_of == first.id
    assert len(await list_of(clinic, near)) == 2


async def test_the_patient_who_comes_home_leaves_the_station_a_task(clinic: Hub) -> None:
    referral, _ = await sent(clinic)
    receiver = doctor("Tiếp nhận", PROVINCIAL)
    async with clinic.sessions() as session, session.begin():
        await service.accept(session, referral.id, by=receiver, now=after(300))
        row = await service.counter_refer(
            session, referral.id, by=receiver, plan="Đo huyết áp hằng ngày", now=after(3000)
        )

    assert (row.state, row.due_at) == ("counter-referred", None)
    tasks = {task["status"]: task for task in await resources(clinic, referral.patient, "Task")}
    assert tasks["requested"]["description"] == "Đo huyết áp hằng ngày"
    assert tasks["requested"]["owner"]["identifier"]["value"] == STATION
    assert tasks["completed"]["businessStatus"]["coding"][0]["code"] == "counter-referred"


async def test_only_the_doctor_of_the_consultation_refers(clinic: Hub) -> None:
    near, other = doctor("A"), doctor("B")
    await on_duty(clinic, near, other)
    case, _ = await taken(clinic)

    with pytest.raises(NotTheDoctor):
        await refer(clinic, case, other)
