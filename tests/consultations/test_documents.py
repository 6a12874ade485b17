"""A request that comes as a record, and the records that go back: note and prescription."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from clinic_net.access.policy import scope_of
from clinic_net.access.principals import UserPrincipal
from clinic_net.consultations import service
from clinic_net.consultations.documents import Child, Item, prescribe, write_note
from clinic_net.consultations.errors import (
    EmptyDocument,
    NotTheDoctor,
    PrescriptionIncomplete,
    UnknownConsultation,
)
from clinic_net.kernel.hub import Hub
from clinic_net.records import service as records
from clinic_net.records.errors import UnknownResource
from tests.consultations.support import (
    NOW,
    SITE,
    STATION_DEVICE,
    accept,
    after,
    coordinator,
    doctor,
    on_duty,
    rings_for,
    state_of,
)
from tests.consultations.test_requests import service_request

PARACETAMOL = Item("Paracetamol 250 mg", "Uống 1 gói khi sốt, cách 6 giờ", Decimal("10"), "gói", 3)


async def put(hub: Hub, resource: Mapping[str, Any]) -> None:
    async with hub.sessions() as session, session.begin():
        await records.put(
            session,
            json.dumps(resource).encode(),
            rtype=resource["resourceType"],
            fid=resource["id"],
            scope=scope_of(STATION_DEVICE),
            author=STATION_DEVICE.address,
            tenant=SITE,
            now=NOW,
        )


async def from_the_station(hub: Hub, *, birth_date: str = "1956", **changes: Any) -> UUID:
    """A patient and a request arrive from the station; the hub takes them in."""
    patient, request = str(uuid4()), str(uuid4())
    name = {"text": "Lò Thị Hoà", "family": "Lò", "given": ["Thị", "Hoà"]}
    await put(
        hub,
        {
            "resourceType": "Patient",
            "id": patient,
            "name": [name],
            "birthDate": birth_date,
            "gender": "female",
        },
    )
    resource = service_request(
        id=request, subject={"reference": f"Patient/{patient}"}, reasonCode=[{"text": "Đau ngực"}]
    )
    await put(hub, {key: value for key, value in (resource | changes).items() if value is not None})
    await hub.jobs.run_pending()
    return UUID(request)


async def taken(hub: Hub, **changes: Any) -> tuple[UUID, UserPrincipal]:
    near = doctor("Lò Văn An")
    await on_duty(hub, near)
    case = await from_the_station(hub, **changes)
    await accept(hub, case, near, after(10))
    return case, near


async def test_a_stations_stored_request_rings(clinic: Hub) -> None:
    near = doctor("Lò Văn An")
    await on_duty(clinic, near)

    case = await from_the_station(clinic)

    assert await rings_for(clinic, near) == [case]


async def test_a_revoked_request_ends_the_call(clinic: Hub) -> None:
    near = doctor("Lò Văn An")
    await on_duty(clinic, near)
    case = await from_the_station(clinic)
    async with clinic.sessions() as session:
        patient = (await service.case(session, case, by=near, now=NOW)).patient

    await put(
        clinic, service_request(id=str(case), subject={"reference": f"Patient/{patient}"}, status="revoked")
    )
    await clinic.jobs.run_pending()

    assert await state_of(clinic, case) == "ended"


async def test_other_requests_are_left_alone(clinic: Hub) -> None:
    near = doctor("Lò Văn An")
    await on_duty(clinic, near)

    await from_the_station(clinic, category=None)

    assert await rings_for(clinic, near) == []


async def test_the_card_shows_the_patient_to_who_may_see_them(clinic: Hub) -> None:
    near, desk, stranger = doctor("A"), coordinator(), doctor("B")
    await on_duty(clinic, near)
    case = await from_the_station(clinic)

    async with clinic.sessions() as session, session.begin():
        for reader in (near, desk):
            card = await service.case(session, case, by=reader, now=after(1))
            assert (card.patient_name, card.birth_date, card.sex) == ("Lò Thị Hoà", "1956", "female")
            assert (card.reason, card.commune, card.urgency) == ("Đau ngực", "Xã Mường Pồn", "orange")
        with pytest.raises(UnknownResource):
            await records.read(session, "Patient", card.patient, scope=scope_of(stranger), now=after(1))


async def test_a_note_is_a_final_consult_note_that_the_station_can_read(clinic: Hub) -> None:
    case, near = await taken(clinic)

    async with clinic.sessions() as session, session.begin():
        stored = await write_note(
            session,
            case,
            by=near,
            sections={
                "assessment": "Nghi nhồi máu <ST chênh>",
                "plan": "Chuyển viện\nAspirin",
                "advice": " ",
            },
            now=after(60),
        )
        seen = await records.read(
            session, "Composition", stored.fid, scope=scope_of(STATION_DEVICE), now=after(61)
        )

    composition = json.loads(seen.text)
    assert composition["status"] == "final"
    assert composition["type"]["coding"][0]["code"] == "11488-4"
    assert [section["title"] for section in composition["section"]] == ["Assessment", "Plan of treatment"]
    assert "&lt;ST chênh&gt;" in composition["section"][0]["text"]["div"]


async def test_an_empty_note_is_refused_and_so_is_one_by_another_doctor(clinic: Hub) -> None:
    case, near = await taken(clinic)
    other = doctor("B")

    async with clinic.sessions() as session, session.begin():
        with pytest.raises(EmptyDocument):
            await write_note(session, case, by=near, sections={"plan": "  "}, now=after(60))
        await service.set_duty(session, other, on=True, now=after(60))
        with pytest.raises(UnknownConsultation):
            await write_note(session, case, by=other, sections={"plan": "…"}, now=after(60))


async def test_a_prescription_is_one_request_a_medicine_in_one_group(clinic: Hub) -> None:
    case, near = await taken(clinic)
    oresol = Item("Oresol", "Pha 1 gói trong 200 ml", Decimal("5"), "gói", 2)

    async with clinic.sessions() as session, session.begin():
        stored = await prescribe(
            session, case, by=near, items=[PARACETAMOL, oresol], child=Child(), now=after(60)
        )

    written = [json.loads(one.text) for one in stored]
    assert len({one["groupIdentifier"]["value"] for one in written}) == 1
    assert [one["dispenseRequest"]["expectedSupplyDuration"]["value"] for one in written] == [3, 2]
    assert all(one.tenant == SITE for one in stored)


@pytest.mark.parametrize("birth_date", ["2031", "2031-01", "2031-01-15", "2030-12-01"])
async def test_a_child_below_72_months_needs_weight_and_carer(clinic: Hub, birth_date: str) -> None:
    case, near = await taken(clinic, birth_date=birth_date)

    async with clinic.sessions() as session, session.begin():
        with pytest.raises(PrescriptionIncomplete) as refusal:
            await prescribe(session, case, by=near, items=[PARACETAMOL], child=Child(), now=after(60))
        assert [place.path for place in refusal.value.places] == ["child.weight_kg", "child.carer"]
        [stored] = await prescribe(
            session,
            case,
            by=near,
            items=[PARACETAMOL],
            child=Child(weight_kg=Decimal("12.50"), carer="Lò Thị Mai"),
            now=after(60),
        )
    assert b"12.50" in stored.text


@pytest.mark.parametrize("birth_date", ["2029", "2030-11-20", "1956"])
async def test_from_72_months_on_they_are_not_asked_for(clinic: Hub, birth_date: str) -> None:
    case, near = await taken(clinic, birth_date=birth_date)

    async with clinic.sessions() as session, session.begin():
        await prescribe(session, case, by=near, items=[PARACETAMOL], child=Child(), now=after(60))


async def test_a_prescription_says_where_it_is_incomplete_without_quoting_it(clinic: Hub) -> None:
    case, near = await taken(clinic)

    async with clinic.sessions() as session, session.begin():
        with pytest.raises(PrescriptionIncomplete) as refusal:
            await prescribe(
                session,
                case,
                by=near,
                items=[Item("", "x", Decimal(0), "viên", 0)],
                child=Child(),
                now=after(60),
            )
    assert [place.path for place in refusal.value.places] == [
        "items[0].medicine", "items[0].quantity", "items[0].days",
    ]  # fmt: skip


async def test_only_who_took_the_case_writes_in_it(clinic: Hub) -> None:
    near, other = doctor("A"), doctor("B")
    await on_duty(clinic, near, other)
    case = await from_the_station(clinic)
    await accept(clinic, case, near, after(10))

    async with clinic.sessions() as session, session.begin():
        with pytest.raises(NotTheDoctor):
            await write_note(session, case, by=other, sections={"plan": "…"}, now=after(60))
