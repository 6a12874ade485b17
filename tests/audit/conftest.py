"""Records in a database of their own."""

import pytest

from clinic_net.kernel.hub import Hub
from tests.records.support import Records


@pytest.fixture
def records(hub: Hub) -> Records:
    return Records(hub)
