"""The nurse's pages, through HTTP."""

import re
from typing import Any
from uuid import uuid4

import httpx
import pytest

from station_agent.store import Tx, outbox, records
from tests.station_agent.conftest import Station

PATIENT = {
    "name": "Vàng Thị Mỷ",
    "sex": "female",
    "birth_year": "1985",
    "birth_month": "3",
    "birth_day": "15",
    "cccd": "002185012345",
    "phone": "0912 345 678",
    "address": "Thôn Lũng Cẩm",
    "allergies": "Penicillin: phát ban",
}


def path(answer: httpx.Response) -> str:
    return answer.url.path


async def registered(station: Station, **changed: str) -> str:
    """Register somebody and return the patient's id."""
    rid = str(uuid4())
    answer = await station.browser.post("/patients", data={"id": rid, **PATIENT, **changed})
    assert answer.status_code == 200, answer.text
    assert path(answer) == f"/patients/{rid}"
    return rid


async def visiting(station: Station, patient: str) -> str:
    rid = str(uuid4())
    answer = await station.browser.post(f"/patients/{patient}/visits", data={"id": rid, "reason": "Đau ngực"})
    assert path(answer) == f"/visits/{rid}"
    return rid


def form(**fields: Any) -> dict[str, Any]:
    return {"set_id": str(uuid4()), "request_id": str(uuid4()), **fields}


async def held(station: Station, rtype: str, rid: str) -> dict[str, Any]:
    """Return a resource as this computer holds it."""
    return (await station.agent.database.run(lambda tx: records.read(tx, rtype, rid))).resource


async def waiting(station: Station) -> list[tuple[int, str]]:
    """Return (lane, type) of what waits, in the order it will leave."""

    def ask(tx: Tx) -> list[tuple[int, str]]:
        return [(w.lane, w.rtype) for w in outbox.listing(tx)]

    return await station.agent.database.run(ask)


async def test_a_patient_is_registered_and_shown_with_the_allergy_first(station: Station) -> None:
    rid = await registered(station)
    shown = (await station.browser.get(f"/patients/{rid}")).text
    assert "Vàng Thị Mỷ" in shown
    assert "Penicillin: phát ban" in shown
    assert "15/03/1985" in shown
    assert [rtype for _, rtype in await waiting(station)] == ["Patient", "AllergyIntolerance"]


async def test_the_same_form_sent_twice_is_one_patient(station: Station) -> None:
    rid = await registered(station)
    await station.browser.post("/patients", data={"id": rid, **PATIENT})
    assert len(await waiting(station)) == 2


async def test_the_same_person_again_is_asked_about_before_it_is_saved(station: Station) -> None:
    first = await registered(station)
    again = {"id": str(uuid4()), **PATIENT, "cccd": "", "name": "vang thi my"}
    asked = await station.browser.post("/patients", data=again)
    assert asked.status_code == 409
    assert f"/patients/{first}" in asked.text
    saved = await station.browser.post("/patients", data={**again, "confirmed": "1"})
    assert path(saved) == f"/patients/{again['id']}"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": " "}, "name"),
        ({"sex": ""}, "sex"),
        ({"birth_year": ""}, "birth_year"),
        ({"birth_day": "31", "birth_month": "2"}, "birth_day"),
        ({"birth_year": "2999"}, "birth_year"),
        ({"cccd": "123"}, "cccd"),
        ({"bhyt": "DN9790123456789"}, "bhyt"),
        ({"phone": "12"}, "phone"),
    ],
)
async def test_what_cannot_be_is_marked_in_its_place_and_nothing_is_saved(
    station: Station, changed: dict[str, str], field: str
) -> None:
    answer = await station.browser.post("/patients", data={"id": str(uuid4()), **PATIENT, **changed})
    assert answer.status_code == 422
    place = re.search(rf'id="problem-{field}">\s*<p class="error">', answer.text)
    assert place is not None
    assert await waiting(station) == []


async def test_an_identity_number_of_another_year_warns_and_saves(station: Station) -> None:
    checked = await station.browser.post("/patients/check", data={**PATIENT, "birth_year": "1962"})
    assert 'class="warning"' in checked.text
    await registered(station, birth_year="1962")


async def test_a_year_alone_is_a_birth_date(station: Station) -> None:
    rid = await registered(station, birth_day="", birth_month="", cccd="")
    held = await station.agent.database.run(lambda tx: records.read(tx, "Patient", rid))
    assert held.resource["birthDate"] == "1985"


async def test_people_are_found_without_marks_and_never_through_an_address(station: Station) -> None:
    await registered(station)
    found = await station.browser.post("/patients/search", data={"query": "vang thi my"})
    assert "Vàng Thị Mỷ" in found.text
    assert str(found.url).endswith("/patients/search")
    by_card = await station.browser.post("/patients/search", data={"query": "002185012345"})
    assert "Vàng Thị Mỷ" in by_card.text


async def test_triage_is_told_while_typing_and_nothing_is_saved(station: Station) -> None:
    visit = await visiting(station, await registered(station))
    before = await waiting(station)
    answer = await station.browser.post(
        f"/visits/{visit}/triage",
        data=form(pulse="155", signs=["chest_pain", "stridor"]),
        headers={"HX-Request": "true"},
    )
    assert 'class="triage red"' in answer.text
    assert await waiting(station) == before


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"temperature": "98.6"}, "temperature"),
        ({"pulse": "abc"}, "pulse"),
        ({"systolic": "80", "diastolic": "120"}, "diastolic"),
    ],
)
async def test_an_impossible_value_is_refused_in_its_place(
    station: Station, fields: dict[str, str], field: str
) -> None:
    visit = await visiting(station, await registered(station))
    before = await waiting(station)
    answer = await station.browser.post(f"/visits/{visit}/vitals", data=form(**fields))
    assert answer.status_code == 422
    assert re.search(rf'id="problem-{field}">\s*<p class="error">', answer.text)
    assert f'value="{fields[field]}"' in answer.text
    assert await waiting(station) == before


async def test_measurements_come_back_into_the_form(station: Station) -> None:
    visit = await visiting(station, await registered(station))
    sent = form(
        pulse="96", temperature="37,2", systolic="120", diastolic="80", consciousness="A", oxygen="no",
        signs=["headache"],
    )  # fmt: skip
    shown = (await station.browser.post(f"/visits/{visit}/vitals", data=sent)).text
    for value in ('value="96"', 'value="37.2"', 'value="120"', 'value="80"'):
        assert value in shown
    assert re.search(r'name="consciousness" value="A" checked', shown)
    assert re.search(r'name="signs" value="headache" checked', shown)


async def test_a_value_that_was_left_as_it_was_is_no_new_measurement(station: Station) -> None:
    patient = await registered(station)
    visit = await visiting(station, patient)
    await station.browser.post(f"/visits/{visit}/vitals", data=form(pulse="96", spo2="97"))
    await station.browser.post(f"/visits/{visit}/vitals", data=form(pulse="120", spo2="97"))
    await station.browser.post(f"/visits/{visit}/ask", data=form(pulse="120", spo2="97", reason="?"))

    def measured(tx: Tx) -> list[float]:
        held = records.of_encounter(tx, visit, "Observation")
        return sorted(
            item.resource["valueQuantity"]["value"] for item in held if "valueQuantity" in item.resource
        )

    assert await station.agent.database.run(measured) == [96, 97, 120]
    shown = (await station.browser.get(f"/visits/{visit}")).text
    assert 'value="120"' in shown
    assert 'value="97"' in shown


async def test_asking_for_a_doctor_saves_what_was_measured_and_overtakes_everything(station: Station) -> None:
    await registered(station, name="Ai Đó Khác", cccd="")
    patient = await registered(station)
    visit = await visiting(station, patient)
    answer = await station.browser.post(
        f"/visits/{visit}/ask",
        data=form(pulse="120", signs=["chest_pain"], reason="Đau ngực từ sáng", specialty=""),
    )
    assert path(answer).startswith("/cases/")
    assert 'data-state="waiting"' in answer.text
    order = await waiting(station)
    assert [rtype for lane, rtype in order if lane == 0] == [
        "Patient", "AllergyIntolerance", "Encounter", "Observation", "Observation", "Observation", "ServiceRequest",
    ]  # fmt: skip
    assert [rtype for lane, rtype in order if lane > 0] == ["Patient", "AllergyIntolerance"]


async def test_the_suggested_specialty_is_asked_for_unless_another_is_chosen(station: Station) -> None:
    patient = await registered(station)
    wanted = []
    for chosen in ("", "surgery"):
        visit = await visiting(station, patient)
        sent = form(signs=["chest_pain"], specialty=chosen, consciousness="A")
        await station.browser.post(f"/visits/{visit}/ask", data=sent)
        request = await held(station, "ServiceRequest", sent["request_id"])
        wanted.append(request["performerType"]["coding"][0]["code"])
    assert wanted == ["cardiology", "surgery"]


async def test_a_request_can_be_taken_back_before_it_left(station: Station) -> None:
    visit = await visiting(station, await registered(station))
    sent = form(reason="x")
    await station.browser.post(f"/visits/{visit}/ask", data=sent)
    answer = await station.browser.post(f"/cases/{sent['request_id']}/withdraw")
    assert 'data-state="ended"' in answer.text
    held = await station.agent.database.run(lambda tx: records.read(tx, "ServiceRequest", sent["request_id"]))
    assert held.resource["status"] == "revoked"


async def test_unknown_records_are_not_here(station: Station) -> None:
    for wrong in ("/patients/x", f"/visits/{uuid4()}", f"/cases/{uuid4()}", "/nothing", "/patients/%2e%2e"):
        assert (await station.browser.get(wrong)).status_code == 404


async def test_a_foreign_page_can_neither_read_nor_post(station: Station) -> None:
    rebound = await station.browser.get("/", headers={"Host": "evil.example:8090"})
    assert rebound.status_code == 421
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
    ):
        answer = await station.browser.post("/lock", data={"back": "/"}, headers=headers)
        assert answer.status_code == 403
    shown = await station.browser.get("/")
    assert "default-src 'none'" in shown.headers["Content-Security-Policy"]
    assert shown.headers["Cache-Control"] == "no-store"


async def test_the_language_is_vietnamese_until_english_is_chosen(station: Station) -> None:
    assert '<html lang="vi">' in (await station.browser.get("/")).text
    back = await station.browser.post("/language", data={"language": "en", "back": "/patients"})
    assert path(back) == "/patients"
    assert '<html lang="en">' in back.text
    away = await station.browser.post("/language", data={"language": "vi", "back": "//evil.example/"})
    assert path(away) == "/"


async def test_every_page_of_both_languages_can_be_shown(station: Station) -> None:
    patient = await registered(station)
    visit = await visiting(station, patient)
    sent = form(pulse="120", systolic="130", diastolic="70", weight="54.5", reason="?")
    await station.browser.post(f"/visits/{visit}/ask", data=sent)
    pages = (
        "/",
        "/patients",
        "/patients/new",
        f"/patients/{patient}",
        f"/visits/{visit}",
        "/waiting",
        "/status-bar",
        "/staff",
        "/pin",
    )
    for language in ("vi", "en"):
        station.browser.cookies.set("station_language", language)
        for page in (*pages, f"/cases/{sent['request_id']}", f"/cases/{sent['request_id']}/state"):
            answer = await station.browser.get(page)
            assert answer.status_code == 200, page


async def test_status_counts_and_names_nobody(station: Station) -> None:
    await registered(station)
    said = await station.browser.get("/api/status")
    assert said.json()["waiting"] == {"0": 0, "1": 2, "2": 0, "3": 0}
    assert "Vàng" not in said.text
