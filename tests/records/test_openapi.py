"""The OpenAPI document: made from the routes, open to everybody, sound."""

from typing import Any

import httpx
import pytest

from clinic_net.fhir.definitions import resource_types
from clinic_net.kernel.hub import Hub
from clinic_net.records.addresses import routes_of
from tests.records.support import HUB, app_of, codes, text, visiting


@pytest.fixture
async def document(hub: Hub) -> dict[str, Any]:
    async with visiting(app_of(hub)) as nobody:
        answer = await nobody.get("/fhir/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    found: dict[str, Any] = answer.json()
    return found


async def test_it_names_every_route_and_no_other(hub: Hub, document: dict[str, Any]) -> None:
    described = {method for path in document["paths"].values() for method in path}
    assert described == {"get", "post", "put", "patch", "delete"}
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    routes = {(method, path) for method, path, _ in routes_of(app_of(hub).routes) if method != "HEAD"}
    assert len(operations) == len({(method, path.rstrip("/")) for method, path in routes})
    assert all(operation["summary"] for operation in operations)


async def test_it_tells_where_tokens_come_from_and_what_needs_one(document: dict[str, Any]) -> None:
    flow = document["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]
    assert flow["tokenUrl"] == f"{HUB}/oauth/token"
    assert document["servers"] == [{"url": f"{HUB}/fhir"}]
    open_to_all = {
        path
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if operation["security"] == []
    }
    assert open_to_all == {"/metadata", "/.well-known/smart-configuration", "/openapi.json"}
    assert document["components"]["schemas"]["ResourceType"]["enum"] == sorted(resource_types())


async def test_an_address_says_which_methods_it_takes(fhir: httpx.AsyncClient) -> None:
    for method, path, allowed in (
        ("POST", "metadata", "GET, HEAD"),
        ("PUT", "_history", "GET, HEAD"),
        ("DELETE", "Patient/_search", "POST"),
        ("PATCH", "Patient/1/$meta-add", "POST"),
        ("OPTIONS", "Patient/1", "DELETE, GET, HEAD, PATCH, PUT"),
        ("PUT", ".well-known/smart-configuration", "GET"),
        ("GET", "Patient/$nothing", ""),
    ):
        answer = await fhir.request(method, f"/fhir/{path}", content=text({}))
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed), path
        assert codes(answer.json()) == ["unsupported-interaction"]
        in_xml = await fhir.request(method, f"/fhir/{path}", headers={"Accept": "application/fhir+xml"})
        assert (in_xml.status_code, in_xml.headers["allow"]) == (405, allowed), path
    for path in ("Nothing", "patient/1", "nothing"):
        assert (await fhir.post(f"/fhir/{path}", content=text({}))).status_code == 404
