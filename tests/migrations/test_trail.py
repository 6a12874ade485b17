"""The trail becomes partitioned while nodes of the release before go on writing into it, and nothing of it is lost."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from alembic import command
from sqlalchemy.engine import make_url

from clinic_net.audit import sealing
from clinic_net.audit.verifying import Wanted, verify
from clinic_net.kernel.embedded import EmbeddedServices
from clinic_net.kernel.hub import open_hub
from clinic_net.kernel.migrations import config, migrate
from clinic_net.kernel.settings import HubSettings

AS_BEFORE = """
    insert into audit_event (id, at, actor, action, subject, outcome, purpose)
    select gen_random_uuid(), now(), 'user:1', 'record.read', 'Patient/' || n, 'ok', null from generate_series(1, 300) n
"""
"""What the release before 0006 sends."""


@pytest.fixture
def old(services: EmbeddedServices, settings: HubSettings) -> Iterator[HubSettings]:
    """A database as the release before left it."""
    name = f"t_{uuid4().hex[:12]}"
    plain = services.database_url.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as admin:
        admin.execute(f"create database {name}")
    url = make_url(services.database_url).set(database=name).render_as_string(hide_password=False)
    command.upgrade(config(url), "0005")
    yield settings.model_copy(update={"database": url})
    with psycopg.connect(plain, autocommit=True) as admin:
        admin.execute(f"drop database {name} with (force)")


async def test_a_node_of_the_release_before_goes_on_writing(old: HubSettings) -> None:
    with psycopg.connect(old.database.replace("+psycopg", ""), autocommit=True, prepare_threshold=0) as node:
        node.execute(AS_BEFORE)
        migrate(old.database)
        node.execute(AS_BEFORE)  # the statement that it had prepared
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            node.execute("delete from audit_event")
        found = node.execute("select count(*), count(distinct tableoid) from audit_event").fetchone()
        assert found == (600, 1)
    async with open_hub(old) as hub:
        assert await sealing.tend(hub) == 600
        told = await verify(hub.engine, Wanted())
    assert (told.problem, told.size, told.checkpoints) == (None, 600, 1)
