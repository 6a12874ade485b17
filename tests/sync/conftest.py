"""The whole application on a hub with one small district, and a station of it that enrolled."""

import pytest
from fastapi import FastAPI

from clinic_net.kernel.hub import Hub
from tests.console import support
from tests.consultations.support import make_district
from tests.sync.wire import Line, enrolled


@pytest.fixture(scope="module")
async def district(hub: Hub) -> Hub:
    await make_district(hub)
    return hub


@pytest.fixture(scope="module")
def app(district: Hub) -> FastAPI:
    return support.app_of(district)


@pytest.fixture(scope="module")
async def line(district: Hub, app: FastAPI) -> Line:
    """A station's line to the hub: its device, its token."""
    return await enrolled(district, app)
