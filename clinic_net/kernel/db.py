"""The database: one engine per process, one transaction per request, message or job."""

from datetime import datetime
from typing import Annotated

from sqlalchemy import DateTime as _DateTime
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.kernel.settings import HubSettings

SQLModel.metadata.naming_convention = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
).naming_convention

OPTIONS = "-c timezone=UTC -c statement_timeout=30s -c idle_in_transaction_session_timeout=30s"
"""What every connection is opened with."""

REQUESTS = "clinic_net_app"
"""The role as which requests are carried out: it owns nothing, and row-level security binds it (ADR 20)."""

AS_REQUEST = f"{OPTIONS} -c role={REQUESTS}"
"""A connection for requests: until its transaction says whose it is, it sees no record."""
AS_SYSTEM = f"{OPTIONS} -c role=clinic_net_system"
"""A connection for the requests of system clients: the role owns nothing either, and its policy is every place. A role
of its own, because planning the other's policy costs a small statement a third of its time."""

Sessions = async_sessionmaker[AsyncSession]

Instant = Annotated[datetime, Field(sa_type=_DateTime(timezone=True))]
"""An aware instant, stored as ``timestamptz``."""


def create_engine(settings: HubSettings, *, options: str = OPTIONS) -> AsyncEngine:
    """Return an engine of the process; ``options`` are what its connections are opened with.

    A transaction that finds no free connection waits ``database_wait`` and is then refused as unavailable;
    it never hangs. An idle transaction is ended by the database after 30 s, a statement after 30 s.
    """
    return create_async_engine(
        settings.database,
        pool_size=settings.database_pool,
        max_overflow=0,
        pool_timeout=settings.database_wait.total_seconds(),
        pool_pre_ping=True,
        hide_parameters=True,  # an error's text would hold what was being stored
        connect_args={"connect_timeout": 5, "options": options},
    )


def create_sessions(engine: AsyncEngine, *, info: dict[str, object] | None = None) -> Sessions:
    """Return the factory of sessions; ``info`` travels with each (the job queue lives there)."""
    return async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False, info=info or {})
