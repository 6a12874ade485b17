"""Codes by hierarchy and by value set, references by hierarchy and by version."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from clinic_net.fhir import parse_search
from clinic_net.kernel.hub import Hub
from clinic_net.records import search, service
from clinic_net.records.vault import keys_of
from tests.records.support import (
    EVERYWHERE,
    NOW,
    OTHER_SITE,
    OTHER_STATION,
    STATION,
    Records,
    client_of,
    codes,
    ids,
    observation,
)

ICD = "http://x.example/icd"
SETS = "http://x.example/sets/"
ROLES = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"


def value_set(
    name: str, *include: dict[str, Any], exclude: tuple[dict[str, Any], ...] = ()
) -> dict[str, Any]:
    compose: dict[str, Any] = {"include": list(include)}
    if exclude:
        compose["exclude"] = list(exclude)
    return {
        "resourceType": "ValueSet",
        "status": "active",
        "url": SETS + name,
        "version": "1",
        "compose": compose,
    }


def listed(*names: str) -> dict[str, Any]:
    return {"system": ICD, "concept": [{"code": name} for name in names]}


def is_a(name: str) -> dict[str, Any]:
    return {"system": ICD, "filter": [{"property": "concept", "op": "is-a", "value": name}]}


@pytest.fixture(scope="module")
async def ward(hub: Hub) -> dict[str, str]:
    records = Records(hub)
    found = {"patient": await records.new_patient()}
    hierarchy = [{"code": "J", "concept": [{"code": "J18", "concept": [{"code": "J18.9"}]}, {"code": "J20"}]}]
    await records.put(
        {
            "resourceType": "CodeSystem",
            "status": "active",
            "url": ICD,
            "content": "complete",
            "concept": [*hierarchy, {"code": "A"}],
        }
    )
    for content in (
        value_set("pneumonia", listed("J18", "J18.9")),
        value_set("respiratory", is_a("J")),
        value_set("nested", {"valueSet": [SETS + "pneumonia"]}, listed("A")),
        value_set("whole", {"system": ICD}),
        value_set("loinc", {"system": "http://loinc.org"}),
        value_set("but", is_a("J"), exclude=(listed("J20"),)),
        value_set("strange", {"system": ICD, "filter": [{"property": "p", "op": "regex", "value": "."}]}),
        value_set("circle", {"valueSet": [SETS + "circle"]}),
    ):
        await records.put(content)
    for name in ("J", "J18", "J18.9", "J20", "A"):
        coding = {"coding": [{"system": ICD, "code": name}]}
        diagnosis = {"resourceType": "Condition", "subject": {"reference": f"Patient/{found['patient']}"}}
        found[name] = (await records.put({**diagnosis, "code": coding})).fid
    for name in ("PRN", "MTH", "FRND"):
        relative = {"resourceType": "RelatedPerson", "patient": {"reference": f"Patient/{found['patient']}"}}
        relation = [{"coding": [{"system": ROLES, "code": name}]}]
        found[name] = (await records.put({**relative, "relationship": relation})).fid
    found["pulse"] = (await records.put(observation(found["patient"]))).fid
    return found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"Condition?code:below={ICD}|J", {"J", "J18", "J18.9", "J20"}),
        (f"Condition?code:below={ICD}|J18", {"J18", "J18.9"}),
        (f"Condition?code:above={ICD}|J18.9", {"J", "J18", "J18.9"}),
        (f"Condition?code:above={ICD}|A,{ICD}|J20", {"A", "J20", "J"}),
        ("Condition?code:below=J18", {"J18"}),
        (f"Condition?code:in={SETS}pneumonia", {"J18", "J18.9"}),
        (f"Condition?code:in={SETS}pneumonia|1", {"J18", "J18.9"}),
        (f"Condition?code:not-in={SETS}pneumonia", {"J", "J20", "A"}),
        (f"Condition?code:in={SETS}respiratory", {"J", "J18", "J18.9", "J20"}),
        (f"Condition?code:in={SETS}nested", {"J18", "J18.9", "A"}),
        (f"Condition?code:in={SETS}whole", {"J", "J18", "J18.9", "J20", "A"}),
        (f"Condition?code:in={SETS}but", {"J", "J18", "J18.9"}),
        (f"Observation?patient={{patient}}&code:in={SETS}loinc", {"pulse"}),
        ("Observation?patient={patient}&code:below=http://loinc.org|8867-4", {"pulse"}),
        (f"RelatedPerson?relationship:below={ROLES}|PRN", {"PRN", "MTH"}),
        (f"RelatedPerson?relationship:above={ROLES}|MTH", {"PRN", "MTH"}),
        (f"Patient?_has:Condition:subject:code:in={SETS}pneumonia", {"patient"}),
        (f"Condition?_filter=code in {SETS}pneumonia or code ss {ICD}|J20", {"J18", "J18.9", "J20"}),
        (f"Condition?_filter=code sb {ICD}|J18", {"J", "J18"}),
        (f"Condition?_filter=not (code ni {SETS}pneumonia)", {"J18", "J18.9"}),
    ],
)
async def test_codes_are_found_by_what_they_belong_to(
    fhir: httpx.AsyncClient, ward: dict[str, str], query: str, expected: set[str]
) -> None:
    address, _, rest = query.format(**ward).partition("?")
    answer = await fhir.get(f"/fhir/{address}", params=httpx.QueryParams(rest))

    assert answer.status_code == 200, answer.text
    by_id = {fid: name for name, fid in ward.items()}
    assert {by_id[fid] for fid in ids(answer.json())} == expected


@pytest.mark.parametrize("name", ["nobody", "strange", "circle", "pneumonia|2"])
async def test_a_value_set_that_cannot_be_listed_is_refused(
    fhir: httpx.AsyncClient, ward: dict[str, str], name: str
) -> None:
    answer = await fhir.get("/fhir/Condition", params={"code:in": SETS + name})

    assert (answer.status_code, codes(answer.json())) == (400, ["unsupported-search"])


async def test_value_sets_of_others_are_not_known(hub: Hub, ward: dict[str, str]) -> None:
    async with client_of(hub, "system/Condition.rs") as client:
        refused = await client.get("/fhir/Condition", params={"code:in": SETS + "pneumonia"})
    assert codes(refused.json()) == ["unsupported-search"]


def place(part_of: str | None = None, rtype: str = "Location") -> dict[str, Any]:
    more = {"partOf": {"reference": f"{rtype}/{part_of}"}} if part_of else {}
    return {"resourceType": rtype, "name": "x", **more}


@pytest.fixture(scope="module")
async def house(hub: Hub) -> dict[str, str]:
    """house > ward > room > bed, and an encounter in each."""
    records = Records(hub)
    found: dict[str, str] = {}
    above = None
    for name in ("house", "ward", "room", "bed"):
        above = found[name] = (await records.put(place(above))).fid
        visit = {
            "resourceType": "Encounter",
            "status": "finished",
            "class": {"code": "AMB"},
            "location": [{"location": {"reference": f"Location/{above}"}}],
        }
        found[f"in-{name}"] = (await records.put(visit)).fid
    return found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Location?partof:below={house}", {"ward", "room", "bed"}),
        ("Location?partof:below=Location/{ward}", {"room", "bed"}),
        ("Location?partof:below={bed}", set()),
        ("Location?partof:above={ward}", {"ward", "room"}),
        ("Location?partof:above={house}", {"ward"}),
        ("Encounter?location:below={ward}", {"in-ward", "in-room", "in-bed"}),
        ("Encounter?location:above={room}", {"in-house", "in-ward", "in-room"}),
        ("Encounter?location:below={room},{house}", {"in-house", "in-ward", "in-room", "in-bed"}),
        ("Location?_has:Encounter:location:location:below={room}", {"room", "bed"}),
        ("Encounter?location.partof:below={ward}", {"in-room", "in-bed"}),
    ],
)
async def test_references_are_found_up_and_down_their_hierarchy(
    fhir: httpx.AsyncClient, house: dict[str, str], query: str, expected: set[str]
) -> None:
    answer = await fhir.get("/fhir/" + query.format(**house))

    assert answer.status_code == 200, answer.text
    by_id = {fid: name for name, fid in house.items()}
    assert {by_id[fid] for fid in ids(answer.json())} == expected


async def test_a_circle_of_parts_ends(fhir: httpx.AsyncClient, records: Records) -> None:
    one, other = str(uuid4()), str(uuid4())
    await records.put({**place(other, "Organization"), "id": one})
    await records.put({**place(one, "Organization"), "id": other})

    answer = await fhir.get(f"/fhir/Organization?partof:below={one}")

    assert set(ids(answer.json())) == {one, other}


async def test_a_part_outside_the_scope_hides_what_lies_behind_it(hub: Hub, records: Records) -> None:
    elsewhere = records.within(OTHER_STATION, OTHER_SITE)
    top = (await records.put(place())).fid
    theirs = (await elsewhere.put(place(top))).fid
    below = (await records.put(place(theirs))).fid
    asked = parse_search("Location", [("partof:below", top)])

    async with hub.sessions() as s, s.begin():
        for scope, expected in ((STATION, set()), (EVERYWHERE, {theirs, below})):
            page = await search.run(
                s, asked, await keys_of(s), scope=scope, now=NOW, cursor=None, allows=lambda _: True
            )
            assert {head.fid for head in page.heads} == expected


async def test_a_hierarchy_needs_the_right_to_the_type_it_walks_through(
    hub: Hub, house: dict[str, str]
) -> None:
    async with client_of(hub, "system/Encounter.rs") as client:
        refused = await client.get(f"/fhir/Encounter?location:below={house['ward']}")
    assert refused.status_code == 403


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("instantiates-canonical=http://x.example/plan", {"1.2.3", "1.4", "2"}),
        ("instantiates-canonical=http://x.example/plan|1.4", {"1.4"}),
        ("instantiates-canonical=http://x.example/plan|1", set()),
        ("instantiates-canonical:below=http://x.example/plan|1", {"1.2.3", "1.4"}),
        ("instantiates-canonical:below=http://x.example/plan|1.2", {"1.2.3"}),
        ("instantiates-canonical:below=http://x.example/plan", {"1.2.3", "1.4", "2"}),
        ("instantiates-canonical:above=http://x.example/plan|2.7.1", {"2"}),
        ("instantiates-canonical:above=http://x.example/plan|1.2.3.4", {"1.2.3"}),
    ],
)
async def test_canonical_references_are_found_by_version(
    hub: Hub, fhir: httpx.AsyncClient, records: Records, query: str, expected: set[str]
) -> None:
    about = await records.new_patient()
    made = {}
    for version in ("1.2.3", "1.4", "2"):
        plan = {
            "resourceType": "CarePlan",
            "status": "active",
            "intent": "plan",
            "subject": {"reference": f"Patient/{about}"},
            "instantiatesCanonical": [f"http://x.example/plan|{version}"],
        }
        made[(await records.put(plan)).fid] = version

    answer = await fhir.get(f"/fhir/CarePlan?subject={about}&{query}")

    assert {made[fid] for fid in ids(answer.json())} == expected


async def test_a_profile_is_found_with_and_without_its_version(hub: Hub, records: Records) -> None:
    profile = f"http://x.example/{uuid4().hex}"
    kept = await records.put({**place(), "meta": {"profile": [f"{profile}|1.0"]}})

    async with hub.sessions() as s, s.begin():
        for value, expected in ((profile, [kept.fid]), (f"{profile}|1.0", [kept.fid]), (f"{profile}|2", [])):
            asked = parse_search("Location", [("_profile", value)])
            found = await service.search(s, asked, scope=STATION, now=NOW)
            assert [stored.fid for stored in found.entries] == expected
