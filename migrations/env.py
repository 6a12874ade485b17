"""Run migrations under limits: a lock waits 4 s, a statement runs 60 s, and one process migrates at a time."""

from alembic import context
from sqlalchemy import create_engine, pool, text

from clinic_net.tables import metadata
from migrations.env_filter import include_name

_ONE_AT_A_TIME = 7_203_411_905
"""Advisory lock of migrations; any number that nobody else uses."""


def run() -> None:
    """Apply the history to the database that the caller configured."""
    engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool)
    with engine.connect() as connection:
        connection.execute(text("select pg_advisory_lock(:key)"), {"key": _ONE_AT_A_TIME})
        connection.execute(text("set lock_timeout = '4s'"))
        connection.execute(text("set statement_timeout = '60s'"))
        connection.commit()
        context.configure(
            connection=connection, target_metadata=metadata, include_name=include_name, transactional_ddl=True
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
