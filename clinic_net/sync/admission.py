"""Letting stations in by slots (``admission_rules``): lines shared through Valkey, a process's own while it is away.

Valkey may vanish at any moment: then every process lets in by itself what all together would, and nobody waits longer
than before. Tickets are signed, so that any node takes them and nobody writes one.
"""

import hmac
import math
import random
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.requests import HTTPConnection

from clinic_net.access import StationPrincipal
from clinic_net.access.keys import Use, keyed_digest
from clinic_net.kernel import clock
from clinic_net.kernel.errors import TooMany
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.rates import TOLD
from clinic_net.sync.admission_rules import Decision, Draw, Limits, Ticket, decide, drawn

log = structlog.get_logger()

HEADER = "Sync-Ticket"
_ALONE_FOR_S = 5.0
"""How long Valkey is left alone after it failed."""

_DRAW = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local full = tonumber(redis.call('GET', KEYS[1]) or '0')
local wait = math.max(0, full - now - tonumber(ARGV[2]))
if ARGV[3] == '1' and wait > 0 then
    return tostring(wait)
end
local after = math.max(full, now) + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.6f', after), 'PX', math.ceil((after - now) * 1000) + 1000)
return tostring(wait)
"""
"""``admission_rules.drawn``. ARGV: seconds between slots, seconds of slots at once, whether only a free one."""


class ComeBack(TooMany):
    """The station has been given a slot, ``retry_after`` seconds from now; its ticket lets it in then."""

    code = "sync-come-back"

    def __init__(self, seconds: int) -> None:
        super().__init__("many stations are coming back; wait for your turn", retry_after=seconds)


@dataclass(frozen=True)
class _Told:
    """What an answer tells beside what it told already."""

    ticket: str
    others: dict[str, str]

    def headers(self) -> dict[str, str]:
        return {**self.others, HEADER: self.ticket}


class Lines:
    """The lines that one process knows."""

    def __init__(self, redis: Redis) -> None:
        self._script = redis.register_script(_DRAW)
        self._full: dict[str, float] = {}
        self._alone_until = -math.inf

    async def draw(self, draw: Draw, limits: Limits) -> float:
        """Take the next slot of a line; return how long until it, in seconds."""
        interval, burst = limits.of(draw.line)
        if clock.monotonic() >= self._alone_until:
            args = [f"{interval:.9f}", f"{burst:.6f}", "1" if draw.only_free else "0"]
            try:
                return float(await self._script(keys=[f"sync:line:{draw.line}"], args=args))
            except (RedisError, OSError) as failure:
                self._alone_until = clock.monotonic() + _ALONE_FOR_S
                log.warning("redis_away", doing="admission", error=type(failure).__name__)
        now = clock.monotonic()
        before = self._full.get(draw.line, -math.inf)
        wait, self._full[draw.line] = drawn(before, now, interval, burst, only_free=draw.only_free)
        return wait


_of_hubs: WeakKeyDictionary[object, Lines] = WeakKeyDictionary()
"""By engine: a process may run several hubs."""


def _lines_of(hub: Hub) -> Lines:
    engine = hub.engine.sync_engine
    found = _of_hubs.get(engine)
    if found is None:
        found = _of_hubs[engine] = Lines(hub.redis)
    return found


def signed(ticket: Ticket, station: StationPrincipal, hub: Hub) -> str:
    """Return a ticket as its device carries it."""
    said = f"{ticket.kind}.{round(ticket.at * 1000)}"
    return f"{said}.{_mac(said, station, hub)}"


def ticket_in(header: str, station: StationPrincipal, hub: Hub) -> Ticket | None:
    """Return the ticket that a request carries, if this hub gave it to this device."""
    kind, _, rest = header.partition(".")
    at, _, mac = rest.partition(".")
    said = f"{kind}.{at}"
    if not (at.isascii() and at.isdigit()) or kind not in ("open", "slot"):
        return None
    if not hmac.compare_digest(mac.encode("utf-8", "replace"), _mac(said, station, hub).encode()):
        return None
    return Ticket("open" if kind == "open" else "slot", int(at) / 1000)


def _mac(said: str, station: StationPrincipal, hub: Hub) -> str:
    return keyed_digest(hub.settings.token_key, Use.SYNC_TICKET, f"{station.device} {said}").hex()[:32]


async def admit(
    connection: HTTPConnection, hub: Hub, station: StationPrincipal, *, urgent: bool = False
) -> None:
    """Let a station's request in, or give it a slot. The ticket to go on with is in the answer's ``Sync-Ticket``.

    Raises:
        ComeBack: its slot is later.
    """
    limits = Limits(hub.settings.sync_rate, hub.settings.sync_burst, hub.settings.sync_reserve)
    if limits.rate <= 0:
        return
    before = ticket_in(connection.headers.get(HEADER, ""), station, hub)
    decision = await _decided(before, hub, limits, urgent=urgent)
    if decision.ticket is not None and decision.ticket != before:
        others = told.headers() if (told := connection.scope.get(TOLD)) is not None else {}
        connection.scope[TOLD] = _Told(signed(decision.ticket, station, hub), others)
    if not decision.admitted:
        raise ComeBack(decision.retry_after)


async def _decided(before: Ticket | None, hub: Hub, limits: Limits, *, urgent: bool) -> Decision:
    deciding = decide(before, now=hub.now().timestamp(), urgent=urgent, chance=random.random())  # noqa: S311 -- jitter
    lines = _lines_of(hub)
    try:
        draw = next(deciding)
        while True:
            draw = deciding.send(await lines.draw(draw, limits))
    except StopIteration as done:
        decision: Decision = done.value
        return decision
