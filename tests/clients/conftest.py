"""One hub process for the clients of a module."""

from collections.abc import Iterator

import pytest

from clinic_net.kernel.settings import HubSettings
from tests.clients.support import Service, running


@pytest.fixture(scope="module")
def service(settings: HubSettings) -> Iterator[Service]:
    with running(settings) as started:
        yield started
