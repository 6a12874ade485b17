"""Search within compartments: of a patient, an encounter, a practitioner, a related person, a device."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from clinic_net.access.principals import Role
from clinic_net.fhir.definitions import resource_types, search_parameters
from clinic_net.fhir.index import uncompiled
from clinic_net.fhir.search_compartments import Compartment, compartments
from clinic_net.kernel.hub import Hub
from tests.records.support import HUB, Records, client_of, codes, ids, observation, person

pytestmark = pytest.mark.usefixtures("hospitals")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
async def ward(hub: Hub) -> dict[str, str]:
    """Two patients; one has an encounter with a doctor, a daughter and a machine, and what these four did."""
    records = Records(hub)
    found = {"patient": await records.new_patient(), "other": await records.new_patient()}

    async def put(name: str, content: dict[str, Any]) -> None:
        found[name] = (await records.put({"id": str(uuid4()), **content})).fid

    about = {"reference": f"Patient/{found['patient']}"}
    await put("doctor", {"resourceType": "Practitioner", "name": [{"text": "Lê Văn Bình"}]})
    await put("daughter", {"resourceType": "RelatedPerson", "patient": about})
    await put("machine", {"resourceType": "Device", "patient": about})
    await put(
        "encounter",
        {
            "resourceType": "Encounter",
            "status": "in-progress",
            "class": {"code": "AMB"},
            "subject": about,
            "participant": [{"individual": {"reference": f"Practitioner/{found['doctor']}"}}],
        },
    )
    await put(
        "pulse",
        observation(
            found["patient"],
            encounter={"reference": f"Encounter/{found['encounter']}"},
            device={"reference": f"Device/{found['machine']}"},
            performer=[{"reference": f"Practitioner/{found['doctor']}"}],
        ),
    )
    await put(
        "told", observation(found["patient"], performer=[{"reference": f"RelatedPerson/{found['daughter']}"}])
    )
    await put("by-me", observation(found["other"], performer=[about]))
    return found


def everything(compartment: Compartment) -> list[tuple[str, str]]:
    return [(rtype, code) for rtype, given in compartment.parameters.items() for code in given]


@pytest.mark.parametrize("owner", ["Patient", "Encounter", "RelatedPerson", "Practitioner", "Device"])
def test_a_compartments_parameters_are_references_that_can_lead_to_its_owner(owner: str) -> None:
    for rtype, code in everything(compartments()[owner]):
        parameter = search_parameters(rtype)[code]
        assert parameter.type == "reference"
        assert code not in uncompiled(rtype)
        assert parameter.targets is None or owner in parameter.targets


def test_there_are_the_five_of_the_standard_with_all_their_types() -> None:
    counts = {owner: len(compartment.types) for owner, compartment in compartments().items()}
    assert counts == {"Patient": 66, "Encounter": 25, "RelatedPerson": 32, "Practitioner": 59, "Device": 32}


async def test_each_compartment_holds_what_belongs_to_its_owner(
    fhir: httpx.AsyncClient, ward: dict[str, str]
) -> None:
    async def within(owner: str, name: str, rtype: str) -> set[str]:
        answer = await fhir.get(f"/fhir/{owner}/{ward[name]}/{rtype}")
        assert answer.status_code == 200, answer.text
        return set(ids(answer.json()))

    def those(*names: str) -> set[str]:
        return {ward[name] for name in names}

    assert await within("Patient", "patient", "Observation") == those("pulse", "told", "by-me")
    assert await within("Patient", "patient", "Encounter") == those("encounter")
    assert await within("Encounter", "encounter", "Observation") == those("pulse")
    assert await within("Encounter", "encounter", "Encounter") == those("encounter")
    assert await within("Practitioner", "doctor", "Observation") == those("pulse")
    assert await within("Practitioner", "doctor", "Practitioner") == those("doctor")
    assert await within("RelatedPerson", "daughter", "Observation") == those("told")
    assert await within("Device", "machine", "Observation") == those("pulse")
    assert await within("Device", "doctor", "Observation") == set()


async def test_a_whole_compartment_is_searched_at_once_page_by_page(
    fhir: httpx.AsyncClient, ward: dict[str, str]
) -> None:
    address = f"/fhir/Patient/{ward['patient']}/*?_count=2"
    seen: list[str] = []
    while address:
        bundle = (await fhir.get(address)).json()
        seen += ids(bundle)
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        address = links.get("next", "").removeprefix(HUB)
    encounter = await fhir.get(f"/fhir/Encounter/{ward['encounter']}/*")
    typed = await fhir.get(f"/fhir/Patient/{ward['patient']}/*?_type=Encounter,RelatedPerson")
    posted = await fhir.post(
        f"/fhir/Patient/{ward['patient']}/_search", content=f"_id={ward['told']}", headers=FORM
    )
    one = await fhir.post(
        f"/fhir/Patient/{ward['patient']}/Observation/_search", content=f"_id={ward['told']}", headers=FORM
    )

    assert seen == [ward[name] for name in ("by-me", "told", "pulse", "encounter", "daughter")]
    assert set(ids(encounter.json())) == {ward["pulse"], ward["encounter"]}
    assert ids(typed.json()) == [ward["encounter"], ward["daughter"]]
    assert ids(posted.json()) == ids(one.json()) == [ward["told"]]


async def test_a_page_belongs_to_one_compartment(fhir: httpx.AsyncClient, ward: dict[str, str]) -> None:
    for path in ("Observation", "*"):
        first = await fhir.get(f"/fhir/Patient/{ward['patient']}/{path}?_count=1")
        following = next(link["url"] for link in first.json()["link"] if link["relation"] == "next")
        address = following.removeprefix(HUB)
        rest = await fhir.get(address)
        stolen = await fhir.get(address.replace(ward["patient"], ward["other"]))

        assert ids(rest.json()) != ids(first.json())
        assert (stolen.status_code, codes(stolen.json())) == (400, ["invalid-cursor"])


async def test_a_type_that_is_never_in_a_compartment_is_refused(fhir: httpx.AsyncClient) -> None:
    for owner, compartment in compartments().items():
        for rtype in sorted(resource_types() - {*compartment.types})[:5]:
            answer = await fhir.get(f"/fhir/{owner}/{uuid4()}/{rtype}")
            assert (answer.status_code, codes(answer.json())) == (400, ["unsupported-search"]), (owner, rtype)
    named = await fhir.get(f"/fhir/Patient/{uuid4()}/*?_type=Observation,Practitioner")
    assert (named.status_code, codes(named.json())) == (400, ["unsupported-search"])


@pytest.mark.parametrize("path", ["Organization/x/Patient", "Organization/x/*", "Bogus/x/Patient"])
async def test_other_types_make_no_compartment(fhir: httpx.AsyncClient, path: str) -> None:
    answer = await fhir.get(f"/fhir/{path}")
    assert (answer.status_code, codes(answer.json())) == (405, ["unsupported-interaction"])


async def test_an_empty_compartment_is_found_empty(fhir: httpx.AsyncClient) -> None:
    for path in ("Observation", "*"):
        answer = await fhir.get(f"/fhir/Patient/{uuid4()}/{path}")
        assert (answer.status_code, ids(answer.json())) == (200, [])


async def test_a_whole_compartment_is_what_the_caller_may_search(hub: Hub, ward: dict[str, str]) -> None:
    async with client_of(hub, "system/Encounter.rs") as narrow, person(hub, Role.DOCTOR) as stranger:
        whole = await narrow.get(f"/fhir/Patient/{ward['patient']}/*")
        named = await narrow.get(f"/fhir/Patient/{ward['patient']}/*?_type=Observation")
        typed = await narrow.get(f"/fhir/Patient/{ward['patient']}/Observation")
        nothing = await narrow.get(f"/fhir/Device/{ward['machine']}/*")
        foreign = await stranger.get(f"/fhir/Patient/{ward['patient']}/*")

    assert ids(whole.json()) == [ward["encounter"]]
    assert (named.status_code, typed.status_code, nothing.status_code) == (403, 403, 403)
    assert (foreign.status_code, ids(foreign.json())) == (200, [])
