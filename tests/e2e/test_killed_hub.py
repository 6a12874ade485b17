"""The hub's process dies again and again while a station hands over its records."""

import random
import time
from functools import partial

import pytest

from tests.e2e.support import Network, Site, until
from tests.e2e.work import Busy

pytestmark = pytest.mark.processes

ROUNDS = 3


def _has_taken(site: Site, enough: int) -> bool:
    return len(site.acknowledged()) > enough


def test_whatever_a_station_saw_taken_is_at_the_hub_once_after_every_death(network: Network) -> None:
    site = network.sites[0]
    nurse = site.start()
    with Busy(nurse) as busy:
        for _ in range(ROUNDS):
            enough = len(site.acknowledged()) + 3
            until("the hub takes records", partial(_has_taken, site, enough))
            time.sleep(random.uniform(0, 0.3))
            network.restart_hub()
            assert network.missing(site.acknowledged()) == []
    assert len(busy.saved) > 5 * ROUNDS
    assert busy.slowest < 5, "the pages do not wait for the hub"
    busy.everything_arrives(network, site)
