"""Entries of a bundle that patch, or name their resource by a search; and more bundles than connections."""

import asyncio
import base64
import json
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from clinic_net.fhir import check, parse
from clinic_net.kernel.hub import Hub, open_hub
from clinic_net.kernel.settings import HubSettings
from tests.records.support import Records, app_of, client_of, codes, ids, observation, patient, visiting
from tests.records.test_bundles import bundle, entry, send

BIRTH = [{"op": "add", "path": "/birthDate", "value": "1950-01-01"}]


def json_patch(*operations: dict[str, Any], kind: str = "application/json-patch+json") -> dict[str, Any]:
    data = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"resourceType": "Binary", "contentType": kind, "data": data}


def fhirpath_patch() -> dict[str, Any]:
    parts = [
        {"name": "type", "valueCode": "delete"},
        {"name": "path", "valueString": "Patient.gender"},
    ]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}


def named(value: str) -> dict[str, Any]:
    return patient(identifier=[{"system": "urn:test", "value": value}])


def where(value: str) -> str:
    return f"Patient?identifier=urn:test|{value}"


def statuses(answer: httpx.Response) -> list[str]:
    assert check(parse(answer.content)) == []
    return [item["response"]["status"][:3] for item in answer.json()["entry"]]


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_entries_patch_by_id_and_by_search(
    fhir: httpx.AsyncClient, records: Records, kind: str
) -> None:
    value = uuid4().hex
    one = await records.new_patient()
    await records.put({**named(value), "id": str(uuid4())})

    answer = await send(
        fhir,
        bundle(
            kind,
            entry("PATCH", f"Patient/{one}", json_patch(*BIRTH), ifMatch='W/"1"'),
            entry("PATCH", where(value), fhirpath_patch()),
        ),
        Prefer="return=representation",
    )

    assert statuses(answer) == ["200", "200"]
    first, second = (item["resource"] for item in answer.json()["entry"])
    assert first["birthDate"] == "1950-01-01"
    assert "gender" not in second


async def test_entries_update_and_delete_by_search(fhir: httpx.AsyncClient) -> None:
    value, gone = uuid4().hex, uuid4().hex
    urn = f"urn:uuid:{uuid4()}"
    about = {**observation("x"), "subject": {"reference": urn}}
    body = bundle(
        "transaction",
        entry("PUT", where(value), named(value), fullUrl=urn),
        entry("POST", "Observation", about),
        entry("DELETE", where(gone)),
    )

    first, second = await send(fhir, body), await send(fhir, body)
    [fid] = ids((await fhir.get(f"/fhir/{where(value)}")).json())
    deleted = await send(fhir, bundle("batch", entry("DELETE", where(value))))

    assert (statuses(first), statuses(second)) == (["201", "201", "204"], ["200", "201", "204"])
    found = await fhir.get(f"/fhir/Observation?subject=Patient/{fid}")
    assert len(ids(found.json())) == 2
    assert statuses(deleted) == ["204"]
    assert (await fhir.get(f"/fhir/Patient/{fid}")).status_code == 410


async def test_transactions_that_update_by_the_same_search_make_one(fhir: httpx.AsyncClient) -> None:
    value = uuid4().hex
    body = bundle("transaction", entry("PUT", where(value), named(value)))
    answers = await asyncio.gather(*(send(fhir, body) for _ in range(6)))
    assert Counter(status for answer in answers for status in statuses(answer)) == {"200": 5, "201": 1}


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (
            entry("PATCH", "Patient/{fid}", {"resourceType": "Binary", "contentType": "x"}),
            400,
            "malformed-request",
        ),
        (entry("PATCH", "Patient/{fid}", json_patch(kind="application/json")), 400, "malformed-request"),
        (
            entry("PATCH", "Patient/{fid}", {**json_patch(), "data": "?"}),
            400,
            "malformed-request",
        ),
        (entry("PATCH", "Patient/{fid}", json_patch({"op": "jump"})), 400, "malformed-patch"),
        (entry("PATCH", "Patient/{fid}", json_patch(*BIRTH), ifMatch='W/"4"'), 412, "version-conflict"),
        (entry("PATCH", "Patient/unknown", json_patch(*BIRTH)), 404, "unknown-resource"),
        (entry("PATCH", "Patient?identifier=nobody", json_patch(*BIRTH)), 404, "unknown-resource"),
        (entry("PATCH", "Patient", json_patch(*BIRTH)), 405, "unsupported-interaction"),
        (entry("PUT", "Patient?_count=1", patient()), 400, "malformed-request"),
        (entry("DELETE", "Patient/{fid}?gender=female"), 405, "unsupported-interaction"),
    ],
)
async def test_a_change_that_does_not_fit_undoes_the_transaction(
    fhir: httpx.AsyncClient, records: Records, change: dict[str, Any], status: int, code: str
) -> None:
    value, fid = uuid4().hex, await records.new_patient()
    change = json.loads(json.dumps(change).replace("{fid}", fid))

    answer = await send(fhir, bundle("transaction", entry("POST", "Patient", named(value)), change))

    assert (answer.status_code, codes(answer.json())[0]) == (status, code), answer.text
    assert answer.json()["issue"][0]["expression"][0].startswith("Bundle.entry[1]")
    assert ids((await fhir.get(f"/fhir/{where(value)}")).json()) == []


async def test_two_entries_that_turn_out_to_be_one_resource_are_refused(
    fhir: httpx.AsyncClient, records: Records
) -> None:
    value = uuid4().hex
    fid = (await records.put({**named(value), "id": str(uuid4())})).fid
    pairs = [
        (entry("PUT", f"Patient/{fid}", {**named(value), "id": fid}), entry("DELETE", where(value))),
        (entry("PATCH", where(value), json_patch(*BIRTH)), entry("PUT", where(value), named(value))),
        (entry("PATCH", f"Patient/{fid}", json_patch(*BIRTH)), entry("DELETE", f"Patient/{fid}")),
        (
            entry("POST", "Patient", named(value), ifNoneExist=f"identifier=urn:test|{value}"),
            entry("DELETE", f"Patient/{fid}"),
        ),
    ]
    for pair in pairs:
        answer = await send(fhir, bundle("transaction", *pair))
        assert (answer.status_code, codes(answer.json())) == (400, ["malformed-request"]), answer.text
    assert (await fhir.get(f"/fhir/Patient/{fid}")).headers["etag"] == 'W/"1"'


async def test_entries_by_search_need_the_right_to_search_and_read(hub: Hub, records: Records) -> None:
    fid = await records.new_patient()
    changes = [
        entry("PUT", where("x"), named("x")),
        entry("PATCH", f"Patient/{fid}", json_patch(*BIRTH)),
        entry("DELETE", where("x")),
        entry("POST", "Patient", named("x"), ifNoneExist="identifier=urn:test|x"),
    ]
    async with client_of(hub, "system/Patient.cud") as writer:
        answer = await send(writer, bundle("batch", *changes))
    assert statuses(answer) == ["403"] * 4


async def test_a_search_in_a_bundle_includes_only_what_the_caller_may_search(
    hub: Hub, records: Records
) -> None:
    about = await records.new_patient()
    seen = (await records.put(observation(about))).fid
    asked = entry("GET", f"Observation?_id={seen}&_include=Observation:subject")
    async with client_of(hub, "system/Observation.rs") as reader:
        answer = await send(reader, bundle("batch", asked))
    found = answer.json()["entry"][0]["resource"]
    assert (ids(found), ids(found, "include")) == ([seen], [])


async def test_a_read_in_a_bundle_can_ask_whether_anything_changed(
    fhir: httpx.AsyncClient, records: Records
) -> None:
    address = f"Patient/{await records.new_patient()}"
    answer = await send(
        fhir,
        bundle(
            "batch",
            entry("GET", address, ifNoneMatch='W/"1"'),
            entry("GET", address, ifNoneMatch='W/"2"'),
            entry("GET", address, ifNoneMatch=7),
        ),
    )
    other = await send(
        fhir, bundle("batch", entry("GET", address, ifNoneMatch='W/"1"'), entry("GET", address))
    )

    assert (answer.status_code, codes(answer.json())) == (400, ["malformed-request"])
    assert statuses(other) == ["304", "200"]
    assert ["resource" in item for item in other.json()["entry"]] == [False, True]


@pytest.mark.parametrize("wait", [20, 0.02])
async def test_more_bundles_than_turns_queue_or_are_told_to_come_back(
    settings: HubSettings, hub: Hub, wait: float
) -> None:
    few = settings.model_copy(update={"database_pool": 2, "database_wait": timedelta(seconds=wait)})
    body = bundle("batch", *(entry("POST", "Patient", patient()) for _ in range(20)))
    async with (
        client_of(hub) as client,
        open_hub(few) as small,
        visiting(app_of(small), **dict(client.headers)) as crowd,
    ):
        sending = [asyncio.create_task(send(crowd, body)) for _ in range(16)]
        await asyncio.sleep(0.05)
        health = await asyncio.wait_for(crowd.get("/healthz"), 5)
        answers = await asyncio.wait_for(asyncio.gather(*sending), 60)

    told = Counter(answer.status_code for answer in answers)
    assert health.status_code == 200
    assert told.keys() <= {200, 503}
    assert told[200] > 0
    assert (told[503] == 0) is (wait > 1)
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers if answer.status_code == 503)
