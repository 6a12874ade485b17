"""The consultation's page: the record beside the call, and what the doctor writes into it."""

from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from clinic_net.access.principals import Role
from clinic_net.consultations import service as consultations
from clinic_net.kernel.hub import Hub
from clinic_net.referrals import service as referrals
from tests.console import patients
from tests.console.support import Person, add_person, go_on_duty, signed_in, text_of
from tests.consultations.support import CENTRE, PROVINCIAL, forget_everything

ASPIRIN = {
    "medicine": "Aspirin 81 mg", "dose": "4 viên", "frequency": "nhai một lần", "quantity": "4", "unit": "viên",
    "days": "1",
}  # fmt: skip


@pytest.fixture
async def clinic(district: Hub) -> Hub:
    await forget_everything(district)
    return district


@pytest.fixture(scope="module")
async def doctor(district: Hub) -> Person:
    return await add_person(district, Role.DOCTOR, specialties=("cardiology",))


async def take(hub: Hub, doctor: Person, *, years: int = 54) -> UUID:
    await go_on_duty(hub, doctor)
    case = await patients.send(hub, patients.chest_pain(hub.now(), years=years))
    async with hub.sessions() as session, session.begin():
        await consultations.accept(session, case, by=doctor.user, now=hub.now())
    return case


async def steps_of(hub: Hub, case: UUID) -> list[str]:
    async with hub.sessions() as session:
        return [entry.step for entry in await consultations.timeline(session, case)]


async def post(client: httpx.AsyncClient, path: str, **form: str | list[str]) -> httpx.Response:
    return await client.post(path, data=form, headers={"HX-Request": "true"})


async def test_the_record_is_beside_the_call(clinic: Hub, app: FastAPI, doctor: Person) -> None:
    case = await take(clinic, doctor)
    async with signed_in(app, doctor) as client:
        page = await client.get(f"/consultations/{case}")
    said = text_of(page.text)
    for expected in (
        patients.NAME,
        patients.ALLERGY,
        patients.MEDICINE,
        patients.REASON,
        "Khám tăng huyết áp định kỳ",
    ):
        assert expected in said
    assert page.text.count("<svg") == 8
    assert 'id="remote"' in page.text
    assert "84" in said
    assert "128" in said


async def test_a_note_is_saved_and_appears_in_the_record(clinic: Hub, app: FastAPI, doctor: Person) -> None:
    case = await take(clinic, doctor)
    async with signed_in(app, doctor) as client:
        saved = await post(
            client, f"/consultations/{case}/note", assessment="Theo dõi <nhồi máu>", plan="Chuyển\nngay"
        )
        assert saved.status_code == 200
        assert saved.headers["HX-Trigger"] == "written"
        assert "Theo dõi" not in saved.text
        record = await client.get(f"/consultations/{case}/record")
    assert "Theo dõi &lt;nhồi máu&gt;" in record.text
    assert "Nhận định" in text_of(record.text)
    assert "noted" in await steps_of(clinic, case)


async def test_an_empty_note_is_not_saved(clinic: Hub, app: FastAPI, doctor: Person) -> None:
    case = await take(clinic, doctor)
    async with signed_in(app, doctor) as client:
        refused = await post(client, f"/consultations/{case}/note", assessment="  ")
    assert refused.status_code == 422
    assert "noted" not in await steps_of(clinic, case)


async def test_a_prescription_of_two_medicines_is_saved(clinic: Hub, app: FastAPI, doctor: Person) -> None:
    case = await take(clinic, doctor)
    rows = {name: [value, value, ""] for name, value in ASPIRIN.items()}
    async with signed_in(app, doctor) as client:
        saved = await post(client, f"/consultations/{case}/prescription", **rows)
        assert saved.status_code == 200
        said = text_of((await client.get(f"/consultations/{case}/record")).text)
    assert said.count("Aspirin 81 mg") == 2
    assert "4 viên, nhai một lần" in said


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("dose", ""),
        ("frequency", ""),
        ("quantity", "bốn"),
        ("quantity", "NaN"),
        ("days", "0"),
        ("days", "9999"),
        ("unit", ""),
    ],
)
async def test_what_a_prescription_lacks_is_marked_and_nothing_typed_is_lost(
    clinic: Hub, app: FastAPI, doctor: Person, field: str, typed: str
) -> None:
    case = await take(clinic, doctor)
    async with signed_in(app, doctor) as client:
        refused = await post(client, f"/consultations/{case}/prescription", **{**ASPIRIN, field: typed})
    assert refused.status_code == 422
    assert refused.text.count('aria-invalid="true"') == (2 if field in ("dose", "frequency") else 1)
    assert "Aspirin 81 mg" in refused.text
    assert "prescribed" not in await steps_of(clinic, case)


async def test_a_small_child_needs_weight_and_carer_on_the_prescription(
    clinic: Hub, app: FastAPI, doctor: Person
) -> None:
    case = await take(clinic, doctor, years=3)
    path = f"/consultations/{case}/prescription"
    async with signed_in(app, doctor) as client:
        refused = await post(client, path, **ASPIRIN, weight="", carer="")
        assert refused.status_code == 422
        assert refused.text.count('aria-invalid="true"') == 2
        saved = await post(client, path, **ASPIRIN, weight="14,5", carer="Mẹ")
    assert saved.status_code == 200


async def test_a_referral_goes_up_the_chain_of_support_and_decides_the_case(
    clinic: Hub, app: FastAPI, doctor: Person
) -> None:
    case = await take(clinic, doctor)
    async with signed_in(app, doctor) as client:
        page = await client.get(f"/consultations/{case}")
        assert f'value="{CENTRE}"' in page.text
        assert f'value="{PROVINCIAL}"' in page.text
        sent = await post(
            client,
            f"/consultations/{case}/referral",
            to_facility=PROVINCIAL,
            urgency="red",
            reason="Can thiệp mạch vành",
        )
        assert sent.status_code == 200
        assert f"Cơ sở {PROVINCIAL}" in text_of(sent.text)
        assert "Chuyển tuyến" in text_of((await client.get(f"/consultations/{case}/decision")).text)
    async with clinic.sessions() as session:
        rows = await referrals.open_referrals(session, doctor.user, now=clinic.now())
    assert [row.to_facility for row in rows if row.consultation == case] == [PROVINCIAL]


@pytest.mark.parametrize(
    "wrong", [{"reason": ""}, {"to_facility": "99999"}, {"to_facility": "11900"}, {"urgency": "purple"}]
)
async def test_a_referral_that_cannot_be_is_shown_again_as_typed(
    clinic: Hub, app: FastAPI, doctor: Person, wrong: dict[str, str]
) -> None:
    case = await take(clinic, doctor)
    form = {"to_facility": PROVINCIAL, "urgency": "orange", "reason": "Can thiệp mạch vành", **wrong}
    async with signed_in(app, doctor) as client:
        refused = await post(client, f"/consultations/{case}/referral", **form)
    assert refused.status_code == 422
    assert form["reason"] in refused.text
    assert "referred" not in await steps_of(clinic, case)


@pytest.mark.parametrize("outcome", ["managed_locally", "advice", "follow_up", "transfer"])
async def test_the_doctor_decides_during_the_call(
    clinic: Hub, app: FastAPI, doctor: Person, outcome: str
) -> None:
    case = await take(clinic, doctor)
    async with signed_in(app, doctor) as client:
        answer = await post(client, f"/consultations/{case}/decision", outcome=outcome)
        assert 'aria-pressed="true"' in answer.text
        assert (await post(client, f"/consultations/{case}/decision", outcome="nothing")).status_code == 422


async def test_the_call_can_be_ended_without_signalling_and_the_page_stays(
    clinic: Hub, app: FastAPI, doctor: Person
) -> None:
    case = await take(clinic, doctor)
    async with signed_in(app, doctor) as client:
        answer = await client.post(f"/consultations/{case}/end")
        assert answer.headers["location"] == f"/consultations/{case}"
        page = await client.get(f"/consultations/{case}")
        assert 'data-state="ended"' in page.text
        assert patients.NAME in text_of(page.text)
        assert (
            await post(client, f"/consultations/{case}/note", plan="Theo dõi tại trạm")
        ).status_code == 200
        assert f"/consultations/{case}" in (await client.get("/doctor/cases")).text
        await post(client, f"/consultations/{case}/decision", outcome="advice")
        assert f"/consultations/{case}" not in (await client.get("/doctor/cases")).text


async def test_the_timeline_counts_from_the_stations_request(
    clinic: Hub, app: FastAPI, doctor: Person
) -> None:
    case = await take(clinic, doctor)
    async with signed_in(app, doctor) as client:
        said = text_of((await client.get(f"/consultations/{case}/timeline")).text)
    assert "+0:00 Trạm yêu cầu bác sĩ" in said
    assert "Bác sĩ đã nhận ca" in said


async def test_a_doctor_who_did_not_take_the_case_writes_nothing(
    clinic: Hub, app: FastAPI, doctor: Person
) -> None:
    rung = await add_person(clinic, Role.DOCTOR, specialties=("cardiology",))
    await go_on_duty(clinic, rung)
    case = await take(clinic, doctor)
    async with signed_in(app, rung) as client:
        for path, form in (
            ("note", {"plan": "x"}),
            ("prescription", ASPIRIN),
            ("decision", {"outcome": "advice"}),
            ("referral", {"to_facility": PROVINCIAL, "urgency": "red", "reason": "x"}),
            ("end", {}),
        ):
            assert (await client.post(f"/consultations/{case}/{path}", data=form)).status_code == 403
        assert (await client.get(f"/consultations/{case}/record")).status_code == 403
        assert patients.NAME not in (await client.get(f"/consultations/{case}")).text
    assert set(await steps_of(clinic, case)).isdisjoint(
        {"noted", "prescribed", "decided", "referred", "ended"}
    )


async def test_an_unknown_consultation_is_not_found(clinic: Hub, app: FastAPI, doctor: Person) -> None:
    async with signed_in(app, doctor) as client:
        assert (await client.get(f"/consultations/{uuid4()}")).status_code == 404
        assert (await client.get("/consultations/no-uuid")).status_code in (404, 422)
