"""The coordinator's board and the page of a case: what is urgent is first, and somebody can be rung for it."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from clinic_net.access.principals import Role
from clinic_net.consultations import documents
from clinic_net.consultations import service as consultations
from clinic_net.consultations.documents import Child, Item
from clinic_net.consultations.errors import UnknownConsultation
from clinic_net.kernel.errors import Forbidden
from clinic_net.kernel.hub import Hub
from clinic_net.referrals import service as referrals
from tests.console.support import (
    PATIENT_NAME,
    Person,
    add_person,
    ask_for_a_doctor,
    go_on_duty,
    hear_from_station,
    signed_in,
    text_of,
    title_of,
)
from tests.consultations.support import CENTRAL, CENTRE, PROVINCIAL, forget_everything


@pytest.fixture
async def clinic(district: Hub) -> Hub:
    await forget_everything(district)
    return district


@pytest.fixture(scope="module")
async def coordinator(district: Hub) -> Person:
    return await add_person(district, Role.COORDINATOR)


async def rings_for(hub: Hub, person: Person) -> list[UUID]:
    async with hub.sessions() as session:
        return [invite.call for invite in await consultations.invites_for(session, person.user)]


async def end_the_call(hub: Hub, case: UUID, doctor: Person) -> None:
    async with hub.sessions() as session, session.begin():
        await consultations.accept(session, case, by=doctor.user, now=hub.now())
        await consultations.end(session, case, by=doctor.user, reason="media_failed", now=hub.now())


async def test_an_empty_board_says_that_nothing_waits(clinic: Hub, app: FastAPI, coordinator: Person) -> None:
    async with signed_in(app, coordinator) as client:
        page = await client.get("/board")
    assert page.status_code == 200
    assert "Không có ca nào đang mở" in text_of(page.text)


async def test_the_most_urgent_case_is_first_with_colour_and_words(
    clinic: Hub, app: FastAPI, coordinator: Person
) -> None:
    await ask_for_a_doctor(clinic, "green")
    await ask_for_a_doctor(clinic, "red")
    await ask_for_a_doctor(clinic, "yellow")
    async with signed_in(app, coordinator) as client:
        page = (await client.get("/board/live")).text
    said = text_of(page)
    assert said.index("Cấp cứu") < said.index("Khẩn") < said.index("Thông thường")
    assert page.index("edge-red") < page.index("edge-yellow") < page.index("edge-green")
    assert "Tim mạch" in said
    assert "Trạm Y tế Mường Pồn" in said


async def test_a_case_that_nobody_answers_is_marked_as_the_coordinator_s(
    clinic: Hub, app: FastAPI, coordinator: Person
) -> None:
    await ask_for_a_doctor(clinic)
    async with signed_in(app, coordinator) as client:
        page = (await client.get("/board/live")).text
    assert "Cần bạn xử lý" in text_of(page)
    assert "Chưa ai trả lời" in text_of(page)
    assert 'data-owed="1"' in page


async def test_the_board_names_no_patient(clinic: Hub, app: FastAPI, coordinator: Person) -> None:
    case = await ask_for_a_doctor(clinic)
    async with signed_in(app, coordinator) as client:
        board = await client.get("/board")
        page = await client.get(f"/cases/{case}")
    for answer in (board, page):
        assert PATIENT_NAME not in answer.text
        assert title_of(answer.text) in ("Ca đang mở · clinic-net", "Ca bệnh · clinic-net")


async def test_the_page_of_a_case_tells_what_a_coordinator_must_know(
    clinic: Hub, app: FastAPI, coordinator: Person
) -> None:
    case = await ask_for_a_doctor(clinic)
    async with signed_in(app, coordinator) as client:
        said = text_of((await client.get(f"/cases/{case}")).text)
    for words in ("Nữ", "53–54 tuổi", "9 (NEWS2)", "Trạm yêu cầu bác sĩ", "Không ai trả lời", "+0:00"):
        assert words in said


async def test_a_coordinator_rings_a_doctor_who_is_on_duty(
    clinic: Hub, app: FastAPI, coordinator: Person
) -> None:
    case = await ask_for_a_doctor(clinic)
    doctor = await add_person(clinic, Role.DOCTOR, specialties=("dental",))
    await go_on_duty(clinic, doctor)
    async with signed_in(app, coordinator) as client:
        page = (await client.get(f"/cases/{case}")).text
        assert str(doctor.user.id) in page
        answer = await client.post(f"/cases/{case}/ring", data={"person": str(doctor.user.id)})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/cases/{case}")
        after = text_of((await client.get(f"/cases/{case}")).text)
    assert await rings_for(clinic, doctor) == [case]
    assert "Đang đổ chuông" in after
    assert "Điều phối viên chỉ định bác sĩ" in after
    assert coordinator.user.name in after


async def test_ringing_somebody_who_never_had_duty_is_refused(
    clinic: Hub, app: FastAPI, coordinator: Person
) -> None:
    case = await ask_for_a_doctor(clinic)
    async with signed_in(app, coordinator) as client:
        answer = await client.post(
            f"/cases/{case}/ring",
            data={"person": str(uuid4())},
            headers={"Referer": f"http://hub.test/cases/{case}"},
        )
    assert answer.status_code == 404
    assert f'href="/cases/{case}"' in answer.text


async def test_a_case_taken_meanwhile_says_so_and_leads_back(
    clinic: Hub, app: FastAPI, coordinator: Person
) -> None:
    doctor = await add_person(clinic, Role.DOCTOR, specialties=("cardiology",))
    await go_on_duty(clinic, doctor)
    case = await ask_for_a_doctor(clinic)
    async with clinic.sessions() as session, session.begin():
        await consultations.accept(session, case, by=doctor.user, now=clinic.now())
    async with signed_in(app, coordinator) as client:
        answer = await client.post(f"/cases/{case}/ring", data={"person": str(doctor.user.id)})
        said = text_of((await client.get(f"/cases/{case}/live")).text)
    assert answer.status_code == 409
    assert "Nội dung này vừa thay đổi" in text_of(answer.text)
    assert doctor.user.name in said


async def test_a_call_that_failed_is_closed_with_a_decision(
    clinic: Hub, app: FastAPI, coordinator: Person
) -> None:
    doctor = await add_person(clinic, Role.DOCTOR, specialties=("cardiology",))
    await go_on_duty(clinic, doctor)
    case = await ask_for_a_doctor(clinic)
    await end_the_call(clinic, case, doctor)
    async with signed_in(app, coordinator) as client:
        assert "Bác sĩ phải ra quyết định" in text_of((await client.get("/board/live")).text)
        answer = await client.post(f"/cases/{case}/close", data={"outcome": "advice"})
        assert answer.headers["location"] == "/board"
        assert f"/cases/{case}" not in (await client.get("/board/live")).text


async def test_an_open_referral_shows_when_its_answer_is_due(
    clinic: Hub, app: FastAPI, coordinator: Person
) -> None:
    doctor = await add_person(clinic, Role.DOCTOR, specialties=("cardiology",))
    await go_on_duty(clinic, doctor)
    case = await ask_for_a_doctor(clinic)
    async with clinic.sessions() as session, session.begin():
        await consultations.accept(session, case, by=doctor.user, now=clinic.now())
        await referrals.refer(
            session,
            case,
            by=doctor.user,
            to_facility=PROVINCIAL,
            urgency="red",
            reason="Nhồi máu cơ tim",
            now=clinic.now(),
        )
    async with signed_in(app, coordinator) as client:
        said = text_of((await client.get("/board/live")).text)
    assert "1 ca chuyển tuyến đang mở" in said
    assert f"Cơ sở {PROVINCIAL}" in said
    assert "Phải trả lời trong 9:" in said
    assert "Nhồi máu" not in said


async def test_who_is_on_duty_is_listed_with_whether_they_can_be_reached(
    clinic: Hub, app: FastAPI, coordinator: Person
) -> None:
    doctor = await add_person(clinic, Role.DOCTOR, specialties=("cardiology",))
    await go_on_duty(clinic, doctor)
    async with signed_in(app, coordinator) as client:
        said = text_of((await client.get("/board/live")).text)
        assert "Liên lạc được" in said
        async with clinic.sessions() as session, session.begin():
            await consultations.set_presence(session, doctor.user.address, online=False, now=clinic.now())
        assert "Không liên lạc được" in text_of((await client.get("/board/live")).text)


async def test_a_station_that_fell_silent_is_marked(clinic: Hub, app: FastAPI, coordinator: Person) -> None:
    async with signed_in(app, coordinator) as client:
        await hear_from_station(clinic, ago=timedelta(hours=1), waiting=7)
        said = text_of((await client.get("/board/live")).text)
        assert "1 trạm mất liên lạc" in said
        assert "7 mục chờ gửi" in said
        await hear_from_station(clinic)
        assert "Đang liên lạc" in text_of((await client.get("/board/live")).text)


async def test_an_operator_sees_the_board_and_changes_nothing(clinic: Hub, app: FastAPI) -> None:
    case = await ask_for_a_doctor(clinic)
    async with signed_in(app, await add_person(clinic, Role.OPERATOR)) as client:
        assert (await client.get("/board")).status_code == 200
        assert f"/cases/{case}" not in (await client.get("/board")).text
        assert (await client.get(f"/cases/{case}")).status_code == 403
        answer = await client.post(f"/cases/{case}/ring", data={"person": str(uuid4())})
    assert answer.status_code == 403


async def test_a_case_of_another_province_is_unknown(clinic: Hub, app: FastAPI) -> None:
    case = await ask_for_a_doctor(clinic)
    async with signed_in(app, await add_person(clinic, Role.COORDINATOR, facility="01001")) as client:
        theirs = await client.get(f"/cases/{case}")
        nobody_s = await client.get(f"/cases/{uuid4()}")
    assert theirs.status_code == nobody_s.status_code == 404
    assert theirs.text == nobody_s.text


@pytest.mark.parametrize("role", [Role.DOCTOR, Role.NURSE, Role.AUDITOR])
async def test_nobody_else_sees_the_board(clinic: Hub, app: FastAPI, role: Role) -> None:
    async with signed_in(app, await add_person(clinic, role)) as client:
        for page in ("/board", "/board/live", f"/cases/{uuid4()}"):
            assert (await client.get(page)).status_code == 403


async def test_an_operator_sees_the_cases_and_referrals_of_their_province_and_no_record(
    clinic: Hub, app: FastAPI
) -> None:
    doctor = await add_person(clinic, Role.DOCTOR, specialties=("cardiology",))
    await go_on_duty(clinic, doctor)
    await ask_for_a_doctor(clinic)
    referred = await ask_for_a_doctor(clinic)
    async with clinic.sessions() as session, session.begin():
        await consultations.accept(session, referred, by=doctor.user, now=clinic.now())
        await referrals.refer(
            session,
            referred,
            by=doctor.user,
            to_facility=PROVINCIAL,
            urgency="red",
            reason="Nhồi máu cơ tim",
            now=clinic.now(),
        )
    async with signed_in(app, await add_person(clinic, Role.OPERATOR)) as client:
        here = (await client.get("/board/live")).text
    async with signed_in(app, await add_person(clinic, Role.OPERATOR, facility=CENTRAL)) as client:
        elsewhere = text_of((await client.get("/board/live")).text)
    assert "edge-red" in here
    assert "ca chuyển tuyến đang mở" in text_of(here)
    assert "Nhồi máu" not in here
    assert PATIENT_NAME not in here
    assert "Không có ca nào đang mở" in elsewhere


async def test_whoever_only_watches_can_change_neither_a_case_nor_a_referral(clinic: Hub) -> None:
    doctor = await add_person(clinic, Role.DOCTOR, specialties=("cardiology",))
    operator = (await add_person(clinic, Role.OPERATOR)).user
    await go_on_duty(clinic, doctor)
    case, now = await ask_for_a_doctor(clinic), clinic.now()
    async with clinic.sessions() as session, session.begin():
        await consultations.accept(session, case, by=doctor.user, now=now)
        sent = await referrals.refer(
            session, case, by=doctor.user, to_facility=PROVINCIAL, urgency="red", reason="Đau", now=now
        )
    before = await _stored(clinic)
    async with clinic.sessions() as session:
        assert (await consultations.view(session, case, by=operator)).accepted_by == doctor.user.name
        assert sent.id in [row.id for row in await referrals.open_referrals(session, operator, now=now)]
    async with clinic.sessions() as session:
        person, item = doctor.user.id, Item("Aspirin", "1 viên", Decimal(1), "viên", 1)
        for attempt in (
            consultations.end(session, case, by=operator, reason="completed", now=now),
            consultations.decide(session, case, by=operator, outcome="advice", now=now),
            consultations.taken_by(session, case, by=operator),
            consultations.coordinator_ring(session, case, user=person, by=operator, now=now),
            consultations.set_duty(session, operator, on=True, now=now),
            consultations.accept(session, case, by=operator, now=now),
            consultations.reject(session, case, by=operator, reason="busy", now=now),
            consultations.seen(session, case, by=operator, now=now),
            consultations.ringing(session, case, by=operator, now=now),
            consultations.join(
                session, case, party="doctor", address=operator.address, sid="s" * 32, now=now
            ),
            documents.write_note(session, case, by=operator, sections={"plan": "x"}, now=now),
            documents.prescribe(session, case, by=operator, items=[item], child=Child(), now=now),
            referrals.refer(
                session, case, by=operator, to_facility=PROVINCIAL, urgency="red", reason="Đau", now=now
            ),
            referrals.open_referral(session, sent.id, by=operator, now=now),
            referrals.accept(session, sent.id, by=operator, now=now),
            referrals.reject(session, sent.id, by=operator, reason="no-bed", words="Hết giường", now=now),
            referrals.redirect(
                session,
                sent.id,
                by=operator,
                to_facility=CENTRAL,
                reason="no-bed",
                words="Hết giường",
                now=now,
            ),
            referrals.counter_refer(session, sent.id, by=operator, plan="Tái khám", now=now),
        ):
            with pytest.raises((Forbidden, UnknownConsultation)):
                await attempt
        await session.commit()
    assert await _stored(clinic) == before


async def _stored(hub: Hub) -> list[object]:
    """Return every row that a use case of consultations or referrals could change."""
    tables = (
        "consultation", "consultation_event", "consultation_ring", "consultation_duty", "referral_case",
        "referral_event", "access_care_relation", "records_version", "procrastinate_jobs",
    )  # fmt: skip
    async with hub.sessions() as session:
        connection = await session.connection()
        return [
            sorted(map(str, (await connection.execute(text(f"select * from {table}"))).all()))
            for table in tables
        ]


async def test_the_page_of_a_case_tells_who_was_rung_and_what_they_answered(
    clinic: Hub, app: FastAPI, coordinator: Person
) -> None:
    busy, silent = [await add_person(clinic, Role.DOCTOR, specialties=("cardiology",)) for _ in range(2)]
    for doctor in (busy, silent):
        await go_on_duty(clinic, doctor)
    case = await ask_for_a_doctor(clinic)
    async with clinic.sessions() as session, session.begin():
        await consultations.reject(session, case, by=busy.user, reason="busy", now=clinic.now())
    async with clinic.sessions() as session:
        rung = {ring.user: ring for ring in await consultations.rung(session, case, by=coordinator.user)}
    assert (rung[busy.user.id].answer, rung[silent.user.id].answer) == ("busy", None)
    assert rung[busy.user.id].at is not None
    assert rung[busy.user.id].facility == f"Cơ sở {CENTRE}"
    async with signed_in(app, coordinator) as client:
        said = text_of((await client.get(f"/cases/{case}/live")).text)
    assert "Đã gọi cho ai" in said
    assert "Đang đổ chuông" in said
    assert "Đang bận" in said


async def test_who_was_rung_for_another_province_s_case_is_not_told(clinic: Hub, coordinator: Person) -> None:
    case = await ask_for_a_doctor(clinic)
    stranger = await add_person(clinic, Role.COORDINATOR, facility=CENTRAL)
    async with clinic.sessions() as session:
        assert await consultations.rung(session, case, by=coordinator.user) == []
        with pytest.raises(UnknownConsultation):
            await consultations.rung(session, case, by=stranger.user)


async def test_a_coordinator_rings_beyond_the_province_when_nobody_is_near(
    clinic: Hub, app: FastAPI, coordinator: Person
) -> None:
    far = await add_person(clinic, Role.DOCTOR, facility=CENTRAL, specialties=("dental",))
    near = await add_person(clinic, Role.DOCTOR, specialties=("dental",))
    await go_on_duty(clinic, far)
    case = await ask_for_a_doctor(clinic)
    async with signed_in(app, coordinator) as client:
        alone = (await client.get(f"/cases/{case}")).text
        await go_on_duty(clinic, near)
        both = (await client.get(f"/cases/{case}")).text
        answer = await client.post(f"/cases/{case}/ring", data={"person": str(far.user.id)})
    assert "<details open>" in alone
    assert str(far.user.id) in alone
    assert both.index(str(near.user.id)) < both.index("<details>") < both.index(str(far.user.id))
    assert answer.status_code == 303
    assert await rings_for(clinic, far) == [case]
