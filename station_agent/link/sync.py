"""Records up and down: ``clinicnet.sync.v1`` as the station speaks it. ``StationHalf`` decides, this does."""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
import structlog

from clinic_net.protocol.sync import Lane, Outcome, Report
from clinic_net.protocol.sync.station_half import PULL_EVERY_S, Do, StationHalf, Step, Work
from station_agent import __version__
from station_agent import clock as clocks
from station_agent.errors import LinkError, Revoked
from station_agent.link.erasing import Erasing
from station_agent.link.line import TIMEOUT, HubRefused, Line
from station_agent.link.meter import Meter
from station_agent.link.old_form import OldForm
from station_agent.link.pulling import Pulling, Who
from station_agent.link.pushing import LIMITS, REMEMBERED, UNREADABLE, Pushing, Unreadable, maker_of
from station_agent.link.reporting import report
from station_agent.link.signing import Signer
from station_agent.link.standing import Asking
from station_agent.link.state import STICKY, Link, LinkState
from station_agent.link.tokens import Tokens
from station_agent.store import (
    Database,
    Tx,
    batches,
    config,
    erasing,
    figures,
    outbox,
    scopes,
    settings,
    snapshots,
)
from station_agent.store.erasing import Beside

log = structlog.get_logger()

__all__ = ["TIMEOUT", "Extras", "Route", "Syncing"]

REVOKED_EVERY_S = 60.0
"""A revoked device asks this often whether it is welcome again."""
LISTENING_PULL_S = 300.0
"""How often is asked for news while the hub tells of them by itself: each asking costs half a kilobyte."""
OLD_FORM_UNTIL = "old_form_until"
OLD_FORM_BYTES = 4000
"""About what a batch of the older form takes."""
_VIETNAM = timedelta(hours=7)

RANDOM = secrets.SystemRandom().random

Changed = Callable[[list[tuple[str, str]]], Awaitable[None]]


@dataclass(frozen=True)
class Route:
    """How the hub is reached and who speaks: the station, its device and the device's key, its province."""

    hub: str
    station: str
    device: str
    province: str
    signer: Signer


@dataclass(frozen=True)
class Extras:
    """What other parts of the station add. ``changed`` hears the (type, id) of resources whose state or text changed
    here; ``listening``: the hub tells of news by itself now; ``forget`` erases what
    they keep about a patient; ``files`` sends a part of an attachment, ``file_bytes`` says how large it would be."""

    changed: Changed
    listening: Callable[[], bool] = lambda: False
    forget: Sequence[Beside] = ()
    files: Callable[[httpx.AsyncClient], Awaitable[None]] | None = None
    file_bytes: Callable[[Tx], int] = lambda tx: 0


class Syncing:
    """The loop. ``rng`` is uniform in [0, 1)."""

    def __init__(
        self,
        database: Database,
        tokens: Tokens,
        route: Route,
        *,
        link: Link,
        clock: Callable[[], datetime],
        extras: Extras,
        rng: Callable[[], float] = RANDOM,
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._link = link
        self._clock = clock
        self._extras = extras
        self._rng = rng
        self._timer = clocks.monotonic
        self._wake = asyncio.Event()
        self._line = Line(route.hub, tokens, Meter())
        who = Who(route.station, route.device, route.province)
        self._pushing = Pushing(
            database,
            self._line,
            lambda: maker_of(route.station, __version__, route.signer, tokens.clock_offset),
            clock,
        )
        self._pulling = Pulling(
            database, self._line, who, clock=clock, timer=clocks.monotonic, report=self._report
        )
        self._old = OldForm(database, self._line, route.station, clock=clock, report=self._report)
        self._erasing = Erasing(
            database, route.signer, station=route.station, device=route.device, clock=clock, beside=self._extras.forget
        )  # fmt: skip
        self._standing = Asking(database, route.signer, self._erasing, hub=route.hub, device=route.device)
        self.half = StationHalf(route.station)
        self._framed = False
        """Whether this hub has answered in form 2 since the program began."""
        self._costs: list[tuple[Lane, int, int]] = []

    def _report(self, tx: Tx) -> Report:
        return report(tx, self._clock(), self._tokens.clock_offset)

    def poke(self, *, pull: bool = False) -> None:
        """Something waits: try at once, whatever back-off of our own is running."""
        self.half.poked(self._timer(), pull=pull)
        self._wake.set()

    async def run(self, client: httpx.AsyncClient) -> None:
        """Push and pull for ever. Only cancellation ends it."""
        self.half.began(self._timer(), await self._database.run(self._down_s))
        while True:
            wait = await self._round(client)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait)
            self._wake.clear()

    def _down_s(self, tx: Tx) -> float:
        """Return the seconds since the hub was last heard; 0 for a station that never has."""
        try:
            last = datetime.fromisoformat(settings.get(tx, "last_contact") or "")
        except ValueError:
            return 0.0
        return (self._clock() - last).total_seconds()

    async def _round(self, client: httpx.AsyncClient) -> float:
        """Do everything that can be done; return the seconds until the next try if nobody pokes."""
        while True:
            try:
                until = await self._steps(client)
            except Revoked as error:
                self._tokens.forget()
                self._link.now_is(LinkState.REVOKED, at=self._clock(), reason=error.reason)
                await self._ask_standing(client)
                return REVOKED_EVERY_S
            except (LinkError, httpx.HTTPError) as error:
                reason = error.reason if isinstance(error, LinkError) else type(error).__name__
                self._link.now_is(LinkState.OFFLINE, at=self._clock(), reason=reason)
                log.info("link_failed", reason=reason, attempt=self.half.attempts)
            except Exception:
                # The loop must outlive every surprise: a station that stops sending without a word loses its patients.
                log.exception("sync_failed")
                self._link.now_is(LinkState.OFFLINE, at=self._clock(), reason="internal")
            else:
                return max(0.05, until - self._timer())

    async def _ask_standing(self, client: httpx.AsyncClient) -> None:
        """A bare refusal could come from anybody on the way: what follows from it is said and signed by the hub."""
        try:
            if await self._standing.run(client):
                log.warning("everything_was_erased")
                await self._tell([("Station", "")])
        except httpx.HTTPError as error:
            log.info("standing_unknown", reason=type(error).__name__)
        except Exception:
            log.exception("standing_failed")

    async def exchange(self, client: httpx.AsyncClient) -> None:
        """Push everything that waits, fastest lane first, and pull until nothing is left.

        Raises:
            LinkError, httpx.HTTPError: the link failed; what was answered until then is stored.
        """
        self.half.poked(self._timer(), pull=True)
        await self._steps(client)

    async def _steps(self, client: httpx.AsyncClient) -> float:
        """Do one step after the other until there is nothing to do; return until when."""
        wiping = True
        while True:
            work, erase = await self._database.run(self._look)
            if erase and wiping:
                wiping = bool(gone := await self._erasing.run())
                await self._tell(gone)
                self.half.poked(self._timer(), pull=True)
                continue
            step = self.half.next(self._timer(), work)
            if step.do is Do.WAIT:
                return step.until
            await self._step(client, step)

    async def _step(self, client: httpx.AsyncClient, step: Step) -> None:
        before = self._link.state
        try:
            more = await self._do(client, step)
        except Revoked:
            raise
        except LinkError as error:
            self.half.failed(
                step, self._timer(), self._rng, answered=isinstance(error, HubRefused),
                retry_after=error.retry_after,
            )  # fmt: skip
            raise
        except httpx.HTTPError:
            self.half.failed(step, self._timer(), self._rng, answered=False)
            raise
        except Exception:
            self.half.failed(step, self._timer(), self._rng, answered=True)
            raise
        finally:
            lane = step.lane if step.do in (Do.PUSH, Do.SNAPSHOT, Do.FILE) else Lane.CARE
            self._costs.append((lane, *self._line.spent()))
        self.half.done(step, self._timer(), more=more)
        if (
            self._link.state is before or self._link.state not in STICKY
        ):  # else the socket heard worse meanwhile
            self._link.now_is(LinkState.ONLINE, at=self._clock())

    async def _do(self, client: httpx.AsyncClient, step: Step) -> bool:
        """Do one exchange; whether a pull has more."""
        if step.do is Do.PUSH:
            await self._push(client, step.lane)
        elif step.do is Do.PULL:
            return await self._pull(client)
        elif step.do is Do.REPAIR:
            await self._tell(await self._pulling.repair(client, step.scope))
        elif step.do is Do.SNAPSHOT:
            if await self._pulling.part(client):
                await self._tell([("Snapshot", step.scope)])
        elif self._extras.files is not None:
            await self._extras.files(client)
        return False

    # -- which form

    async def _speaks_old(self) -> bool:
        until = await self._database.run(lambda tx: settings.get(tx, OLD_FORM_UNTIL))
        return (until or "") > self._clock().isoformat()

    async def _remember_old(self) -> None:
        until = (self._clock() + REMEMBERED).isoformat()
        await self._database.run(lambda tx: settings.put(tx, OLD_FORM_UNTIL, until))
        log.info("hub_speaks_older_form")

    async def _push(self, client: httpx.AsyncClient, lane: Lane) -> None:
        if await self._speaks_old():
            return await self._settled(await self._old.push(client))
        try:
            told = await self._pushing.push(client, lane)
            self._framed = self._framed or told is not None
        except Unreadable as error:
            if not self._framed:
                await self._pull(client)  # tells which form this hub speaks
            if await self._speaks_old():
                told = await self._old.push(client)
            else:
                told = await self._pushing.part(client, error.batch)
        await self._settled(told or [])
        return None

    async def _pull(self, client: httpx.AsyncClient) -> bool:
        if not await self._speaks_old():
            try:
                head, taken = await self._pulling.pull(client)
            except HubRefused as refused:
                if self._framed or refused.status not in UNREADABLE:
                    raise
                await self._remember_old()
            else:
                self._framed = True
                await self._settled(taken.settled)
                await self._tell(taken.changed)
                return head.more
        more, changed = await self._old.pull(client)
        await self._tell(changed)
        return more

    # -- what it led to

    async def _settled(self, told: Sequence[outbox.Settled]) -> None:
        for each in told:
            if each.outcome in (Outcome.CONFLICT, Outcome.QUARANTINED):
                log.warning("op_refused", op=each.op, outcome=each.outcome.value)
        await self._tell([(each.rtype, each.id) for each in told])

    async def _tell(self, changed: list[tuple[str, str]]) -> None:
        if changed:
            await self._extras.changed(changed)

    # -- what waits

    def _look(self, tx: Tx) -> tuple[Work, bool]:
        """Return what waits, and whether a patient is to be erased; note what the last steps cost."""
        day = (self._clock() + _VIETNAM).date()
        for lane, up, down in self._costs:
            if up or down:
                figures.spent(tx, day, lane, up, down)
        self._costs.clear()
        part = snapshots.next_part(tx)
        listening = LISTENING_PULL_S if self._extras.listening() else PULL_EVERY_S
        self.half.pull_every_s = config.pull_every(tx, listening)
        work = Work(
            batches=self._batches(tx),
            suspects=scopes.suspects(tx),
            snapshot="" if part is None else part.scope,
            snapshot_bytes=0 if part is None else min(part.size - part.start, self._pulling.part_bytes),
            file_bytes=self._extras.file_bytes(tx) if self._extras.files is not None else 0,
            spent=sum(each.total for each in figures.spent_on(tx, day).values()),
            budget=figures.budget(tx),
        )
        return work, bool(erasing.due(tx) or erasing.unwiped(tx))

    def _batches(self, tx: Tx) -> dict[Lane, int]:
        if (settings.get(tx, OLD_FORM_UNTIL) or "") > self._clock().isoformat():
            waiting = outbox.counts(tx).waiting
            return {lane: OLD_FORM_BYTES if waiting[lane] else 0 for lane in Lane}
        return {lane: batches.size_of_next(tx, lane, LIMITS[lane]) for lane in Lane}
