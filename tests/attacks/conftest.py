"""A hub with two hospitals and two stations, attacked from outside."""

import pytest

from clinic_net.kernel.hub import Hub
from tests.attacks.support import Ground
from tests.records.support import open_hospitals


@pytest.fixture(scope="module")
async def ground(hub: Hub) -> Ground:
    await open_hospitals(hub)
    return Ground(hub)
