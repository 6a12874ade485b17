"""A search over all types, and pages that stay whole while others write."""

import asyncio
import random
from typing import Any
from uuid import uuid4

import httpx
import pytest

from clinic_net.fhir import check, parse, parse_search, write
from clinic_net.kernel.hub import Hub
from clinic_net.records import search_everywhere, service
from tests.records.support import (
    NOW,
    OTHER_SITE,
    OTHER_STATION,
    STATION,
    Records,
    client_of,
    codes,
    ids,
    observation,
    patient,
    person,
)

TAG = "http://x.example/tags"


@pytest.fixture(scope="module")
async def study(hub: Hub) -> list[str]:
    """Twelve resources of three types with one tag, in the order in which they were stored."""
    records = Records(hub)
    about = await records.new_patient()
    tagged: dict[str, Any] = {"meta": {"tag": [{"system": TAG, "code": "study"}]}}
    made = []
    for number in range(4):
        made.append((await records.put(patient(str(uuid4()), **tagged))).fid)
        made.append((await records.put(observation(about, value=number, **tagged))).fid)
        made.append((await records.put({"resourceType": "Location", "name": "x", **tagged})).fid)
    return made


async def every_page(fhir: httpx.AsyncClient, address: str) -> list[str]:
    seen: list[str] = []
    while address:
        answer = await fhir.get(address)
        assert answer.status_code == 200, answer.text
        seen += ids(answer.json())
        links = {link["relation"]: link["url"] for link in answer.json()["link"]}
        address = links.get("next", "").removeprefix("http://hub.test")
    return seen


@pytest.mark.parametrize("few", [5_000, 1])
async def test_all_types_are_searched_in_one_order_page_by_page(
    fhir: httpx.AsyncClient, study: list[str], monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(search_everywhere, "FEW", few)
    counted = (await fhir.get(f"/fhir?_tag={TAG}|study&_summary=count")).json()

    assert await every_page(fhir, f"/fhir?_tag={TAG}|study&_count=5") == study[::-1]
    assert await every_page(fhir, f"/fhir?_tag={TAG}|study&_count=5&_sort=_lastUpdated") == study[::-1]
    assert await every_page(fhir, f"/fhir?_id={study[0]},{study[1]},none&_count=1") == [study[1], study[0]]
    assert await every_page(fhir, f"/fhir?_tag={TAG}|study,{TAG}|none&_count=5") == study[::-1]
    assert await every_page(fhir, f"/fhir?_tag={TAG}|study&_tag={TAG}|none") == []
    assert await every_page(fhir, f"/fhir?_tag={TAG}|study&_tag:not=study") == []
    assert await every_page(fhir, f"/fhir?_tag={TAG}|study&_profile:missing=true") == study[::-1]
    assert counted["total"] == 12


@pytest.mark.parametrize(
    "query", ["", "_lastUpdated=gt2020", "_tag:missing=false", "_tag:not=other", "_sort=-_lastUpdated"]
)
async def test_without_a_code_the_newest_of_every_type_come_first(
    fhir: httpx.AsyncClient, study: list[str], query: str
) -> None:
    found = await every_page(fhir, f"/fhir?{query}&_count=7")

    assert [fid for fid in found if fid in study] == study[::-1]
    assert len(found) == len(set(found))


async def test_a_search_everywhere_tells_only_what_the_caller_may_search(hub: Hub, study: list[str]) -> None:
    async with client_of(hub, "system/Location.rs system/Patient.c") as client:
        found = await every_page(client, f"/fhir?_tag={TAG}|study")
    async with client_of(hub, "system/Location.c") as client:
        refused = await client.get("/fhir")

    assert found == study[2::3][::-1]
    assert (refused.status_code, codes(refused.json())) == (403, ["insufficient-scope"])


@pytest.mark.usefixtures("hospitals")
async def test_the_records_of_another_place_are_not_found_everywhere(hub: Hub, study: list[str]) -> None:
    async with person(hub, "doctor") as doctor:  # type: ignore[arg-type]  # a role by its name
        found = (await doctor.get(f"/fhir?_tag={TAG}|study&_total=accurate")).json()

    assert (ids(found), found["total"]) == ([], 0)


async def test_the_statement_says_what_every_search_may_ask_and_is_sound(fhir: httpx.AsyncClient) -> None:
    content = parse((await fhir.get("/fhir/metadata")).content)
    named = {found["name"] for found in content["rest"][0]["searchParam"]}

    assert {"_filter", "_contained", "_type", "_has", "_list", "_text", "_content", "_tag"} <= named
    assert [issue for issue in check(parse(write(content))) if issue.severity == "error"] == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("_contained=false", 200),
        ("_containedType=container", 200),
        ("_contained=true", 400),
        ("_contained=both", 400),
        ("_containedType=contained", 400),
    ],
)
async def test_contained_resources_are_part_of_what_contains_them(
    fhir: httpx.AsyncClient, study: list[str], query: str, status: int
) -> None:
    answer = await fhir.get(f"/fhir/Patient?_id={study[0]}&{query}")

    assert answer.status_code == status
    if status == 400:
        assert answer.json()["issue"][0]["code"] == "not-supported"


@pytest.mark.parametrize(
    "sort", ["", "&_sort=value-quantity", "&_sort=-date", "&_sort=_lastUpdated", "&_filter=code eq 8867-4"]
)
async def test_every_match_comes_exactly_once_while_others_write(
    fhir: httpx.AsyncClient, records: Records, sort: str
) -> None:
    chance = random.Random(sort)
    about = await records.new_patient()
    tag: dict[str, Any] = {"meta": {"tag": [{"system": TAG, "code": uuid4().hex}]}}
    days = [f"2026-0{1 + number % 9}-1{number % 3}" for number in range(40)]
    made = [
        (await records.put(observation(about, value=chance.randrange(5), effectiveDateTime=day, **tag))).fid
        for day in days
    ]
    stop = asyncio.Event()

    async def others() -> None:
        while not stop.is_set():
            value, day = chance.randrange(5), chance.choice(days)
            kept = await records.put(observation(about, value=value, effectiveDateTime=day, **tag))
            if chance.random() < 0.3:
                await records.delete("Observation", kept.fid)
            await asyncio.sleep(0)

    writing = [asyncio.create_task(others()) for _ in range(3)]
    try:
        code = tag["meta"]["tag"][0]["code"]
        seen = await every_page(fhir, f"/fhir/Observation?_tag={TAG}|{code}&_count=7{sort}")
    finally:
        stop.set()
        await asyncio.gather(*writing)

    assert len(seen) == len(set(seen))
    assert set(made) <= set(seen)


async def test_a_changed_cursor_opens_nothing(hub: Hub, fhir: httpx.AsyncClient, study: list[str]) -> None:
    bundle = (await fhir.get(f"/fhir?_tag={TAG}|study&_count=2")).json()
    cursor = next(link["url"] for link in bundle["link"] if link["relation"] == "next").partition("_cursor=")[
        2
    ]

    for forged in (cursor[:-2] + "xx", "", "a"):
        answer = await fhir.get(f"/fhir?_tag={TAG}|study&_cursor={forged}")
        assert (answer.status_code, codes(answer.json())) == (400, ["invalid-cursor"])


async def test_a_filters_cursor_fits_its_scope_only(hub: Hub, records: Records) -> None:
    for _ in range(2):
        await records.new_patient()
    await records.within(OTHER_STATION, OTHER_SITE).new_patient()
    asked = parse_search("Patient", [("_filter", "gender eq female"), ("_count", "1")])

    async with hub.sessions() as s, s.begin():
        cursor = (await service.search(s, asked, scope=STATION, now=NOW)).next
        assert cursor is not None
        assert (await service.search(s, asked, scope=STATION, now=NOW, cursor=cursor)).entries
        with pytest.raises(Exception, match="cursor"):
            await service.search(s, asked, scope=OTHER_STATION, now=NOW, cursor=cursor)
