"""Chains and reverse chains over HTTP: what is found through another resource, and what must not be told."""

from uuid import uuid4

import httpx
import pytest

from clinic_net.fhir import UnsupportedSearch, parse_search
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


@pytest.fixture(scope="module")
async def family(hub: Hub) -> dict[str, str]:
    """Two patients of two clinics, each with a measurement, by name."""
    records = Records(hub)
    found: dict[str, str] = {}
    for name, given in (("a", "Bưởi"), ("b", "Cam")):
        clinic = await records.put(
            {"resourceType": "Organization", "id": str(uuid4()), "name": f"Trạm {given}"}
        )
        found[f"clinic-{name}"] = clinic.fid
        found[f"patient-{name}"] = await records.new_patient(
            name=[{"text": f"Lý Thị {given}"}],
            managingOrganization={"reference": f"Organization/{clinic.fid}"},
        )
        code = "8867-4" if name == "a" else "8310-5"
        kept = await records.put(observation(found[f"patient-{name}"], code=code))
        found[f"measured-{name}"] = kept.fid
    listed = {
        "resourceType": "List",
        "id": str(uuid4()),
        "status": "current",
        "mode": "working",
        "entry": [{"item": {"reference": f"Observation/{found['measured-b']}"}}],
    }
    found["list"] = (await records.put(listed)).fid
    return found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Observation?subject:Patient.name=ly thi buoi", {"measured-a"}),
        ("Observation?subject.name=ly thi buoi", {"measured-a"}),
        ("Observation?patient.name=ly thi", {"measured-a", "measured-b"}),
        ("Observation?patient.name=ly thi&code=8310-5", {"measured-b"}),
        ("Observation?patient.name:exact=Lý Thị Cam", {"measured-b"}),
        ("Observation?patient.organization.name=tram cam", {"measured-b"}),
        ("Observation?patient.organization={clinic-a}", {"measured-a"}),
        ("Observation?patient._id={patient-a}", {"measured-a"}),
        ("Observation?patient.name=ly thi&patient.gender=male", set()),
        ("Observation?patient._has:Observation:patient:code=8310-5&patient.name=ly thi", {"measured-b"}),
        ("Patient?_has:Observation:patient:code=8867-4&name=ly thi", {"patient-a"}),
        ("Patient?_has:Observation:patient:_id={measured-b}", {"patient-b"}),
        ("Patient?_has:Observation:patient:_has:List:item:_id={list}", {"patient-b"}),
        ("Organization?_has:Patient:organization:_has:Observation:patient:code=8310-5", {"clinic-b"}),
        ("Observation?_has:List:item:_id={list}", {"measured-b"}),
    ],
)
async def test_a_chain_finds_what_is_connected(
    fhir: httpx.AsyncClient, family: dict[str, str], query: str, expected: set[str]
) -> None:
    answer = await fhir.get("/fhir/" + query.format(**family))

    assert answer.status_code == 200, answer.text
    by_id = {fid: name for name, fid in family.items()}
    assert {by_id[fid] for fid in ids(answer.json())} == expected


async def test_an_update_moves_the_link_with_the_reference(fhir: httpx.AsyncClient, records: Records) -> None:
    one = await records.new_patient(name=[{"text": f"Mai {uuid4().hex}"}])
    other = await records.new_patient(name=[{"text": f"Mai {uuid4().hex}"}])
    kept = await records.put(observation(one, id=str(uuid4())))
    await records.put(observation(other, id=kept.fid))

    assert ids((await fhir.get(f"/fhir/Observation?patient._id={one}")).json()) == []
    assert ids((await fhir.get(f"/fhir/Observation?patient._id={other}")).json()) == [kept.fid]


async def test_every_link_of_a_chain_stays_within_the_scope(hub: Hub, records: Records) -> None:
    """A visible resource that points to a hidden one must not tell anything about it, nor the other way round."""
    secret = uuid4().hex
    theirs = await records.within(OTHER_STATION, OTHER_SITE).new_patient(identifier=[{"value": secret}])
    ours = await records.new_patient(identifier=[{"value": f"x{secret}"}])
    everywhere = records.within(EVERYWHERE)
    await everywhere.put(observation(theirs))
    hidden = await records.within(EVERYWHERE, OTHER_SITE).put(observation(ours, code="1-8"))

    async with hub.sessions() as s, s.begin():
        keys = await keys_of(s)
        for rtype, name, value, reach, expected in (
            ("Observation", "patient.identifier", secret, STATION, 0),
            ("Observation", "patient.identifier", secret, EVERYWHERE, 1),
            ("Patient", "_has:Observation:patient:_id", hidden.fid, STATION, 0),
            ("Patient", "_has:Observation:patient:_id", hidden.fid, EVERYWHERE, 1),
        ):
            asked = parse_search(rtype, [(name, value)])
            page = await search.run(
                s, asked, keys, scope=reach, now=NOW, cursor=None, allows=lambda _rtype: True
            )
            assert len(page.heads) == expected


async def test_a_chain_needs_the_right_to_every_type_it_tells_of(hub: Hub, family: dict[str, str]) -> None:
    async with client_of(hub, "system/Patient.rs system/Organization.r") as client:
        for query in ("_has:Observation:patient:code=8867-4", "organization.name=tram"):
            refused = await client.get(f"/fhir/Patient?{query}")
            assert (refused.status_code, codes(refused.json())) == (403, ["insufficient-scope"])
        included = await client.get(
            f"/fhir/Patient?_id={family['patient-a']}&_revinclude=Observation:patient"
        )

    assert ids(included.json(), "include") == []


async def test_where_nobody_says_what_the_caller_may_a_chain_is_refused(hub: Hub) -> None:
    async with hub.sessions() as s, s.begin():
        with pytest.raises(UnsupportedSearch):
            await service.search(
                s, parse_search("Observation", [("patient.name", "an")]), scope=STATION, now=NOW
            )


async def test_a_ten_link_chain_is_refused(fhir: httpx.AsyncClient) -> None:
    name = ".".join(["has-member:Observation"] * 10 + ["code"])
    answer = await fhir.get(f"/fhir/Observation?{name}=1")

    assert (answer.status_code, codes(answer.json())) == (400, ["too-many-search-terms"])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Observation?_id={measured-a}&_include=*", {"patient-a"}),
        ("Observation?_id={measured-a}&_include=Observation:*", {"patient-a"}),
        ("Observation?_id={measured-a}&_include=Observation:*:Device", set()),
        (
            "Observation?_id={measured-a}&_include=Observation:patient&_include:iterate=Patient:organization",
            {"patient-a", "clinic-a"},
        ),
        ("Observation?_id={measured-a}&_include:iterate=*", {"patient-a", "clinic-a"}),
        ("Patient?_id={patient-b}&_revinclude=Observation:*", {"measured-b"}),
        ("Patient?_id={patient-b}&_revinclude=*", {"measured-b"}),
        ("Patient?_id={patient-b}&_revinclude:iterate=*", {"measured-b", "list"}),
        ("Patient?_id={patient-b}&_revinclude=Observation:patient:Group", set()),
    ],
)
async def test_what_is_connected_comes_along(
    fhir: httpx.AsyncClient, family: dict[str, str], query: str, expected: set[str]
) -> None:
    bundle = (await fhir.get("/fhir/" + query.format(**family))).json()

    by_id = {fid: name for name, fid in family.items()}
    assert {by_id[fid] for fid in ids(bundle, "include")} == expected


async def test_a_list_finds_what_it_names(fhir: httpx.AsyncClient, family: dict[str, str]) -> None:
    listed = await fhir.get(f"/fhir/Observation?_list={family['list']}")
    functional = await fhir.get("/fhir/Observation?_list=$current-problems")

    assert ids(listed.json()) == [family["measured-b"]]
    assert (functional.status_code, codes(functional.json())) == (400, ["unsupported-search"])
