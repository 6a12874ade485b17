"""Search over several types, and within a patient's compartment."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from clinic_net.fhir.definitions import search_parameters
from clinic_net.fhir.search_compartments import PATIENT_COMPARTMENT
from clinic_net.kernel.hub import Hub
from tests.records.support import Records, client_of, codes, ids, observation, patient

TAG = "http://x.example/tags"


@pytest.fixture(scope="module")
async def tagged(hub: Hub) -> dict[str, str]:
    """A patient, two measurements and a place, all with one tag; one measurement is of another patient."""
    records = Records(hub)
    meta: dict[str, Any] = {"meta": {"tag": [{"system": TAG, "code": "study"}]}}
    found = {"patient": (await records.put(patient(str(uuid4()), **meta))).fid}
    other = await records.new_patient()
    found["mine"] = (await records.put(observation(found["patient"], **meta))).fid
    seen: dict[str, Any] = {"performer": [{"reference": f"Patient/{found['patient']}"}], **meta}
    found["by-me"] = (await records.put(observation(other, **seen))).fid
    found["place"] = (await records.put({"resourceType": "Location", "name": "Trạm", **meta})).fid
    return found


def test_the_compartments_parameters_are_references_of_their_types() -> None:
    for rtype, names in PATIENT_COMPARTMENT.items():
        for name in names:
            parameter = search_parameters(rtype)[name]
            assert parameter.type == "reference"
            assert parameter.targets is None or "Patient" in parameter.targets


async def test_several_types_are_searched_in_one_order_page_by_page(
    fhir: httpx.AsyncClient, tagged: dict[str, str]
) -> None:
    address = f"/fhir?_type=Patient,Observation,Location&_tag={TAG}|study&_count=2"
    seen: list[str] = []
    while address:
        bundle = (await fhir.get(address)).json()
        seen += ids(bundle)
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        address = links.get("next", "").removeprefix("http://hub.test")
    counted = await fhir.get(f"/fhir?_type=Patient,Location&_tag={TAG}|study&_summary=count")
    oldest = await fhir.get(f"/fhir?_type=Patient,Observation&_tag={TAG}|study&_sort=-_lastUpdated")
    posted = await fhir.post(
        "/fhir/_search",
        content=f"_type=Location&_id={tagged['place']}",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert seen == [tagged[name] for name in ("place", "by-me", "mine", "patient")]
    assert counted.json()["total"] == 2
    assert ids(oldest.json()) == [tagged[name] for name in ("by-me", "mine", "patient")]
    assert ids(posted.json()) == [tagged["place"]]


@pytest.mark.parametrize(
    "query",
    [
        "name=an",
        "_sort=_id",
        "_tag:text=x",
        "_type=Bogus",
        "_type=",
        "_type=Patient&name=an",
        "_type=Patient&_sort=birthdate",
        "_type=Patient&_type=List",
    ],
)
async def test_what_several_types_do_not_share_is_refused(fhir: httpx.AsyncClient, query: str) -> None:
    answer = await fhir.get(f"/fhir?{query}")

    assert answer.status_code == 400
    assert codes(answer.json())[0] in (
        "invalid-search-value",
        "unknown-search-parameter",
        "unsupported-search",
    )


async def test_every_type_needs_its_right(hub: Hub, tagged: dict[str, str]) -> None:
    async with client_of(hub, "system/Patient.rs") as client:
        refused = await client.get("/fhir?_type=Patient,Observation")
        inside = await client.get(f"/fhir/Patient/{tagged['patient']}/Observation")

    assert (refused.status_code, inside.status_code) == (403, 403)


async def test_a_compartment_holds_what_belongs_to_its_patient(
    fhir: httpx.AsyncClient, tagged: dict[str, str]
) -> None:
    address = f"/fhir/Patient/{tagged['patient']}"
    both = await fhir.get(f"{address}/Observation")
    one = await fhir.get(f"{address}/Observation?code=8867-4&_count=1")
    following = next(link["url"] for link in one.json()["link"] if link["relation"] == "next")
    rest = await fhir.get(following.removeprefix("http://hub.test"))
    nothing = await fhir.get(f"/fhir/Patient/{uuid4()}/Observation")
    stolen = await fhir.get(
        following.removeprefix("http://hub.test").replace(tagged["patient"], str(uuid4()))
    )

    assert ids(both.json()) == [tagged["by-me"], tagged["mine"]]
    assert ids(one.json()) + ids(rest.json()) == ids(both.json())
    assert (nothing.status_code, ids(nothing.json())) == (200, [])
    assert (stolen.status_code, codes(stolen.json())) == (400, ["invalid-cursor"])


async def test_a_type_outside_every_compartment_is_refused(fhir: httpx.AsyncClient) -> None:
    answer = await fhir.get(f"/fhir/Patient/{uuid4()}/Practitioner")

    assert (answer.status_code, codes(answer.json())) == (400, ["unsupported-search"])
