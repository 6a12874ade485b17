"""News and timers: work that must happen after a transaction, exactly because it committed.

procrastinate keeps the jobs in PostgreSQL; a job is inserted on the transaction's own connection, so the
job table *is* the transactional outbox: a job exists if, and only if, the fact it tells of does. A job
runs at least once, so handlers are idempotent.

Capabilities announce what happened (``announce``); capabilities above subscribe (``on``). A timer is an
announcement with a date (``at``).
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import procrastinate
import psycopg
import structlog
from sqlalchemy.exc import OperationalError
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.kernel.links import Database

log = structlog.get_logger()

Payload = dict[str, Any]
Handler = Callable[[Any, Payload], Awaitable[None]]
"""``async def handler(hub: Hub, payload: Payload) -> None``; it opens its own transactions."""

_H = TypeVar("_H", bound=Handler)

SESSION_KEY = "jobs"
"""Where a session carries its process's :class:`Jobs` (``session.info``)."""

_HEARTBEAT = timedelta(seconds=2)
_STALLED_AFTER = timedelta(seconds=10)
"""A worker silent this long is dead: five heartbeats missed. Its jobs run again elsewhere."""

_BEHIND = -1
"""The priority of what may take long: a call that rings does not wait for it."""

_RETRY = procrastinate.RetryStrategy(max_attempts=100, wait=1, linear_wait=5)

Concerns = Callable[[Payload], bool]
"""Whether news is a subscriber's business. Looked at before the job is written: most news concerns few."""

_subscribers: dict[str, list[tuple[Handler, Concerns]]] = defaultdict(list)


def _always(payload: Payload) -> bool:
    return True


def on(topic: str, *, when: Concerns = _always) -> Callable[[_H], _H]:
    """Subscribe a handler to a topic, or to that of its news which ``when`` picks out.

    ``worker.py`` imports every module that does.
    """

    def subscribe(handler: _H) -> _H:
        _subscribers[topic].append((handler, when))
        return handler

    return subscribe


async def announce(
    session: Database,
    topic: str,
    payload: Payload,
    *,
    at: datetime | None = None,
    lane: str | None = None,
) -> None:
    """Tell the subscribers of ``topic``, if and when this transaction commits; not before ``at``.

    ``payload`` is JSON and holds identifiers, never clinical content. With a ``lane`` it is work that may take long:
    it comes after all other news, one of a lane at a time, so that it never takes every slot of a worker.
    """
    jobs = session.info[SESSION_KEY]
    assert isinstance(jobs, Jobs)
    if isinstance(session, AsyncSession):
        connection = (await (await session.connection()).get_raw_connection()).driver_connection
    else:
        connection = session.driver
    assert isinstance(connection, psycopg.AsyncConnection)
    await jobs.defer(connection, topic, payload, at=at, lane=lane)


def _task_name(topic: str, handler: Handler) -> str:
    return f"{topic} > {handler.__module__}.{getattr(handler, '__qualname__', '')}"


async def _run(handler: Handler, hub: object, *, payload: Payload) -> None:
    await handler(hub, payload)


class Jobs:
    """The queue of one process. Any process may defer; a worker also runs."""

    def __init__(self, database: str) -> None:
        connector = procrastinate.PsycopgConnector(
            conninfo=database.replace("postgresql+psycopg://", "postgresql://"), min_size=1, max_size=4
        )
        self._app = procrastinate.App(connector=connector)

    @asynccontextmanager
    async def opened(self, hub: object) -> AsyncIterator[None]:
        """Connect, and bind every subscriber to ``hub``."""
        for topic, handlers in _subscribers.items():
            for handler, _ in handlers:
                task = self._app.task(name=_task_name(topic, handler), retry=_RETRY)
                task(partial(_run, handler, hub))
        async with self._app.open_async():
            yield

    async def defer(
        self,
        connection: "psycopg.AsyncConnection[Any]",
        topic: str,
        payload: Payload,
        *,
        at: datetime | None,
        lane: str | None = None,
    ) -> None:
        """Insert one job per subscriber whom the news concerns on the caller's connection; the caller commits.

        Raises:
            OperationalError: the database went away; SQLAlchemy's, as for every other statement of the transaction.
        """
        for handler, concerns in _subscribers[topic]:
            if not concerns(payload):
                continue
            name = _task_name(topic, handler)
            deferrer = self._app.tasks[name].configure(
                schedule_at=at, connection=connection, lock=lane, priority=0 if lane is None else _BEHIND
            )
            try:
                await deferrer.defer_async(payload=payload)
            except procrastinate.exceptions.ConnectorException as failure:
                raise OperationalError("defer", None, failure.__cause__ or failure) from failure

    async def run_pending(self) -> None:
        """Run what is due now, and what that announces, then return. For tests and one-shot commands."""
        await self._app.run_worker_async(
            wait=False, listen_notify=False, install_signal_handlers=False, delete_jobs="successful"
        )

    async def run(self, *, concurrency: int = 8) -> None:
        """Run jobs until cancelled. Any number of processes may do this at once."""
        rescue = asyncio.create_task(self._rescue_stalled(), name="rescue-stalled-jobs")
        try:
            await self._app.run_worker_async(
                concurrency=concurrency,
                fetch_job_polling_interval=1.0,
                install_signal_handlers=False,
                delete_jobs="successful",
                update_heartbeat_interval=_HEARTBEAT.total_seconds(),
                stalled_worker_timeout=_STALLED_AFTER.total_seconds(),
                shutdown_graceful_timeout=5.0,
            )
        finally:
            rescue.cancel()

    async def _rescue_stalled(self) -> None:
        """Run again what a killed worker had begun: it may not have happened."""
        manager = self._app.job_manager
        while True:
            try:
                stalled = await manager.get_stalled_jobs(
                    seconds_since_heartbeat=_STALLED_AFTER.total_seconds()
                )
                for job in stalled:
                    await manager.retry_job(job)
                    log.warning("job_rescued", task=job.task_name)
            except (psycopg.Error, procrastinate.exceptions.ProcrastinateException) as failure:
                log.warning("job_rescue_failed", error=type(failure).__name__)
            await asyncio.sleep(_STALLED_AFTER.total_seconds() / 2)
