"""Real PostgreSQL and Valkey, started once by the path that production's embedded default takes.

A test module gets a database of its own, copied from a template that the migrations made.
"""

import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from redis import Redis
from sqlalchemy.engine import make_url

import clinic_net.worker  # noqa: F401 -- whoever announces news imports its subscribers
from clinic_net.kernel.embedded import EmbeddedServices
from clinic_net.kernel.hub import Hub, open_hub
from clinic_net.kernel.migrations import migrate
from clinic_net.kernel.settings import HubSettings
from tests.canary import (  # noqa: F401 -- hooks and a fixture for every test
    answers_are_looked_at,
    leave_traces_of,
    pytest_configure,
    pytest_runtest_logreport,
    pytest_sessionfinish,
    pytest_terminal_summary,
)

TEMPLATE = "clinic_net_template"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fuzz-seconds", type=float, default=5.0, help="how long each parser is fed (tests/fuzz)"
    )
    parser.addoption("--fuzz-seed", type=int, default=20261124, help="where the fuzzers start from")


@pytest.fixture(scope="session")
def services() -> Iterator[EmbeddedServices]:
    """The database and Valkey of this test run."""
    with EmbeddedServices.throwaway() as running:
        yield running
        leave_traces_of(running.redis_url, os.environ.get("PYTEST_XDIST_WORKER", "one"))


def _address(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)


def _admin(url: str, statement: str) -> None:
    address = _address(url, "postgres").replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(statement)


def _drop(url: str, name: str) -> None:
    """Drop a test's database; a vacuum that the server itself runs there is waited for."""
    for _ in range(50):
        try:
            _admin(url, f"drop database {name} with (force)")
        except psycopg.errors.InsufficientPrivilege:
            time.sleep(0.2)
        else:
            return
    _admin(url, f"drop database {name} with (force)")


def _fill_buckets(url: str) -> None:
    """Forget who has asked for how much: modules share Valkey, and their callers have the same names."""
    with Redis.from_url(url) as valkey:
        for key in valkey.scan_iter("rate:*"):
            valkey.delete(key)


@pytest.fixture(scope="session")
def template(services: EmbeddedServices) -> str:
    """The name of a database with every table and nothing in them."""
    _admin(services.database_url, f"create database {TEMPLATE}")
    migrate(_address(services.database_url, TEMPLATE))
    return TEMPLATE


@pytest.fixture(scope="module")
def settings(services: EmbeddedServices, template: str) -> Iterator[HubSettings]:
    """Settings of a hub with a database of its own."""
    name = f"t_{uuid4().hex[:12]}"
    _admin(services.database_url, f"create database {name} template {template}")
    _fill_buckets(services.redis_url)
    yield HubSettings(
        database=_address(services.database_url, name),
        redis=services.redis_url,
        token_key="t" * 48,
        identifier_key="i" * 48,
        turn_secret="turn-secret-of-the-tests",
        public_url="http://hub.test",
        log_json=False,
        mfa_roles=(),  # people of every role sign in with a password; tests of second factors say otherwise
    )
    _drop(services.database_url, name)


@pytest.fixture(scope="module")
async def hub(settings: HubSettings) -> AsyncIterator[Hub]:
    """An open hub: sessions, Redis, jobs. ``await hub.jobs.run_pending()`` delivers the news."""
    async with open_hub(settings) as opened:
        yield opened


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A fresh data directory."""
    return tmp_path / "data"
