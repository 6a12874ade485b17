"""The district of the consultations' tests, with no cases and no referrals."""

import importlib
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from clinic_net.kernel.hub import Hub, open_hub
from clinic_net.kernel.settings import HubSettings
from tests.consultations import support


@pytest.fixture(scope="module")
async def district(settings: HubSettings) -> AsyncIterator[Hub]:
    for capability in ("consultations", "referrals"):
        importlib.import_module(f"clinic_net.{capability}.jobs")
    async with open_hub(settings, now=support.Clock()) as hub:
        await support.make_district(hub)
        yield hub


@pytest.fixture
async def clinic(district: Hub) -> Hub:
    await support.forget_everything(district)
    async with district.sessions() as session, session.begin():
        await (await session.connection()).execute(text("truncate referral_case, referral_event"))
    return district
