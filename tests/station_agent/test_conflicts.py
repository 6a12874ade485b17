"""Two versions of a record on the nurse's pages."""

import json
import re
from typing import Any
from uuid import uuid4

import pytest

from clinic_net.protocol.sync import Entry, Page
from clinic_net.protocol.sync.reviews import Sibling, Subject, asked, text_beside
from station_agent.store import Tx, feed, outbox, settings
from tests.station_agent.conftest import NOW, Station
from tests.station_agent.test_pages import held, registered


async def disagree(station: Station, *, with_text: bool = True) -> tuple[str, str, str]:
    """Bring a question about an allergy down from the hub; return patient, allergy and Task."""
    patient, allergy, task = await registered(station), str(uuid4()), str(uuid4())
    texts = {each: str(uuid4()) for each in ("base", "theirs")}
    about = Subject("AllergyIntolerance", allergy, patient)
    base: dict[str, Any] = {
        "resourceType": "AllergyIntolerance", "id": allergy, "patient": {"reference": f"Patient/{patient}"},
        "code": {"text": "Penicillin"},
    }  # fmt: skip
    theirs = {**base, "criticality": "low", "note": [{"text": "mẩn nhẹ"}]}
    sibling = Sibling(texts["theirs"], texts["base"], 2, "Điều dưỡng Lan", "2026-11-22T01:00:00Z", "03325-02")
    resources = [
        {**base, "criticality": "high"},
        asked(None, task, about, sibling=sibling, now="2026-11-22T02:00:00Z"),
    ]
    if with_text:
        for name, text in (("base", base), ("theirs", theirs)):
            resources.append(text_beside(texts[name], json.dumps(text, ensure_ascii=False), about, labels=[]))

    def arrive(tx: Tx) -> None:
        after = settings.cursor(tx)
        entries = tuple(
            Entry(
                seq=after + number, type=each["resourceType"], id=each["id"], version=2, body=json.dumps(each)
            )
            for number, each in enumerate(resources, start=1)
        )
        feed.store(tx, Page(entries=entries, cursor=after + len(entries)), NOW)

    await station.agent.database.run(arrive)
    return patient, allergy, task


def seen(page: str) -> dict[str, str]:
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))


async def test_a_nurse_is_led_from_the_patient_and_from_what_waits_to_both_versions(station: Station) -> None:
    patient, _, task = await disagree(station)

    for page in (f"/patients/{patient}", "/waiting"):
        assert f'href="/conflicts/{task}"' in (await station.browser.get(page)).text
    shown = (await station.browser.get(f"/conflicts/{task}")).text

    assert "<mark>cao</mark>" in shown
    assert "<mark>thấp</mark>" in shown
    assert "<mark>mẩn nhẹ</mark>" in shown
    assert "Điều dưỡng Lan" in shown
    assert "Vàng Thị Mỷ" in shown


async def test_a_decision_is_saved_here_and_leaves_urgently(station: Station) -> None:
    _, allergy, task = await disagree(station)
    form = seen((await station.browser.get(f"/conflicts/{task}")).text)

    answer = await station.browser.post(f"/conflicts/{task}", data={**form, "q0": "ours", "whole": ""})

    assert answer.url.path == "/waiting"
    now = await held(station, "AllergyIntolerance", allergy)
    assert (now["criticality"], now["note"]) == ("high", [{"text": "mẩn nhẹ"}])

    def waits(tx: Tx) -> list[tuple[int, str]]:
        return [(w.lane, w.rtype) for w in outbox.listing(tx)][:3]

    waiting = await station.agent.database.run(waits)
    assert waiting == [(0, "AllergyIntolerance"), (0, "Provenance"), (0, "Task")]
    assert (await station.browser.get(f"/conflicts/{task}")).status_code == 404


async def test_a_field_without_a_choice_is_asked_again(station: Station) -> None:
    _, allergy, task = await disagree(station)
    form = seen((await station.browser.get(f"/conflicts/{task}")).text)

    again = await station.browser.post(f"/conflicts/{task}", data={**form, "whole": ""})

    assert 'role="alert"' in again.text
    assert (await held(station, "AllergyIntolerance", allergy))["criticality"] == "high"


@pytest.mark.parametrize("form", [{"whole": "theirs"}, {"whole": "ours", "seen": "0"}])
async def test_a_decision_about_something_else_is_shown_how_it_is(
    station: Station, form: dict[str, str]
) -> None:
    _, allergy, task = await disagree(station)

    again = await station.browser.post(f"/conflicts/{task}", data=form)

    assert 'role="alert"' in again.text
    assert "criticality" in await held(station, "AllergyIntolerance", allergy)


async def test_while_the_other_version_is_on_its_way_nothing_can_be_decided(station: Station) -> None:
    _, _, task = await disagree(station, with_text=False)

    shown = (await station.browser.get(f"/conflicts/{task}")).text

    assert "chưa về" in shown or "not arrived" in shown
    assert 'name="whole"' not in shown


async def test_an_unknown_question_and_a_version_that_does_not_wait_are_not_here(station: Station) -> None:
    _, _, task = await disagree(station)

    assert (await station.browser.get(f"/conflicts/{uuid4()}")).status_code == 404
    assert (await station.browser.get(f"/conflicts/{task}?version=x")).status_code == 404
