"""The CapabilityStatement is walked: what it declares is there for every type, what it does not is refused."""

from typing import Any

import httpx
import pytest

from clinic_net.fhir import check
from clinic_net.fhir.definitions import SearchParameter, resource_types, search_parameters
from tests.clients.resources import smallest
from tests.records.support import codes, text

NOT_THERE = {404, 405, 501}
PATCH = {"Content-Type": "application/merge-patch+json"}
OPERATIONS_OF_R4 = {
    "Resource": "convert graph graphql meta meta-add meta-delete validate",
    "ActivityDefinition": "apply data-requirements",
    "CapabilityStatement": "conforms implements subset versions",
    "ChargeItemDefinition": "apply",
    "Claim": "submit",
    "CodeSystem": "find-matches lookup subsumes validate-code",
    "Composition": "document",
    "ConceptMap": "closure translate",
    "CoverageEligibilityRequest": "submit",
    "Encounter": "everything",
    "Group": "everything",
    "Library": "data-requirements",
    "List": "find",
    "Measure": "care-gaps collect-data data-requirements evaluate-measure submit-data",
    "MedicinalProduct": "everything",
    "MessageHeader": "process-message",
    "NamingSystem": "preferred-id",
    "Observation": "lastn stats",
    "Patient": "everything match",
    "PlanDefinition": "apply data-requirements",
    "StructureDefinition": "questionnaire snapshot",
    "StructureMap": "transform",
    "ValueSet": "expand validate-code",
}
"""FHIR R4 operationslist, by the type that they are defined on."""

SAMPLES = {
    "token": "a",
    "reference": "Patient/a",
    "uri": "urn:example:a",
    "date": "2026-11",
    "string": "a",
    "quantity": "1",
    "number": "1",
    "special": "21.0|105.8",
}


@pytest.fixture
async def statement(fhir: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await fhir.get("/fhir/metadata")).json()
    return found


def _resources(statement: dict[str, Any]) -> list[dict[str, Any]]:
    resources: list[dict[str, Any]] = statement["rest"][0]["resource"]
    assert {resource["type"] for resource in resources} == resource_types()
    return resources


def _sample(parameter: SearchParameter) -> str:
    if parameter.type == "composite":
        return "$".join(SAMPLES[kind] for _, kind, _ in parameter.components)
    if parameter.type == "reference" and "Patient" not in (parameter.targets or {"Patient"}):
        return f"{min(parameter.targets or ())}/a"
    return SAMPLES[parameter.type]


@pytest.mark.parametrize("rtype", sorted(resource_types()))
def test_the_smallest_resource_of_a_type_is_valid(rtype: str) -> None:
    assert [issue for issue in check(smallest(rtype)) if issue.severity in ("fatal", "error")] == []


async def test_every_declared_interaction_of_every_type_is_there(
    fhir: httpx.AsyncClient, statement: dict[str, Any]
) -> None:
    for resource in _resources(statement):
        rtype = resource["type"]
        created = await fhir.post(f"/fhir/{rtype}", content=text(smallest(rtype)))
        place = f"/fhir/{rtype}/{created.json()['id']}"
        updated = {**smallest(rtype), "id": created.json()["id"], "language": "vi"}
        answered = {
            "create": created.status_code,
            "update": (await fhir.put(place, content=text(updated))).status_code,
            "patch": (await fhir.patch(place, content=b'{"language":"en"}', headers=PATCH)).status_code,
            "read": (await fhir.get(place)).status_code,
            "vread": (await fhir.get(f"{place}/_history/1")).status_code,
            "history-instance": (await fhir.get(f"{place}/_history")).status_code,
            "history-type": (await fhir.get(f"/fhir/{rtype}/_history?_count=1")).status_code,
            "search-type": (await fhir.get(f"/fhir/{rtype}?_count=1")).status_code,
            "delete": (await fhir.delete(place)).status_code,
        }
        assert answered.keys() == {interaction["code"] for interaction in resource["interaction"]}
        assert set(answered.values()) <= {200, 201, 204}, (rtype, answered)


async def test_every_declared_search_parameter_is_searched_and_no_other(
    fhir: httpx.AsyncClient, statement: dict[str, Any]
) -> None:
    for resource in _resources(statement):
        rtype, known = resource["type"], search_parameters(resource["type"])
        declared = {parameter["name"] for parameter in resource["searchParam"]}
        entry = [
            {"request": {"method": "GET", "url": f"{rtype}?{name}={_sample(parameter)}&_count=1"}}
            for name, parameter in known.items()
        ]
        batch = {"resourceType": "Bundle", "type": "batch", "entry": entry}
        answer = (await fhir.post("/fhir", content=text(batch))).json()
        statuses = {
            name: entry["response"]["status"][:3] for name, entry in zip(known, answer["entry"], strict=True)
        }
        assert {name for name, status in statuses.items() if status == "200"} == declared, (rtype, statuses)
        assert {status for name, status in statuses.items() if name not in declared} <= {"400"}


async def test_every_declared_operation_is_there_and_no_other(
    fhir: httpx.AsyncClient, statement: dict[str, Any]
) -> None:
    resources = {resource["type"]: resource for resource in _resources(statement)}
    for rtype in sorted({*OPERATIONS_OF_R4, "Basic"} - {"Resource"}):
        declared = {operation["name"] for operation in resources[rtype]["operation"]}
        known = {*OPERATIONS_OF_R4["Resource"].split(), *OPERATIONS_OF_R4.get(rtype, "").split(), "nothing"}
        fid = (await fhir.post(f"/fhir/{rtype}", content=text(smallest(rtype)))).json()["id"]
        for name in sorted(known | declared):
            answered = {
                (await fhir.request(method, f"/fhir/{rtype}{place}/${name}", content=body)).status_code
                for place in ("", f"/{fid}")
                for method, body in (("GET", b""), ("POST", text(smallest("Parameters"))))
            }
            assert (name in declared) == bool(answered - NOT_THERE), (rtype, name, answered)


async def test_every_declared_interaction_of_the_whole_hub_is_there(
    fhir: httpx.AsyncClient, statement: dict[str, Any]
) -> None:
    def bundle(kind: str) -> bytes:
        return text({"resourceType": "Bundle", "type": kind})

    answered = {
        "transaction": await fhir.post("/fhir", content=bundle("transaction")),
        "batch": await fhir.post("/fhir", content=bundle("batch")),
        "history-system": await fhir.get("/fhir/_history"),
        "search-system": await fhir.get("/fhir?_type=Patient,Basic"),
    }
    assert answered.keys() == {item["code"] for item in statement["rest"][0]["interaction"]}
    assert {answer.status_code for answer in answered.values()} == {200}
    for method in ("PUT", "PATCH", "DELETE"):
        refused = await fhir.request(method, "/fhir/")
        assert (refused.status_code, codes(refused.json())) == (405, ["unsupported-interaction"])


async def test_every_declared_format_is_spoken(fhir: httpx.AsyncClient, statement: dict[str, Any]) -> None:
    location = (await fhir.post("/fhir/Patient", content=text(smallest("Patient")))).headers["location"]
    place = location.rpartition("/_history")[0]
    for spoken in statement["format"]:
        assert (await fhir.get(place, params={"_format": spoken})).status_code == 200
        if "/" in spoken:
            assert (await fhir.get(place, headers={"Accept": spoken})).headers["content-type"] == spoken
    for kind in statement["patchFormat"]:
        answer = await fhir.patch(place, content=b"no patch", headers={"Content-Type": kind})
        assert answer.status_code == 400, kind
    assert (await fhir.patch(place, content=b"", headers={"Content-Type": "text/plain"})).status_code == 415
