"""The REST edge: statuses, headers, negotiation, and who may come in."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text as sql

from clinic_net.access import service as access
from clinic_net.access.http import _caller as caller_dependency
from clinic_net.access.principals import Role, StationPrincipal
from clinic_net.fhir import check, parse
from clinic_net.kernel.hub import Hub
from tests.records.support import (
    HOSPITAL,
    NOW,
    OTHER_HOSPITAL,
    OTHER_SITE,
    OTHER_STATION,
    Records,
    app_of,
    client_of,
    codes,
    ids,
    observation,
    patient,
    person,
    text,
    visiting,
)

pytestmark = pytest.mark.usefixtures("hospitals")


async def new(fhir: httpx.AsyncClient, content: dict[str, Any], **headers: str) -> httpx.Response:
    return await fhir.post(f"/fhir/{content['resourceType']}", content=text(content), headers=headers)


async def test_a_resource_is_created_read_changed_and_deleted(fhir: httpx.AsyncClient) -> None:
    created = await new(fhir, patient("chosen-by-the-client"))
    fid = created.json()["id"]
    read = await fhir.get(f"/fhir/Patient/{fid}")
    updated = await fhir.put(
        f"/fhir/Patient/{fid}", content=text(patient(fid, gender="male")), headers={"If-Match": 'W/"1"'}
    )
    old = await fhir.get(f"/fhir/Patient/{fid}/_history/1")
    deleted = await fhir.delete(f"/fhir/Patient/{fid}")
    gone = await fhir.get(f"/fhir/Patient/{fid}")
    gone_version = await fhir.get(f"/fhir/Patient/{fid}/_history/3")
    history = (await fhir.get(f"/fhir/Patient/{fid}/_history")).json()

    assert (created.status_code, created.headers["location"]) == (
        201,
        f"http://hub.test/fhir/Patient/{fid}/_history/1",
    )
    assert fid != "chosen-by-the-client"
    assert (read.status_code, read.headers["etag"]) == (200, 'W/"1"')
    assert read.headers["content-type"] == "application/fhir+json"
    assert read.headers["last-modified"].endswith("GMT")
    assert (updated.status_code, updated.headers["etag"]) == (200, 'W/"2"')
    assert (old.status_code, old.json()["gender"]) == (200, "female")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (gone.status_code, codes(gone.json())) == (410, ["resource-deleted"])
    assert gone_version.status_code == 410
    assert [entry["request"]["method"] for entry in history["entry"]] == ["DELETE", "PUT", "POST"]
    assert check(parse(json.dumps(history).encode())) == []


async def test_an_id_of_the_callers_choice_is_made_by_an_update(fhir: httpx.AsyncClient) -> None:
    fid = str(uuid4())

    created = await fhir.put(f"/fhir/Patient/{fid}", content=text(patient(fid)))
    same = await fhir.put(f"/fhir/Patient/{fid}", content=text(patient(fid)))
    other_id = await fhir.put(f"/fhir/Patient/{fid}", content=text(patient("another")))
    no_id = await fhir.put(f"/fhir/Patient/{fid}", content=text(patient()))
    other_type = await fhir.put(f"/fhir/Group/{fid}", content=text(patient(fid)))

    assert (created.status_code, same.status_code, same.headers["etag"]) == (201, 200, 'W/"1"')
    assert [answer.status_code for answer in (other_id, no_id, other_type)] == [400, 400, 400]


async def test_of_two_updates_with_one_if_match_one_gets_412(fhir: httpx.AsyncClient) -> None:
    fid = (await new(fhir, patient())).json()["id"]

    answers = await asyncio.gather(
        *(
            fhir.put(
                f"/fhir/Patient/{fid}",
                content=text(patient(fid, birthDate=date)),
                headers={"If-Match": 'W/"1"'},
            )
            for date in ("1950-01-01", "1951-01-01")
        )
    )

    assert sorted(answer.status_code for answer in answers) == [200, 412]


async def test_of_several_conditional_creates_at_once_one_makes_the_resource(fhir: httpx.AsyncClient) -> None:
    value = uuid4().hex
    content = patient(identifier=[{"system": "urn:test", "value": value}])
    condition = {"If-None-Exist": f"identifier=urn:test|{value}"}

    answers = await asyncio.gather(*(new(fhir, content, **condition) for _ in range(8)))
    later = await new(fhir, content, **condition)

    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in (*answers, later)}) == 1
    found = await fhir.get(f"/fhir/Patient?identifier=urn:test|{value}")
    assert len(ids(found.json())) == 1


async def test_a_condition_that_fits_several_or_says_nothing_is_refused(fhir: httpx.AsyncClient) -> None:
    value = uuid4().hex
    content = patient(identifier=[{"system": "urn:test", "value": value}])
    await new(fhir, content)
    await new(fhir, content)

    several = await new(fhir, content, **{"If-None-Exist": f"identifier=urn:test|{value}"})
    nothing = await new(fhir, content, **{"If-None-Exist": ""})
    unknown = await new(fhir, content, **{"If-None-Exist": "no-such=1"})

    assert [answer.status_code for answer in (several, nothing, unknown)] == [412, 400, 400]
    assert codes(several.json()) == ["multiple-matches"]


async def test_a_read_can_ask_whether_anything_changed(fhir: httpx.AsyncClient) -> None:
    created = await new(fhir, patient())
    address = f"/fhir/Patient/{created.json()['id']}"

    same = await fhir.get(address, headers={"If-None-Match": 'W/"1"'})
    other = await fhir.get(address, headers={"If-None-Match": 'W/"7"'})
    since = await fhir.get(address, headers={"If-Modified-Since": created.headers["last-modified"]})
    nonsense = await fhir.get(address, headers={"If-Modified-Since": "yesterday"})

    assert [answer.status_code for answer in (same, other, since, nonsense)] == [304, 200, 304, 200]


@pytest.mark.parametrize(
    ("preference", "kind"),
    [
        ("return=minimal", None),
        ("return=OperationOutcome", "OperationOutcome"),
        ("return=representation", "Patient"),
    ],
)
async def test_a_write_answers_as_preferred(
    fhir: httpx.AsyncClient, preference: str, kind: str | None
) -> None:
    answer = await new(fhir, patient(), Prefer=preference)

    assert answer.status_code == 201
    assert answer.headers["etag"] == 'W/"1"'
    assert (json.loads(answer.content)["resourceType"] if answer.content else None) == kind


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("GET", "Patient/1", {"Accept": "text/turtle"}, b"", 406),
        ("GET", "Patient/1", {"Accept": "application/fhir+json;fhirVersion=5.0"}, b"", 406),
        ("GET", "Patient?_format=ttl", {}, b"", 406),
        ("GET", "Patient?_format=json", {}, b"", 200),
        ("GET", "Patient?_format=application/fhir%2Bjson", {"Accept": "text/html"}, b"", 200),
        ("GET", "Patient", {"Accept": "text/html, application/json;q=0.5"}, b"", 200),
        ("POST", "Patient", {"Content-Type": "application/fhir+xml"}, b"<x/>", 400),
        ("POST", "Patient", {"Content-Type": "application/fhir+json; fhirVersion=4.3"}, b"{}", 415),
        ("POST", "Patient", {"Content-Type": "text/plain"}, b"{}", 415),
        ("POST", "Patient", {"Content-Encoding": "gzip"}, b"\x1f\x8b", 400),
        ("POST", "Patient", {"Content-Encoding": "zstd"}, b"{}", 415),
        ("POST", "Patient", {}, b"", 400),
        ("POST", "Patient", {}, b"{", 400),
        ("POST", "Patient", {}, b"[]", 400),
        ("POST", "Patient", {}, b'{"resourceType":"Group"}', 400),
        ("POST", "Patient", {}, b'{"resourceType":"Patient","a":1,"a":2}', 400),
        ("POST", "Patient", {}, b'{"resourceType":"Patient","nonsense":1}', 422),
        ("POST", "Patient", {}, b'{"resourceType":"Patient","multipleBirthInteger":NaN}', 400),
        ("POST", "Patient", {}, b'{"resourceType":"Patient","id":"\\u0000"}', 400),
        ("POST", "Patient", {}, b'{"resourceType":"Patient","id":"\\ud800"}', 400),
        (
            "POST",
            "Patient",
            {},
            b'{"resourceType":"Patient","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
            400,
        ),
        ("POST", "Patient", {}, b'{"resourceType":"Patient","x":"' + b"a" * 20_000_000 + b'"}', 413),
        ("GET", "NoSuchType", {}, b"", 404),
        ("GET", "NoSuchType/1", {}, b"", 404),
        ("POST", "NoSuchType", {}, b"{}", 404),
        ("GET", "patient/1", {}, b"", 404),
        ("GET", "Patient/unknown", {}, b"", 404),
        ("GET", "Patient/bad%00id", {}, b"", 404),
        ("GET", "Patient/a%2Fb", {}, b"", 405),
        ("GET", f"Patient/{'x' * 65}", {}, b"", 404),
        ("GET", "Patient/1/_history/99999999999999999999", {}, b"", 404),
        ("GET", "Patient/1/_history/abc", {}, b"", 404),
        ("GET", "Patient/1/_history?_before=7", {}, b"", 400),
        ("GET", "Patient/_history?_since=2024-13-45", {}, b"", 400),
        ("GET", "_history?_at=0001", {}, b"", 400),
        ("GET", "_history?_count=-1", {}, b"", 400),
        ("GET", "_history?_count=1&_count=2", {}, b"", 400),
        ("GET", "_history?_cursor=forged", {}, b"", 400),
        ("GET", "_history?_count=1000000000", {}, b"", 200),
        ("PATCH", "Patient/1", {}, b"[]", 400),
        ("PATCH", "Patient/1", {"Content-Type": "text/plain"}, b"[]", 415),
        ("PUT", "Patient", {}, b"{}", 400),
        ("DELETE", "Patient", {}, b"", 400),
        ("POST", "Patient/1", {}, b"{}", 405),
        ("PUT", "metadata", {}, b"{}", 405),
        ("GET", "?name=an", {}, b"", 400),
        ("PUT", "Patient/1", {"If-Match": "nonsense"}, b'{"resourceType":"Patient","id":"1"}', 400),
        ("PUT", "Patient/none-yet", {"If-Match": '"1"'}, b'{"resourceType":"Patient","id":"none-yet"}', 404),
        ("DELETE", "Patient/unknown", {}, b"", 404),
        ("GET", "Patient?birthdate=2024-13-45", {}, b"", 400),
        ("GET", "Patient?_count=-1", {}, b"", 400),
        ("GET", "Patient?name=%00", {}, b"", 400),
        ("GET", "Patient?_count=1000000000", {}, b"", 200),
        ("GET", "Observation?value-quantity=1e99", {}, b"", 200),
        ("GET", "Observation?date=0001", {}, b"", 200),
        ("GET", "Observation?value-quantity=5|http://x|", {}, b"", 400),
        ("GET", "Patient?_sort=deceased", {}, b"", 400),
        ("GET", "Patient?organization.nothing=x", {}, b"", 400),
    ],
)
async def test_every_refusal_has_its_status_and_an_operation_outcome(
    fhir: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    answer = await fhir.request(method, f"/fhir/{path}", headers=headers, content=body)

    assert answer.status_code == status, answer.text[:300]
    assert answer.headers["content-type"] == "application/fhir+json"
    if status >= 400:
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert answer.json()["issue"][0]["severity"] == "error"


async def test_a_refusal_says_where_but_quotes_nothing(fhir: httpx.AsyncClient) -> None:
    answer = await new(fhir, patient(gender="Nguyễn-secret", birthDate="1970-02-31"))

    assert answer.status_code == 422
    assert {issue["expression"][0] for issue in answer.json()["issue"]} == {
        "Patient.gender",
        "Patient.birthDate",
    }
    assert "secret" not in answer.text


async def test_somebody_elses_record_answers_exactly_like_an_unknown_one(hub: Hub, records: Records) -> None:
    theirs = await records.within(OTHER_STATION, OTHER_SITE).new_patient()
    async with person(hub, Role.DOCTOR) as doctor:
        for path in ("{}", "{}/_history", "{}/_history/1", "{}/$everything"):
            foreign = await doctor.get(f"/fhir/Patient/{path.format(theirs)}")
            missing = await doctor.get(f"/fhir/Patient/{path.format(uuid4())}")
            assert (foreign.status_code, foreign.content) == (404, missing.content)
            assert missing.status_code == 404


async def test_a_doctor_sees_and_writes_in_a_record_that_is_open_to_them(hub: Hub, records: Records) -> None:
    about = await records.new_patient()
    async with person(hub, Role.DOCTOR) as doctor:
        before = await doctor.post("/fhir/Observation", content=text(observation(about)))
        me = (await doctor.get("/access/v1/session")).json()["login"]
        async with hub.sessions() as s, s.begin():
            found = sql("select id from access_user where login = :login")
            user = (await (await s.connection()).execute(found, {"login": me})).scalar_one()
            await access.grant_care(
                s,
                patient=about,
                grantee=f"user:{user}",
                basis="open_consult",
                purpose="TREAT",
                since=NOW,
                until=None,
            )
        after = await doctor.post("/fhir/Observation", content=text(observation(about)))
        everything = await doctor.get(f"/fhir/Patient/{about}/$everything")
        deleted = await doctor.delete(f"/fhir/Patient/{about}")

    assert (before.status_code, codes(before.json())) == (422, ["unknown-patient"])
    assert after.status_code == 201
    assert ids(everything.json()) == [about, after.json()["id"]]
    assert deleted.status_code == 403
    assert (await records.read("Observation", after.json()["id"])).tenant == "03163-01"


async def test_what_a_hospital_writes_for_itself_belongs_to_it(hub: Hub) -> None:
    async with person(hub, Role.DOCTOR) as doctor, person(hub, Role.DOCTOR, OTHER_HOSPITAL) as stranger:
        created = await doctor.post("/fhir/Patient", content=text(patient()))
        address = f"/fhir/Patient/{created.json()['id']}"
        assert created.status_code == 201
        assert (await doctor.get(address)).status_code == 200
        assert (await stranger.get(address)).status_code == 404


async def test_whoever_has_no_business_here_is_told_so(hub: Hub) -> None:
    async with visiting(app_of(hub)) as nobody:
        assert (await nobody.get("/fhir/Patient")).status_code == 401
        assert (await nobody.get("/fhir/metadata")).status_code == 200
        assert (await nobody.get("/fhir/.well-known/smart-configuration")).status_code == 200
    async with person(hub, Role.OPERATOR) as operator:
        assert (await operator.get("/fhir/Patient")).status_code == 403
    async with client_of(hub, "system/Patient.rs") as reader:
        assert (await reader.post("/fhir/Patient", content=text(patient()))).status_code == 403
        assert (await reader.get("/fhir/Patient")).status_code == 200
        assert (await reader.get("/fhir/Observation/1")).status_code == 403


async def test_the_capability_statement_is_valid_and_true(fhir: httpx.AsyncClient) -> None:
    answer = await fhir.get("/fhir/metadata")
    statement = parse(answer.content)

    assert check(statement) == []
    assert statement["fhirVersion"] == "4.0.1"
    for resource in statement["rest"][0]["resource"]:
        if resource["type"] in ("Patient", "Encounter", "ServiceRequest"):
            for parameter in resource["searchParam"]:
                found = await fhir.get(f"/fhir/{resource['type']}?{parameter['name']}:missing=false&_count=1")
                assert found.status_code == 200, parameter["name"]


async def test_validation_says_what_is_wrong_and_stores_nothing(fhir: httpx.AsyncClient) -> None:
    bad = await fhir.post("/fhir/Patient/$validate", content=text(patient(gender="x")))
    good = await fhir.post("/fhir/Patient/$validate", content=text(patient()))

    assert (bad.status_code, bad.json()["issue"][0]["expression"]) == (200, ["Patient.gender"])
    assert good.json()["issue"][0]["severity"] == "information"


async def test_a_clients_whole_record_holds_only_types_within_its_scopes(hub: Hub, records: Records) -> None:
    about = await records.new_patient()
    await records.put(observation(about))
    async with client_of(hub, "system/Patient.r") as reader:
        answer = await reader.get(f"/fhir/Patient/{about}/$everything")

    assert ids(answer.json()) == [about]
    assert HOSPITAL not in answer.text


async def test_a_station_is_sent_to_synchronisation(hub: Hub) -> None:
    app = app_of(hub)
    app.dependency_overrides[caller_dependency] = lambda: StationPrincipal("03163-01", uuid4())
    try:
        async with visiting(app) as station:
            answer = await station.get("/fhir/Patient/_history")
    finally:
        app.dependency_overrides.clear()

    assert (answer.status_code, codes(answer.json())) == (403, ["stations-synchronise"])


async def test_a_read_and_a_search_each_leave_one_trace(hub: Hub, fhir: httpx.AsyncClient) -> None:
    fid = (await new(fhir, patient())).json()["id"]
    await fhir.get(f"/fhir/Patient/{fid}")
    await fhir.get(f"/fhir/Patient?_id={fid}")
    await fhir.get("/fhir/Patient?_id=unknown")

    async with hub.sessions() as s:
        found = sql("select action from audit_event where subject = :subject order by at")
        rows = await (await s.connection()).execute(found, {"subject": f"Patient/{fid}"})
        assert sorted(rows.scalars()) == ["record.read", "record.search"]
