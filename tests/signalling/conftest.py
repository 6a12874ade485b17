"""A served hub with one small district; each test has people and a station's device of its own."""

import importlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from clinic_net.kernel.settings import HubSettings
from tests.consultations.support import forget_everything, make_district
from tests.signalling.support import Server, serving


@pytest.fixture(scope="module")
def quick(settings: HubSettings) -> HubSettings:
    """Settings whose waits a test can sit through."""
    for capability in ("consultations", "signalling"):
        importlib.import_module(f"clinic_net.{capability}.jobs")
    return settings.model_copy(update={"revocation_check_every": timedelta(seconds=1)})


@pytest.fixture(scope="module")
async def one_server(quick: HubSettings) -> AsyncIterator[Server]:
    async with serving(quick) as running:
        await make_district(running.hub)
        yield running


@pytest.fixture
async def server(one_server: Server) -> Server:
    await forget_everything(one_server.hub)
    return one_server
