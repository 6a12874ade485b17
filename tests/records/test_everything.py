"""``$everything``: a patient's or an encounter's whole record and what it refers to, in pages."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from clinic_net.access.principals import Role
from clinic_net.fhir import check, parse
from clinic_net.kernel.hub import Hub
from clinic_net.records import search_includes
from tests.records.support import HUB, NOW, Records, client_of, codes, ids, observation, person, text

pytestmark = pytest.mark.usefixtures("hospitals")


@pytest.fixture(scope="module")
async def record(hub: Hub) -> dict[str, str]:
    """A patient with an old and a new measurement, an allergy and an encounter, and those who took part."""
    records = Records(hub)
    found: dict[str, str] = {}

    async def put(name: str, content: dict[str, Any], by: Records = records) -> None:
        found[name] = (await by.put({"id": str(uuid4()), **content})).fid

    await put("clinic", {"resourceType": "Organization", "name": "Trạm y tế"})
    await put("doctor", {"resourceType": "Practitioner", "name": [{"text": "Lê Văn Bình"}]})
    role = {
        "resourceType": "PractitionerRole",
        "practitioner": {"reference": f"Practitioner/{found['doctor']}"},
        "organization": {"reference": f"Organization/{found['clinic']}"},
    }
    await put("role", role)
    found["patient"] = await records.new_patient()
    found["other"] = await records.new_patient()
    about = {"reference": f"Patient/{found['patient']}"}
    encounter = {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": about,
        "period": {"start": "2026-11-20", "end": "2026-11-21"},
        "participant": [{"individual": {"reference": f"PractitionerRole/{found['role']}"}}],
    }
    await put("encounter", encounter)
    inside: dict[str, Any] = {"encounter": {"reference": f"Encounter/{found['encounter']}"}}
    await put("new", observation(found["patient"], effectiveDateTime="2026-11-20", **inside))
    await put("old", observation(found["patient"], effectiveDateTime="2020-01-01"))
    allergy = {"resourceType": "AllergyIntolerance", "patient": about, "recordedDate": "2001-01-01"}
    await put("allergy", allergy)
    await put("by-me", observation(found["other"], performer=[about]), records.after(timedelta(hours=2)))
    return found


def named(record: dict[str, str], answer: httpx.Response, mode: str = "match") -> list[str]:
    names = {fid: name for name, fid in record.items()}
    assert answer.status_code == 200, answer.text
    return [names[fid] for fid in ids(answer.json(), mode)]


def inputs(**values: Any) -> bytes:
    items = [{"name": name, f"value{kind}": value} for name, (kind, value) in values.items()]
    return text({"resourceType": "Parameters", "parameter": items})


async def test_a_patients_record_comes_with_what_it_refers_to(
    fhir: httpx.AsyncClient, record: dict[str, str]
) -> None:
    answer = await fhir.get(f"/fhir/Patient/{record['patient']}/$everything")

    assert named(record, answer) == ["patient", "by-me", "allergy", "old", "new", "encounter"]
    assert set(named(record, answer, "include")) == {"role", "doctor", "clinic"}
    assert answer.json()["total"] == 6
    assert check(parse(answer.content)) == []


async def test_it_comes_in_pages_that_belong_to_one_question(
    fhir: httpx.AsyncClient, record: dict[str, str]
) -> None:
    address = f"/fhir/Patient/{record['patient']}/$everything?_count="
    for count in (1, 2, 4):
        seen, following = [], f"{address}{count}"
        while following:
            page = await fhir.get(following)
            assert page.json()["total"] == 6
            seen += named(record, page)
            links = {link["relation"]: link["url"] for link in page.json()["link"]}
            following = links.get("next", "").removeprefix(HUB)
        assert seen == ["patient", "by-me", "allergy", "old", "new", "encounter"]
    first = await fhir.get(f"{address}2")
    cursor = next(link["url"] for link in first.json()["link"] if link["relation"] == "next")
    stolen = [
        await fhir.get(cursor.removeprefix(HUB).replace(record["patient"], record["other"])),
        await fhir.get(cursor.removeprefix(HUB) + "&_type=Observation"),
        await fhir.get(f"{address}2&_cursor=x"),
    ]
    assert [codes(answer.json()) for answer in stolen] == [["invalid-cursor"]] * 3


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("_type=Observation,Encounter", ["by-me", "old", "new", "encounter"]),
        ("_type=Patient&_type=Encounter", ["patient", "encounter"]),
        ("start=2026-01-01", ["patient", "by-me", "allergy", "new", "encounter"]),
        ("end=2025", ["patient", "allergy", "old"]),
        ("start=2026-11-20&end=2026-11-20", ["patient", "allergy", "new", "encounter"]),
        (f"_since={quote((NOW + timedelta(hours=1)).isoformat())}", ["by-me"]),
    ],
)
async def test_a_part_of_a_record_is_asked_for_either_way(
    fhir: httpx.AsyncClient, record: dict[str, str], query: str, expected: list[str]
) -> None:
    address = f"/fhir/Patient/{record['patient']}/$everything"
    pairs = list(httpx.QueryParams(query).multi_items())
    kinds = {"_type": "Code", "start": "Date", "end": "Date", "_since": "Instant"}
    items = [{"name": name, f"value{kinds[name]}": value} for name, value in pairs]
    posted = text({"resourceType": "Parameters", "parameter": items})

    assert named(record, await fhir.get(f"{address}?{query}")) == expected
    assert named(record, await fhir.post(address, content=posted)) == expected


async def test_a_record_that_refers_to_more_than_is_given_says_so(
    fhir: httpx.AsyncClient, record: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/fhir/Encounter/{record['encounter']}/$everything"
    whole = await fhir.get(address)
    monkeypatch.setattr(search_includes, "MAX_INCLUDED", 1)
    part = await fhir.get(address)

    assert ids(whole.json(), "outcome") == []
    last = part.json()["entry"][-1]
    assert (last["search"]["mode"], last["resource"]["issue"][0]["code"]) == ("outcome", "incomplete")
    assert named(record, part) == ["encounter", "new"]


async def test_everything_of_an_encounter_is_what_refers_to_it(
    fhir: httpx.AsyncClient, record: dict[str, str]
) -> None:
    address = f"/fhir/Encounter/{record['encounter']}/$everything"
    whole = await fhir.get(address)
    typed = await fhir.post(address, content=inputs(_type=("Code", "Observation"), _count=("Integer", 5)))

    assert named(record, whole) == ["encounter", "new"]
    assert set(named(record, whole, "include")) == {"patient", "role", "doctor", "clinic"}
    assert named(record, typed) == ["new"]
    assert (await fhir.get(f"{address}?start=2026")).status_code == 400


async def test_it_holds_what_the_caller_may_read(hub: Hub, record: dict[str, str]) -> None:
    patient, encounter = record["patient"], record["encounter"]
    async with client_of(hub, "system/Encounter.rs system/Patient.rs") as narrow:
        whole = await narrow.get(f"/fhir/Patient/{patient}/$everything")
        part = await narrow.get(f"/fhir/Encounter/{encounter}/$everything")
        refused = await narrow.get(f"/fhir/Patient/{patient}/$everything?_type=Observation")
    async with person(hub, Role.DOCTOR) as stranger:
        foreign = [
            await stranger.get(f"/fhir/Patient/{patient}/$everything"),
            await stranger.post(f"/fhir/Encounter/{encounter}/$everything"),
        ]

    assert (named(record, whole), named(record, whole, "include")) == (["patient", "encounter"], [])
    assert (named(record, part), named(record, part, "include")) == (["encounter"], ["patient"])
    assert refused.status_code == 403
    assert [answer.status_code for answer in foreign] == [404, 404]


async def test_nobodys_record_but_the_patients_own_is_brought_along(
    fhir: httpx.AsyncClient, records: Records, record: dict[str, str]
) -> None:
    mother = await records.new_patient()
    child = await records.new_patient(link=[{"other": {"reference": f"Patient/{mother}"}, "type": "seealso"}])

    found = await fhir.get(f"/fhir/Patient/{child}/$everything")

    assert (ids(found.json()), ids(found.json(), "include")) == ([child], [])


async def test_what_was_deleted_or_never_there_has_no_record(
    fhir: httpx.AsyncClient, records: Records
) -> None:
    gone = await records.new_patient()
    await records.delete("Patient", gone)

    assert (await fhir.get(f"/fhir/Patient/{gone}/$everything")).status_code == 410
    assert (await fhir.get("/fhir/Patient/unknown/$everything")).status_code == 404
    everybody = await fhir.get("/fhir/Patient/$everything")
    assert (everybody.status_code, codes(everybody.json())) == (405, ["unsupported-interaction"])


@pytest.mark.parametrize(
    "query",
    ["_count=0", "_count=x", "_since=yesterday", "_since=0001-01-01", "start=2026-13", "_type=Bogus", "name=an",
     "start=2025&start=2026", "_since=9999-99"],
)  # fmt: skip
async def test_a_question_that_is_not_understood_is_refused(
    fhir: httpx.AsyncClient, record: dict[str, str], query: str
) -> None:
    answer = await fhir.get(f"/fhir/Patient/{record['patient']}/$everything?{query}")
    assert (answer.status_code, codes(answer.json())) == (400, ["malformed-request"])


@pytest.mark.parametrize(
    "item",
    [{"name": "_count"}, {"name": "_count", "valueBoolean": True}, {"name": "_type", "valueCoding": {}}],
)
async def test_a_parameter_without_a_single_value_is_refused(
    fhir: httpx.AsyncClient, record: dict[str, str], item: dict[str, Any]
) -> None:
    body = text({"resourceType": "Parameters", "parameter": [item]})
    answer = await fhir.post(f"/fhir/Patient/{record['patient']}/$everything", content=body)
    assert (answer.status_code, codes(answer.json())) == (400, ["malformed-request"])
