"""The privacy page: what is owed is seen, each step is a button, and nothing of a record is on it."""

import json
import re
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from clinic_net.access.principals import Role
from clinic_net.kernel.hub import Hub
from clinic_net.privacy.calendar import VIET_NAM
from tests.console.patients import NAME, chest_pain, send
from tests.console.support import Person, add_person, signed_in, text_of


@pytest.fixture(scope="module")
async def patient(district: Hub) -> str:
    written = chest_pain(district.now())
    await send(district, written)
    return written.patient


@pytest.fixture(scope="module")
async def operators(district: Hub) -> tuple[Person, Person]:
    return await add_person(district, Role.OPERATOR), await add_person(district, Role.OPERATOR)


async def _page(client: httpx.AsyncClient) -> httpx.Response:
    answer = await client.get("/privacy")
    assert answer.status_code == 200
    assert NAME not in answer.text
    return answer


def _steps(page: str, step: str) -> list[str]:
    return re.findall(rf'action="(/privacy/requests/[0-9a-f-]+/{step})"', page)


async def test_an_erasure_is_entered_by_one_and_carried_out_by_another(
    app: FastAPI, patient: str, operators: tuple[Person, Person]
) -> None:
    form = {"patient": patient, "kind": "erasure", "ground": "unlawful"}
    async with signed_in(app, operators[0]) as one:
        assert (await one.post("/privacy/requests", data=form)).status_code == 303
        page = await _page(one)
        assert patient in page.text
        assert "Xóa dữ liệu" in text_of(page.text)
        assert "Phải trả lời" in text_of(page.text)
        [done] = _steps(page.text, "done")
        refused = await one.post(done)
        assert refused.status_code == 409
        assert "another-person-needed" in refused.text
        assert (await one.post(done.replace("/done", "/answer"))).status_code == 303
    async with signed_in(app, operators[1]) as other:
        assert (await other.post(done)).status_code == 303
        page = await _page(other)
        assert _steps(page.text, "done") == []
        assert "Đã thực hiện" in text_of(page.text)


async def test_a_breach_shows_how_long_is_left_and_its_evidence_is_a_file(
    app: FastAPI, district: Hub, operators: tuple[Person, Person]
) -> None:
    noticed = (district.now() - timedelta(hours=80)).astimezone(VIET_NAM)
    form = {
        "kind": "stolen-device", "people": "40", "data": ["health", "identity"], "words": "<b>Máy</b> bị trộm",
        "noticed": f"{noticed:%Y-%m-%dT%H:%M}",
    }  # fmt: skip
    async with signed_in(app, operators[0]) as client:
        assert (await client.post("/privacy/breaches", data=form)).status_code == 303
        page = await _page(client)
        assert "quá hạn từ" in text_of(page.text)
        assert "<b>Máy" not in page.text, "words are shown as words"
        [path] = set(re.findall(r"/privacy/breaches/[0-9a-f-]+(?=/steps)", page.text))
        step = {"step": "notified", "words": "Công văn 12"}
        assert (await client.post(f"{path}/steps", data=step)).status_code == 303
        evidence = await client.get(f"{path}/evidence")
    assert evidence.headers["content-disposition"].startswith("attachment; ")
    facts = json.loads(evidence.text)
    assert facts["breach"]["data"] == ["health", "identity"]
    assert facts["notified_in_time"] is False


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/privacy/requests", {"patient": "../x", "kind": "copy"}),
        ("/privacy/requests", {"patient": "x", "kind": "everything"}),
        (
            "/privacy/breaches",
            {"kind": "other", "people": "many", "words": "x", "noticed": "2026-01-01T00:00"},
        ),
        ("/privacy/breaches", {"kind": "other", "people": "1", "words": "x", "noticed": "yesterday"}),
        ("/privacy/holds", {"patient": "", "reason": "dispute"}),
    ],
)
async def test_what_cannot_be_entered_is_said_to_be_so(
    app: FastAPI, operators: tuple[Person, Person], path: str, form: dict[str, str]
) -> None:
    async with signed_in(app, operators[0]) as client:
        assert (await client.post(path, data=form)).status_code == 422
