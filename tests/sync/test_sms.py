"""The whole way of an SMS: no link, a case on a doctor's board, the link comes back, the record arrives, one case."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from clinic_net.access import service as access
from clinic_net.access.http import issuer_of
from clinic_net.access.principals import Role
from clinic_net.consultations import service as consultations
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.settings import HubSettings
from clinic_net.protocol.sync.sms import Status, decode, decode_answer, encode
from station_agent import clock
from station_agent.agent import Agent, Options
from station_agent.enrolment import enrol
from station_agent.store import calls, sms
from station_agent.store import settings as facts
from station_agent.web.app import create_app
from tests.access.support import code_for
from tests.app.process import Process, serving
from tests.console import support
from tests.console.support import add_person, go_on_duty
from tests.consultations.support import CENTRE, SITE, make_district
from tests.station_agent.conftest import signs_in

NURSE = "http://localhost:8090"
NUMBER = "+84901234567"


@pytest.fixture(scope="module")
def settings(settings: HubSettings) -> HubSettings:
    return settings.model_copy(update={"sms_number": NUMBER})


@pytest.fixture(scope="module")
async def district(hub: Hub) -> Hub:
    await make_district(hub)
    return hub


@pytest.fixture(scope="module")
def app(district: Hub) -> FastAPI:
    return support.app_of(district)


@pytest.fixture(scope="module")
def served(district: Hub, settings: HubSettings) -> Iterator[Process]:
    with serving(settings, "--no-worker") as process:
        yield process


@pytest.fixture(scope="module")
async def gateway(district: Hub, served: Process) -> AsyncIterator[httpx.AsyncClient]:
    """The gateway of the network: a system whose scope is to hand in messages, and nothing else."""
    token = await a_client(district, "system/Communication.c")
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=served.url, headers=headers, trust_env=False, timeout=30) as client:
        yield client


async def a_client(hub: Hub, scope: str) -> str:
    async with hub.sessions() as session, session.begin():
        client_id, secret = await access.add_client(session, "SMS", scope, now=hub.now())
        await session.flush()
        granted = await access.grant_to_client(
            session, client_id, secret, asked="", issuer=issuer_of(hub.settings), now=hub.now()
        )
    return granted.token


@pytest.fixture
async def agent(district: Hub, served: Process, tmp_path: Path) -> AsyncIterator[Agent]:
    """A station that has known the hub in good times and is cut off now."""
    code = await code_for(district, SITE, now=district.now())
    enrol(tmp_path / "station", hub=served.url, code=code, now=clock.now())
    agent = Agent(Options(tmp_path / "station", sms="record", sms_after=timedelta(0)))
    async with httpx.AsyncClient(trust_env=False, timeout=30) as line:
        assert agent.sms is not None
        await agent.sms.learn_key(line)
    yield agent
    agent.close()


@pytest.fixture
async def nurse(agent: Agent) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(agent, with_link=False))
    async with httpx.AsyncClient(transport=transport, base_url=NURSE, headers={"Origin": NURSE}) as browser:
        await signs_in(browser)
        yield browser


SICK = {
    "respiratory_rate": "26", "spo2": "90", "pulse": "132", "temperature": "38.6", "systolic": "92",
    "diastolic": "60", "consciousness": "A", "oxygen": "no", "signs_looked": "1",
}  # fmt: skip


async def asks(nurse: httpx.AsyncClient) -> tuple[str, str]:
    """Register somebody, measure, press the one button; return patient and case."""
    patient, visit, case = str(uuid4()), str(uuid4()), str(uuid4())
    form = {"id": patient, "name": "Lò Thị Thử", "sex": "female", "birth_year": "1985", "confirmed": "1"}
    assert (await nurse.post("/patients", data=form)).status_code == 303
    await nurse.post(f"/patients/{patient}/visits", data={"id": visit, "reason": "Đau ngực"})
    asked = {
        **SICK,
        "set_id": str(uuid4()),
        "request_id": case,
        "specialty": "cardiology",
        "reason": "Xem giúp",
    }
    assert (await nurse.post(f"/visits/{visit}/ask", data=asked)).status_code == 303
    return patient, case


async def look(agent: Agent) -> list[str]:
    """Let the lane look once; return every text that has left the station so far."""
    assert agent.sms is not None
    await agent.sms.look()
    out = agent.options.directory / "sms-out.jsonl"
    return [json.loads(line)["text"] for line in out.read_text().splitlines()] if out.exists() else []


async def hand_in(gateway: httpx.AsyncClient, said: str) -> httpx.Response:
    return await gateway.post("/sync/v1/sms", json={"text": said})


def arrives(agent: Agent, said: str) -> None:
    with (agent.options.directory / "sms-in.jsonl").open("a") as file:
        file.write(json.dumps({"text": said}) + "\n")


async def cases(hub: Hub, case: str) -> list[Any]:
    async with hub.sessions() as session:
        found = await (await session.connection()).execute(
            text(
                "select state, urgency, specialty, patient, site, end_reason from consultation where id = :id"
            ),
            {"id": UUID(case)},
        )
        return list(found.all())


async def test_a_call_for_help_leaves_by_sms_and_the_record_joins_its_case(
    hub: Hub, app: FastAPI, agent: Agent, nurse: httpx.AsyncClient, gateway: httpx.AsyncClient
) -> None:
    doctor = await add_person(hub, Role.DOCTOR, facility=CENTRE, specialties=("cardiology",))
    await go_on_duty(hub, doctor)
    patient, case = await asks(nurse)

    [said] = await look(agent)
    assert "Lò" not in said
    assert (await look(agent)) == [said]  # once is enough
    assert "R1" in (await nurse.get(f"/cases/{case}/state")).text

    answer = await hand_in(gateway, said)
    assert answer.status_code == 200, answer.text
    [row] = await cases(hub, case)
    assert (row.urgency, row.specialty, row.patient, row.site) == ("red", "cardiology", patient, SITE)

    await hub.jobs.run_pending()
    async with support.signed_in(app, doctor) as page:
        board = await page.get("/doctor")
        assert case in board.text
    async with hub.sessions() as session, session.begin():
        await consultations.accept(session, UUID(case), by=doctor.user, now=hub.now())
    async with support.signed_in(
        app, doctor
    ) as page:  # the record is not here yet: the page says so and works
        shown = await page.get(f"/consultations/{case}")
        assert shown.status_code == 200

    again = await hand_in(gateway, said)
    arrives(agent, "KHUYEN MAI 50%")
    arrives(agent, again.json()["text"])
    await look(agent)
    state = (await nurse.get(f"/cases/{case}/state")).text
    assert "da nhan ca benh" in state

    async with httpx.AsyncClient(trust_env=False, timeout=30) as line:  # the link is back
        await agent.syncing.exchange(line)
    await hub.jobs.run_pending()
    assert [row.state for row in await cases(hub, case)] == ["accepted"]
    assert (await agent.database.run(lambda tx: calls.find(tx, case))).state != "waiting"  # type: ignore[union-attr]
    async with support.signed_in(app, doctor) as page:
        shown = await page.get(f"/consultations/{case}")
        assert "Lò Thị Thử" in shown.text


async def test_a_request_taken_back_is_taken_back_by_sms_whatever_arrives_first(
    hub: Hub, agent: Agent, nurse: httpx.AsyncClient, gateway: httpx.AsyncClient
) -> None:
    _, case = await asks(nurse)
    _, other = await asks(nurse)
    asked = await look(agent)
    for each in (case, other):
        await nurse.post(f"/cases/{each}/withdraw")
    taken_back = (await look(agent))[len(asked) :]
    assert len(taken_back) == 2

    await hand_in(gateway, asked[0])
    first = await hand_in(gateway, taken_back[0])
    assert [(row.state, row.end_reason) for row in await cases(hub, case)] == [("ended", "cancelled")]
    await hand_in(gateway, taken_back[1])
    late = await hand_in(gateway, asked[1])
    assert await cases(hub, other) == []
    key = await _key(agent)
    for answer in (first, late):
        said = decode_answer(answer.json()["text"], device=UUID(_device(agent)), key=key)
        assert said.status is Status.OVER


def _device(agent: Agent) -> str:
    assert agent.enrolment is not None
    return str(agent.enrolment["device"])


async def _key(agent: Agent) -> bytes:
    kept = await agent.database.run(lambda tx: facts.get(tx, sms.KEY))
    assert kept is not None
    return bytes.fromhex(kept.split()[1])


async def test_a_copy_has_no_second_effect_and_a_forgery_none(
    hub: Hub, agent: Agent, nurse: httpx.AsyncClient, gateway: httpx.AsyncClient
) -> None:
    _, case = await asks(nurse)
    [said] = await look(agent)
    answers = [await hand_in(gateway, said) for _ in range(3)]
    assert {answer.text for answer in answers} == {answers[0].text}
    assert len(await cases(hub, case)) == 1

    message = decode(said, await _key(agent))
    reused = encode(replace(message, request=uuid4()), await _key(agent))  # the counter stands for the first
    forged = encode(replace(message, request=uuid4(), counter=message.counter + 1), b"f" * 32)
    stranger = encode(replace(message, device=uuid4()), await _key(agent))
    for bad in (reused, forged, stranger, said[:-1], "hello", ""):
        refused = await hand_in(gateway, bad)
        assert (refused.status_code, refused.json()["code"]) == (422, "sms-refused"), bad


async def test_a_revoked_stations_sms_is_no_message(
    hub: Hub, agent: Agent, nurse: httpx.AsyncClient, gateway: httpx.AsyncClient
) -> None:
    await asks(nurse)
    [said] = await look(agent)
    async with hub.sessions() as session, session.begin():
        await access.revoke_device(session, by="user:x", now=hub.now(), device=UUID(_device(agent)))
    assert (await hand_in(gateway, said)).json()["code"] == "sms-refused"


async def test_only_a_gateway_hands_in_messages(district: Hub, served: Process) -> None:
    token = await a_client(district, "system/Patient.cruds")
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=served.url, headers=headers, trust_env=False) as other:
        answer = await hand_in(other, "x")
    assert (answer.status_code, answer.json()["code"]) == (403, "not-an-sms-gateway")


async def test_no_sms_goes_while_the_link_is_quick_enough(agent: Agent, nurse: httpx.AsyncClient) -> None:
    _, case = await asks(nurse)
    async with httpx.AsyncClient(trust_env=False, timeout=30) as line:
        await agent.syncing.exchange(line)
    assert await look(agent) == []
    assert await agent.database.run(lambda tx: sms.of_call(tx, case)) == []
