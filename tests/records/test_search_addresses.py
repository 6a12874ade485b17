"""Search over several types."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

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
