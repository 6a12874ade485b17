"""Programs that act for people, through the whole application: asked for, agreed to, used, renewed and taken back."""

from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import text

from clinic_net.access.http import COOKIE
from clinic_net.access.keys import digest
from clinic_net.access.principals import Role
from clinic_net.kernel.hub import Hub
from tests.access.programs import BACK, HUB, Program, add_patient, agree, back, bearer
from tests.app.callers import callers_of
from tests.console.support import Person, add_person, ask_for_a_doctor, browser, sign_in, signed_in, text_of
from tests.consultations.support import CENTRE


@pytest.fixture(scope="module")
async def doctor(district: Hub) -> Person:
    return await add_person(district, Role.DOCTOR)


@pytest.fixture
async def person(app: FastAPI, doctor: Person) -> AsyncIterator[httpx.AsyncClient]:
    async with signed_in(app, doctor) as client:
        yield client


@pytest.fixture(scope="module")
async def patient(district: Hub, doctor: Person) -> str:
    return await add_patient(district, doctor.user, "Giàng Thị Chọn")


@pytest.fixture
async def program(district: Hub) -> Program:
    return await Program.register(district)


async def test_a_program_is_let_in_for_one_patient_and_sees_only_that_one(
    district: Hub, app: FastAPI, person: httpx.AsyncClient, doctor: Person, patient: str, program: Program
) -> None:
    other = await add_patient(district, doctor.user, "Người Khác")
    told = back(await agree(person, program.request(), patient=patient))
    assert told["state"] == program.state
    assert told["iss"] == HUB
    answer = await program.redeem(person, told["code"])

    body = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert (body["token_type"], body["expires_in"], body["patient"]) == ("Bearer", 300, patient)
    assert body["scope"] == "fhirUser launch/patient offline_access openid patient/*.rs"
    async with browser(app) as web:
        headers = bearer(body["access_token"])
        assert (await web.get(f"/fhir/Patient/{patient}", headers=headers)).status_code == 200
        unseen = await web.get(f"/fhir/Patient/{other}", headers=headers)
        unknown = await web.get(f"/fhir/Patient/{'0' * 8}-0000-4000-8000-{'0' * 12}", headers=headers)
        assert unseen.status_code == unknown.status_code == 404
        found = (await web.get("/fhir/Patient", headers=headers)).json()
        assert [entry["resource"]["id"] for entry in found["entry"]] == [patient]
        counted = (await web.get("/fhir/Patient?_summary=count", headers=headers)).json()
        assert counted["total"] == 1
        write = await web.post("/fhir/Patient", json={"resourceType": "Patient"}, headers=headers)
        assert (write.status_code, write.json()["issue"][0]["details"]["coding"][0]["code"]) == (
            403,
            "insufficient-scope",
        )


async def test_what_a_program_learns_of_the_person_is_signed(
    person: httpx.AsyncClient, doctor: Person, patient: str, program: Program
) -> None:
    body = await program.whole(person, patient)
    published = (await person.get("/oauth/jwks")).json()

    decoded = jwt.decode(body["id_token"], KeySet.import_key_set(published), algorithms=["ES256"])
    said = decoded.claims
    assert (said["iss"], said["aud"], said["sub"]) == (HUB, program.id, str(doctor.user.id))
    assert (said["nonce"], said["acr"], said["exp"] - said["iat"]) == ("n-1", "password", 300)
    assert all("d" not in key for key in published["keys"])
    assert decoded.header["kid"] in {key["kid"] for key in published["keys"]}
    who = await person.get("/oauth/userinfo", headers=bearer(body["access_token"]))
    assert who.json()["sub"] == said["sub"]


async def test_the_page_says_who_asks_for_what_and_finds_patients_by_name(
    person: httpx.AsyncClient, patient: str, program: Program
) -> None:
    address = program.request()
    page = await person.get(address)
    words = text_of(page.text)
    assert "Ứng dụng thử xin quyền truy cập" in words
    assert "Xem: toàn bộ hồ sơ · chỉ của một bệnh nhân" in words
    assert "form-action 'self' https://app.example;" in page.headers["content-security-policy"]

    form = {"request": address.partition("?")[2], "decision": "find", "name": "Giàng Chọn"}
    found = await person.post("/oauth/authorize", data=form)
    assert f'value="{patient}" checked' in found.text
    nobody = await person.post("/oauth/authorize", data=form | {"name": "Không Có Ai"})
    assert "Không có bệnh nhân nào mang tên hoặc số này" in text_of(nobody.text)


async def test_a_person_gives_less_than_was_asked_for(
    district: Hub, person: httpx.AsyncClient, patient: str
) -> None:
    program = await Program.register(district, scope="openid user/*.cruds patient/Observation.rs")
    told = back(await agree(person, program.request(), patient=patient, only={"user/*.rs"}))

    body = (await program.redeem(person, told["code"])).json()
    assert body["scope"] == "user/*.rs"
    assert "id_token" not in body
    assert "patient" not in body


async def test_nothing_beyond_the_offer_is_given_whatever_the_form_says(
    district: Hub, person: httpx.AsyncClient
) -> None:
    program = await Program.register(district, scope="user/Observation.rs")
    form = {"request": program.request().partition("?")[2], "decision": "allow"}
    told = back(await person.post("/oauth/authorize", data=form | {"scope": "user/*.cruds offline_access"}))

    body = (await program.redeem(person, told["code"])).json()
    assert body["scope"] == "user/Observation.rs"
    assert "refresh_token" not in body


async def test_a_role_is_not_promised_more_than_it_includes(district: Hub, app: FastAPI) -> None:
    program = await Program.register(district, scope="openid user/*.cruds")
    async with signed_in(app, await add_person(district, Role.COORDINATOR)) as client:
        body = await program.whole(client, None)
    words = body["scope"].split()
    assert "user/*.rs" in words
    assert "user/Task.cu" in words
    assert not [word for word in words if word.startswith("user/") and "d" in word.partition(".")[2]]
    async with signed_in(app, await add_person(district, Role.OPERATOR)) as client:
        told = back(await client.get(program.request()))
    assert told["error"] == "invalid_scope"


async def test_a_person_who_says_no_or_chooses_nobody_gives_nothing(
    person: httpx.AsyncClient, program: Program
) -> None:
    said_no = back(await agree(person, program.request(), decision="deny"))
    assert (said_no["error"], said_no["state"], said_no["iss"]) == ("access_denied", program.state, HUB)
    nobody = await agree(person, program.request())
    assert nobody.status_code == 422
    assert "Hãy chọn bệnh nhân liên quan." in text_of(nobody.text)
    foreign = await agree(person, program.request(), patient="somebody-else")
    assert foreign.status_code == 422


async def test_whoever_is_not_signed_in_signs_in_first_and_comes_back(
    app: FastAPI, doctor: Person, program: Program
) -> None:
    async with browser(app) as client:
        asked = await client.get(program.request())
        assert (asked.status_code, asked.headers["location"]) == (303, "/sign-in")
        assert (await sign_in(client, doctor.login)).headers["location"] == "/"
        on = await client.get("/")
        assert on.headers["location"] == program.request()
        assert "Ứng dụng thử" in (await client.get(on.headers["location"])).text
        assert (await client.get("/")).headers["location"] == "/doctor"


async def test_a_refresh_token_is_good_once_and_its_copy_ends_everything(
    person: httpx.AsyncClient, patient: str, program: Program
) -> None:
    first = await program.whole(person, patient)
    second = (await program.refresh(person, first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["patient"] == patient
    headers = bearer(second["access_token"])
    assert (await person.get(f"/fhir/Patient/{patient}", headers=headers)).status_code == 200

    again = await program.refresh(person, first["refresh_token"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert (await person.get(f"/fhir/Patient/{patient}", headers=headers)).status_code == 401
    assert (await program.refresh(person, second["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_refresh_may_ask_for_less_and_never_for_more(
    person: httpx.AsyncClient, patient: str, program: Program
) -> None:
    first = await program.whole(person, patient)
    more = await program.refresh(person, first["refresh_token"], scope="user/*.cruds")
    assert (more.status_code, more.json()["error"]) == (400, "invalid_scope")
    less = (await program.refresh(person, first["refresh_token"], scope="openid")).json()
    assert less["scope"] == "openid"
    refused = await person.get(f"/fhir/Patient/{patient}", headers=bearer(less["access_token"]))
    assert refused.status_code == 403


async def test_without_offline_access_signing_out_ends_it(
    district: Hub, app: FastAPI, doctor: Person, patient: str
) -> None:
    program = await Program.register(district, scope="launch/patient online_access patient/*.rs")
    async with signed_in(app, doctor) as client:
        body = await program.whole(client, patient)
        headers = bearer(body["access_token"])
        assert (await client.get(f"/fhir/Patient/{patient}", headers=headers)).status_code == 200
        await client.post("/sign-out")
    async with browser(app) as web:
        assert (await web.get(f"/fhir/Patient/{patient}", headers=headers)).status_code == 401
        assert (await program.refresh(web, body["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_person_takes_back_what_they_allowed(
    app: FastAPI, person: httpx.AsyncClient, patient: str, program: Program, district: Hub
) -> None:
    body = await program.whole(person, patient)
    page = await person.get("/programs")
    assert "Ứng dụng thử" in text_of(page.text)
    grant = page.text.partition("/programs/")[2].partition("/end")[0]
    async with signed_in(app, await add_person(district, Role.DOCTOR)) as another:
        assert (await another.post(f"/programs/{grant}/end")).status_code == 404
    assert (await person.post(f"/programs/{grant}/end")).status_code == 303
    refused = await person.get(f"/fhir/Patient/{patient}", headers=bearer(body["access_token"]))
    assert refused.status_code == 401
    async with district.sessions() as session:
        said = await (await session.connection()).execute(
            text("select action, outcome from audit_event where subject = :s order by at"),
            {"s": f"client:{program.id}"},
        )
    assert [tuple(row) for row in said] == [
        ("client.add", "ok"), ("oauth.allow", "ok"), ("oauth.token", "ok"), ("oauth.revoke", "ok")
    ]  # fmt: skip


async def test_a_token_is_told_about_to_its_program_and_to_systems_only(
    district: Hub, app: FastAPI, person: httpx.AsyncClient, doctor: Person, patient: str, program: Program
) -> None:
    body = await program.whole(person, patient)
    other = await Program.register(district)
    public = await Program.register(district, public=True)
    assert program.secret is not None
    assert other.secret is not None

    async def told(client: Program, token: str) -> dict[str, object]:
        auth = (client.id, client.secret or "")
        return dict((await person.post("/oauth/introspect", data={"token": token}, auth=auth)).json())

    said = await told(program, body["access_token"])
    assert (said["active"], said["client_id"], said["iss"]) == (True, program.id, HUB)
    assert (said["sub"], said["patient"], said["scope"]) == (str(doctor.user.id), patient, body["scope"])
    assert (await told(program, body["refresh_token"]))["active"] is True
    for token in (body["access_token"], body["refresh_token"], "nonsense", body["id_token"]):
        assert await told(other, token) == {"active": False}
    anonymous = await person.post("/oauth/introspect", data={"token": "x", "client_id": public.id})
    assert anonymous.status_code == 401
    await person.post(
        "/oauth/revoke", data={"token": body["refresh_token"]}, auth=(program.id, program.secret)
    )
    assert await told(program, body["access_token"]) == {"active": False}


async def test_one_program_does_not_end_what_another_was_given(
    district: Hub, person: httpx.AsyncClient, patient: str, program: Program
) -> None:
    body = await program.whole(person, patient)
    other = await Program.register(district)
    assert other.secret is not None
    answer = await person.post(
        "/oauth/revoke", data={"token": body["refresh_token"]}, auth=(other.id, other.secret)
    )
    assert (answer.status_code, answer.json()) == (200, {})
    assert (await program.refresh(person, body["refresh_token"])).status_code == 200


async def test_a_program_is_kept_to_the_records(
    person: httpx.AsyncClient, app: FastAPI, patient: str, program: Program
) -> None:
    """Its token opens no page, no session, no socket and no other interface, though its person may use them."""
    body = await program.whole(person, patient)
    async with browser(app) as web:
        for address in ("/doctor", "/access/v1/session", "/programs", "/fleet/v1/stations"):
            assert (await web.get(address, headers=bearer(body["access_token"]))).status_code == 403, address
        asked = await web.get(program.request(), headers=bearer(body["access_token"]))
        assert asked.headers["location"] == "/sign-in"  # a program never agrees for its person


async def test_a_program_is_opened_from_the_record_of_a_consultation(
    district: Hub, app: FastAPI, doctor: Person
) -> None:
    program = await Program.register(
        district, scope="launch openid patient/*.rs", launch_uri="https://app.example/launch?x=1"
    )
    holder = await add_person(district, Role.DOCTOR, specialties=("cardiology",))
    case = await ask_for_a_doctor(district)
    async with signed_in(app, holder) as client:
        await client.post("/doctor/duty", data={"on": "true"})
        await district.jobs.run_pending()
        taken = await client.post(f"/consultations/{case}/accept")
        assert taken.status_code == 303
        page = await client.get(f"/consultations/{case}")
        assert f"/programs/{program.id}/open" in page.text
        opened = await client.post(f"/programs/{program.id}/open", data={"consultation": str(case)})
        assert opened.status_code == 303
        address = httpx.URL(opened.headers["location"])
        assert (address.host, address.params["iss"], address.params["x"]) == (
            "app.example",
            f"{HUB}/fhir",
            "1",
        )
        launch = address.params["launch"]
        async with signed_in(app, doctor) as other:
            assert back(await other.get(program.request(launch=launch)))["error"] == "invalid_request"
        body = await program.whole(client, None, launch=launch)
        assert (
            await client.get(f"/fhir/Patient/{body['patient']}", headers=bearer(body["access_token"]))
        ).is_success
        again = back(await client.get(program.request(launch=launch)))
        assert again["error"] == "invalid_request"
        late = await client.post(f"/programs/{program.id}/open", data={"consultation": str(case)})
        async with district.sessions() as session, session.begin():
            await (await session.connection()).execute(
                text("update access_launch set expires_at = :then"),
                {"then": district.now() - timedelta(seconds=1)},
            )
        over = httpx.URL(late.headers["location"]).params["launch"]
        assert back(await client.get(program.request(launch=over)))["error"] == "invalid_request"
        assert back(await client.get(program.request(launch="invented")))["error"] == "invalid_request"


async def test_a_system_is_no_program_and_a_program_no_system(
    district: Hub, app: FastAPI, person: httpx.AsyncClient, program: Program
) -> None:
    alone = await program.token(person, {"grant_type": "client_credentials"})
    assert (alone.status_code, alone.json()["error"]) == (400, "unauthorized_client")
    callers = await callers_of(district, app, facility=CENTRE)
    assert (await person.get(program.request(client_id="client-unknown"))).status_code == 400
    answer = await person.get("/oauth/userinfo", headers=bearer(callers.bearers["client"]))
    assert answer.status_code == 403
    assert BACK not in (await person.get(program.request(client_id="client-unknown"))).text


async def test_a_program_stays_let_in_when_its_person_s_cookie_gets_a_new_value(
    district: Hub, app: FastAPI, doctor: Person, patient: str
) -> None:
    """A fresh proof changes the cookie; the sign-in, and what depends on it, goes on under its name."""
    program = await Program.register(district, scope="launch/patient online_access patient/*.rs")
    renewed = "r" * 43
    async with signed_in(app, doctor) as client:
        before = await program.whole(client, patient)
        cookie = digest(client.cookies[COOKIE])
        async with district.sessions() as session, session.begin():
            await (await session.connection()).execute(
                text("update access_session set token = :new where token = :old"),
                {"new": digest(renewed), "old": cookie},
            )
        client.cookies.clear()
        client.cookies.set(COOKIE, renewed)
        headers = bearer(before["access_token"])
        assert (await client.get(f"/fhir/Patient/{patient}", headers=headers)).status_code == 200
        assert (await program.refresh(client, before["refresh_token"])).status_code == 200
        assert (await program.whole(client, patient))["patient"] == patient
        await client.post("/sign-out")
        assert (await client.get(f"/fhir/Patient/{patient}", headers=headers)).status_code == 401


@pytest.fixture(scope="module")
async def other_patient(district: Hub, doctor: Person) -> str:
    return await add_patient(district, doctor.user, "Người Khác")


def observation(patient: str, heart_rate: int) -> dict[str, object]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "valueQuantity": {"value": heart_rate, "system": "http://unitsofmeasure.org", "code": "/min"},
    }


async def test_a_program_for_one_patient_learns_nothing_of_another_by_any_way(
    district: Hub, person: httpx.AsyncClient, patient: str, other_patient: str
) -> None:
    """Read, version, history, search, count, chain, ``_has``, includes, compartment, everything, bundle, later."""
    json = {"Accept": "application/fhir+json"}
    made = await person.post("/fhir/Observation", json=observation(other_patient, 177), headers=json)
    assert made.status_code == 201, made.text
    foreign = made.json()["id"]
    own = await person.post("/fhir/Observation", json=observation(patient, 66), headers=json)
    assert own.status_code == 201
    program = await Program.register(district, scope="launch/patient patient/*.cruds")
    headers = bearer((await program.whole(person, patient))["access_token"])
    mine = await person.get("/fhir/Observation", headers=headers)
    assert [entry["resource"]["id"] for entry in mine.json()["entry"]] == [own.json()["id"]]
    for address in (
        f"/fhir/Observation/{foreign}",
        f"/fhir/Observation/{foreign}/_history/1",
        f"/fhir/Observation/{foreign}/_history",
        f"/fhir/Patient/{other_patient}",
        f"/fhir/Patient/{other_patient}/$everything",
    ):
        assert (await person.get(address, headers=headers)).status_code == 404, address
    for address in (
        f"/fhir/Observation?_id={foreign}",
        f"/fhir/Observation?subject=Patient/{other_patient}",
        "/fhir/Observation?value-quantity=177",
        "/fhir/Observation?subject:Patient.name=Người Khác",
        "/fhir/Patient?_has:Observation:patient:value-quantity=177",
        "/fhir/Patient?name=Người Khác&_revinclude=Observation:subject",
        f"/fhir/Patient/{other_patient}/Observation",
        f"/fhir/Patient/{other_patient}/*",
    ):
        found = await person.get(f"{address}{'&' if '?' in address else '?'}_total=accurate", headers=headers)
        assert found.status_code in (200, 404), (address, found.text)
        assert found.json().get("total", 0) == 0, address
        assert "entry" not in found.json(), address
    included = await person.get("/fhir/Observation?_include=*", headers=headers)
    assert other_patient not in included.text
    history = await person.get("/fhir/_history", headers=headers)
    assert history.status_code == 200
    assert foreign not in history.text
    asked = {"resourceType": "Bundle", "type": "batch"}
    entry = {"request": {"method": "GET", "url": f"Observation/{foreign}"}}
    batch = await person.post("/fhir", json={**asked, "entry": [entry]}, headers=headers)
    assert batch.json()["entry"][0]["response"]["status"].startswith("404")


async def test_a_program_for_one_patient_writes_into_no_other_record(
    district: Hub, person: httpx.AsyncClient, patient: str, other_patient: str
) -> None:
    json = {"Accept": "application/fhir+json"}
    made = (await person.post("/fhir/Observation", json=observation(other_patient, 90), headers=json)).json()
    own = (await person.post("/fhir/Observation", json=observation(patient, 61), headers=json)).json()
    program = await Program.register(district, scope="launch/patient patient/*.cruds")
    headers = bearer((await program.whole(person, patient))["access_token"])
    assert (
        await person.post("/fhir/Observation", json=observation(patient, 62), headers=headers)
    ).status_code == 201
    for answer in (
        await person.post("/fhir/Observation", json=observation(other_patient, 62), headers=headers),
        await person.put(
            f"/fhir/Observation/{made['id']}", json={**made, "status": "amended"}, headers=headers
        ),
        await person.put(
            f"/fhir/Observation/{own['id']}", json={**own, **observation(other_patient, 5)}, headers=headers
        ),
        await person.post("/fhir/Patient", json={"resourceType": "Patient"}, headers=headers),
        await person.delete(f"/fhir/Observation/{own['id']}", headers=headers),
    ):
        assert answer.status_code in (403, 404, 422), answer.text
    still = await person.get(f"/fhir/Observation/{made['id']}", headers=json)
    assert still.json()["status"] == "final"


async def test_what_a_program_asks_for_later_keeps_its_ceiling_and_ends_with_its_grant(
    district: Hub, person: httpx.AsyncClient, patient: str, other_patient: str
) -> None:
    program = await Program.register(district, scope="launch/patient offline_access patient/Patient.rs")
    body = await program.whole(person, patient)
    later = {**bearer(body["access_token"]), "Prefer": "respond-async"}
    asked = await person.get("/fhir/Patient", headers=later)
    assert asked.status_code == 202, asked.text
    await district.jobs.run_pending()
    status = urlsplit(asked.headers["content-location"]).path
    answer = await person.get(status, headers=bearer(body["access_token"]))
    assert answer.status_code == 200
    assert patient in answer.text
    assert other_patient not in answer.text
    doomed = await person.get("/fhir/Patient", headers=later)
    assert program.secret is not None
    await person.post(
        "/oauth/revoke", data={"token": body["refresh_token"]}, auth=(program.id, program.secret)
    )
    await district.jobs.run_pending()
    ended = await person.get(
        urlsplit(doomed.headers["content-location"]).path, headers={"Accept": "application/fhir+json"}
    )
    assert patient not in ended.text
