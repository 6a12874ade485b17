"""A hub with one small district and no cases."""

import importlib
from collections.abc import AsyncIterator

import pytest

from clinic_net.kernel.hub import Hub, open_hub
from clinic_net.kernel.settings import HubSettings
from tests.consultations import support


@pytest.fixture(scope="module")
async def district(settings: HubSettings) -> AsyncIterator[Hub]:
    for capability in ("consultations",):
        importlib.import_module(f"clinic_net.{capability}.jobs")
    async with open_hub(settings, now=support.Clock()) as hub:
        await support.make_district(hub)
        yield hub


@pytest.fixture
async def clinic(district: Hub) -> Hub:
    """The district's hub, as at the beginning of a day."""
    await support.forget_everything(district)
    return district
