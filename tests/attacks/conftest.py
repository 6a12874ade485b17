"""A running hub with one small district, attacked from outside: the real program, PostgreSQL and Valkey."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from clinic_net.kernel.hub import Hub
from clinic_net.kernel.settings import HubSettings
from tests.app.callers import Callers, callers_of
from tests.app.process import Process, serving
from tests.attacks.support import Ground
from tests.console import support
from tests.consultations.support import CENTRE, make_district
from tests.records.support import open_hospitals


@pytest.fixture(scope="module")
async def district(hub: Hub) -> Hub:
    await make_district(hub)
    return hub


@pytest.fixture(scope="module")
def app(district: Hub) -> FastAPI:
    return support.app_of(district)


@pytest.fixture(scope="module")
async def callers(district: Hub, app: FastAPI) -> Callers:
    return await callers_of(district, app, facility=CENTRE)


@pytest.fixture(scope="module")
def served(district: Hub, settings: HubSettings) -> Iterator[Process]:
    with serving(settings, "--no-worker") as process:
        yield process


@pytest.fixture(scope="module")
async def ground(hub: Hub) -> Ground:
    await open_hospitals(hub)
    return Ground(hub)
