"""What is found straight along one index is what the long way finds, all at once and page by page."""

from asyncio import Semaphore, gather
from collections.abc import AsyncIterator
from itertools import product
from typing import Any

import httpx
import pytest

from clinic_net.fhir import parse_search
from clinic_net.kernel.hub import Hub
from clinic_net.records.keys import Keys
from clinic_net.records.search_express import straight
from tests.records.support import client_of, ids, observation, patient, text

CODES = ("8867-4", "8480-6", "9279-1")
STATUSES = ("final", "amended", "preliminary")
DAYS = ("2026-11-19", "2026-11-20T08:30:00+07:00", "2026-11-20T23:59:59+07:00", "2026-11-21")
PEOPLE = tuple(f"express-{number}" for number in range(3))

WHO = ("", "patient={0}", "subject=Patient/{1}", "patient=Patient/{0},Patient/{2}", "patient=nobody")
WHAT = ("", "code=http://loinc.org|8867-4", "code=8480-6", "code=8867-4,9279-1", "code=http://loinc.org|")
WHEN = (
    "",
    "date=2026-11-20",
    "date=gt2026-11-20",
    "date=le2026-11-20&date=ge2026-11-20",
    "date=ne2026-11-21",
)
HOW = ("", "status=final", "status=amended,preliminary", "status=entered-in-error")


def query(*criteria: str) -> str:
    return "&".join(part for part in criteria if part).format(*PEOPLE)


SEARCHES = [query(*criteria) for criteria in product(WHO, WHAT, WHEN, HOW)]


def goes_straight(asked: str) -> bool:
    """Whether one index leads to what is asked for, so that it is not searched the long way."""
    parts = [part.partition("=") for part in asked.split("&") if part]
    search = parse_search("Observation", [(name, value) for name, _, value in parts])
    return straight(search, Keys(b"k" * 32), limit=51) is not None


@pytest.fixture(scope="module")
async def measured(hub: Hub) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a hub with observations of three people; some were changed since, some deleted."""
    async with client_of(hub) as fhir:
        for who in PEOPLE:
            assert (await fhir.put(f"/fhir/Patient/{who}", content=text(patient(who)))).status_code == 201
        for number, (who, code, status) in enumerate(product(PEOPLE, CODES, STATUSES)):
            for day in (DAYS[number % 4], DAYS[(number + 1) % 4]):
                await keep(fhir, observation(who, code=code, status=status, effectiveDateTime=day), number)
        yield fhir


async def keep(fhir: httpx.AsyncClient, content: dict[str, Any], number: int) -> None:
    """Store an observation; amend every fifth, delete every seventh."""
    made = await fhir.post("/fhir/Observation", content=text(content))
    assert made.status_code == 201, made.text
    fid = made.json()["id"]
    if number % 5 == 4:
        changed = text({**content, "id": fid, "status": "amended"})
        assert (await fhir.put(f"/fhir/Observation/{fid}", content=changed)).status_code == 200
    if number % 7 == 6:
        assert (await fhir.delete(f"/fhir/Observation/{fid}")).is_success


async def found(fhir: httpx.AsyncClient, asked: str) -> list[str]:
    """Return the ids that a search finds on its pages, following their links."""
    address: str | None = f"/fhir/Observation?{asked}"
    told: list[str] = []
    while address is not None:
        answer = await fhir.get(address)
        assert answer.status_code == 200, (address, answer.text)
        told += ids(answer.json())
        links = {link["relation"]: link["url"] for link in answer.json()["link"]}
        address = links.get("next")
    return told


async def all_found(fhir: httpx.AsyncClient, more: str) -> list[list[str]]:
    """Ask every search, a dozen at a time, so that those of one form share a statement."""
    turns = Semaphore(12)

    async def one(asked: str) -> list[str]:
        async with turns:
            return await found(fhir, query(asked, more))

    return list(await gather(*map(one, SEARCHES)))


def test_most_of_these_searches_go_straight() -> None:
    assert sum(map(goes_straight, SEARCHES)) > len(SEARCHES) * 0.8
    assert not any(goes_straight(query(asked, "_total=accurate")) for asked in SEARCHES)


async def test_the_straight_way_finds_what_the_long_way_finds(measured: httpx.AsyncClient) -> None:
    long = await all_found(measured, "_total=accurate&_count=100")

    assert max(map(len, long)) == len(long[0]) > 40
    assert 20 < sum(not one for one in long) < 300
    straight_way = await all_found(measured, "_count=100")
    for asked, one, other in zip(SEARCHES, straight_way, long, strict=True):
        assert sorted(one) == sorted(other), asked


async def test_page_by_page_the_straight_way_finds_everything_once(measured: httpx.AsyncClient) -> None:
    long = await all_found(measured, "_sort=-_lastUpdated&_count=100")

    for asked, one, other in zip(SEARCHES, await all_found(measured, "_count=3"), long, strict=True):
        assert sorted(one) == sorted(other), asked
