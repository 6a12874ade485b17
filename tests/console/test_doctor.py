"""A doctor's own page: on duty or not, the case that rings with its picture, the answer to it."""

from uuid import UUID

import pytest
from fastapi import FastAPI

from clinic_net.access.principals import Role
from clinic_net.consultations import service as consultations
from clinic_net.kernel.hub import Hub
from tests.console import patients
from tests.console.support import Person, add_person, browser, go_on_duty, signed_in, text_of, title_of
from tests.consultations.support import forget_everything


@pytest.fixture
async def clinic(district: Hub) -> Hub:
    await forget_everything(district)
    return district


@pytest.fixture(scope="module")
async def doctor(district: Hub) -> Person:
    return await add_person(district, Role.DOCTOR, specialties=("cardiology",))


@pytest.fixture(scope="module")
async def colleague(district: Hub) -> Person:
    return await add_person(district, Role.DOCTOR, specialties=("cardiology",))


async def ring(hub: Hub, *people: Person, years: int = 54) -> UUID:
    for person in people:
        await go_on_duty(hub, person)
    return await patients.send(hub, patients.chest_pain(hub.now(), years=years))


async def test_a_doctor_switches_duty_on_and_off(clinic: Hub, app: FastAPI, doctor: Person) -> None:
    async with signed_in(app, doctor) as client:
        assert 'aria-checked="false"' in (await client.get("/doctor")).text
        fragment = await client.post("/doctor/duty", data={"on": "true"}, headers={"HX-Request": "true"})
        assert 'aria-checked="true"' in fragment.text
        assert "<html" not in fragment.text
        plain = await client.post("/doctor/duty", data={"on": "false"})
        assert (plain.status_code, plain.headers["location"]) == (303, "/doctor")
        assert 'aria-checked="false"' in (await client.get("/doctor")).text


@pytest.mark.parametrize("role", [Role.COORDINATOR, Role.OPERATOR, Role.AUDITOR])
async def test_pages_of_doctors_are_no_one_elses(
    clinic: Hub, app: FastAPI, role: Role, doctor: Person
) -> None:
    case = await ring(clinic, doctor)
    other = await add_person(clinic, role)
    async with signed_in(app, other) as client:
        for path in ("/doctor", "/doctor/cases", f"/consultations/{case}", f"/consultations/{case}/card"):
            assert (await client.get(path)).status_code == 403
        assert (await client.post(f"/consultations/{case}/accept")).status_code == 403


async def test_who_is_not_signed_in_is_sent_to_sign_in(clinic: Hub, app: FastAPI, doctor: Person) -> None:
    case = await ring(clinic, doctor)
    async with browser(app) as client:
        for path in ("/doctor", f"/consultations/{case}"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        part = await client.get(f"/consultations/{case}/card", headers={"HX-Request": "true"})
        assert (part.status_code, part.headers["HX-Redirect"]) == (401, "/sign-in")


async def test_the_card_shows_the_picture_of_the_case_without_a_name(
    clinic: Hub, app: FastAPI, doctor: Person
) -> None:
    case = await ring(clinic, doctor)
    async with signed_in(app, doctor) as client:
        card = await client.get(f"/consultations/{case}/card")
    said = text_of(card.text)
    assert card.status_code == 200
    for expected in (
        "Cấp cứu",
        "Tim mạch",
        "Trạm Y tế Mường Pồn",
        "53–54 tuổi",
        "Nữ",
        patients.REASON,
        "Suy hô hấp",
    ):
        assert expected in said
    for value in ("26 /phút", "91 %", "92/58 mmHg", "128 /phút", "37.4 °C"):
        assert value in said
    assert patients.ALLERGY in said
    assert patients.NAME not in said


async def test_a_child_is_shown_in_months(clinic: Hub, app: FastAPI, doctor: Person) -> None:
    case = await ring(clinic, doctor, years=2)
    async with signed_in(app, doctor) as client:
        assert "tháng tuổi" in text_of((await client.get(f"/consultations/{case}/card")).text)


async def test_a_doctor_who_was_not_rung_does_not_learn_that_there_is_a_case(
    clinic: Hub, app: FastAPI, doctor: Person, colleague: Person
) -> None:
    case = await ring(clinic, doctor)
    async with signed_in(app, colleague) as client:
        for path in (f"/consultations/{case}", f"/consultations/{case}/card"):
            assert (await client.get(path)).status_code == 404
        assert (await client.post(f"/consultations/{case}/accept")).status_code == 404


async def test_what_rings_is_on_the_list_and_can_be_accepted_without_signalling(
    clinic: Hub, app: FastAPI, doctor: Person
) -> None:
    case = await ring(clinic, doctor)
    async with signed_in(app, doctor) as client:
        listed = await client.get("/doctor/cases")
        assert f"/consultations/{case}" in listed.text
        offer = await client.get(f"/consultations/{case}")
        assert f'action="/consultations/{case}/accept"' in offer.text
        accepted = await client.post(f"/consultations/{case}/accept")
        assert (accepted.status_code, accepted.headers["location"]) == (303, f"/consultations/{case}")
        page = await client.get(f"/consultations/{case}")
    assert patients.NAME in text_of(page.text)
    assert patients.NAME not in title_of(page.text)


async def test_who_was_slower_reads_who_was_faster(
    clinic: Hub, app: FastAPI, doctor: Person, colleague: Person
) -> None:
    case = await ring(clinic, doctor, colleague)
    async with signed_in(app, doctor) as faster, signed_in(app, colleague) as slower:
        assert (await faster.post(f"/consultations/{case}/accept")).status_code == 303
        late = await slower.post(f"/consultations/{case}/accept")
        assert late.status_code == 409
        assert doctor.user.name in text_of(late.text)
        assert doctor.user.name in text_of((await slower.get(f"/consultations/{case}")).text)
        assert f"/consultations/{case}" not in (await slower.get("/doctor/cases")).text


@pytest.mark.parametrize(("said", "kept"), [("busy", "busy"), ("<script>", "other")])
async def test_a_doctor_declines_with_one_of_the_reasons(
    clinic: Hub, app: FastAPI, doctor: Person, said: str, kept: str
) -> None:
    case = await ring(clinic, doctor)
    async with signed_in(app, doctor) as client:
        answer = await client.post(f"/consultations/{case}/decline", data={"reason": said})
    assert answer.headers["location"] == "/doctor"
    async with clinic.sessions() as session:
        steps = await consultations.timeline(session, case)
    assert [entry.detail for entry in steps if entry.step == "declined"] == [kept]


async def test_a_call_that_was_withdrawn_cannot_be_accepted(
    clinic: Hub, app: FastAPI, doctor: Person
) -> None:
    case = await ring(clinic, doctor)
    async with clinic.sessions() as session, session.begin():
        await consultations.withdraw_request(session, case, site="03163-01", now=clinic.now())
    async with signed_in(app, doctor) as client:
        answer = await client.post(f"/consultations/{case}/accept")
    assert answer.status_code == 409
    assert "không còn chờ" in text_of(answer.text)


async def test_an_answer_from_a_page_of_another_site_is_refused(
    clinic: Hub, app: FastAPI, doctor: Person
) -> None:
    case = await ring(clinic, doctor)
    async with signed_in(app, doctor) as client:
        forged = await client.post(f"/consultations/{case}/accept", headers={"Origin": "http://evil.test"})
    assert forged.status_code == 403
