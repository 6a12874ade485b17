"""How much a caller may ask for in a minute: buckets of points, shared through Valkey where that is there.

A bucket is one number, the time at which it will be full again (the generic cell rate algorithm, ITU-T I.371 annex A):
the same arithmetic here and in Valkey. Ordinary requests may draw four fifths of a bucket; the last fifth is for what
is urgent. Valkey may vanish at any moment: then every process keeps a bucket of its own, so a caller gets at most as
many buckets as there are processes, and nobody waits.
"""

from collections import OrderedDict
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from clinic_net.kernel import clock
from clinic_net.kernel.errors import TooMany
from clinic_net.kernel.hub import Hub

log = structlog.get_logger()

WINDOW_S = 60.0
"""A bucket that was emptied is full again after this long."""
RESERVE = 0.2
"""Part of each bucket that only urgent requests may draw."""
_REMEMBERED = 50_000
"""Buckets a process keeps; one that was forgotten is full."""
_ALONE_FOR_S = 5.0
"""How long Valkey is left alone after it failed."""

TOLD = "clinic_net.rate"
"""Where in a request's scope stands what is left: ``BrowserHeaders`` tells it."""

_DRAW = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local after = full + tonumber(ARGV[1])
if after - now > tonumber(ARGV[2]) then
    return {0, tostring(full - now)}
end
redis.call('SET', KEYS[1], string.format('%.6f', after), 'PX', math.ceil((after - now) * 1000) + 1)
return {1, tostring(after - now)}
"""
"""ARGV: seconds in which the cost flows back, and seconds that may be drawn. Returns: drawn, seconds to full."""


@dataclass(frozen=True)
class Left:
    """What is left of a bucket of ``limit`` points after a request; ``seconds`` until it is full again."""

    name: str
    limit: int
    remaining: int
    seconds: float

    def headers(self) -> dict[str, str]:
        """Return the fields of draft-ietf-httpapi-ratelimit-headers: the policy, and what is left of it."""
        return {
            "RateLimit-Policy": f'"{self.name}";q={self.limit};w={WINDOW_S:.0f}',
            "RateLimit": f'"{self.name}";r={self.remaining};t={self.seconds:.0f}',
        }


class LimitReached(TooMany):
    code = "rate-limit"

    def __init__(self, left: Left, *, wait: float) -> None:
        super().__init__("too many requests; wait", retry_after=max(1, int(wait) + 1))
        self.left = left


class Rates:
    """The buckets that one process knows."""

    def __init__(self, redis: Redis) -> None:
        self._draw = redis.register_script(_DRAW)
        self._full: OrderedDict[str, float] = OrderedDict()
        self._alone_until = 0.0

    def here(self, name: str, who: str, *, limit: int, cost: int, urgent: bool = False) -> Left | None:
        """Draw ``cost`` points from the process's own bucket of ``who``. A ``limit`` of 0 is none.

        Raises:
            LimitReached: there are not enough points.
        """
        if limit <= 0:
            return None
        now, key = clock.monotonic(), f"{name}:{who}"
        full = max(self._full.get(key, 0.0), now)
        after = full + cost * WINDOW_S / limit
        most = WINDOW_S * (1.0 if urgent else 1.0 - RESERVE)
        drawn = after - now <= most
        if drawn:
            self._full[key] = after
            self._full.move_to_end(key)
            if len(self._full) > _REMEMBERED:
                self._full.popitem(last=False)
        return _outcome(name, limit, cost, most, drawn=drawn, used=(after if drawn else full) - now)

    async def everywhere(
        self, name: str, who: str, *, limit: int, cost: int, urgent: bool = False
    ) -> Left | None:
        """Draw from the bucket that all processes share; from this process's own while Valkey is away.

        Raises:
            LimitReached: there are not enough points.
        """
        if limit <= 0:
            return None
        if clock.monotonic() < self._alone_until:
            return self.here(name, who, limit=limit, cost=cost, urgent=urgent)
        most = WINDOW_S * (1.0 if urgent else 1.0 - RESERVE)
        try:
            drawn, used = await self._draw(
                keys=[f"rate:{name}:{who}"], args=[f"{cost * WINDOW_S / limit:.6f}", f"{most:.6f}"]
            )
        except (RedisError, OSError) as failure:
            self._alone_until = clock.monotonic() + _ALONE_FOR_S
            log.warning("redis_away", doing="rate", error=type(failure).__name__)
            return self.here(name, who, limit=limit, cost=cost, urgent=urgent)
        return _outcome(name, limit, cost, most, drawn=bool(int(drawn)), used=float(used))


def _outcome(name: str, limit: int, cost: int, most: float, *, drawn: bool, used: float) -> Left:
    left = Left(name, limit, max(0, int((most - used) * limit / WINDOW_S)), used)
    if not drawn:
        raise LimitReached(left, wait=used + cost * WINDOW_S / limit - most)
    return left


_of_hubs: WeakKeyDictionary[object, Rates] = WeakKeyDictionary()
"""By engine: a process may run several hubs."""


def rates_of(hub: Hub) -> Rates:
    """Return the buckets of a hub."""
    engine = hub.engine.sync_engine
    found = _of_hubs.get(engine)
    if found is None:
        found = _of_hubs[engine] = Rates(hub.redis)
    return found
