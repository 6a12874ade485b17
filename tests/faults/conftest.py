"""One hub for the tests of a module."""

from collections.abc import Iterator

import pytest

from clinic_net.kernel.settings import HubSettings
from tests.faults.world import World


@pytest.fixture(scope="module")
def world(settings: HubSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(settings, tmp_path_factory.mktemp("stations")).turning() as turning:
        yield turning
