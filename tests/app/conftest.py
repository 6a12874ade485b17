"""The whole application on a hub with one small district."""

import pytest
from fastapi import FastAPI

from clinic_net.kernel.hub import Hub
from tests.console import support
from tests.consultations.support import make_district


@pytest.fixture(scope="module")
async def district(hub: Hub) -> Hub:
    await make_district(hub)
    return hub


@pytest.fixture(scope="module")
def app(district: Hub) -> FastAPI:
    return support.app_of(district)
