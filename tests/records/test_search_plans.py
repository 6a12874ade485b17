"""Whichever way a page is found, it is the same page; and a search that takes too long is stopped."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from clinic_net.access import RecordScope
from clinic_net.access import service as access
from clinic_net.fhir import parse_search
from clinic_net.kernel.hub import Hub
from clinic_net.records import search, search_plan, service
from tests.records.support import (
    EVERYWHERE,
    NOW,
    OTHER_SITE,
    OTHER_STATION,
    SITE,
    Records,
    codes,
    ids,
    observation,
)

DOCTOR = "user:1f0c3c1e-7d53-4f5c-9a51-0b4c3a3b2a11"


@pytest.fixture(scope="module")
async def ward(hub: Hub) -> list[str]:
    """Observations of two places in turn, some without a date; the doctor cares for one patient of each."""
    records = Records(hub)
    made = []
    abouts = [await records.new_patient() for _ in range(4)]
    elsewhere = records.within(OTHER_STATION, OTHER_SITE)
    theirs = [await elsewhere.new_patient() for _ in range(4)]
    for number in range(32):
        about, where = (abouts, records) if number % 2 else (theirs, elsewhere)
        dated: dict[str, Any] = {"effectiveDateTime": f"2026-0{1 + number % 5}-1{number % 7}"}
        content = observation(about[number // 2 % 4], value=number % 5, **dated)
        if number % 8 > 5:
            del content["effectiveDateTime"]
        made.append((await where.put(content)).fid)
    async with hub.sessions() as s, s.begin():
        for patient in (abouts[0], theirs[0]):
            await access.grant_care(
                s,
                patient=patient,
                grantee=DOCTOR,
                basis="open_consult",
                purpose="treatment",
                since=NOW - timedelta(days=1),
                until=None,
            )
    return made


async def pages(hub: Hub, query: list[tuple[str, str]], scope: RecordScope) -> list[str]:
    """Everything a search finds, three at a time."""
    asked = parse_search("Observation", [*query, ("_count", "3")])
    found: list[str] = []
    cursor = None
    async with hub.sessions() as s, s.begin():
        while True:
            page = await service.search(s, asked, scope=scope, now=NOW, cursor=cursor)
            found += [stored.fid for stored in page.entries]
            if (cursor := page.next) is None:
                return found


@pytest.mark.parametrize("window", [20_000, 5, 1])
@pytest.mark.parametrize(
    "scope",
    [
        EVERYWHERE,
        RecordScope(frozenset({SITE}), None, writable=False),
        RecordScope(frozenset(), DOCTOR, writable=False),
        RecordScope(frozenset({SITE}), DOCTOR, writable=False),
        RecordScope(frozenset({SITE, "no-such-place"}), DOCTOR, writable=False),
    ],
    ids=["everywhere", "a place", "patients", "a place and patients", "places and patients"],
)
@pytest.mark.parametrize(
    "query",
    [
        [],
        [("code", "8867-4")],
        [("value-quantity", "gt2")],
        [("_sort", "date")],
        [("_sort", "-date")],
        [("code", "8867-4"), ("_sort", "-date")],
        [("_sort", "value-quantity")],
        [("_sort", "-value-quantity,date")],
        [("_sort", "-_lastUpdated")],
    ],
    ids=str,
)
async def test_every_way_to_a_page_gives_the_same_rows_in_the_same_order(
    hub: Hub,
    ward: list[str],
    monkeypatch: pytest.MonkeyPatch,
    query: list[tuple[str, str]],
    scope: RecordScope,
    window: int,
) -> None:
    monkeypatch.setattr(search_plan, "WINDOW", window)
    found = await pages(hub, query, scope)

    monkeypatch.setattr(search_plan.Plan, "near_the_top", lambda _plan, _part: None)
    monkeypatch.setattr(search_plan.Plan, "_branches", lambda plan: [plan._scope])
    assert found == await pages(hub, query, scope)
    assert len(found) == len(set(found)) >= 3


async def test_counting_over_places_and_patients_counts_nothing_twice(hub: Hub, ward: list[str]) -> None:
    scope = RecordScope(frozenset({SITE}), DOCTOR, writable=False)
    asked = parse_search("Observation", [("_total", "accurate"), ("_count", "1")])

    async with hub.sessions() as s, s.begin():
        found = await service.search(s, asked, scope=scope, now=NOW)

    assert found.total == len(await pages(hub, [], scope)) == 20


async def test_a_search_beyond_its_budget_is_stopped_and_says_so(
    hub: Hub, fhir: httpx.AsyncClient, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = await records.new_patient()
    fid = (await records.put(observation(about, id=str(uuid4())))).fid
    monkeypatch.setattr(search, "BUDGET", timedelta(milliseconds=50))

    async with hub.sessions() as s, s.begin():
        await (await s.connection()).execute(text("lock table records_ix_date in access exclusive mode"))
        slow = await fhir.get("/fhir/Observation?_sort=date")
        quick = await fhir.get(f"/fhir/Observation?patient={about}")

    assert (slow.status_code, codes(slow.json())) == (503, ["too-costly"])
    assert ids(quick.json()) == [fid]


async def test_codes_identifiers_and_references_are_sorted_by_what_they_say(
    fhir: httpx.AsyncClient, records: Records
) -> None:
    family = f"Sort{uuid4().hex[:8]}"
    numbers = {}
    for number, gender in (("20", "male"), ("10", "female"), ("30", None)):
        more: dict[str, Any] = {"gender": gender} if gender else {}
        content = {"resourceType": "Patient", "name": [{"family": family}], **more}
        content["identifier"] = [{"value": number}]
        content["telecom"] = [
            {"system": "email", "value": "x@y.vn"},
            {"system": "phone", "value": f"09{number}"},
        ]
        content["generalPractitioner"] = [{"reference": f"Practitioner/{number}"}]
        numbers[(await records.put(content)).fid] = number

    async def order(sort: str) -> list[str]:
        seen: list[str] = []
        address = f"/fhir/Patient?family={family}&_sort={sort}&_count=2"
        while address:
            bundle = (await fhir.get(address)).json()
            seen += [numbers[fid] for fid in ids(bundle)]
            links = {link["relation"]: link["url"] for link in bundle["link"]}
            address = links.get("next", "").removeprefix("http://hub.test")
        return seen

    assert await order("identifier") == ["10", "20", "30"]
    assert await order("-identifier") == ["30", "20", "10"]
    assert await order("gender") == ["10", "20", "30"]
    assert await order("-gender") == ["20", "10", "30"]
    assert await order("phone") == ["10", "20", "30"]
    assert await order("-phone,identifier") == ["30", "20", "10"]
    assert await order("-general-practitioner") == ["30", "20", "10"]
    assert await order("email,-identifier") == ["30", "20", "10"]
    for sort, code in (("deceased", "unsupported-search"), ("_content", "invalid-search-value")):
        refused = await fhir.get(f"/fhir/Patient?_sort={sort}")
        assert (refused.status_code, codes(refused.json())) == (400, [code])


async def test_a_reference_to_one_type_is_sorted_by_what_it_says(
    fhir: httpx.AsyncClient, records: Records
) -> None:
    tag = uuid4().hex
    made = {}
    for number in ("2", "1", "3"):
        about = await records.put({"resourceType": "Patient", "id": f"{number}-{uuid4()}"})
        content = observation(about.fid, meta={"tag": [{"code": tag}]})
        made[(await records.put(content)).fid] = number

    found = (await fhir.get(f"/fhir/Observation?_tag={tag}&_sort=patient")).json()

    assert [made[fid] for fid in ids(found)] == ["1", "2", "3"]


async def test_an_estimate_is_exact_while_there_are_few_and_the_planners_when_there_are_many(
    fhir: httpx.AsyncClient, ward: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = (await fhir.get("/fhir/Observation?_total=estimate&_count=1&code=8867-4")).json()
    exact = (await fhir.get("/fhir/Observation?_total=accurate&_count=1&code=8867-4")).json()
    monkeypatch.setattr(search, "COUNTED", 4)
    many = (
        await fhir.get("/fhir/Observation?_total=estimate&_count=1&value-quantity=gt1&code=8867-4")
    ).json()

    assert few["total"] == exact["total"]
    assert many["total"] >= 4
