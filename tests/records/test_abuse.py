"""Whatever is thrown at the edge gets a 4xx in bounded time, and nothing of it is quoted back."""

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.records.support import observation, patient, text

_SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

_anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["", "\0", "\ud800", "9" * 500, "Patient/1", "2026-02-30", "urn:uuid:x", "#a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "resourceType",
                    "id",
                    "meta",
                    "name",
                    "subject",
                    "reference",
                    "value",
                    "extension",
                    "url",
                    "system",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@pytest.fixture
async def edge(fhir: httpx.AsyncClient) -> httpx.AsyncClient:
    return fhir


def is_decent(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/fhir+json" or not answer.content
    if answer.status_code >= 400:
        assert answer.json()["resourceType"] == "OperationOutcome"


@_SETTINGS
@given(body=st.binary(max_size=200))
async def test_random_bytes(edge: httpx.AsyncClient, body: bytes) -> None:
    for path in ("", "/Patient", "/Patient/$validate"):
        answer = await edge.post(f"/fhir{path}", content=body)
        is_decent(answer)
        assert answer.status_code >= 400


@_SETTINGS
@given(member=st.sampled_from(sorted(observation("x"))), value=_anything)
async def test_a_resource_with_one_wild_member(edge: httpx.AsyncClient, member: str, value: Any) -> None:
    content = {**observation("x"), member: value}
    body = json.dumps(content).encode()
    is_decent(await edge.post("/fhir/Observation", content=body))
    is_decent(await edge.put("/fhir/Observation/wild", content=body))
    is_decent(await edge.post("/fhir/Observation/$validate", content=body))


@_SETTINGS
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "X", ""]),
    url=st.text(max_size=20)
    | st.sampled_from(
        ["Patient", "Patient/1", "Patient?name=x", "Patient?name=%00", "Patient/1?x=1", "?", "/"]
    ),
    resource=_anything,
    extra=st.dictionaries(st.sampled_from(["ifMatch", "ifNoneExist", "fullUrl"]), _anything, max_size=2),
    kind=st.sampled_from(["batch", "transaction"]),
)
async def test_a_bundle_with_a_wild_entry(
    edge: httpx.AsyncClient, method: str, url: str, resource: Any, extra: dict[str, Any], kind: str
) -> None:
    request = {"method": method, "url": url, **extra}
    content = {"resourceType": "Bundle", "type": kind, "entry": [{"resource": resource, "request": request}]}
    is_decent(await edge.post("/fhir", content=json.dumps(content).encode()))


@_SETTINGS
@given(
    name=st.sampled_from(
        ["name", "birthdate", "identifier", "_id", "_lastUpdated", "_sort", "_count", "_include", "organization",
         "_cursor", "_elements", "_summary", "_total", "phone:not", "gender:missing", "name:exact", "name:contains"]
    ),
    value=st.text(max_size=30)
    | st.sampled_from(["9" * 400, "gt9999-12-31", "lt0001-01-01", "|", "a|b|c", "\\", "\\,", ",", "1e999", "ap0001"]),
)  # fmt: skip
async def test_a_search_for_anything(edge: httpx.AsyncClient, name: str, value: str) -> None:
    encoded = quote(value, safe="", errors="surrogatepass")
    is_decent(await edge.get(f"/fhir/Patient?{name}={encoded}"))
    is_decent(
        await edge.post(
            "/fhir/Patient", content=text(patient()), headers={"If-None-Exist": f"{name}={encoded}"}
        )
    )


@_SETTINGS
@given(
    name=st.sampled_from(
        ["value-quantity", "date", "code", "patient", "subject", "value-date", "combo-code"]
    ),
    prefix=st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]),
    value=st.integers().map(str)
    | st.floats(allow_nan=False).map(str)
    | st.sampled_from(
        ["9999", "0001", "2026-11-21T08:30:60Z", "1e99|x|y", "-0", "10||", "Patient/" + "x" * 64]
    ),
)
async def test_a_search_for_extreme_values(
    edge: httpx.AsyncClient, name: str, prefix: str, value: str
) -> None:
    is_decent(await edge.get("/fhir/Observation", params={name: prefix + value}))


@_SETTINGS
@given(
    parts=st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=4),
    method=st.sampled_from(["GET", "DELETE"]),
)
async def test_any_address(edge: httpx.AsyncClient, parts: list[str], method: str) -> None:
    path = "/".join(quote(part, safe="", errors="surrogatepass") for part in parts)
    for address in (f"/fhir/{path}", f"/fhir/Patient/{path}"):
        is_decent(await edge.request(method, address))


@_SETTINGS
@given(
    value=st.decimals(allow_nan=False, allow_infinity=False).map(str)
    | st.sampled_from(
        ["1e400", "-1e400", "1e-400", "1.7976931348623157e308", "9" * 300, "0." + "0" * 60 + "1"]
    )
)
async def test_a_resource_with_an_extreme_number(edge: httpx.AsyncClient, value: str) -> None:
    body = json.dumps(observation("x", value=7)).replace('"value": 7', f'"value": {value}')
    assert value in body
    is_decent(await edge.post("/fhir/Observation", content=body.encode()))


async def test_texts_longer_than_an_index_row_are_stored_and_found_by_their_beginning(
    edge: httpx.AsyncClient,
) -> None:
    long = "".join(chr(0x4E00 + (number * 7919) % 20_000) for number in range(20_000))
    created = await edge.post("/fhir/Patient", content=text(patient(name=[{"text": long}])))
    found = await edge.get("/fhir/Patient", params={"name": long[:400], "_count": "1"})

    assert created.status_code == 201
    assert found.json()["entry"][0]["resource"]["id"] == created.json()["id"]
