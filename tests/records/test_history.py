"""Histories through HTTP: what they hold, in which order, in which pages, and for whom."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text as sql
from sqlalchemy.exc import DBAPIError

from clinic_net.access.principals import Role
from clinic_net.fhir import check, parse
from clinic_net.kernel.hub import Hub
from tests.records.support import (
    NOW,
    OTHER_STATION,
    Records,
    client_of,
    codes,
    observation,
    patient,
    person,
    text,
)

pytestmark = pytest.mark.usefixtures("hospitals")


async def pages(fhir: httpx.AsyncClient, address: str) -> AsyncIterator[list[str]]:
    """Follow a history's next links; each entry as ``Type/id version method``."""
    following: str | None = address
    while following:
        answer = await fhir.get(following)
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        assert check(parse(answer.content)) == []
        yield [said(entry) for entry in bundle.get("entry", [])]
        following = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)


def said(entry: dict[str, Any]) -> str:
    version = entry["response"]["etag"].strip('W/"')
    return f"{entry['fullUrl'].rpartition('/')[2]} {version} {entry['request']['method']}"


async def versions(fhir: httpx.AsyncClient, address: str) -> list[str]:
    return [entry async for page in pages(fhir, address) for entry in page]


async def test_a_resources_history_comes_in_pages_newest_first(
    fhir: httpx.AsyncClient, records: Records
) -> None:
    fid = await records.new_patient()
    for number in range(4):
        await records.put(patient(fid, birthDate=f"195{number}-01-01"))
    await records.delete("Patient", fid)

    found = [page async for page in pages(fhir, f"/fhir/Patient/{fid}/_history?_count=4")]

    assert found == [
        [f"{fid} 6 DELETE", f"{fid} 5 PUT", f"{fid} 4 PUT", f"{fid} 3 PUT"],
        [f"{fid} 2 PUT", f"{fid} 1 POST"],
    ]


async def test_pages_stay_as_they_are_while_versions_are_added(
    fhir: httpx.AsyncClient, records: Records
) -> None:
    fid = await records.new_patient()
    await records.put(patient(fid, active=True))
    reading = pages(fhir, f"/fhir/Patient/{fid}/_history?_count=1")
    first = await anext(reading)
    await records.put(patient(fid, active=False))

    assert (first, await anext(reading)) == ([f"{fid} 2 PUT"], [f"{fid} 1 POST"])


async def test_a_types_and_the_systems_history_tell_of_everything(
    fhir: httpx.AsyncClient, records: Records
) -> None:
    about = await records.new_patient()
    seen = (await records.put(observation(about))).fid

    assert (await versions(fhir, "/fhir/Observation/_history?_count=7"))[0] == f"{seen} 1 POST"
    assert all(seen not in entry for entry in await versions(fhir, "/fhir/Patient/_history?_count=1000"))
    everything = await versions(fhir, "/fhir/_history?_count=3")
    assert everything[:2] == [f"{seen} 1 POST", f"{about} 1 POST"]
    assert len(everything) == len(set(everything))


async def test_since_and_at_choose_by_time(fhir: httpx.AsyncClient, records: Records) -> None:
    fid = await records.new_patient()
    hours = [records.after(timedelta(hours=hour)) for hour in (1, 2)]
    await hours[0].put(patient(fid, active=True))
    await hours[1].delete("Patient", fid)
    address = f"/fhir/Patient/{fid}/_history"

    def at(hour: float) -> str:
        return (NOW + timedelta(hours=hour)).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    assert await versions(fhir, f"{address}?_since={at(1)}") == [f"{fid} 3 DELETE", f"{fid} 2 PUT"]
    assert await versions(fhir, f"{address}?_at={at(0.5)}") == [f"{fid} 1 POST"]
    assert await versions(fhir, f"{address}?_at={at(1)}") == [f"{fid} 2 PUT"]
    assert await versions(fhir, f"{address}?_at={at(-1)}") == []
    assert len(await versions(fhir, f"{address}?_at=2026")) == 3
    assert len(await versions(fhir, f"{address}?_since=2026-11-22T00:00:00+07:00")) == 3


async def test_histories_hold_only_what_is_within_reach(hub: Hub, records: Records) -> None:
    theirs = await records.within(OTHER_STATION, "03166-01").new_patient()
    async with person(hub, Role.DOCTOR) as doctor:
        own = (await doctor.post("/fhir/Patient", content=text(patient()))).json()["id"]
        for address in ("/fhir/Patient/_history", "/fhir/_history"):
            assert await versions(doctor, address) == [f"{own} 1 POST"]
        foreign = await doctor.get(f"/fhir/Patient/{theirs}/_history")
        missing = await doctor.get(f"/fhir/Patient/{uuid4()}/_history")
    assert (foreign.status_code, foreign.content) == (404, missing.content)


async def test_a_clients_histories_hold_only_types_within_its_scopes(hub: Hub, records: Records) -> None:
    about = await records.new_patient()
    await records.put(observation(about))
    async with client_of(hub, "system/Observation.rs") as reader:
        kinds = {
            entry["fullUrl"].split("/")[-2]
            for entry in (await reader.get("/fhir/_history?_count=1000")).json()["entry"]
        }
        assert kinds == {"Observation"}
        assert (await reader.get("/fhir/Patient/_history")).status_code == 403
    async with client_of(hub, "system/Patient.c") as writer:
        assert (await writer.get("/fhir/_history")).status_code == 403


async def test_a_cursor_fits_only_its_own_history(
    hub: Hub, fhir: httpx.AsyncClient, records: Records
) -> None:
    await records.new_patient()
    await records.new_patient()
    bundle = (await fhir.get("/fhir/Patient/_history?_count=1")).json()
    cursor = bundle["link"][1]["url"].partition("_cursor=")[2]

    other = await fhir.get(f"/fhir/_history?_count=1&_cursor={cursor}")
    search = await fhir.get(f"/fhir/Patient?_cursor={cursor}")

    assert [(answer.status_code, codes(answer.json())) for answer in (other, search)] == [
        (400, ["invalid-cursor"])
    ] * 2


async def test_versions_are_numbered_without_a_gap_whatever_happens_at_once(fhir: httpx.AsyncClient) -> None:
    fid = str(uuid4())
    address = f"/fhir/Patient/{fid}"
    same = text(patient(fid, birthDate="1950"))
    await fhir.put(address, content=same)
    answers = await asyncio.gather(
        *(fhir.put(address, content=text(patient(fid, birthDate=f"19{number}"))) for number in range(51, 71)),
        *(fhir.put(address, content=text(patient(fid, gender="nam"))) for _ in range(5)),
        *(fhir.put(address, content=same, headers={"If-Match": 'W/"999"'}) for _ in range(5)),
    )
    await fhir.delete(address)
    await fhir.put(address, content=same)

    assert sorted(answer.status_code for answer in answers) == [200] * 20 + [412] * 5 + [422] * 5
    told = await versions(fhir, f"{address}/_history?_count=7")
    assert [int(entry.split()[1]) for entry in told] == list(range(23, 0, -1))


async def test_a_version_stays_as_it_is_after_later_ones(hub: Hub, fhir: httpx.AsyncClient) -> None:
    fid = str(uuid4())
    address = f"/fhir/Patient/{fid}"
    first = (await fhir.put(address, content=text(patient(fid, birthDate="1950")))).content
    same = await fhir.put(address, content=text(patient(fid, birthDate="1950")))
    stamped = await fhir.put(address, content=first)
    await fhir.put(address, content=text(patient(fid, birthDate="1951")))
    await fhir.delete(address)

    assert (same.headers["etag"], same.content, stamped.headers["etag"]) == ('W/"1"', first, 'W/"1"')
    assert (await fhir.get(f"{address}/_history/1")).content == first
    for change in (
        "update records_version set method = 'D'",
        "delete from records_version",
        "truncate records_version",
    ):
        async with hub.engine.connect() as connection:
            with pytest.raises(DBAPIError):
                await connection.execute(sql(change))
    assert (await fhir.get(f"{address}/_history/1")).content == first
