"""Search over HTTP: what is found, in which order, page by page."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from clinic_net.fhir import parse_search
from clinic_net.fhir.definitions import resource_types, search_parameters
from clinic_net.kernel.hub import Hub
from clinic_net.records import service
from clinic_net.records.errors import InvalidCursor
from clinic_net.records.keys import parameter_id
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
)


def test_no_two_standard_parameters_share_a_number() -> None:
    names = [(rtype, name) for rtype in resource_types() for name in search_parameters(rtype)]

    assert len({parameter_id(*pair) for pair in names}) == len(names) > 2000


async def find(fhir: httpx.AsyncClient, address: str, **headers: str) -> dict[str, Any]:
    answer = await fhir.get(f"/fhir/{address}", headers=headers)
    assert answer.status_code == 200, answer.text
    bundle: dict[str, Any] = answer.json()
    return bundle


@pytest.fixture(scope="module")
async def ward(hub: Hub) -> dict[str, str]:
    """One patient with three measurements, by name."""
    records = Records(hub)
    about = await records.new_patient(
        identifier=[{"system": "http://clinic-net.vn/sid/cccd", "value": "022190000001"}],
        birthDate="1990-05-17",
        address=[{"text": "Xã Hải Lạng, Quảng Ninh"}],
    )
    made = {
        "pulse": observation(about, value=72),
        "fast": observation(about, value=131.5, effectiveDateTime="2026-11-21T09:00:00+07:00"),
        "warm": observation(about, code="8310-5", value=38, effectiveDateTime="2026-10"),
    }
    found = {"patient": about}
    for name, content in made.items():
        found[name] = (await records.put(content)).fid
    return found


def named(ward: dict[str, str], bundle: dict[str, Any]) -> set[str]:
    by_id = {fid: name for name, fid in ward.items()}
    return {by_id[fid] for fid in ids(bundle)}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"pulse", "fast", "warm"}),
        ("&code=8867-4", {"pulse", "fast"}),
        ("&code=http://loinc.org|8867-4", {"pulse", "fast"}),
        ("&code=http://loinc.org|", {"pulse", "fast", "warm"}),
        ("&code=|8867-4", set()),
        ("&code=8867-4,8310-5", {"pulse", "fast", "warm"}),
        ("&code:not=8867-4", {"warm"}),
        ("&status=final&code=8310-5", {"warm"}),
        ("&status=amended", set()),
        ("&date=2026-11-21", {"pulse", "fast"}),
        ("&date=2026-11-21T08:30:00%2B07:00", {"pulse"}),
        ("&date=2026-11-21T01:30:00Z", {"pulse"}),
        ("&date=gt2026-11-21T08:30:00%2B07:00", {"fast"}),
        ("&date=lt2026-11", {"warm"}),
        ("&date=ge2026-10&date=le2026-10", {"warm"}),
        ("&date=sa2026-11-21T08:45:00%2B07:00", {"fast"}),
        ("&date=eb2026-11-01", {"warm"}),
        ("&date=ne2026-11-21", {"warm"}),
        ("&date=ap2026-11-21", {"pulse", "fast"}),
        ("&value-quantity=72", {"pulse"}),
        ("&value-quantity=72.0|http://unitsofmeasure.org|/min", {"pulse"}),
        ("&value-quantity=72||nhịp/phút", {"pulse"}),
        ("&value-quantity=72||/min", {"pulse"}),
        ("&value-quantity=72||mg", set()),
        ("&value-quantity=gt100", {"fast"}),
        ("&value-quantity=ge38&value-quantity=lt100", {"pulse", "warm"}),
        ("&value-quantity=ap70", {"pulse"}),
        ("&value-quantity=131", set()),
        ("&value-quantity=131.5", {"fast"}),
        ("&encounter:missing=true", {"pulse", "fast", "warm"}),
        ("&code:missing=true", set()),
        ("&code:missing=false", {"pulse", "fast", "warm"}),
        ("&subject:Patient.=x", None),
        ("&_lastUpdated=2026-11-22T03:00:00.123Z", {"pulse", "fast", "warm"}),
        ("&_lastUpdated=lt2026-11-22T03:00:00.123Z", set()),
        ("&_lastUpdated=gt1900", {"pulse", "fast", "warm"}),
        ("&_lastUpdated=lt0001", set()),
        ("&_lastUpdated=gt9999-12-31", set()),
    ],
)
async def test_a_search_finds_what_its_parameters_say(
    fhir: httpx.AsyncClient, ward: dict[str, str], query: str, expected: set[str] | None
) -> None:
    answer = await fhir.get(f"/fhir/Observation?patient={ward['patient']}{query}")

    if expected is None:
        assert answer.status_code == 400
    else:
        assert named(ward, answer.json()) == expected


@pytest.mark.parametrize(
    "query",
    [
        "identifier=http://clinic-net.vn/sid/cccd|022190000001",
        "identifier=022190000001",
        "birthdate=1990-05-17",
        "birthdate=1990",
        "gender=female&address=xa%20hai",
        "address:contains=hai%20lang",
        "name:exact=Nguyễn Thị Hòa&birthdate=1990",
        "_id={patient}",
        "_has_no=1",
    ],
)
async def test_a_patient_is_found_by_what_is_known_of_them(
    fhir: httpx.AsyncClient, ward: dict[str, str], query: str
) -> None:
    answer = await fhir.get("/fhir/Patient?" + query.format(**ward))

    if query == "_has_no=1":
        assert (answer.status_code, codes(answer.json())) == (400, ["unknown-search-parameter"])
    else:
        assert ward["patient"] in ids(answer.json())


async def test_references_are_found_by_every_way_to_write_them(
    fhir: httpx.AsyncClient, ward: dict[str, str]
) -> None:
    fid = ward["patient"]
    for query in (
        f"patient={fid}",
        f"subject=Patient/{fid}",
        f"subject:Patient={fid}",
        f"subject=http://hub.test/fhir/Patient/{fid}",
    ):
        assert len(ids(await find(fhir, f"Observation?{query}"))) == 3


async def test_names_are_found_without_marks_in_both_tone_placements_and_as_written_first(
    fhir: httpx.AsyncClient, records: Records
) -> None:
    family = f"Trịnh{uuid4().hex[:6]}"
    made = {}
    for given in ("Hoa", "Hòa", "Hoà", "Hóa", "Hoàng"):
        stored = await records.put(patient(name=[{"text": f"{family} Thị {given}"}]))
        made[stored.fid] = given

    async def order(name: str) -> list[str]:
        return [
            made[fid]
            for fid in ids(await find(fhir, f"Patient?name={name}&address:missing=true"))
            if fid in made
        ]

    assert set(await order(f"{family} thi hoa")) == {"Hoa", "Hòa", "Hoà", "Hóa", "Hoàng"}
    assert set((await order(f"{family} Thị Hòa"))[:2]) == {"Hòa", "Hoà"}
    assert set((await order(f"{family} Thị Hoà"))[:2]) == {"Hòa", "Hoà"}
    assert (await order(f"{family} Thị Hóa"))[0] == "Hóa"
    assert (await order(f"{family} Thị Hoa"))[0] == "Hoa"
    assert len(await order(family.lower().replace("ị", "i"))) == 5
    assert "Hóa" in await order("Thị Hóa"), "a name is found from each of its words"


async def test_pages_follow_each_other_without_gap_or_repetition_while_data_is_written(
    fhir: httpx.AsyncClient, records: Records
) -> None:
    about = await records.new_patient()
    made = [(await records.put(observation(about, value=value))).fid for value in range(7)]

    seen: list[str] = []
    address = f"Observation?patient={about}&_count=3"
    while address:
        bundle = await find(fhir, address)
        seen += ids(bundle)
        await records.put(observation(about, value=100 + len(seen)))
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        address = links.get("next", "").removeprefix("http://hub.test/fhir/")

    assert seen == made[::-1]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("date", ["warm", "pulse", "fast"]),
        ("-date", ["fast", "pulse", "warm"]),
        ("value-quantity", ["warm", "pulse", "fast"]),
        ("_lastUpdated,-date", ["fast", "pulse", "warm"]),
        ("-_lastUpdated,date", ["warm", "pulse", "fast"]),
    ],
)
async def test_results_come_in_the_order_asked_for_page_by_page(
    fhir: httpx.AsyncClient, ward: dict[str, str], sort: str, expected: list[str]
) -> None:
    by_id = {fid: name for name, fid in ward.items()}
    seen: list[str] = []
    address = f"Observation?patient={ward['patient']}&_sort={sort}&_count=1"
    for _ in range(4):
        bundle = await find(fhir, address)
        seen += [by_id[fid] for fid in ids(bundle)]
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        if not following:
            break
        address = following[0].removeprefix("http://hub.test/fhir/")

    assert seen == expected


async def test_a_cursor_fits_only_its_own_search(
    hub: Hub, fhir: httpx.AsyncClient, ward: dict[str, str]
) -> None:
    bundle = await find(fhir, f"Observation?patient={ward['patient']}&_count=1")
    following = next(link["url"] for link in bundle["link"] if link["relation"] == "next")
    cursor = following.partition("_cursor=")[2]

    for address in (
        f"Observation?_count=1&_cursor={cursor}",
        f"Observation?patient={ward['patient']}&_cursor={cursor[:-2]}xx",
        f"Observation?patient={ward['patient']}&_cursor=",
        f"Observation?patient={ward['patient']}&_cursor=%00%F0",
    ):
        answer = await fhir.get(f"/fhir/{address}")
        assert (answer.status_code, codes(answer.json())) == (400, ["invalid-cursor"])


async def test_counting_is_exact_when_asked_and_stays_within_the_scope(
    fhir: httpx.AsyncClient, ward: dict[str, str]
) -> None:
    counted = await find(fhir, f"Observation?patient={ward['patient']}&_summary=count")
    accurate = await find(fhir, f"Observation?patient={ward['patient']}&_total=accurate&_count=1")
    none = await find(fhir, f"Observation?patient={ward['patient']}&_count=0")

    assert (counted["total"], counted.get("entry")) == (3, None)
    assert (accurate["total"], len(accurate["entry"])) == (3, 1)
    assert (none["total"], none.get("entry")) == (3, None)


async def test_included_resources_come_marked_and_only_once(
    fhir: httpx.AsyncClient, ward: dict[str, str]
) -> None:
    forward = await find(
        fhir,
        f"Observation?patient={ward['patient']}&_include=Observation:patient&_include=Observation:subject",
    )
    backward = await find(fhir, f"Patient?_id={ward['patient']}&_revinclude=Observation:patient")

    assert ids(forward, "include") == [ward["patient"]]
    assert ids(backward) == [ward["patient"]]
    assert set(ids(backward, "include")) == {ward["pulse"], ward["fast"], ward["warm"]}


async def test_a_misspelt_parameter_is_refused_or_when_asked_ignored_aloud(
    fhir: httpx.AsyncClient, ward: dict[str, str]
) -> None:
    strict = await fhir.get(f"/fhir/Observation?patient={ward['patient']}&stauts=final")
    lenient = await find(
        fhir, f"Observation?patient={ward['patient']}&stauts=final", prefer="handling=lenient"
    )

    assert (strict.status_code, codes(strict.json())) == (400, ["unknown-search-parameter"])
    assert len(ids(lenient)) == 3
    assert lenient["entry"][-1]["search"]["mode"] == "outcome"


async def test_elements_and_summary_cut_resources_down_and_say_so(
    fhir: httpx.AsyncClient, ward: dict[str, str]
) -> None:
    bundle = await find(fhir, f"Observation?_id={ward['fast']}&_elements=value")
    resource = bundle["entry"][0]["resource"]
    summary = (await find(fhir, f"Patient?_id={ward['patient']}&_summary=true"))["entry"][0]["resource"]

    assert set(resource) == {"resourceType", "id", "meta", "status", "code", "valueQuantity"}
    assert resource["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert resource["valueQuantity"]["value"] == 131.5
    assert "identifier" in summary


async def test_parameters_can_be_posted(fhir: httpx.AsyncClient, ward: dict[str, str]) -> None:
    answer = await fhir.post(
        "/fhir/Observation/_search",
        content=f"patient={ward['patient']}&code=8310-5",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert ids(answer.json()) == [ward["warm"]]


async def test_the_records_of_another_place_are_neither_found_nor_counted_nor_included(
    hub: Hub, records: Records
) -> None:
    elsewhere = records.within(OTHER_STATION, OTHER_SITE)
    identifier = uuid4().hex
    theirs = await elsewhere.new_patient(identifier=[{"value": identifier}])
    await elsewhere.put(observation(theirs))

    async with hub.sessions() as s, s.begin():
        for rtype, params in (
            ("Patient", [("_id", theirs)]),
            ("Patient", [("identifier", identifier)]),
            ("Patient", [("identifier", identifier), ("_total", "accurate")]),
            ("Patient", [("_id", theirs), ("_revinclude", "Observation:patient")]),
            ("Observation", [("patient", theirs), ("_include", "Observation:patient")]),
        ):
            found = await service.search(s, parse_search(rtype, params), scope=STATION, now=NOW)
            assert (found.entries, found.included, found.total) == ([], [], 0)


async def test_a_clients_scopes_bound_what_it_may_search(hub: Hub) -> None:
    async with client_of(hub, "system/Patient.rs system/Observation.c") as client:
        assert (await client.get("/fhir/Patient")).status_code == 200
        refused = await client.get("/fhir/Observation")
        posted = await client.post(
            "/fhir/Observation/_search", headers={"Content-Type": "application/x-www-form-urlencoded"}
        )

    assert (refused.status_code, codes(refused.json())) == (403, ["insufficient-scope"])
    assert posted.status_code == 403


async def test_a_cursor_does_not_open_another_callers_pages(hub: Hub, records: Records) -> None:
    for _ in range(2):
        await records.new_patient()
    asked = parse_search("Patient", [("_count", "1")])

    async with hub.sessions() as s, s.begin():
        cursor = (await service.search(s, asked, scope=STATION, now=NOW)).next
        assert cursor is not None
        assert (await service.search(s, asked, scope=STATION, now=NOW, cursor=cursor)).entries
        with pytest.raises(InvalidCursor):
            await service.search(s, asked, scope=OTHER_STATION, now=NOW, cursor=cursor)
