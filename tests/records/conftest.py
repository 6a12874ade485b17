"""Records in a database of their own, and a system client that may do everything."""

from collections.abc import AsyncIterator

import httpx
import pytest

from clinic_net.kernel.hub import Hub
from tests.records.support import Records, client_of, open_hospitals


@pytest.fixture
def records(hub: Hub) -> Records:
    return Records(hub)


@pytest.fixture
async def fhir(hub: Hub) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(hub) as client:
        yield client


@pytest.fixture(scope="module")
async def hospitals(hub: Hub) -> None:
    await open_hospitals(hub)
