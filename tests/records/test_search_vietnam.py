"""What the Vietnamese guide adds: identifiers, ethnicity, coded province and ward; names in every spelling."""

from itertools import permutations
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.fhir import index, parse_search
from clinic_net.fhir.definitions import search_parameters
from clinic_net.kernel.hub import Hub
from tests.records.support import Records, ids, patient

CORE = "http://fhir.hl7.org.vn/core/"


def extension(name: str, **value: Any) -> dict[str, Any]:
    return {"url": f"{CORE}StructureDefinition/vn-ext-{name}", **value}


def coding(system: str, code: str, display: str) -> dict[str, Any]:
    return {"system": f"{CORE}CodeSystem/{system}", "code": code, "display": display}


@pytest.fixture(scope="module")
async def people(hub: Hub) -> dict[str, str]:
    records = Records(hub)
    found = {}
    rows = (("tay", "02", "Tày", "04", "01273"), ("kinh", "01", "Kinh", "01", "00004"))
    for name, number, people, province, ward in rows:
        address = {
            "text": f"Thôn {name}",
            "extension": [
                extension("province", valueCoding=coding("provinces", province, "x")),
                extension("ward", valueCoding=coding("wards", ward, "x")),
            ],
        }
        found[name] = await records.new_patient(
            extension=[
                extension("ethnicity", valueCodeableConcept={"coding": [coding("peoples", number, people)]})
            ],
            address=[address],
            identifier=[
                {"system": f"{CORE}sid/cccd", "value": f"0041900000{number}"},
                {"system": f"{CORE}sid/bhyt", "value": f"DN40401234567{number}"},
            ],
        )
    return found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("ethnicity=02", {"tay"}),
        (f"ethnicity={CORE}CodeSystem/peoples|01", {"kinh"}),
        (f"ethnicity={CORE}CodeSystem/peoples|", {"tay", "kinh"}),
        ("ethnicity:text=tay", {"tay"}),
        ("ethnicity:not=02&ethnicity:missing=false", {"kinh"}),
        ("address-province=04", {"tay"}),
        (f"address-ward={CORE}CodeSystem/wards|00004", {"kinh"}),
        ("address-province=04&address-ward=00004", set()),
        (f"identifier={CORE}sid/cccd|004190000002", {"tay"}),
        (f"identifier={CORE}sid/bhyt|DN4040123456701", {"kinh"}),
        (f"identifier={CORE}sid/bhyt|", {"tay", "kinh"}),
        ("_filter=ethnicity eq 02 or address-ward eq 00004", {"tay", "kinh"}),
    ],
)
async def test_a_patient_is_found_by_what_the_guide_adds(
    fhir: httpx.AsyncClient, people: dict[str, str], query: str, expected: set[str]
) -> None:
    answer = await fhir.get(f"/fhir/Patient?{query}")

    assert answer.status_code == 200, answer.text
    by_id = {fid: name for name, fid in people.items()}
    assert {by_id[fid] for fid in ids(answer.json()) if fid in by_id} == expected


async def test_our_own_parameters_are_named_in_the_capability_statement(fhir: httpx.AsyncClient) -> None:
    statement = (await fhir.get("/fhir/metadata")).json()
    (resource,) = [r for r in statement["rest"][0]["resource"] if r["type"] == "Patient"]
    defined = {found["name"]: found["definition"] for found in resource["searchParam"]}

    assert defined["ethnicity"] == "http://clinic-net.vn/fhir/SearchParameter/Patient-ethnicity"
    assert {"address-province", "address-ward", "_text", "_content"} <= set(defined)
    assert defined["_text"] == "http://hl7.org/fhir/SearchParameter/DomainResource-text"


def test_our_own_parameters_hide_none_of_the_standard() -> None:
    ours = [p for p in search_parameters("Patient").values() if p.url.startswith("http://clinic-net.vn/")]
    assert {parameter.code for parameter in ours} == {"ethnicity", "address-province", "address-ward"}


async def test_a_name_is_found_in_every_spelling_and_the_exact_one_comes_first(
    hub: Hub, fhir: httpx.AsyncClient, records: Records
) -> None:
    clan = f"Vương{uuid4().hex[:6]}"
    spellings = ("Thuý Hoà", "Thúy Hòa", "Thuy Hoa", "Thụy Hoa")
    made = {}
    for given_name in spellings:
        made[(await records.put(patient(name=[{"text": f"{clan} {given_name}"}]))).fid] = given_name

    async def order(name: str) -> list[str]:
        answer = await fhir.get("/fhir/Patient", params={"name": name})
        return [made[fid] for fid in ids(answer.json())]

    for asked in (*spellings, "thuy hoa", "THUY HOA"):
        assert set(await order(f"{clan} {asked}")) == set(spellings)
    for one, other in permutations(("Thuý Hoà", "Thúy Hòa")):
        assert set((await order(f"{clan} {one}"))[:2]) == {one, other}, (
            "both tone placements are one spelling"
        )
    assert (await order(f"{clan} Thụy Hoa"))[0] == "Thụy Hoa"
    assert (await order(f"{clan} Thuy Hoa"))[0] == "Thuy Hoa"
    exact = await fhir.get("/fhir/Patient", params={"name:exact": f"{clan} Thụy Hoa"})
    assert [made[fid] for fid in ids(exact.json())] == ["Thụy Hoa"]


@given(st.sampled_from(["hoà", "hòa", "thuỷ", "thủy", "khoẻ", "khỏe", "đặng", "Ỷ"]), st.booleans())
def test_the_search_folds_a_word_as_the_index_does(word: str, upper: bool) -> None:
    values = index({"resourceType": "Patient", "name": [{"text": word.upper() if upper else word}]})
    (clause,) = parse_search("Patient", [("name", word)]).clauses
    assert values.strings["name"][0].folded == clause.values[0].text.folded  # type: ignore[union-attr]  # a text
