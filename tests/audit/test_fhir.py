"""The trail as FHIR AuditEvents: valid R4 by IHE BALP, found by patient, person, place and time."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fhir.resources.R4B.auditevent import AuditEvent as R4BAuditEvent

from clinic_net import audit
from clinic_net.access.principals import Role
from clinic_net.audit import reading
from clinic_net.fhir import check, parse
from clinic_net.kernel.hub import Hub
from tests.audit.support import events
from tests.records.support import (
    HOSPITAL,
    app_of,
    client_of,
    observation,
    open_hospitals,
    patient,
    person,
    text,
    visiting,
)

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
ELSEWHERE = "79001"
AUDITS = "system/AuditEvent.rs"


@pytest.fixture(scope="module")
async def hub_with_hospitals(hub: Hub) -> Hub:
    await open_hospitals(hub)
    return hub


async def put_down(hub: Hub, *made: audit.Event, at: datetime = NOW) -> None:
    async with hub.sessions() as session, session.begin():
        await audit.record_many(session, made, at=at)


def event(
    fid: str, place: str = HOSPITAL, actor: str = "user:1", action: str = "record.read", **more: Any
) -> audit.Event:
    return audit.Event(actor, action, f"Patient/{fid}", place=place, **more)


async def found(client: httpx.AsyncClient, **wanted: str) -> list[dict[str, Any]]:
    """Return what a search of the trail tells, apart from that the trail was searched."""
    answer = await client.get("/fhir/AuditEvent", params=wanted)
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    assert bundle["type"] == "searchset"
    told = [entry["resource"] for entry in bundle.get("entry", ())]
    return [resource for resource in told if not resource["subtype"][-1]["code"].startswith("audit.")]


async def test_whatever_is_done_is_rendered_as_a_valid_audit_event(hub_with_hospitals: Hub) -> None:
    hub = hub_with_hospitals
    async with client_of(hub) as client, person(hub, Role.DOCTOR) as doctor:
        fid = (await doctor.post("/fhir/Patient", content=text(patient()))).json()["id"]
        await doctor.get(f"/fhir/Patient/{fid}")
        await doctor.get(f"/fhir/Patient/{fid}/_history/1")
        await doctor.get(f"/fhir/Patient/{fid}/_history")
        await doctor.get(f"/fhir/Patient/{fid}/$everything")
        await doctor.put(f"/fhir/Patient/{fid}", content=text(patient(fid, active=True)))
        await client.post("/fhir/Observation", content=text(observation(fid)))
        await doctor.get(f"/fhir/Observation?patient={fid}", headers={"X-Request-Id": "r-1"})
        await client.delete(f"/fhir/Patient/{fid}")
        await doctor.delete("/access/v1/session")
    await put_down(
        hub,
        audit.Event("hub:audit", "audit.forget", "audit:2016-11-01"),
        audit.Event("operator:terminal", "device.revoke", "device:1", outcome="ok"),
        audit.Event("unknown", "user.sign_in", "user:x", outcome="wrong-credentials"),
        audit.Event("user:1", "consultation.assign", "consultation:1", patient=fid),
    )
    async with client_of(hub, AUDITS) as auditor:
        everything = await found(auditor, _count="500")
        for resource in everything:
            assert [
                issue for issue in check(parse(json.dumps(resource).encode())) if issue.severity != "warning"
            ] == []
            R4BAuditEvent.model_validate(resource)
        kinds = {resource["subtype"][0]["code"] for resource in everything}
        assert {"create", "read", "vread", "history", "operation", "search", "update", "delete"} <= kinds
        assert all(
            sum("Patient/" in json.dumps(entity) for entity in each.get("entity", ())) <= 2
            for each in everything
        )

        (read,) = await found(auditor, patient=fid, subtype="read")
        assert read["meta"]["profile"] == [
            "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientRead"
        ]
        assert (read["action"], read["outcome"], read["source"]["site"]) == ("R", "0", HOSPITAL)
        assert read["type"]["code"] == "rest"
        client_agent, server, user = read["agent"]
        assert client_agent["type"]["coding"][0]["code"] == "110152"
        assert client_agent["network"] == {"address": "127.0.0.1", "type": "2"}
        assert server["type"]["coding"][0]["code"] == "110153"
        assert (user["requestor"], user["type"]["coding"][0]["code"]) == (True, "IRCP")
        assert user["altId"].startswith("user:")
        assert user["purposeOfUse"][0]["coding"][0]["code"] == "TREAT"
        assert [entity["what"] for entity in read["entity"][:2]] == [{"reference": f"Patient/{fid}"}] * 2

        (searched,) = await found(auditor, patient=fid, subtype="search")
        assert searched["action"] == "E"
        (query,) = [entity for entity in searched["entity"] if "query" in entity]
        assert base64.b64decode(query["query"]) == b"Observation?patient"
        assert searched["entity"][-1]["what"]["identifier"]["value"] == "r-1"

        (updated,) = await found(auditor, patient=fid, subtype="update")
        assert updated["agent"][0]["type"]["coding"][0]["code"] == "110153"
        assert updated["entity"][1]["what"]["reference"] == f"Patient/{fid}/_history/2"

        (refused,) = await found(auditor, outcome="4", subtype="user.sign_in", agent="unknown")
        assert (refused["outcome"], refused["outcomeDesc"]) == ("4", "wrong-credentials")


async def test_it_is_searched_by_patient_person_place_time_and_kind(hub_with_hospitals: Hub) -> None:
    hub, one, other, who = hub_with_hospitals, uuid4().hex, uuid4().hex, f"user:{uuid4()}"
    day = timedelta(days=1)
    await put_down(hub, event(one, actor=who), event(other, actor=who, place=ELSEWHERE), at=NOW)
    await put_down(hub, event(one, actor=who, action="record.update"), at=NOW + day)
    await put_down(hub, event(one, actor=f"{who}-x"), at=NOW + 2 * day)

    async with client_of(hub, AUDITS) as auditor:

        async def count(**wanted: str) -> int:
            return len(await found(auditor, **wanted))

        assert await count(patient=one) == await count(patient=f"Patient/{one}") == 3
        assert await count(entity=f"Patient/{one}") == 3
        assert await count(agent=who) == await count(altid=who) == 3
        assert await count(agent=who, site=ELSEWHERE) == 1
        assert await count(patient=one, date="2026-11-20") == 1
        assert await count(patient=one, date="ge2026-11-21") == 2
        assert await count(patient=one, date="lt2026-11-21T10:00:00+07:00") == 1
        assert await count(patient=one, date="le2026-11-21") == 2
        assert await count(patient=one, date="gt2026-11-21") == 1
        assert await count(patient=one, action="U") == 1
        assert await count(patient=one, action="R") == 2
        assert await count(patient=one, action="E") == 0
        assert await count(patient=one, subtype="update") == 1
        (only,) = await found(auditor, patient=other)
        assert [each["id"] for each in await found(auditor, _id=only["id"])] == [only["id"]]
        assert (await auditor.get(f"/fhir/AuditEvent/{only['id']}")).json() == only
        by_form = await auditor.post(
            "/fhir/AuditEvent/_search",
            data={"patient": one, "subtype": "read"},
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert len(by_form.json()["entry"]) == 2


async def test_pages_follow_each_other_without_overlap_while_more_is_written(hub_with_hospitals: Hub) -> None:
    hub, fid = hub_with_hospitals, uuid4().hex
    await put_down(hub, *(event(fid, request_id) for request_id in ("11007",) * 25))
    async with client_of(hub, AUDITS) as auditor:
        seen: list[str] = []
        address: str | None = f"/fhir/AuditEvent?patient={fid}&_count=10"
        while address:
            page = (await auditor.get(address)).json()
            seen += [entry["resource"]["id"] for entry in page["entry"]]
            address = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
            await put_down(hub, event(fid), at=NOW + timedelta(hours=len(seen)))
    assert len(seen) == len(set(seen)) == 25
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    "query",
    [
        "agent-name=x", "date=yesterday", "date=2026-13-01", "_count=-1", "_count=x", "_cursor=x", "_cursor=%2e%2e",
        "patient=", "_sort=patient", "_id=1", "patient=1&patient=2", "_include=AuditEvent:patient", "date=ge9999999",
    ],
)  # fmt: skip
async def test_what_cannot_be_asked_is_refused(hub_with_hospitals: Hub, query: str) -> None:
    async with client_of(hub_with_hospitals, AUDITS) as auditor:
        answer = await auditor.get(f"/fhir/AuditEvent?{query}")
    assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")


async def test_an_auditor_sees_their_province_and_nothing_else(hub_with_hospitals: Hub) -> None:
    hub, fid = hub_with_hospitals, uuid4().hex
    away = audit.Origin(place=HOSPITAL)
    await put_down(hub, event(fid), event(fid, place=ELSEWHERE), event(fid, place=ELSEWHERE, origin=away))
    async with person(hub, Role.AUDITOR) as auditor, client_of(hub, AUDITS) as everywhere:
        mine = await found(auditor, patient=fid)
        assert len(mine) == 2  # in the province, and by one who works there
        (foreign,) = {each["id"] for each in await found(everywhere, patient=fid)} - {
            each["id"] for each in mine
        }
        told = await auditor.get(f"/fhir/AuditEvent/{foreign}")
        none = await auditor.get(f"/fhir/AuditEvent/{uuid4()}")
        assert (told.status_code, told.content) == (none.status_code, none.content) == (404, none.content)
        assert (await auditor.get(f"/fhir/AuditEvent/{mine[0]['id']}")).status_code == 200
        assert (await auditor.get(f"/fhir/Patient/{fid}")).status_code == 403


async def test_to_read_the_trail_is_an_event_itself(hub_with_hospitals: Hub) -> None:
    hub, fid = hub_with_hospitals, uuid4().hex
    await put_down(hub, event(fid))
    async with person(hub, Role.AUDITOR) as auditor:
        (one,) = await found(auditor, patient=fid, date="ge2026-01-01")
        await auditor.get(f"/fhir/AuditEvent/{one['id']}")
    rows = await events(hub, "patient = :p and action like 'audit.%'", p=fid)
    assert [(row["action"], row["detail"]) for row in rows] == [
        ("audit.search", "AuditEvent?patient,since"),
        ("audit.read", None),
    ]
    assert {row["purpose"] for row in rows} == {"HOPERAT"}


async def test_nobody_else_reads_the_trail_and_no_person_writes_into_it(hub_with_hospitals: Hub) -> None:
    hub, fid = hub_with_hospitals, uuid4().hex
    await put_down(hub, event(fid))
    forged = {
        "resourceType": "AuditEvent",
        "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
        "recorded": "2026-11-20T03:00:00Z",
        "agent": [{"requestor": True}],
        "source": {"observer": {"display": "x"}},
    }
    for role in (role for role in Role if role is not Role.CITIZEN):  # a citizen reads their own events
        async with person(hub, role) as somebody:
            assert (await somebody.post("/fhir/AuditEvent", content=text(forged))).status_code == 403, role
            if role is not Role.AUDITOR:
                answer = await somebody.get(f"/fhir/AuditEvent?patient=Patient/{fid}")
                assert answer.status_code == 403 or answer.json()["total"] == 0, role
    async with client_of(hub) as client:  # every record, but not by name
        assert (await client.get("/fhir/AuditEvent", params={"patient": fid})).json()["total"] == 0
    async with client_of(hub, "system/AuditEvent.r") as reader:
        assert (await reader.get("/fhir/AuditEvent", params={"patient": fid})).status_code == 403
    async with visiting(app_of(hub)) as nobody:
        assert (await nobody.get("/fhir/AuditEvent")).status_code == 401


async def test_a_citizen_s_view_has_people_first_and_machines_by_the_day(hub_with_hospitals: Hub) -> None:
    hub, fid, other = hub_with_hospitals, uuid4().hex, uuid4().hex
    midnight = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)  # in Hà Nội
    await put_down(hub, event(fid, actor="user:doctor"), event(other, actor="user:doctor"), at=NOW)
    await put_down(hub, *[event(fid, actor="station:03163-01")] * 40, at=midnight - timedelta(minutes=1))
    await put_down(hub, *[event(fid, actor="station:03163-01")] * 2, at=midnight + timedelta(minutes=1))
    scope, asked = reading.AuditScope(None, fid), reading.Asked()
    async with hub.sessions() as session:
        people = await reading.seen_by_people(session, asked, scope=scope)
        machines = await reading.seen_by_machines(session, asked, scope=scope)
        assert (await reading.seen_by_people(session, reading.Asked(patient=other), scope=scope)).events == []
    assert [each.actor for each in people.events] == ["user:doctor"]
    assert [(each.day.isoformat(), each.count) for each in machines] == [
        ("2026-11-21", 2),
        ("2026-11-20", 40),
    ]


async def test_an_empty_scope_finds_nothing(hub_with_hospitals: Hub) -> None:
    async with hub_with_hospitals.sessions() as session, session.begin():
        page = await reading.search(
            session, reading.Asked(), scope=reading.AuditScope(), by="user:1", now=NOW
        )
    assert (page.events, page.next) == ([], None)
