"""The auditor's page: what happened in their province, searched without an address that names anybody."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from clinic_net import audit
from clinic_net.access.principals import Role
from clinic_net.audit import sealing
from clinic_net.kernel.hub import Hub
from tests.console.support import Person, add_person, signed_in, text_of
from tests.consultations.support import CENTRE, PROVINCIAL, SITE

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


async def put_down(hub: Hub, *events: audit.Event, at: datetime = NOW) -> None:
    async with hub.sessions() as session, session.begin():
        await audit.record_many(session, events, at=at)


def read(
    patient: str, who: Person | None = None, *, place: str = SITE, action: str = "record.read"
) -> audit.Event:
    actor = f"station:{SITE}" if who is None else who.user.address
    return audit.Event(actor, action, f"Patient/{patient}", place=place, purpose="TREAT")


def elsewhere(patient: str) -> audit.Event:
    return audit.Event("client:x", "record.read", f"Patient/{patient}", place="79001")


async def search(client: httpx.AsyncClient, **wanted: str) -> str:
    answer = await client.post("/audit", data=wanted)
    assert answer.status_code == 200
    return text_of(answer.text)


@pytest.fixture(scope="module")
async def auditor(district: Hub) -> Person:
    return await add_person(district, Role.AUDITOR, facility=PROVINCIAL)


@pytest.fixture(scope="module")
async def doctor(district: Hub) -> Person:
    return await add_person(district, Role.DOCTOR, facility=CENTRE)


async def test_events_are_found_by_patient_person_place_kind_and_day(
    district: Hub, app: FastAPI, auditor: Person, doctor: Person
) -> None:
    one, other = uuid4().hex, uuid4().hex
    await put_down(district, read(one, doctor), elsewhere(other), read(other))
    await put_down(district, read(one, action="record.update"), at=NOW + timedelta(days=2))

    async with signed_in(app, auditor) as client:
        whole = await search(client, patient=one)
        assert doctor.user.name in whole
        assert doctor.login in whole
        assert "20/11/2026 10:00" in whole
        assert "22/11/2026 10:00" in whole
        assert "Khám chữa bệnh" in whole
        assert one in await search(client, person=doctor.login)
        assert one not in await search(client, person=doctor.login, kind="user")
        assert "20/11/2026 10:00" not in await search(client, patient=one, since="2026-11-21")
        assert "22/11/2026 10:00" not in await search(client, patient=one, until="2026-11-21")
        assert "22/11/2026 10:00" in await search(client, patient=f"Patient/{one}", until="2026-11-22")
        assert (await search(client, patient=other)).count("20/11/2026 10:00") == 1  # not what is elsewhere
        assert other not in await search(client, place="79001", kind="record")
        assert "Không có sự kiện" in await search(client, patient="nobody", kind="record")
        assert "Không ai có tên đăng nhập này" in await search(client, person="nobody")
        assert "Ngày không hợp lệ" in await search(client, since="2026-13-45")


async def test_older_events_are_a_page_further(district: Hub, app: FastAPI, auditor: Person) -> None:
    patient = uuid4().hex
    for number in range(60):
        await put_down(district, read(patient), at=NOW - timedelta(days=number))
    async with signed_in(app, auditor) as client:
        first = (await client.post("/audit", data={"patient": patient, "kind": "record"})).text
        cursor = first.split('name="cursor" value="')[1].split('"')[0]
        second = await search(client, patient=patient, kind="record", cursor=cursor)
    assert second.count(patient) == 10
    assert "22/09/2026 10:00" in second


async def test_how_the_chain_stands_is_said_first(district: Hub, app: FastAPI, auditor: Person) -> None:
    async with signed_in(app, auditor) as client:
        await put_down(district, read(uuid4().hex))
        await sealing.tend(district)
        page = text_of((await client.get("/audit")).text)
    assert "Đã niêm phong:" in page
    assert "Chưa có bên làm chứng nào bên ngoài ký xác nhận" in page


async def test_what_is_typed_is_shown_as_text(app: FastAPI, auditor: Person) -> None:
    async with signed_in(app, auditor) as client:
        answer = await client.post("/audit", data={"patient": '"><script>x</script>', "person": "'--"})
    assert "<script>x" not in answer.text


async def test_nobody_but_an_auditor_has_the_page(district: Hub, app: FastAPI, doctor: Person) -> None:
    async with signed_in(app, doctor) as client:
        assert (await client.get("/audit")).status_code == 403
