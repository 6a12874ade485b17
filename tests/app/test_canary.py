"""A patient's words go where a patient's words belong and nowhere else: not into logs, errors, addresses, Redis, jobs.

A patient with strings that occur nowhere else goes through a whole case at a hub that runs as in production; things
are broken on the way. Then everything the hub wrote beside the record is searched for these strings.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from clinic_net.access.principals import Role
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.settings import HubSettings
from tests.app.callers import Callers, callers_of, session_of
from tests.app.process import Process, serving
from tests.console.patients import chest_pain
from tests.console.support import Person, add_person
from tests.consultations.support import CENTRE, PROVINCIAL, SITE

NAME, CARD, PHONE, COMPLAINT = "Zqxwvolo Thị Kanari", "011099887766", "0987612349", "Kanariaitis cấp tính"
NOTE, DRUG, WHY, PLAN = "Kanarinote nhẹ", "Kanaridrug 5 mg", "Kanarireason nặng", "Kanariplan về nhà"
CANARIES = ("Zqxwvolo", "anari", CARD, PHONE)
"""What is searched for, in any case and however it is encoded."""

MAY_HOLD = {"records_resource", "records_version", "records_ix_string", "records_words", "sync_quarantined"}
"""The record itself, what it is found by, and what a station sent that could not become one."""


def found_in(text: str) -> list[str]:
    plain = text.encode().decode("unicode_escape", "replace").casefold() if "\\" in text else text.casefold()
    return [word for word in CANARIES if word.casefold() in plain or word.casefold() in text.casefold()]


@dataclass
class Walk:
    """Calls to the hub, each answer looked at as it comes."""

    url: str
    answers: list[httpx.Response] = field(default_factory=list)

    async def call(self, method: str, path: str, *, who: dict[str, str], **content: Any) -> httpx.Response:
        headers = {"Accept": "text/html", "Origin": "http://hub.test", **who, **content.pop("headers", {})}
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            answer = await client.request(method, path, headers=headers, **content)
        self.answers.append(answer)
        assert found_in(str(dict(answer.headers))) == [], (method, path)
        if answer.status_code >= 400:
            assert found_in(answer.text) == [], (method, path, answer.status_code, answer.text)
        return answer

    async def until(self, path: str, *, who: dict[str, str]) -> httpx.Response:
        for _ in range(100):
            if (answer := await self.call("GET", path, who=who)).status_code == 200:
                break
            await asyncio.sleep(0.2)
        return answer


@dataclass(frozen=True)
class Scene:
    hub: Hub
    callers: Callers
    receiver: dict[str, str]
    process: Process
    log: Path
    commands: list[str]

    async def who(self, caller: str) -> dict[str, str]:
        return await self.callers.headers_of(caller)


@asynccontextmanager
async def _monitored(redis: Redis) -> AsyncIterator[list[str]]:
    """Collect every command that Redis is given."""
    commands: list[str] = []
    ready = asyncio.Event()

    async def listen() -> None:
        async with redis.monitor() as monitor:
            ready.set()
            while True:
                with suppress(TimeoutError, asyncio.TimeoutError):
                    commands.append(str(await monitor.next_command()))

    listening = asyncio.create_task(listen())
    await asyncio.wait_for(ready.wait(), 10)
    yield commands
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening


def _dsn(settings: HubSettings) -> str:
    return settings.database.replace("postgresql+psycopg://", "postgresql://")


@pytest.fixture(scope="module")
async def scene(
    district: Hub, app: FastAPI, settings: HubSettings, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scene]:
    callers = await callers_of(district, app, facility=PROVINCIAL)
    doctor = await add_person(district, Role.DOCTOR, facility=CENTRE, specialties=("cardiology",))
    people: dict[str, Person] = callers.people | {"doctor": doctor}
    sessions = callers.sessions | {"doctor": await session_of(district, doctor)}
    receiver = {"Cookie": f"clinic_net_session={callers.sessions['doctor']}"}
    callers = Callers(district, people, callers.bearers, sessions)
    with psycopg.connect(_dsn(settings), autocommit=True) as connection:
        connection.execute("create table seen_job (args jsonb)")
        connection.execute(
            "create function see_job() returns trigger language plpgsql as "
            "$$ begin insert into seen_job values (new.args); return new; end $$"
        )
        connection.execute(
            "create trigger see_job after insert on procrastinate_jobs for each row execute function see_job()"
        )
    log = tmp_path_factory.mktemp("canary") / "hub.log"
    # Its own connection: redis-py's time-outs of the hub's client would end MONITOR.
    watching = Redis.from_url(settings.redis, decode_responses=True, socket_timeout=None)
    async with watching, _monitored(watching) as commands:
        with serving(settings, log=log) as process:
            yield Scene(district, callers, receiver, process, log, commands)


def _resources(hub: Hub) -> tuple[list[dict[str, Any]], UUID, str]:
    written = chest_pain(hub.now())
    patient, request = written.resources[0], written.resources[-1]
    patient["name"] = [{"text": NAME}]
    patient["telecom"] = [{"system": "phone", "value": PHONE}]
    patient["identifier"] = [{"system": "http://clinic-net.vn/fhir/sid/cccd", "value": CARD}]
    request["reasonCode"] = [{"text": COMPLAINT}]
    return written.resources, written.request, written.patient


def _push(*texts: tuple[str, str, str]) -> dict[str, Any]:
    ops = [
        {"op": number, "type": rtype, "id": fid, "at": "2026-11-22T00:00:00Z", "by": "Y tá", "body": text}
        for number, (rtype, fid, text) in enumerate(texts, 1)
    ]
    return {"station": SITE, "db_epoch": str(uuid4()), "batch": str(uuid4()), "ops": ops}


async def _go_through_a_case(scene: Scene, walk: Walk) -> tuple[str, str]:
    doctor, coordinator, station = [await scene.who(who) for who in ("doctor", "coordinator", "station")]
    await walk.call("POST", "/doctor/duty", who=doctor, data={"on": "true"})
    resources, case, patient = _resources(scene.hub)
    texts = [(each["resourceType"], each["id"], json.dumps(each, ensure_ascii=False)) for each in resources]
    pushed = await walk.call("POST", "/sync/v1/push", who=station, json=_push(*texts))
    assert {result["outcome"] for result in pushed.json()["results"]} == {"applied"}
    page = f"/consultations/{case}"
    card = await walk.until(f"{page}/card", who=doctor)
    assert COMPLAINT in card.text, "the canary is where it belongs"
    for path in ("/doctor", "/doctor/cases", page):
        assert (await walk.call("GET", path, who=doctor)).status_code == 200
    for path in ("/board", "/board/live", f"/cases/{case}", f"/cases/{case}/live"):
        assert (await walk.call("GET", path, who=coordinator)).status_code == 200
    assert (await walk.call("POST", f"{page}/accept", who=doctor)).status_code == 303
    drug = {
        "medicine": DRUG, "dose": "1 viên", "frequency": "ngày 1 lần", "quantity": "5", "unit": "viên", "days": "5",
    }  # fmt: skip
    for form, fields in (
        ("note", {"findings": COMPLAINT, "plan": NOTE}),
        ("prescription", drug),
        ("referral", {"to_facility": PROVINCIAL, "urgency": "orange", "reason": WHY}),
    ):
        answer = await walk.call("POST", f"{page}/{form}", who=doctor, data=fields)
        assert answer.status_code == 200, (form, answer.text)
    for path in (page, f"{page}/record", f"{page}/timeline", f"{page}/decision"):
        assert (await walk.call("GET", path, who=doctor)).status_code == 200
    assert (await walk.call("POST", f"{page}/end", who=doctor)).status_code == 303
    inbox = (await walk.call("GET", "/doctor", who=scene.receiver)).text
    referral = inbox.split('href="/referrals/', 1)[1][:36]
    assert NAME in (await walk.call("GET", f"/referrals/{referral}", who=scene.receiver)).text
    for step, fields in (("accept", {}), ("home", {"plan": PLAN})):
        answer = await walk.call("POST", f"/referrals/{referral}/{step}", who=scene.receiver, data=fields)
        assert answer.status_code == 303, answer.text
    pulled = await walk.call("POST", "/sync/v1/pull", who=station, json={"station": SITE})
    assert DRUG in pulled.text, "what the doctor wrote travels down"
    return str(case), patient


async def _look_it_up(scene: Scene, walk: Walk, patient: str) -> None:
    client = await scene.who("client")
    fhir = {"Accept": "application/fhir+json"}
    for query in (f"name={NAME}", f"identifier={CARD}", f"phone={PHONE}", f"_id={patient}"):
        await walk.call("GET", f"/fhir/Patient?{query}", who=client, headers=fhir)
    await walk.call("POST", "/fhir/Patient/_search", who=client, headers=fhir, data={"name": NAME})
    for path in (f"Patient/{patient}", f"Patient/{patient}/$everything", f"Patient/{patient}/_history"):
        assert (await walk.call("GET", f"/fhir/{path}", who=client, headers=fhir)).status_code == 200


async def _send_what_is_wrong(scene: Scene, walk: Walk, patient: str) -> None:
    client, station = await scene.who("client"), await scene.who("station")
    fhir = {"Accept": "application/fhir+json", "Content-Type": "application/fhir+json"}
    good: dict[str, Any] = {"resourceType": "Patient", "id": patient, "name": [{"text": NAME}]}
    for bad in (
        {**good, "gender": NAME},
        {**good, "birthDate": CARD},
        {**good, "active": PHONE},
        {**good, "name": NAME},
        {**good, "telecom": [{"system": COMPLAINT, "value": 5}]},
        {**good, "managingOrganization": {"reference": NAME}},
    ):
        text = json.dumps(bad, ensure_ascii=False)
        for method, path in (("POST", "/fhir/Patient"), ("PUT", f"/fhir/Patient/{patient}")):
            answer = await walk.call(method, path, who=client, headers=fhir, content=text.encode())
            assert 400 <= answer.status_code < 500, answer.text
        pushed = await walk.call("POST", "/sync/v1/push", who=station, json=_push(("Patient", patient, text)))
        assert found_in(pushed.text) == []
    for text in (f'{{"resourceType": "Patient", "{NAME}"', f'{{"a": "{NAME}", "a": "{CARD}"}}', NAME):
        answer = await walk.call("POST", "/fhir/Patient", who=client, headers=fhir, content=text.encode())
        assert answer.status_code == 400
    stale = {**fhir, "If-Match": 'W/"9"'}
    body = json.dumps(good).encode()
    answer = await walk.call("PUT", f"/fhir/Patient/{patient}", who=client, headers=stale, content=body)
    assert answer.status_code == 412
    for query in (f"birthdate={NAME}", f"_count={CARD}", f"_lastUpdated={NAME}", f"gender:missing={NAME}"):
        await walk.call("GET", f"/fhir/Patient?{query}", who=client, headers=fhir)
    for path in (f"/fhir/Patient/{NAME}", f"/cases/{CARD}", f"/{NAME}", f"/static/{NAME}"):
        await walk.call("GET", path, who=await scene.who("coordinator"))
    await walk.call("POST", "/sign-in", who={}, data={"login": NAME, "password": CARD})
    await walk.call("POST", "/sync/v1/push", who=station, content=f'{{"station": "{NAME}"}}'.encode())


async def _break_the_database(scene: Scene, walk: Walk, case: str, settings: HubSettings) -> set[int]:
    """Have the database refuse and quote what it was given, lose its tables, its connections, and its senses."""
    doctor = await scene.who("doctor")
    seen = set()

    async def write() -> None:
        form = {"plan": NOTE, "findings": COMPLAINT}
        answer = await walk.call("POST", f"/consultations/{case}/note", who=doctor, data=form)
        seen.add(answer.status_code)

    with psycopg.connect(_dsn(settings), autocommit=True) as connection:
        connection.execute(
            "create function quote() returns trigger language plpgsql as $$ begin raise exception "
            "'cannot take %', convert_from(new.body, 'UTF8') using detail = convert_from(new.body, 'UTF8'); end $$"
        )
        connection.execute(
            "create trigger quote before insert on records_version for each row execute function quote()"
        )
        await write()
        connection.execute("drop trigger quote on records_version")
        connection.execute("alter table records_version rename to elsewhere")
        await write()
        connection.execute("alter table elsewhere rename to records_version")
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
            "and pid <> pg_backend_pid()"
        )
        await write()
        # A record that is none any more: nobody foresaw it.
        connection.execute(
            "update records_resource set body = convert_to(%s, 'UTF8') where rtype = 'Observation'", (NAME,)
        )
        answer = await walk.call("GET", f"/consultations/{case}/record", who=doctor)
        seen.add(answer.status_code)
    return seen


async def test_what_a_patient_says_is_in_the_record_and_nowhere_else(
    scene: Scene, settings: HubSettings
) -> None:
    walk = Walk(scene.process.url)
    case, patient = await _go_through_a_case(scene, walk)
    await _look_it_up(scene, walk, patient)
    await _send_what_is_wrong(scene, walk, patient)
    seen = await _break_the_database(scene, walk, case, settings)
    assert {500, 503} <= seen, "what should break did not"
    metrics = await walk.call("GET", "/metrics", who={})
    assert metrics.status_code == 200
    assert found_in(metrics.text) == []

    log = scene.log.read_text()
    assert '"event":"request"' in log, "the hub logs"
    assert [line for line in log.splitlines() if found_in(line)] == []
    assert "Traceback" not in log

    assert any("PUBLISH" in command for command in scene.commands), "Redis was used"
    assert [command for command in scene.commands if found_in(command)] == []

    with psycopg.connect(_dsn(settings), autocommit=True) as connection:
        jobs = [str(row[0]) for row in connection.execute("select args from seen_job")]
        assert jobs
        assert [job for job in jobs if found_in(job)] == []
        tables = [
            row[0]
            for row in connection.execute(
                "select table_name from information_schema.tables where table_schema = 'public' "
                "and table_type = 'BASE TABLE'"
            )
        ]
        holding = {
            table
            for table in tables
            for row in connection.execute(f'select t::text from "{table}" t')
            if table not in MAY_HOLD and found_in(str(row[0]))
        }
    assert holding == set()
