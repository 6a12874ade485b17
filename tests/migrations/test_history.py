"""The migrations make exactly the tables that the capabilities declare, and applying them again changes nothing."""

import psycopg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from clinic_net.kernel.migrations import migrate
from clinic_net.kernel.settings import HubSettings
from clinic_net.tables import metadata
from migrations.env_filter import include_name


def test_the_history_ends_where_the_tables_are(settings: HubSettings) -> None:
    engine = create_engine(settings.database)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": include_name})
        differences = compare_metadata(context, metadata)
    engine.dispose()

    assert differences == []


def test_migrating_again_changes_nothing(settings: HubSettings) -> None:
    migrate(settings.database)

    with psycopg.connect(settings.database.replace("+psycopg", "")) as connection:
        versions = connection.execute("select version_num from alembic_version").fetchall()
    assert len(versions) == 1
