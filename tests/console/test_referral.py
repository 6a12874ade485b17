"""A referral at the hospital it was sent to: its doctors see the record, take the patient, refuse or send home."""

from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI

from clinic_net.access.principals import Role
from clinic_net.consultations import service as consultations
from clinic_net.kernel.hub import Hub
from clinic_net.referrals import service as referrals
from tests.console import patients
from tests.console.support import Person, add_person, go_on_duty, signed_in, text_of
from tests.consultations.support import PROVINCIAL, forget_everything


@pytest.fixture
async def clinic(district: Hub) -> Hub:
    await forget_everything(district)
    return district


@pytest.fixture(scope="module")
async def sender(district: Hub) -> Person:
    return await add_person(district, Role.DOCTOR, specialties=("cardiology",))


@pytest.fixture(scope="module")
async def receiver(district: Hub) -> Person:
    return await add_person(district, Role.DOCTOR, facility=PROVINCIAL)


async def refer(hub: Hub, sender: Person, urgency: str) -> UUID:
    await go_on_duty(hub, sender)
    case = await patients.send(hub, patients.chest_pain(hub.now()))
    async with hub.sessions() as session, session.begin():
        await consultations.accept(session, case, by=sender.user, now=hub.now())
        row = await referrals.refer(
            session,
            case,
            by=sender.user,
            to_facility=PROVINCIAL,
            urgency=urgency,
            reason="Can thiệp mạch vành",
            now=hub.now(),
        )
    return row.id


async def test_the_receiving_hospital_sees_the_record_and_takes_the_patient(
    clinic: Hub, app: FastAPI, sender: Person, receiver: Person
) -> None:
    referral = await refer(clinic, sender, "red")
    async with signed_in(app, receiver) as client:
        assert f"/referrals/{referral}" in (await client.get("/doctor")).text
        page = await client.get(f"/referrals/{referral}")
        assert patients.NAME in text_of(page.text)
        assert patients.ALLERGY in text_of(page.text)
        assert (await client.post(f"/referrals/{referral}/accept")).status_code == 303
        assert f'action="/referrals/{referral}/home"' in (await client.get(f"/referrals/{referral}")).text
        assert (
            await client.post(f"/referrals/{referral}/home", data={"plan": "Tái khám"})
        ).status_code == 303
        assert f"/referrals/{referral}" not in (await client.get("/doctor")).text


async def test_an_emergency_is_not_refused(
    clinic: Hub, app: FastAPI, sender: Person, receiver: Person
) -> None:
    referral = await refer(clinic, sender, "red")
    no = {"reason": "no-bed", "words": "Hết giường"}
    async with signed_in(app, receiver) as client:
        assert "/reject" not in (await client.get(f"/referrals/{referral}")).text
        assert (await client.post(f"/referrals/{referral}/reject", data=no)).status_code == 409


async def test_a_refusal_needs_a_reason_in_words(
    clinic: Hub, app: FastAPI, sender: Person, receiver: Person
) -> None:
    referral = await refer(clinic, sender, "yellow")
    path = f"/referrals/{referral}/reject"
    async with signed_in(app, receiver) as client:
        assert (await client.post(path, data={"reason": "no-bed", "words": " "})).status_code == 422
        assert (await client.post(path, data={"reason": "no-bed", "words": "Hết giường"})).status_code == 303


async def test_only_the_receiving_hospital_opens_the_page(
    clinic: Hub, app: FastAPI, sender: Person, receiver: Person
) -> None:
    referral = await refer(clinic, sender, "yellow")
    async with signed_in(app, sender) as client:
        assert (await client.get(f"/referrals/{referral}")).status_code == 403
    elsewhere = await add_person(clinic, Role.DOCTOR, facility="01001")
    async with signed_in(app, elsewhere) as client:
        assert (await client.get(f"/referrals/{referral}")).status_code == 404
    async with signed_in(app, receiver) as client:
        assert (await client.get(f"/referrals/{uuid4()}")).status_code == 404
