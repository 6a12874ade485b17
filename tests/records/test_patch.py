"""Patches through HTTP: what changes, what stays byte for byte, and what is refused."""

import json
from typing import Any

import httpx
import pytest

from clinic_net.kernel.hub import Hub
from tests.records.support import client_of, codes, patient, text

JSON_PATCH = {"Content-Type": "application/json-patch+json"}

HEIGHT = (
    b'{"resourceType":"Observation","status":"final","code":{"text":"x"},'
    b'"valueQuantity":{"value":72.50,"unit":"kg"},"referenceRange":[{"low":{"value":1.00}}]}'
)


async def new(fhir: httpx.AsyncClient, content: dict[str, Any] | bytes) -> str:
    body = content if isinstance(content, bytes) else text(content)
    answer = await fhir.post(f"/fhir/{json.loads(body)['resourceType']}", content=body)
    assert answer.status_code == 201, answer.text
    return f"/fhir/{json.loads(body)['resourceType']}/{answer.json()['id']}"


def operation(kind: str, path: str, **parts: Any) -> dict[str, Any]:
    listed: list[dict[str, Any]] = [
        {"name": "type", "valueCode": kind},
        {"name": "path", "valueString": path},
    ]
    for name, value in parts.items():
        listed.append(
            {"name": name, **value} if isinstance(value, dict) else {"name": name, "valueInteger": value}
        )
    return {"name": "operation", "part": listed}


def parameters(*operations: dict[str, Any]) -> bytes:
    return text({"resourceType": "Parameters", "parameter": list(operations)})


async def test_a_json_patch_keeps_order_and_digits_of_the_rest(fhir: httpx.AsyncClient) -> None:
    address = await new(fhir, HEIGHT)
    patch = [
        {"op": "test", "path": "/valueQuantity/value", "value": 72.5},
        {"op": "replace", "path": "/status", "value": "amended"},
        {"op": "add", "path": "/referenceRange/-", "value": {"text": "b"}},
        {"op": "move", "from": "/referenceRange/1", "path": "/referenceRange/0"},
        {"op": "copy", "from": "/code", "path": "/method"},
        {"op": "remove", "path": "/referenceRange/0"},
    ]

    answer = await fhir.patch(address, content=json.dumps(patch), headers={**JSON_PATCH, "If-Match": 'W/"1"'})
    body = answer.content

    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')
    assert b'"status":"amended","code":{"text":"x"}' in body
    assert b'"value":72.50' in body
    assert b'"referenceRange":[{"low":{"value":1.00}' in body
    assert b'"method":{"text":"x"}' in body


@pytest.mark.parametrize("kind", ["application/merge-patch+json", "application/json"])
async def test_the_elements_that_change_are_a_patch_too(fhir: httpx.AsyncClient, kind: str) -> None:
    address = await new(fhir, HEIGHT)
    change = b'{"status":"amended","valueQuantity":{"unit":null,"comparator":"<"},"referenceRange":null}'
    answer = await fhir.patch(address, content=change, headers={"Content-Type": kind, "If-Match": 'W/"1"'})
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')
    assert (
        b'"status":"amended","code":{"text":"x"},"valueQuantity":{"value":72.50,"comparator":"<"}}'
        in answer.content
    )
    for body in (b"[]", b"null", b'{"id":"other"}', b'{"status":null}'):
        wrong = await fhir.patch(address, content=body, headers={"Content-Type": kind})
        assert wrong.status_code in (400, 422), body


async def test_a_patch_that_changes_nothing_makes_no_version(fhir: httpx.AsyncClient) -> None:
    address = await new(fhir, HEIGHT.replace(b",", b" , "))
    answer = await fhir.patch(
        address, content=b'[{"op":"replace","path":"/status","value":"final"}]', headers=JSON_PATCH
    )
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"1"')
    assert b" , " in answer.content


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{}", 400, "malformed-patch"),
        (b"[", 400, "malformed-json"),
        (b'[{"op":"jump","path":"/a"}]', 400, "malformed-patch"),
        (b'[{"op":"add","path":"/a"}]', 400, "malformed-patch"),
        (b'[{"op":"remove","path":"gender"}]', 400, "malformed-patch"),
        (b'[{"op":"remove","path":"/a~2"}]', 400, "malformed-patch"),
        (b'[{"op":"remove","path":"/nothing"}]', 422, "invalid-patch"),
        (b'[{"op":"remove","path":""}]', 422, "invalid-patch"),
        (b'[{"op":"remove","path":"/name/01"}]', 422, "invalid-patch"),
        (b'[{"op":"test","path":"/active","value":1}]', 422, "invalid-patch"),
        (b'[{"op":"move","from":"/name","path":"/name/0"}]', 422, "invalid-patch"),
        (b'[{"op":"replace","path":"","value":[]}]', 422, "invalid-patch"),
        (b'[{"op":"replace","path":"/gender","value":"x"}]', 422, "invalid-resource"),
        (b'[{"op":"remove","path":"/name/0"}]', 422, "invalid-resource"),
        (b'[{"op":"replace","path":"/id","value":"other"}]', 400, "malformed-request"),
        (b'[{"op":"replace","path":"/resourceType","value":"Group"}]', 400, "malformed-request"),
        (
            json.dumps(
                [
                    {"op": "add", "path": "/contact", "value": []},
                    *[{"op": "copy", "from": "", "path": "/contact/-"}] * 60,
                ]
            ).encode(),
            422,
            "invalid-patch",
        ),
    ],
)
async def test_a_patch_that_does_not_fit_is_refused_and_nothing_changes(
    fhir: httpx.AsyncClient, body: bytes, status: int, code: str
) -> None:
    address = await new(fhir, patient(active=True))
    answer = await fhir.patch(address, content=body, headers=JSON_PATCH)

    assert (answer.status_code, codes(answer.json())[0]) == (status, code), answer.text
    assert (await fhir.get(address)).headers["etag"] == 'W/"1"'


async def test_a_fhirpath_patch_adds_inserts_replaces_moves_and_deletes(fhir: httpx.AsyncClient) -> None:
    content = patient(
        name=[
            {"use": "official", "given": ["A", "B"], "_given": [None, {"id": "b"}]},
            {"use": "usual", "text": "C"},
        ],
        deceasedBoolean=False,
        identifier=[{"value": "1"}, {"value": "2"}],
    )
    address = await new(fhir, content)
    answer = await fhir.patch(
        address,
        content=parameters(
            operation("add", "Patient", name={"valueString": "birthDate"}, value={"valueDate": "1950-01-01"}),
            operation("add", "Patient.name[1]", name={"valueString": "given"}, value={"valueString": "D"}),
            operation("insert", "Patient.identifier", index=0, value={"valueIdentifier": {"value": "0"}}),
            operation("move", "Patient.identifier", source=2, destination=0),
            operation("replace", "Patient.deceased", value={"valueDateTime": "2026-01-01"}),
            operation("replace", "Patient.name.where(use = 'usual').text", value={"valueString": "E"}),
            operation("delete", "Patient.name.where(use='official').given.first()"),
            operation("delete", "Patient.gender"),
            operation("delete", "Patient.photo"),
            operation(
                "add",
                "Patient",
                name={"valueString": "contact"},
                value={
                    "part": [
                        {"name": "name", "valueHumanName": {"text": "F"}},
                        {"name": "telecom", "valueContactPoint": {"system": "phone", "value": "1"}},
                    ]
                },
            ),
        ),
    )
    now = answer.json()

    assert answer.status_code == 200, answer.text
    assert now["birthDate"] == "1950-01-01"
    assert now["name"] == [
        {"use": "official", "given": ["B"], "_given": [{"id": "b"}]},
        {"use": "usual", "text": "E", "given": ["D"]},
    ]
    assert [item["value"] for item in now["identifier"]] == ["2", "0", "1"]
    assert now["deceasedDateTime"] == "2026-01-01"
    assert not {"deceasedBoolean", "gender"} & now.keys()
    assert now["contact"] == [{"name": {"text": "F"}, "telecom": [{"system": "phone", "value": "1"}]}]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"resourceType":"Parameters"}', 400, "malformed-patch"),
        (b'{"resourceType":"Patient"}', 400, "malformed-patch"),
        (parameters(operation("jump", "Patient")), 400, "malformed-patch"),
        (parameters(operation("add", "Patient", name={"valueString": "gender"})), 400, "malformed-patch"),
        (parameters(operation("delete", "Patient.name")), 422, "invalid-patch"),
        (parameters(operation("delete", "Group.name")), 422, "invalid-patch"),
        (parameters(operation("delete", "Patient")), 422, "invalid-patch"),
        (parameters(operation("delete", "Patient.name.exists()")), 422, "invalid-patch"),
        (parameters(operation("replace", "Patient.photo", value={"valueString": "x"})), 422, "invalid-patch"),
        (
            parameters(
                operation("add", "Patient", name={"valueString": "gender"}, value={"valueCode": "male"})
            ),
            422,
            "invalid-patch",
        ),
        (
            parameters(
                operation("add", "Patient", name={"valueString": "nothing"}, value={"valueCode": "x"})
            ),
            422,
            "invalid-patch",
        ),
        (parameters(operation("move", "Patient.name", source=0, destination=7)), 422, "invalid-patch"),
    ],
)
async def test_a_fhirpath_patch_that_does_not_fit_is_refused(
    fhir: httpx.AsyncClient, body: bytes, status: int, code: str
) -> None:
    address = await new(fhir, patient(name=[{"text": "A"}, {"text": "B"}]))
    answer = await fhir.patch(address, content=body)

    assert (answer.status_code, codes(answer.json())[0]) == (status, code), answer.text
    assert (await fhir.get(address)).headers["etag"] == 'W/"1"'


async def test_a_patch_needs_the_right_version_content_type_and_target(fhir: httpx.AsyncClient) -> None:
    address = await new(fhir, patient())
    good = b'[{"op":"add","path":"/active","value":true}]'

    stale = await fhir.patch(address, content=good, headers={**JSON_PATCH, "If-Match": 'W/"9"'})
    other = await fhir.patch(address, content=b"{}", headers={"Content-Type": "application/vnd.patch+json"})
    unknown = await fhir.patch("/fhir/Patient/unknown", content=good, headers=JSON_PATCH)
    await fhir.delete(address)
    gone = await fhir.patch(address, content=good, headers=JSON_PATCH)

    assert [answer.status_code for answer in (stale, other, unknown, gone)] == [412, 415, 404, 410]


async def test_whoever_may_not_read_may_not_patch(hub: Hub, fhir: httpx.AsyncClient) -> None:
    address = await new(fhir, patient())
    async with client_of(hub, "system/Patient.u") as writer:
        probe = b'[{"op":"test","path":"/gender","value":"female"}]'
        answer = await writer.patch(address, content=probe, headers=JSON_PATCH)
    assert answer.status_code == 403
