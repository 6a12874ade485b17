"""A record is opened in an emergency in front of witnesses: proved anew, for a reason, for four hours, reviewed."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text as sql

from clinic_net.access import service as access
from clinic_net.access.errors import NotFresh, UnknownEmergency
from clinic_net.access.labels import ACT_CODE
from clinic_net.access.policy import hub_scope, scope_of
from clinic_net.access.principals import Role
from clinic_net.app import create_app
from clinic_net.clinical.identifiers import CCCD_SYSTEM
from clinic_net.kernel.hub import Hub
from clinic_net.records import service as records
from clinic_net.records.errors import ReadOnly, UnknownResource
from tests.console.support import PASSWORD, Person, add_person
from tests.consultations.support import CENTRAL, CENTRE, PROVINCIAL, SITE
from tests.records.support import HUB, observation, patient, text

FHIR = {"Accept": "application/fhir+json"}
HTML = {"Accept": "text/html", "Origin": HUB}


@pytest.fixture(scope="module")
def app(district: Hub) -> FastAPI:
    app = create_app(district.settings, with_worker=False)
    app.state.hub = district
    return app


async def store(hub: Hub, content: dict[str, object]) -> str:
    async with hub.sessions() as session, session.begin():
        stored = await records.put(
            session, text(content), rtype=str(content["resourceType"]), fid=None, scope=hub_scope(),
            author="test", tenant=SITE, now=hub.now(), with_patient=True,
        )  # fmt: skip
    return stored.fid


async def somebody(hub: Hub) -> tuple[str, str]:
    """Return (FHIR id, card number) of a station's patient."""
    number = f"0010990{uuid4().int % 10**5:05d}"
    return await store(hub, patient(identifier=[{"system": CCCD_SYSTEM, "value": number}])), number


@asynccontextmanager
async def browser(app: FastAPI, person: Person) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=HUB, headers=HTML) as client:
        answer = await client.post("/sign-in", data={"login": person.login, "password": PASSWORD})
        assert answer.status_code == 303
        yield client


def ask(card: str, **more: str) -> dict[str, str]:
    return {
        "number": card,
        "reason": "life-threat",
        "words": "Hôn mê, cần biết dị ứng",
        "password": PASSWORD,
        **more,
    }


async def test_a_doctor_opens_one_record_and_a_supervisor_closes_the_review(
    district: Hub, app: FastAPI
) -> None:
    (whom, number), (_, other) = await somebody(district), await somebody(district)
    doctor = await add_person(district, Role.DOCTOR, facility=PROVINCIAL)
    supervisor = await add_person(district, Role.OPERATOR, facility=CENTRE)
    async with browser(app, doctor) as client, browser(app, supervisor) as watching:
        assert (await client.get(f"/fhir/Patient/{whom}", headers=FHIR)).status_code == 404
        opened = await client.post("/emergency", data=ask(number))
        assert opened.status_code == 303
        page = await client.get(opened.headers["location"])
        assert "Nguyễn Thị Hòa" in page.text
        assert (await client.get(f"/fhir/Patient/{whom}", headers=FHIR)).status_code == 200
        assert (await client.get(f"/fhir/Patient?identifier={other}", headers=FHIR)).json().get(
            "entry", []
        ) == []

        badge = await watching.get("/emergencies/waiting")
        assert re.search(r">\d+<", badge.text), (
            "every page of a supervisor says that somebody waits for a review"
        )
        listed = await watching.get("/emergencies")
        assert "Hôn mê, cần biết dị ứng" in listed.text
        assert "Nguyễn Thị Hòa" not in listed.text, "a supervisor sees no clinical content"
        opening = opened.headers["location"].rsplit("/", 1)[1]
        closed = await watching.post(
            f"/emergencies/{opening}/review", data={"outcome": "justified", "words": "Đúng quy trình"}
        )
        assert closed.status_code == 303
        assert "Đúng quy trình" not in (await watching.get("/emergencies")).text
    trail = await trail_of(district, whom)
    assert ("care.emergency_btg", doctor.user.address, "ETREAT") in trail
    assert ("record.everything", doctor.user.address, "ETREAT") in trail
    assert ("emergency.review", supervisor.user.address, "HOPERAT") in trail


async def trail_of(hub: Hub, whom: str) -> set[tuple[str, str, str | None]]:
    async with hub.sessions() as session:
        asked = sql("select action, actor, purpose from audit_event where subject = :s")
        rows = await (await session.connection()).execute(asked, {"s": f"Patient/{whom}"})
        return {(row[0], row[1], row[2]) for row in rows}


async def test_without_the_password_a_reason_or_a_known_number_nothing_opens(
    district: Hub, app: FastAPI
) -> None:
    whom, number = await somebody(district)
    doctor = await add_person(district, Role.DOCTOR, facility=PROVINCIAL)
    async with browser(app, doctor) as client:
        async with district.sessions() as s, s.begin():  # they signed in a while ago
            await (await s.connection()).execute(
                sql(
                    "update access_session set verified_at = verified_at - interval '6 minutes' where user_id = :id"
                ),
                {"id": doctor.user.id},
            )
        for changed, status in (
            ({"password": "wrong horse battery"}, 422),
            ({"reason": "curiosity"}, 422),
            ({"words": "  "}, 422),
            ({"number": "999999999999"}, 422),
            ({"number": "0010"}, 422),
            ({"number": f"{number},999999999"}, 422),
        ):
            answer = await client.post("/emergency", data=ask(number, **changed))
            assert answer.status_code == status, changed
        assert (await client.get(f"/fhir/Patient/{whom}", headers=FHIR)).status_code == 404
    trail = await trail_of(district, whom)
    assert not [one for one in trail if one[0].startswith("care.")]


async def test_who_tries_numbers_is_slowed_down(district: Hub, app: FastAPI) -> None:
    doctor = await add_person(district, Role.NURSE, facility=PROVINCIAL)
    async with browser(app, doctor) as client:
        told = [
            (await client.post("/emergency", data=ask(f"0000000{number:05d}"))).status_code
            for number in range(11)
        ]
    assert told == [422] * 10 + [429]


async def test_it_is_for_four_hours_to_read_only_and_not_for_what_is_protected(district: Hub) -> None:
    whom, _ = await somebody(district)
    label = {"security": [{"system": ACT_CODE, "code": "HIV"}]}
    hiv = await store(district, observation(whom, meta=label))
    doctor = (await add_person(district, Role.DOCTOR, facility=CENTRAL)).user
    now = district.now()
    fresh = replace(doctor, verified_at=now)

    async def sees(rtype: str, fid: str, after: timedelta = timedelta(0)) -> bool:
        async with district.sessions() as session:
            try:
                await records.read(session, rtype, fid, scope=scope_of(doctor), now=now + after)
            except UnknownResource:
                return False
        return True

    async def open_(reason: str) -> None:
        async with district.sessions() as session, session.begin():
            await access.break_glass(session, whom, access.Ask(reason, "vì"), by=fresh, proved=None, now=now)

    await open_("handover")
    assert await sees("Patient", whom)
    assert not await sees("Observation", hiv)
    await open_("unconscious")
    assert await sees("Observation", hiv)
    assert await sees("Patient", whom, timedelta(hours=4) - timedelta(seconds=1))
    assert not await sees("Patient", whom, timedelta(hours=4))
    async with district.sessions() as session:
        with pytest.raises(ReadOnly):
            await records.put(
                session, text({**patient(whom), "active": True}), rtype="Patient", fid=whom,
                scope=scope_of(doctor), author=doctor.address, tenant=CENTRAL, now=now,
            )  # fmt: skip
    async with district.sessions() as session:
        stale = replace(doctor, verified_at=now - timedelta(minutes=5, seconds=1))
        for whoever in (stale, doctor):
            with pytest.raises(NotFresh):
                await access.break_glass(
                    session, whom, access.Ask("handover", "vì"), by=whoever, proved=None, now=now
                )


async def test_the_fourth_in_a_day_is_marked_and_a_late_review_is_overdue(district: Hub) -> None:
    doctor = replace(
        (await add_person(district, Role.DOCTOR, facility=PROVINCIAL)).user, verified_at=district.now()
    )
    near = (await add_person(district, Role.AUDITOR, facility=PROVINCIAL)).user
    far = (await add_person(district, Role.AUDITOR, facility=CENTRAL)).user
    now = district.now()
    made = []
    for _ in range(4):
        whom, _ = await somebody(district)
        async with district.sessions() as session, session.begin():
            ask_ = access.Ask("follow-up", "vì")
            made.append(await access.break_glass(session, whom, ask_, by=doctor, proved=None, now=now))
            again = await access.break_glass(session, whom, ask_, by=doctor, proved=None, now=now)
            assert again == made[-1]
    assert [one.many for one in made] == [False, False, False, True]
    async with district.sessions() as session:
        listed = {one.id: one for one in await access.to_review(session, near)}
        assert {one.id for one in made} <= listed.keys()
        assert not listed[made[0].id].is_overdue(now + timedelta(days=7) - timedelta(seconds=1))
        assert listed[made[0].id].is_overdue(now + timedelta(days=7))
        assert not {one.id for one in await access.to_review(session, far)} & {one.id for one in made}
        with pytest.raises(UnknownEmergency):
            await access.close_review(session, made[0].id, outcome="misuse", words="x", by=far, now=now)
    async with district.sessions() as session, session.begin():
        await access.close_review(
            session, made[0].id, outcome="misuse", words="Không có lý do", by=near, now=now
        )
    async with district.sessions() as session:
        with pytest.raises(UnknownResource):
            await records.read(session, "Patient", made[0].patient, scope=scope_of(doctor), now=now)
