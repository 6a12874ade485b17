"""A citizen's page: their record, who opened it and why, what they permit, what they ask for, a copy to keep."""

import re
from uuid import uuid4

import httpx
import pytest

from clinic_net.access import service as access
from clinic_net.access.principals import Role
from clinic_net.fhir import check, parse
from clinic_net.kernel.hub import Hub
from tests.attacks.support import Ground, Person, reads
from tests.records.support import HOSPITAL, OTHER_HOSPITAL, open_hospitals

HTML = {"Accept": "text/html"}
FORM = {"Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
async def ground(hub: Hub) -> Ground:
    await open_hospitals(hub)
    return Ground(hub)


async def page(citizen: Person) -> str:
    answer = await citizen.http.get("/me", headers=HTML)
    assert answer.status_code == 200, answer.text
    return answer.text


async def post(citizen: Person, path: str, **form: str) -> httpx.Response:
    return await citizen.http.post(path, data=form, headers=FORM)


async def test_a_citizen_sees_who_opened_the_record_and_why(ground: Ground) -> None:
    mine = await ground.patient()
    await ground.observation(mine)
    async with ground.person(Role.CITIZEN, own=mine) as citizen, ground.person() as doctor:
        before = await page(citizen)
        assert "Nguyễn Thị Hòa" in before
        assert "Chưa có ai mở hồ sơ." in before, "one's own looks are not listed"
        await ground.care(mine, doctor.address)
        assert await reads(doctor, mine)
        after = await page(citizen)
        assert "Khám chữa bệnh" in after
        assert HOSPITAL in after
        async with ground.hub.sessions() as session, session.begin():
            user = await access.user(session, doctor.id)
            now = ground.hub.now()
            await access.break_glass(
                session, mine, access.Ask("life-threat", "Hôn mê"), by=user, proved=now, now=now
            )
        assert "Đã mở trong tình huống khẩn cấp" in await page(citizen)


async def test_a_refusal_holds_at_once_and_is_taken_back_at_once(ground: Ground) -> None:
    mine = await ground.patient(HOSPITAL)
    async with ground.person(Role.CITIZEN, own=mine) as citizen, ground.person() as doctor:
        assert await reads(doctor, mine)
        assert (await post(citizen, "/me/consents", decision="deny", facility=HOSPITAL)).status_code == 303
        assert not await reads(doctor, mine)
        shown = await page(citizen)
        assert "Không được xem" in shown
        (given,) = re.findall(r"/me/consents/([0-9a-f-]{36})/withdraw", shown)
        assert (await post(citizen, f"/me/consents/{given}/withdraw")).status_code == 303
        assert await reads(doctor, mine)
    actors = [actor for actor, _ in await ground.audited("consent.deny", mine)]
    assert actors == [citizen.address]


async def test_a_permit_to_a_hospital_elsewhere_reaches_the_whole_record_until_its_day(
    ground: Ground,
) -> None:
    mine = await ground.patient()
    async with (
        ground.person(Role.CITIZEN, own=mine) as citizen,
        ground.person(facility=OTHER_HOSPITAL) as doctor,
    ):
        await post(citizen, "/me/consents", decision="permit", facility=OTHER_HOSPITAL, until="2020-01-01")
        assert not await reads(doctor, mine)
        await post(citizen, "/me/consents", decision="permit", facility=OTHER_HOSPITAL, until="2999-01-01")
        assert await reads(doctor, mine)
        assert (await post(citizen, "/me/consents", decision="permit", facility="99999")).status_code == 404


async def test_nobody_takes_back_another_s_consent(ground: Ground) -> None:
    mine, theirs = await ground.patient(HOSPITAL), await ground.patient(HOSPITAL)
    async with (
        ground.person(Role.CITIZEN, own=mine) as citizen,
        ground.person(Role.CITIZEN, own=theirs) as other,
    ):
        await post(citizen, "/me/consents", decision="deny", facility=HOSPITAL)
        (given,) = re.findall(r"/me/consents/([0-9a-f-]{36})/withdraw", await page(citizen))
        foreign = await post(other, f"/me/consents/{given}/withdraw")
        unknown = await post(other, f"/me/consents/{uuid4()}/withdraw")
        assert (foreign.status_code, foreign.text) == (404, unknown.text)


async def test_a_correction_is_a_task_for_who_keeps_the_record_with_its_day(ground: Ground) -> None:
    mine = await ground.patient(HOSPITAL)
    async with ground.person(Role.CITIZEN, own=mine) as citizen, ground.person() as doctor:
        assert (
            await post(citizen, "/me/corrections", words="Ngày sinh đúng là 02/03/1970")
        ).status_code == 303
        shown = await page(citizen)
        assert "Ngày sinh đúng là 02/03/1970" in shown
        assert "Đã gửi yêu cầu" in shown
        found = (await doctor.http.get("/fhir/Task", params={"patient": mine})).json()["entry"]
        (task,) = [entry["resource"] for entry in found]
        assert (task["status"], task["for"]) == ("requested", {"reference": f"Patient/{mine}"})
        assert task["restriction"]["period"]["end"][:10] > task["authoredOn"][:10]


async def test_a_copy_is_the_whole_record_as_a_bundle_and_nothing_else(ground: Ground) -> None:
    mine, sibling = await ground.patient(), await ground.patient()
    own = await ground.observation(mine)
    await ground.observation(sibling)
    async with ground.person(Role.CITIZEN, own=mine) as citizen, ground.person() as doctor:
        answer = await citizen.http.get("/me/copy", headers=HTML)
        bundle = parse(answer.content)
        assert check(bundle) == []
        assert [entry["resource"]["id"] for entry in bundle["entry"]] == [mine, own]
        assert answer.headers["content-disposition"].startswith("attachment")
        assert (await doctor.http.get("/me/copy", headers=HTML)).status_code == 403


async def test_a_guardian_opens_a_child_s_record_from_their_page_while_a_station_vouches(
    ground: Ground,
) -> None:
    mine, child = await ground.patient(), await ground.patient()
    await ground.observation(child)
    async with (
        ground.person(Role.CITIZEN, own=mine) as guardian,
        ground.person(Role.CITIZEN, own=child) as other,
    ):
        assert "/me/children/" not in await page(guardian)
        now = ground.hub.now()
        async with ground.hub.sessions() as session, session.begin():
            await access.grant_care(
                session, patient=child, grantee=guardian.address, basis="guardian", purpose="FAMRQT", since=now,
                until=None,
            )  # fmt: skip
        (address,) = set(re.findall(r"/me/children/[0-9a-f-]{36}", await page(guardian)))
        shown = await guardian.http.get(address, headers=HTML)
        assert shown.status_code == 200
        assert "Nguyễn Thị Hòa" in shown.text
        assert (await other.http.get(address, headers=HTML)).status_code == 404
        async with ground.hub.sessions() as session, session.begin():
            await access.end_care(
                session, patient=child, grantee=guardian.address, basis="guardian", at=ground.hub.now()
            )
        assert (await guardian.http.get(address, headers=HTML)).status_code == 404
        assert "/me/children/" not in await page(guardian)


async def test_a_page_that_tells_of_an_emergency_does_not_say_that_nobody_came(ground: Ground) -> None:
    mine = await ground.patient()
    async with ground.person(Role.CITIZEN, own=mine) as citizen, ground.person() as doctor:
        async with ground.hub.sessions() as session, session.begin():
            user, now = await access.user(session, doctor.id), ground.hub.now()
            await access.break_glass(
                session, mine, access.Ask("handover", "Tiếp nhận"), by=user, proved=now, now=now
            )
        shown = await page(citizen)
        assert "Chưa có ai mở hồ sơ." not in shown
        assert "Đã mở trong tình huống khẩn cấp" in shown
