"""Transactions and batches over HTTP."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_net.fhir import check, parse
from clinic_net.kernel.hub import Hub
from clinic_net.records.entries import read_bundle
from tests.records.support import Records, client_of, codes, ids, observation, patient, text


def entry(method: str, url: str, resource: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    full_url = more.pop("fullUrl", None)
    return {
        **({"fullUrl": full_url} if full_url else {}),
        **({"resource": resource} if resource else {}),
        "request": {"method": method, "url": url, **more},
    }


def bundle(kind: str, *entries: dict[str, Any]) -> bytes:
    return text({"resourceType": "Bundle", "type": kind, "entry": list(entries)})


async def send(fhir: httpx.AsyncClient, body: bytes, **headers: str) -> httpx.Response:
    return await fhir.post("/fhir", content=body, headers=headers)


async def test_a_transaction_stores_everything_and_joins_what_points_to_each_other(
    fhir: httpx.AsyncClient,
) -> None:
    person, visit = f"urn:uuid:{uuid4()}", f"urn:uuid:{uuid4()}"
    about = {**observation("x"), "subject": {"reference": person}, "encounter": {"reference": visit}}
    about["identifier"] = [{"system": "urn:ietf:rfc:3986", "value": person}]
    encounter = {
        "resourceType": "Encounter",
        "status": "in-progress",
        "class": {"code": "AMB"},
        "subject": {"reference": person},
    }

    answer = await send(
        fhir,
        bundle(
            "transaction",
            entry("POST", "Observation", about),
            entry("POST", "Encounter", encounter, fullUrl=visit),
            entry("POST", "Patient", patient(), fullUrl=person),
        ),
        Prefer="return=representation",
    )

    response = answer.json()
    made = [item["resource"] for item in response["entry"]]
    assert answer.status_code == 200
    assert check(parse(answer.content)) == []
    assert response["type"] == "transaction-response"
    assert [item["response"]["status"] for item in response["entry"]] == ["201 Created"] * 3
    assert made[0]["subject"]["reference"] == f"Patient/{made[2]['id']}"
    assert made[0]["encounter"]["reference"] == f"Encounter/{made[1]['id']}"
    assert made[0]["identifier"][0]["value"] == person, "only references are replaced"
    found = await fhir.get(f"/fhir/Observation?patient={made[2]['id']}")
    assert ids(found.json()) == [made[0]["id"]]


async def test_a_transaction_happens_as_a_whole_or_not_at_all(fhir: httpx.AsyncClient) -> None:
    value = uuid4().hex
    good = patient(identifier=[{"value": value}])
    answer = await send(
        fhir,
        bundle(
            "transaction",
            entry("POST", "Patient", good),
            entry("POST", "Patient", patient(gender="nonsense")),
        ),
    )

    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[1].resource.gender"]
    assert ids((await fhir.get(f"/fhir/Patient?identifier={value}")).json()) == []


async def test_a_batchs_entries_stand_alone(fhir: httpx.AsyncClient) -> None:
    fid = str(uuid4())
    answer = await send(
        fhir,
        bundle(
            "batch",
            entry("PUT", f"Patient/{fid}", patient(fid)),
            entry("POST", "Patient", patient(gender="nonsense")),
            entry("GET", f"Patient/{fid}"),
            entry("GET", f"Patient?_id={fid}"),
            entry("GET", "Patient/unknown"),
            entry("DELETE", f"Patient/{fid}"),
            entry("GET", f"Patient/{fid}"),
            entry("GET", "NoSuchType/1"),
        ),
    )

    response = answer.json()
    statuses = [item["response"]["status"].split(" ")[0] for item in response["entry"]]
    assert response["type"] == "batch-response"
    assert statuses == ["201", "422", "200", "200", "404", "204", "410", "404"]
    assert response["entry"][2]["resource"]["id"] == fid
    assert response["entry"][3]["resource"]["type"] == "searchset"
    assert response["entry"][4]["response"]["outcome"]["resourceType"] == "OperationOutcome"


async def test_deletes_go_first_and_reads_last(fhir: httpx.AsyncClient, records: Records) -> None:
    value, old = uuid4().hex, await records.new_patient()
    new = patient(identifier=[{"value": value}])

    answer = await send(
        fhir,
        bundle(
            "transaction",
            entry("GET", f"Patient?identifier={value}"),
            entry("POST", "Patient", new),
            entry("DELETE", f"Patient/{old}"),
        ),
    )

    found, made, gone = answer.json()["entry"]
    assert found["resource"]["total"] == 1
    assert made["response"]["status"] == "201 Created"
    assert gone["response"]["status"] == "204 No Content"


async def test_the_same_conditional_transactions_at_once_make_one_patient(fhir: httpx.AsyncClient) -> None:
    values = [uuid4().hex for _ in range(3)]

    def mine(order: list[str]) -> bytes:
        return bundle(
            "transaction",
            *(
                entry(
                    "POST",
                    "Patient",
                    patient(identifier=[{"system": "urn:t", "value": value}]),
                    ifNoneExist=f"identifier=urn:t|{value}",
                )
                for value in order
            ),
        )

    answers = await asyncio.gather(
        *(send(fhir, mine(order)) for order in (values, values[::-1], values, values[::-1]))
    )

    assert [answer.status_code for answer in answers] == [200] * 4
    for value in values:
        assert len(ids((await fhir.get(f"/fhir/Patient?identifier=urn:t|{value}")).json())) == 1


async def test_a_conditional_create_that_finds_its_patient_is_what_others_point_to(
    fhir: httpx.AsyncClient, records: Records
) -> None:
    value = uuid4().hex
    there = await records.new_patient(identifier=[{"system": "urn:t", "value": value}])
    urn = f"urn:uuid:{uuid4()}"
    by_entry = {**observation("x"), "subject": {"reference": urn}}
    by_search = {**observation("x"), "subject": {"reference": f"Patient?identifier=urn:t|{value}"}}

    answer = await send(
        fhir,
        bundle(
            "transaction",
            entry("POST", "Patient", patient(), fullUrl=urn, ifNoneExist=f"identifier=urn:t|{value}"),
            entry("POST", "Observation", by_entry),
            entry("POST", "Observation", by_search),
        ),
    )

    assert [item["response"]["status"][:3] for item in answer.json()["entry"]] == ["200", "201", "201"]
    assert len(ids((await fhir.get(f"/fhir/Observation?patient={there}")).json())) == 2


async def test_a_conditional_reference_must_fit_exactly_one(
    fhir: httpx.AsyncClient, records: Records
) -> None:
    value = uuid4().hex
    lost = {**observation("x"), "subject": {"reference": f"Patient?identifier={value}"}}
    none = await send(fhir, bundle("transaction", entry("POST", "Observation", lost)))
    for _ in range(2):
        await records.new_patient(identifier=[{"value": value}])
    two = await send(fhir, bundle("transaction", entry("POST", "Observation", lost)))

    assert (none.status_code, codes(none.json())) == (422, ["unknown-reference"])
    assert (two.status_code, codes(two.json())) == (412, ["multiple-matches"])


async def test_a_bundles_updates_obey_if_match(fhir: httpx.AsyncClient, records: Records) -> None:
    fid = await records.new_patient()

    stale = await send(
        fhir,
        bundle("transaction", entry("PUT", f"Patient/{fid}", patient(fid, gender="male"), ifMatch='W/"7"')),
    )
    current = await send(
        fhir,
        bundle("transaction", entry("PUT", f"Patient/{fid}", patient(fid, gender="male"), ifMatch='W/"1"')),
    )

    assert (stale.status_code, current.status_code) == (412, 200)


async def test_every_entry_needs_its_own_right(hub: Hub) -> None:
    async with client_of(hub, "system/Patient.crus") as client:
        refused = await send(
            client,
            bundle(
                "transaction",
                entry("POST", "Patient", patient()),
                entry("POST", "Basic", {"resourceType": "Basic"}),
            ),
        )
        parted = await send(
            client, bundle("batch", entry("POST", "Patient", patient()), entry("DELETE", "Patient/1"))
        )

    assert (refused.status_code, refused.json()["issue"][0]["expression"]) == (403, ["Bundle.entry[1]"])
    assert [item["response"]["status"][:3] for item in parted.json()["entry"]] == ["201", "403"]


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"resourceType":"Bundle"}',
        b'{"resourceType":"Bundle","type":"collection"}',
        b'{"resourceType":"Bundle","type":"transaction","entry":5}',
        b'{"resourceType":"Bundle","type":"transaction","entry":[5]}',
        b'{"resourceType":"Bundle","type":"transaction","entry":[{}]}',
        b'{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"POST","url":"Patient"}}]}',
        b'{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"EAT","url":"Patient"}}]}',
        b'{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"GET","url":"../Patient"}}]}',
        b'{"resourceType":"Bundle","type":"transaction",'
        b'"entry":[{"request":{"method":"GET","url":"http://else.where/fhir/Patient"}}]}',
        b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":7,"request":{"method":"POST","url":"Patient"}}]}',
        b'{"resourceType":"Bundle","type":"transaction",'
        b'"entry":[{"resource":[],"request":{"method":"PUT","url":"Patient/1"}}]}',
    ],
)
async def test_a_bundle_that_cannot_be_understood_is_refused(fhir: httpx.AsyncClient, body: bytes) -> None:
    answer = await send(fhir, body)

    assert answer.status_code == 400, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_two_entries_of_one_identity_are_refused(fhir: httpx.AsyncClient) -> None:
    urn = f"urn:uuid:{uuid4()}"
    same_id = bundle("transaction", entry("PUT", "Patient/a", patient("a")), entry("DELETE", "Patient/a"))
    same_url = bundle(
        "transaction",
        entry("POST", "Patient", patient(), fullUrl=urn),
        entry("POST", "Patient", patient(), fullUrl=urn),
    )

    for body in (same_id, same_url):
        answer = await send(fhir, body)
        assert (answer.status_code, codes(answer.json())) == (400, ["malformed-request"])


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from('abc {}[]",:\\'), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(
    st.lists(st.dictionaries(st.sampled_from(["x", "y"]), _json), max_size=4), st.sampled_from([None, 1, 3])
)
def test_an_entrys_resource_keeps_its_own_bytes(resources: list[dict[str, Any]], indent: int | None) -> None:
    entries = [
        {"x": [1, {"resource": 0}], "resource": resource, "request": {"method": "POST", "url": "Patient"}}
        for resource in resources
    ]
    content = {"resourceType": "Bundle", "a": {"entry": []}, "entry": entries, "type": "batch"}
    body = json.dumps(content, indent=indent, ensure_ascii=False).encode()

    _, found = asyncio.run(read_bundle(body, base="http://hub.test/fhir"))

    for asked, resource in zip(found, resources, strict=True):
        assert asked.text is not None
        assert asked.text in body
        assert json.loads(asked.text) == resource
