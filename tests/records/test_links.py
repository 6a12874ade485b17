"""Links of a hub that nobody named: they follow the host that was asked, and nothing signed depends on it."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from clinic_net.app import create_app
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.proxies import TrustedProxies
from tests.records.support import patient, text

PROXY = "10.0.0.9"


@pytest.fixture
async def elsewhere(hub: Hub, fhir: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """The same hub without a name, behind a proxy, with the token of another address."""
    settings = hub.settings.model_copy(update={"follow_host": True})
    app = create_app(settings, with_worker=False)
    app.state.hub = replace(hub, settings=settings)
    transport = httpx.ASGITransport(TrustedProxies(app, trusted=[PROXY]), client=(PROXY, 1))
    headers = {**fhir.headers, "X-Forwarded-Host": "records.test", "X-Forwarded-Proto": "https"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://hub-a:8080", headers=headers
    ) as client:
        yield client


async def test_every_link_is_made_for_the_host_that_was_asked(elsewhere: httpx.AsyncClient) -> None:
    base = "https://records.test/fhir"
    created = await elsewhere.post("/fhir/Patient", content=text(patient()))
    address = f"{base}/Patient/{created.json()['id']}"
    assert created.headers["location"] == f"{address}/_history/1"
    found = (await elsewhere.get("/fhir/Patient?_count=1")).json()
    assert found["link"][0]["url"].startswith(f"{base}/Patient?")
    assert found["entry"][0]["fullUrl"].startswith(f"{base}/Patient/")
    statement = (await elsewhere.get("/fhir/metadata")).json()
    assert statement["implementation"]["url"] == base
    smart = (await elsewhere.get("/fhir/.well-known/smart-configuration")).json()
    assert smart["token_endpoint"] == "https://records.test/oauth/token"


async def test_a_cursor_of_one_host_fits_at_another(
    fhir: httpx.AsyncClient, elsewhere: httpx.AsyncClient
) -> None:
    for _ in range(2):
        await fhir.post("/fhir/Patient", content=text(patient()))
    (following,) = [
        link["url"]
        for link in (await fhir.get("/fhir/Patient?_count=1")).json()["link"]
        if link["relation"] == "next"
    ]
    answer = await elsewhere.get("/fhir/Patient?" + following.partition("?")[2])
    assert (answer.status_code, len(answer.json()["entry"])) == (200, 1)
