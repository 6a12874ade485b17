"""What a running hub process holds: made once by ``app.py``, ``worker.py`` or ``cli.py``, passed down."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from clinic_net.kernel import clock
from clinic_net.kernel.data_keys import KEYRING, Keyring
from clinic_net.kernel.db import AS_REQUEST, Sessions, create_engine, create_sessions
from clinic_net.kernel.jobs import SESSION_KEY, Jobs
from clinic_net.kernel.links import Links
from clinic_net.kernel.redis import create_redis
from clinic_net.kernel.settings import HubSettings


@dataclass(frozen=True)
class Hub:
    """The resources of a hub process. ``now`` is the clock: tests hand in their own.

    ``requests`` makes the sessions of requests, which see no record before they say whose they are (``access.lines``);
    ``sessions`` those of the hub's own work.
    """

    settings: HubSettings
    engine: AsyncEngine
    sessions: Sessions
    requests: Sessions
    links: Links
    redis: Redis
    jobs: Jobs
    now: Callable[[], datetime] = clock.now


@asynccontextmanager
async def open_hub(settings: HubSettings, *, now: Callable[[], datetime] = clock.now) -> AsyncIterator[Hub]:
    """Open the database with its data keys, Redis and the job queue, and close them again.

    Raises:
        WrongMasterKey: the settings' key does not open the data keys.
    """
    engine = create_engine(settings)
    outer = create_engine(settings, options=AS_REQUEST)
    redis = create_redis(settings.redis)
    jobs = Jobs(settings.database)
    info: dict[str, object] = {SESSION_KEY: jobs}
    sessions = create_sessions(engine, info=info)
    info[KEYRING] = keyring = Keyring(settings, sessions)
    links = Links(settings, info=info)
    hub = Hub(
        settings=settings,
        engine=engine,
        sessions=sessions,
        requests=create_sessions(outer, info=info),
        links=links,
        redis=redis,
        jobs=jobs,
        now=now,
    )
    try:
        await keyring.open(now=now())
        await links.open()
        async with jobs.opened(hub):
            yield hub
    finally:
        await keyring.close()
        await links.close()
        await redis.aclose()
        await engine.dispose()
        await outer.dispose()
