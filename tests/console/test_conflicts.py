"""Two versions of a record at the hub's pages: seen side by side, decided once, by whoever may change the record."""

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from clinic_net.access.policy import hub_scope, scope_of
from clinic_net.access.principals import Role
from clinic_net.consultations import service as consultations
from clinic_net.fhir import parse, parse_search
from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import Op, Push
from clinic_net.records import service as records
from clinic_net.sync import service as sync
from tests.console import patients
from tests.console.support import (
    STATION_DEVICE,
    Person,
    add_person,
    go_on_duty,
    signed_in,
    text_of,
)
from tests.consultations.support import CENTRAL, forget_everything


@dataclass
class Disagreement:
    """An allergy about which a station and another computer of it disagree, in the record of a patient in care."""

    hub: Hub
    doctor: Person
    allergy: dict[str, Any]
    task: str

    async def at_hub(self) -> dict[str, Any]:
        async with self.hub.sessions() as session, session.begin():
            fid = str(self.allergy["id"])
            stored = await records.read(
                session, "AllergyIntolerance", fid, scope=hub_scope(), now=self.hub.now()
            )
        return parse(stored.text)

    async def found(self, rtype: str, *criteria: tuple[str, str]) -> list[dict[str, Any]]:
        async with self.hub.sessions() as session, session.begin():
            page = await records.search(
                session, parse_search(rtype, criteria), scope=hub_scope(), now=self.hub.now()
            )
        return [parse(entry.text) for entry in page.entries]


async def says(hub: Hub, text: dict[str, Any], *, base: int, by: str) -> None:
    op = Op(
        op=1, type=text["resourceType"], id=text["id"], base=base, at=hub.now(), by=by, body=json.dumps(text)
    )
    request = Push(station=STATION_DEVICE.site, db_epoch=uuid4(), batch=uuid4(), ops=(op,))
    await sync.push_form_1(hub, request, station=STATION_DEVICE)


@pytest.fixture
async def disagreement(district: Hub) -> Disagreement:
    await forget_everything(district)
    return await disagree(district)


async def disagree(hub: Hub) -> Disagreement:
    doctor = await add_person(hub, Role.DOCTOR, specialties=("cardiology",))
    await go_on_duty(hub, doctor)
    written = patients.chest_pain(hub.now())
    case = await patients.send(hub, written)
    async with hub.sessions() as session, session.begin():
        await consultations.accept(session, case, by=doctor.user, now=hub.now())
    allergy = next(each for each in written.resources if each["resourceType"] == "AllergyIntolerance")
    await says(hub, {**allergy, "criticality": "high"}, base=1, by="Điều dưỡng Mai")
    note = [{"text": "nổi mẩn lần hai"}]
    await says(hub, {**allergy, "criticality": "low", "note": note}, base=1, by="Điều dưỡng Lan")
    async with hub.sessions() as session, session.begin():
        asked = parse_search("Task", [("focus", f"AllergyIntolerance/{allergy['id']}")])
        (task,) = (await records.search(session, asked, scope=hub_scope(), now=hub.now())).entries
    return Disagreement(hub, doctor, allergy, task.fid)


def seen_by(page: str) -> dict[str, str]:
    """Return the hidden fields of the form: what was looked at."""
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))


async def decide(client: httpx.AsyncClient, task: str, **choices: str) -> httpx.Response:
    page = (await client.get(f"/conflicts/{task}")).text
    return await client.post(f"/conflicts/{task}", data={**seen_by(page), **choices})


async def test_both_versions_stand_side_by_side_with_who_wrote_them_and_what_differs(
    app: FastAPI, disagreement: Disagreement
) -> None:
    async with signed_in(app, disagreement.doctor) as client:
        listed = await client.get("/conflicts")
        page = await client.get(f"/conflicts/{disagreement.task}")

    assert f'href="/conflicts/{disagreement.task}"' in listed.text
    assert patients.NAME in text_of(listed.text)
    assert "<mark>cao</mark>" in page.text
    assert "<mark>thấp</mark>" in page.text
    assert "<mark>nổi mẩn lần hai</mark>" in page.text
    assert "Điều dưỡng Lan" in text_of(page.text)
    assert STATION_DEVICE.site in text_of(page.text)


async def test_a_decision_field_by_field_becomes_the_next_version_and_closes_the_question(
    app: FastAPI, disagreement: Disagreement
) -> None:
    async with signed_in(app, disagreement.doctor) as client:
        assert (await decide(client, disagreement.task, q0="ours")).status_code == 303
        assert f"/conflicts/{disagreement.task}" not in (await client.get("/conflicts")).text
        assert (await client.get(f"/conflicts/{disagreement.task}")).status_code == 404

    decided = await disagreement.at_hub()
    assert (decided["criticality"], decided["note"]) == ("high", [{"text": "nổi mẩn lần hai"}])
    target = f"AllergyIntolerance/{decided['id']}/_history/3"
    (origin,) = await disagreement.found("Provenance", ("target", target))
    assert [agent["who"]["display"] for agent in origin["agent"]] == [disagreement.doctor.user.name]
    parents = [entity["what"]["reference"] for entity in origin["entity"]]
    assert f"AllergyIntolerance/{decided['id']}/_history/2" in parents
    assert any(parent.startswith("Binary/") for parent in parents)


@pytest.mark.parametrize(("side", "criticality"), [("ours", "high"), ("theirs", "low")])
async def test_a_version_can_be_taken_as_a_whole(
    app: FastAPI, disagreement: Disagreement, side: str, criticality: str
) -> None:
    async with signed_in(app, disagreement.doctor) as client:
        assert (await decide(client, disagreement.task, whole=side)).status_code == 303

    assert (await disagreement.at_hub())["criticality"] == criticality


async def test_a_question_without_an_answer_is_asked_again(app: FastAPI, disagreement: Disagreement) -> None:
    async with signed_in(app, disagreement.doctor) as client:
        answer = await decide(client, disagreement.task)
        assert answer.status_code == 303
        assert 'role="alert"' in (await client.get(answer.headers["location"])).text

    assert (await disagreement.at_hub())["meta"]["versionId"] == "2"


async def test_of_two_who_decide_at_once_the_second_is_shown_how_it_is_now(
    app: FastAPI, disagreement: Disagreement
) -> None:
    async with signed_in(app, disagreement.doctor) as client:
        seen = seen_by((await client.get(f"/conflicts/{disagreement.task}")).text)
        await says(
            disagreement.hub, {**disagreement.allergy, "criticality": "unable-to-assess"}, base=2, by="Mai"
        )
        answer = await client.post(f"/conflicts/{disagreement.task}", data={**seen, "whole": "theirs"})
        assert answer.status_code == 303
        again = (await client.get(answer.headers["location"])).text

    assert 'role="alert"' in again
    assert "<mark>không đánh giá được</mark>" in again
    assert (await disagreement.at_hub())["criticality"] == "unable-to-assess"


async def test_who_does_not_care_for_the_patient_sees_no_question(
    app: FastAPI, disagreement: Disagreement
) -> None:
    stranger = await add_person(disagreement.hub, Role.DOCTOR, facility=CENTRAL)
    async with signed_in(app, stranger) as client:
        assert disagreement.task not in (await client.get("/conflicts")).text
        assert (await client.get(f"/conflicts/{disagreement.task}")).status_code == 404
    scope = scope_of(stranger.user)
    async with disagreement.hub.sessions() as session, session.begin():
        asked = parse_search("Binary", [("_count", "10")])
        found = await records.search(session, asked, scope=scope, now=disagreement.hub.now())
    assert found.entries == []


async def test_two_decisions_at_the_same_moment_make_one(app: FastAPI, disagreement: Disagreement) -> None:
    async with signed_in(app, disagreement.doctor) as client:
        seen = seen_by((await client.get(f"/conflicts/{disagreement.task}")).text)
        forms = [{**seen, "whole": "theirs"}, {**seen, "q0": "ours"}]
        address = f"/conflicts/{disagreement.task}"
        await asyncio.gather(*(client.post(address, data=form) for form in forms))

    assert (await disagreement.at_hub())["meta"]["versionId"] == "3"
    closed = await disagreement.found("Task", ("_id", disagreement.task))
    assert [task["meta"]["versionId"] for task in closed] == ["2"]
