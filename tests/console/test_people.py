"""Administering people: an operator those of the province, a national administrator all; some things take two."""

import re
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import delete
from sqlmodel import select

from clinic_net.access import service as access
from clinic_net.access.administration import service as administration
from clinic_net.access.administration.errors import LastAdministrator
from clinic_net.access.administration.model import Approval
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.audit.model import AuditEvent
from clinic_net.kernel.hub import Hub
from tests.access.support import Clock
from tests.console.support import Person, add_person, app_of, browser, sign_in, signed_in, text_of
from tests.console.test_second_factor import set_up
from tests.consultations.support import CENTRAL, CENTRE, PROVINCIAL, SITE


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hub_now(district: Hub, clock: Clock) -> Hub:
    return replace(district, now=clock)


@pytest.fixture
def pages(hub_now: Hub) -> FastAPI:
    return app_of(hub_now)


@pytest.fixture(autouse=True)
async def nothing_waits(hub: Hub) -> None:
    async with hub.sessions() as session, session.begin():
        await session.exec(delete(Approval))


async def role_of(hub: Hub, person: Person) -> Role:
    async with hub.sessions() as session:
        return (await access.user(session, person.user.id)).role


async def waiting(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    """Return the requests that this administrator may decide: id and digest."""
    page = await client.get("/approvals")
    assert page.status_code == 200
    return re.findall(r'action="/approvals/([0-9a-f-]{36})".*?value="([0-9a-f]{64})"', page.text, re.S)


async def approve(client: httpx.AsyncClient, one: tuple[str, str], yes: str = "true") -> httpx.Response:
    return await client.post(f"/approvals/{one[0]}", data={"digest": one[1], "approve": yes})


async def test_an_operator_sees_the_people_of_the_province(pages: FastAPI, hub_now: Hub) -> None:
    near = await add_person(hub_now, Role.NURSE, facility=CENTRE)
    far = await add_person(hub_now, Role.NURSE, facility=CENTRAL)
    national = await add_person(hub_now, Role.NATIONAL, facility=PROVINCIAL)
    async with signed_in(pages, await add_person(hub_now, Role.OPERATOR)) as client:
        page = (await client.get("/people")).text
        assert near.login in page
        assert far.login not in page
        assert national.login not in page
        found = (await client.get("/people", params={"q": near.login.upper()})).text
        assert found.count('<a class="button" href="/people/') == 1
    async with signed_in(pages, national) as client:
        page = (await client.get("/people", params={"q": far.login})).text
        assert far.login in page


async def test_another_provinces_person_answers_like_none(pages: FastAPI, hub_now: Hub) -> None:
    far = await add_person(hub_now, Role.DOCTOR, facility=CENTRAL)
    national = await add_person(hub_now, Role.NATIONAL, facility=PROVINCIAL)
    nobody = "00000000-0000-4000-8000-000000000000"
    async with signed_in(pages, await add_person(hub_now, Role.OPERATOR)) as client:
        for theirs in (str(far.user.id), str(national.user.id)):
            for path in ("", "/disable", "/sign-out", "/password", "/factors", "/role"):
                method, form = ("POST", {"role": "nurse"}) if path else ("GET", None)
                other = await client.request(method, f"/people/{theirs}{path}", data=form)
                none = await client.request(method, f"/people/{nobody}{path}", data=form)
                assert (other.status_code, none.status_code) == (404, 404)
                assert other.text == none.text
    assert await role_of(hub_now, far) is Role.DOCTOR


async def test_an_operator_adds_a_nurse_who_chooses_a_password(pages: FastAPI, hub_now: Hub) -> None:
    form = {"login": "Y.Ta.Moi", "name": "  Lò  Thị Mới ", "role": "nurse", "facility": CENTRE}
    async with signed_in(pages, await add_person(hub_now, Role.OPERATOR)) as client:
        assert (await client.get("/people/new")).status_code == 200
        made = await client.post("/people/new", data=form)
        given = re.search(r'<code class="key">([0-9a-z-]{24})</code>', made.text)
        assert given is not None
        assert "y.ta.moi" in made.text
        taken = await client.post("/people/new", data=form)
        assert (taken.status_code, "đã có người dùng" in text_of(taken.text)) == (422, True)
        assert (
            await client.post("/people/new", data=form | {"login": "b.c", "facility": CENTRAL})
        ).status_code == 404
        for role in ("operator", "national", "auditor", "citizen"):
            refused = await client.post("/people/new", data=form | {"login": f"x.{role}", "role": role})
            assert refused.status_code == 403
    async with browser(pages) as client:
        assert (await sign_in(client, "y.ta.moi", given[1])).headers["location"] == "/sign-in/password"


async def test_closing_an_account_and_signing_out_end_what_is_open(pages: FastAPI, hub_now: Hub) -> None:
    nurse = await add_person(hub_now, Role.NURSE)
    async with signed_in(pages, await add_person(hub_now, Role.OPERATOR)) as client, browser(pages) as theirs:
        await sign_in(theirs, nurse.login)
        assert (await client.post(f"/people/{nurse.user.id}/sign-out")).status_code == 303
        assert (await theirs.get("/account")).status_code == 303
        await sign_in(theirs, nurse.login)
        assert (await client.post(f"/people/{nurse.user.id}/disable")).status_code == 303
        assert (await theirs.get("/account")).status_code == 303
        assert (await sign_in(theirs, nurse.login)).status_code == 401
        assert "đã đóng" in text_of((await client.get(f"/people/{nurse.user.id}")).text)


async def test_who_lost_password_and_telephone_gets_in_again(
    pages: FastAPI, hub_now: Hub, clock: Clock
) -> None:
    doctor = await add_person(hub_now, Role.DOCTOR)
    async with signed_in(pages, doctor) as client:
        await set_up(client, clock)
    async with signed_in(pages, await add_person(hub_now, Role.OPERATOR)) as client, browser(pages) as theirs:
        made = await client.post(f"/people/{doctor.user.id}/password")
        given = re.findall(r'<code class="key">([0-9a-z-]{24})</code>', made.text)[0]
        assert (await sign_in(theirs, doctor.login)).status_code == 401
        assert (await sign_in(theirs, doctor.login, given)).headers["location"] == "/sign-in/factor"
        assert (await client.post(f"/people/{doctor.user.id}/factors")).status_code == 303
        assert (await theirs.get("/sign-in/factor")).headers["location"] == "/sign-in"
        assert (await sign_in(theirs, doctor.login, given)).headers["location"] == "/sign-in/password"


async def test_a_new_role_ends_the_sessions_of_the_old_one(pages: FastAPI, hub_now: Hub) -> None:
    nurse = await add_person(hub_now, Role.NURSE)
    async with signed_in(pages, await add_person(hub_now, Role.OPERATOR)) as client, browser(pages) as theirs:
        await sign_in(theirs, nurse.login)
        assert (
            await client.post(f"/people/{nurse.user.id}/role", data={"role": "coordinator"})
        ).status_code == 303
        assert (await theirs.get("/account")).status_code == 303
    assert await role_of(hub_now, nurse) is Role.COORDINATOR


async def test_administering_needs_a_fresh_proof(pages: FastAPI, hub_now: Hub, clock: Clock) -> None:
    nurse = await add_person(hub_now, Role.NURSE)
    async with signed_in(pages, await add_person(hub_now, Role.OPERATOR)) as client:
        clock.forward(timedelta(minutes=6))
        referer = {"Referer": f"http://hub.test/people/{nurse.user.id}"}
        asked = await client.post(f"/people/{nurse.user.id}/disable", headers=referer)
        assert asked.headers["location"] == f"/verify?next=%2Fpeople%2F{nurse.user.id}"
        assert (await client.get("/people")).status_code == 200
    async with hub_now.sessions() as session:
        assert nurse.user.id in {each.id for each in await access.people(session)}


# -- what takes two


async def test_an_operator_is_made_by_two(pages: FastAPI, hub_now: Hub) -> None:
    nurse = await add_person(hub_now, Role.NURSE)
    first, second = await add_person(hub_now, Role.OPERATOR), await add_person(hub_now, Role.OPERATOR)
    elsewhere = await add_person(hub_now, Role.OPERATOR, facility=CENTRAL)
    async with (
        signed_in(pages, first) as asking,
        signed_in(pages, second) as other,
        signed_in(pages, elsewhere) as far,
    ):
        asked = await asking.post(f"/people/{nurse.user.id}/role", data={"role": "operator"})
        assert asked.headers["location"] == "/approvals"
        assert await role_of(hub_now, nurse) is Role.NURSE
        assert await waiting(asking) == []  # shown, but not theirs to decide
        assert "chờ quản trị viên khác" in text_of((await asking.get("/approvals")).text)
        (one,) = await waiting(other)
        assert await waiting(far) == []
        assert (await approve(far, one)).status_code == 404
        assert (await approve(asking, one)).status_code == 403
        assert (await approve(other, (one[0], "0" * 64))).status_code == 409
        assert (await approve(other, one)).status_code == 303
        assert await role_of(hub_now, nurse) is Role.OPERATOR
        assert (await approve(other, one)).status_code == 409
    async with hub_now.sessions() as session:
        done = (
            await session.exec(select(AuditEvent).where(AuditEvent.subject == f"user:{nurse.user.id}"))
        ).all()
        told = (
            await session.exec(select(AuditEvent).where(AuditEvent.subject == f"approval:{one[0]}"))
        ).all()
    assert (second.user.address, "user.role.operator") in {(event.actor, event.action) for event in done}
    assert {(event.actor, event.action) for event in told} == {
        (first.user.address, "approval.ask.role"), (second.user.address, "approval.approve")
    }  # fmt: skip


async def test_a_rejected_request_is_not_carried_out(pages: FastAPI, hub_now: Hub) -> None:
    nurse = await add_person(hub_now, Role.NURSE)
    first, second = await add_person(hub_now, Role.OPERATOR), await add_person(hub_now, Role.OPERATOR)
    async with signed_in(pages, first) as asking, signed_in(pages, second) as other:
        await asking.post(f"/people/{nurse.user.id}/role", data={"role": "auditor"})
        (one,) = await waiting(other)
        assert (await approve(other, one, "false")).status_code == 303
        assert (await approve(other, one)).status_code == 409
        assert await waiting(other) == []
    assert await role_of(hub_now, nurse) is Role.NURSE


async def test_a_request_is_good_for_a_day_and_only_while_its_asker_is_an_administrator(
    pages: FastAPI, hub_now: Hub, clock: Clock
) -> None:
    nurse = await add_person(hub_now, Role.NURSE)
    first, second = await add_person(hub_now, Role.OPERATOR), await add_person(hub_now, Role.OPERATOR)
    async with signed_in(pages, first) as asking, signed_in(pages, second) as other:
        await asking.post(f"/people/{nurse.user.id}/role", data={"role": "operator"})
        (one,) = await waiting(other)
        assert (await other.post(f"/people/{first.user.id}/disable")).status_code == 303
        assert (await approve(other, one)).status_code == 409
    clock.forward(timedelta(hours=24))
    async with signed_in(pages, second) as other:
        assert await waiting(other) == []
        assert (await approve(other, one)).status_code == 409
    assert await role_of(hub_now, nurse) is Role.NURSE


async def test_an_administrators_second_factor_is_reset_by_two(
    pages: FastAPI, hub_now: Hub, clock: Clock
) -> None:
    lost, first, second = [await add_person(hub_now, Role.OPERATOR) for _ in range(3)]
    async with signed_in(pages, lost) as client:
        await set_up(client, clock)
    async with signed_in(pages, first) as asking, signed_in(pages, second) as other, browser(pages) as theirs:
        assert (await asking.post(f"/people/{lost.user.id}/password")).status_code == 403
        asked = await asking.post(f"/people/{lost.user.id}/factors")
        assert asked.headers["location"] == "/approvals"
        assert (await sign_in(theirs, lost.login)).headers["location"] == "/sign-in/factor"
        (one,) = await waiting(other)
        assert (await approve(other, one)).status_code == 303
        assert (await sign_in(theirs, lost.login)).headers["location"] == "/"


async def test_codes_for_many_stations_are_collected_once_by_who_asked(pages: FastAPI, hub_now: Hub) -> None:
    first, second = await add_person(hub_now, Role.OPERATOR), await add_person(hub_now, Role.OPERATOR)
    async with signed_in(pages, first) as asking, signed_in(pages, second) as other:
        for wrong, status in (("99999-01", 404), (" , ", 409)):
            assert (await asking.post("/approvals/codes", data={"sites": wrong})).status_code == status
        assert (await asking.post("/approvals/codes", data={"sites": f"{SITE}\n{SITE}"})).status_code == 303
        (one,) = await waiting(other)
        assert (await asking.post(f"/approvals/{one[0]}/codes")).status_code == 403
        assert (await approve(other, one)).status_code == 303
        assert (await other.post(f"/approvals/{one[0]}/codes")).status_code == 404
        page = await asking.post(f"/approvals/{one[0]}/codes")
        assert re.findall(r'<code class="key">([0-9A-Z]{5}-[0-9A-Z]{5})</code>', page.text)
        assert (await asking.post(f"/approvals/{one[0]}/codes")).status_code == 409


async def test_what_was_approved_is_what_is_carried_out(pages: FastAPI, hub_now: Hub) -> None:
    """Somebody with a hand in the database changes the request between the two."""
    nurse, doctor = await add_person(hub_now, Role.NURSE), await add_person(hub_now, Role.DOCTOR)
    first, second = await add_person(hub_now, Role.OPERATOR), await add_person(hub_now, Role.OPERATOR)
    async with signed_in(pages, first) as asking, signed_in(pages, second) as other:
        await asking.post(f"/people/{nurse.user.id}/role", data={"role": "operator"})
        (one,) = await waiting(other)
        async with hub_now.sessions() as session, session.begin():
            row = (await session.exec(select(Approval).where(Approval.id == one[0]))).one()
            row.arguments = row.arguments | {"person": str(doctor.user.id)}
            session.add(row)
        assert (await approve(other, one)).status_code == 409
    assert await role_of(hub_now, doctor) is Role.DOCTOR


async def only_national(hub: Hub) -> tuple[UserPrincipal, UserPrincipal]:
    """Leave two national administrators, whoever was one before."""
    first, second = [await add_person(hub, Role.NATIONAL) for _ in range(2)]
    async with hub.sessions() as session, session.begin():
        for each in await access.people(session, role=Role.NATIONAL):
            if each.id not in (first.user.id, second.user.id):
                await access.disable_user(session, each.login, by="operator:terminal", now=hub.now())
    return first.user, second.user


async def test_the_last_national_administrator_stays(hub_now: Hub) -> None:
    first, second = await only_national(hub_now)
    async with hub_now.sessions() as session, session.begin():
        await administration.disable(session, second.id, by=first, now=hub_now.now())
    async with hub_now.sessions() as session:
        with pytest.raises(LastAdministrator):
            await access.disable_user(session, first.login, by="operator:terminal", now=hub_now.now())
