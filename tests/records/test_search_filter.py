"""``_filter`` over HTTP: what an expression finds, and that every link of it stays within the scope."""

from itertools import product
from uuid import uuid4

import httpx
import pytest

from clinic_net.fhir import parse_search
from clinic_net.fhir.filters import OPERATORS
from clinic_net.kernel.hub import Hub
from clinic_net.records import search
from clinic_net.records.vault import keys_of
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
)


@pytest.fixture(scope="module")
async def ward(hub: Hub) -> dict[str, str]:
    """Three patients, the first two with a measurement each, by name."""
    records = Records(hub)
    found: dict[str, str] = {}
    people = (
        ("mai", "Phạm Thị Mai", "female", "1990-05-17"),
        ("nam", "Phạm Văn Nam", "male", "2014-10-10"),
        ("an", "Phạm An", "unknown", None),
    )
    for name, text, gender, born in people:
        more = {"birthDate": born} if born else {}
        found[name] = await records.new_patient(name=[{"text": text}], gender=gender, **more)
    found["pulse"] = (await records.put(observation(found["mai"], value=72))).fid
    period = {"start": "2026-05-10", "end": "2026-06-10"}
    warm = observation(found["nam"], code="8310-5", value=38, effectivePeriod=period)
    del warm["effectiveDateTime"]
    found["warm"] = (await records.put(warm)).fid
    return found


@pytest.mark.parametrize(
    ("rtype", "expression", "expected"),
    [
        ("Patient", "name sw pham", {"mai", "nam", "an"}),
        ("Patient", 'name co "ham thi"', {"mai"}),
        ("Patient", 'name eq "PHAM AN"', {"an"}),
        ("Patient", "name ew nam", {"nam"}),
        ("Patient", 'name ne "pham an" and name sw pham', {"mai", "nam"}),
        ("Patient", "gender eq female", {"mai"}),
        ("Patient", "gender ne female and name sw pham", {"nam", "an"}),
        ("Patient", "not (gender eq female) and name sw pham", {"nam", "an"}),
        ("Patient", "gender eq female or gender eq male and name sw pham", {"mai", "nam"}),
        ("Patient", "gender eq female or (gender eq male and birthdate gt 2020)", {"mai"}),
        ("Patient", "birthdate ge 2014-10-10", {"nam"}),
        ("Patient", "birthdate pr false and name sw pham", {"an"}),
        ("Patient", "birthdate pr true and name sw pham", {"mai", "nam"}),
        ("Patient", "gender in http://hl7.org/fhir/ValueSet/administrative-gender and name ew an", {"an"}),
        ("Patient", "_id eq {mai} or _id eq {nam}", {"mai", "nam"}),
        ("Observation", "date po 2026-06", {"warm"}),
        ("Observation", "date po 2026-07", set()),
        ("Observation", "date eq 2026-06", set()),
        ("Observation", "code eq http://loinc.org|8867-4 and value-quantity gt 70", {"pulse"}),
        ("Observation", "value-quantity eq 311.15|http://unitsofmeasure.org|K", set()),
        ("Observation", "subject re Patient/{mai}", {"pulse"}),
        ("Observation", "patient.name co mai", {"pulse"}),
        ("Observation", "patient.gender eq male or code eq 8867-4", {"pulse", "warm"}),
        ("Observation", "patient[gender eq male].name sw pham", {"warm"}),
        ("Observation", "patient[gender eq female and name co nam].name sw pham", set()),
    ],
)
async def test_a_filter_finds_what_it_says(
    fhir: httpx.AsyncClient, ward: dict[str, str], rtype: str, expression: str, expected: set[str]
) -> None:
    answer = await fhir.get(f"/fhir/{rtype}", params={"_filter": expression.format(**ward)})

    assert answer.status_code == 200, answer.text
    by_id = {fid: name for name, fid in ward.items()}
    assert {by_id[fid] for fid in ids(answer.json())} == expected


async def test_a_filter_joins_other_parameters_and_pages(
    fhir: httpx.AsyncClient, ward: dict[str, str]
) -> None:
    seen: list[str] = []
    address = "/fhir/Patient?_filter=name sw pham&birthdate:missing=false&_count=1&_sort=birthdate"
    while address:
        bundle = (await fhir.get(address)).json()
        seen += ids(bundle)
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        address = links.get("next", "").removeprefix("http://hub.test")

    assert seen == [ward["mai"], ward["nam"]]


@pytest.mark.parametrize("expression", ["gender co x", "name eq", "nickname eq x", "(" * 40, "a.b.c eq x"])
async def test_a_filter_that_cannot_be_answered_says_why(fhir: httpx.AsyncClient, expression: str) -> None:
    answer = await fhir.get("/fhir/Patient", params={"_filter": expression})

    assert answer.status_code == 400
    assert codes(answer.json())[0] in (
        "invalid-search-value",
        "unsupported-search",
        "unknown-search-parameter",
    )
    assert answer.json()["issue"][0]["diagnostics"]


async def test_a_filter_needs_the_right_to_every_type_it_tells_of(hub: Hub, ward: dict[str, str]) -> None:
    async with client_of(hub, "system/Observation.rs") as client:
        refused = await client.get("/fhir/Observation", params={"_filter": "not (patient.name co mai)"})
        own = await client.get("/fhir/Observation", params={"_filter": "code eq 8867-4"})

    assert (refused.status_code, codes(refused.json())) == (403, ["insufficient-scope"])
    assert ward["pulse"] in ids(own.json())


async def test_what_lies_outside_the_scope_cannot_be_told_by_a_filter(hub: Hub, records: Records) -> None:
    elsewhere = records.within(OTHER_STATION, OTHER_SITE)
    number = uuid4().hex
    theirs = await elsewhere.new_patient(identifier=[{"value": number}])
    stray = await elsewhere.put(observation(theirs))

    async with hub.sessions() as s, s.begin():
        for scope, expected in ((OTHER_STATION, [stray.fid]), (STATION, [])):
            asked = parse_search("Observation", [("_filter", f"patient.identifier eq {number}")])
            page = await search.run(
                s, asked, await keys_of(s), scope=scope, now=NOW, cursor=None, allows=lambda _: True
            )
            assert [head.fid for head in page.heads] == expected


async def test_every_operator_on_every_type_of_parameter_is_answered_or_refused(
    fhir: httpx.AsyncClient,
) -> None:
    asked = {
        "Observation": {
            "code": "x",
            "value-string": "x",
            "date": "2026",
            "value-quantity": "5|http://unitsofmeasure.org|mg",
            "subject": "Patient/1",
            "_content": "x",
            "_id": "x",
            "_lastUpdated": "2026",
            "code-value-string": "x$y",
        },
        "RiskAssessment": {"probability": "0.5"},
        "ValueSet": {"url": "http://x.example/a", "reference": "http://x.example/b"},
        "Location": {"near": "20|107"},
    }
    answered = 0
    for rtype, parameters in asked.items():
        for (name, value), operator in product(parameters.items(), sorted(OPERATORS)):
            expression = f"{name} {operator} {'true' if operator == 'pr' else value}"
            answer = await fhir.get(f"/fhir/{rtype}", params={"_filter": expression})
            assert answer.status_code in (200, 400), expression
            answered += answer.status_code == 200
            if answer.status_code == 400:
                assert codes(answer.json())[0] in ("unsupported-search", "invalid-search-value"), expression

    assert answered > 60
