"""Redis or Valkey: fan-out between nodes, presence, counters. It may vanish at any moment; nothing is lost.

Every call gives up after a second and without retries: redis-py's default turned a half-second time-out
into nine seconds on a frozen server. Whoever publishes goes on when it fails, because whoever listens
also looks into PostgreSQL from time to time.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = structlog.get_logger()

_GIVE_UP_AFTER = 1.0
_COME_BACK_AFTER = 1.0
"""Seconds."""


def create_redis(url: str) -> Redis:
    """Return a client that fails within a second instead of waiting."""
    return Redis.from_url(
        url,
        socket_timeout=_GIVE_UP_AFTER,
        socket_connect_timeout=_GIVE_UP_AFTER,
        retry=Retry(NoBackoff(), 0),
        max_connections=100,
        decode_responses=True,
    )


async def publish(redis: Redis, channel: str, messages: Iterable[str]) -> bool:
    """Publish in one round trip. Returns False, and logs, when Redis is away."""
    try:
        async with redis.pipeline(transaction=False) as pipe:
            for message in messages:
                pipe.publish(channel, message)
            await pipe.execute()
    except (RedisError, OSError) as failure:
        log.warning("redis_away", doing="publish", error=type(failure).__name__)
        return False
    return True


async def listen(redis: Redis, channel: str) -> AsyncIterator[str]:
    """Yield what is published on ``channel``, for ever, reconnecting by itself; what is sent meanwhile is lost."""
    while True:
        try:
            async with redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                await pubsub.subscribe(channel)
                while True:
                    message = await pubsub.get_message(timeout=_GIVE_UP_AFTER)
                    if message is not None:
                        yield str(message["data"])
        except (RedisError, OSError) as failure:
            log.warning("redis_away", doing="listen", error=type(failure).__name__)
            await asyncio.sleep(_COME_BACK_AFTER)
