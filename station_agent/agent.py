"""The agent as a whole: the store, the link and the relay, started and stopped together."""

import asyncio
import contextlib
import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog

from clinic_net.protocol.signalling.messages import CloseCode, Envelope
from station_agent import __version__, clock, lock
from station_agent.errors import NotEnrolled
from station_agent.link.signal import HubSignal
from station_agent.link.signing import Signer
from station_agent.link.state import Link, LinkState
from station_agent.link.sync import TIMEOUT, Extras, Route, Syncing
from station_agent.link.tokens import Tokens
from station_agent.relay.relay import Relay
from station_agent.store import Database, batches, outbox, settings
from station_agent.store.database import FILE_NAME, Tx, read_only

log = structlog.get_logger()

KEPT_OPEN = httpx.Limits(max_connections=4, max_keepalive_connections=2, keepalive_expiry=900.0)
"""One connection serves for as long as the hub lets it: a fresh one costs two to four kilobytes (sync §0.2)."""

KEEP_APPLIED = timedelta(days=30)
"""How long the number of an operation that the hub took is kept, for a technician."""


@dataclass(frozen=True)
class Options:
    """How this agent runs. ``via`` reaches the hub through another address (a proxy); None: as enrolled."""

    directory: Path
    port: int = 8090
    host: str = "127.0.0.1"
    via: str | None = None


class Agent:
    """One station at work. ``open`` first, ``link_up`` in an event loop, ``close`` last."""

    def __init__(self, options: Options, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.options = options
        self.link = Link()
        self._transport = transport
        self._lock = lock.hold(options.directory)
        self.database = Database(options.directory / FILE_NAME, clock.now())
        with self.database.transaction() as tx:
            self.enrolment = settings.enrolment(tx)
            outbox.prune(tx, clock.now() - KEEP_APPLIED)
            batches.prune(tx, clock.now())
        if self.enrolment is None:
            self.close()
            raise NotEnrolled("this station has not been enrolled: run station-agent enrol")
        self.relay = Relay(self.database, now=clock.now, poked=lambda: self.syncing.poke(pull=True))
        hub = self.enrolment["hub"]
        reached = options.via or hub
        endpoint = self.enrolment["token_endpoint"]
        self.tokens = Tokens(
            options.directory, device=self.enrolment["device"], url=reached + endpoint,
            audience=self.enrolment["audience"], clock=clock.now,
        )  # fmt: skip
        self.syncing = Syncing(
            self.database, self.tokens,
            Route(reached, self.enrolment["station"], self.enrolment["device"], self.enrolment.get("province", ""),
                  Signer(options.directory)),
            link=self.link, clock=clock.now,
            extras=Extras(changed=self._changed, listening=lambda: self.signal.open),
        )  # fmt: skip
        self.signal = HubSignal(
            self.tokens, hub=reached, welcomed=self.relay.welcomed, delivered=self.relay.delivered,
            lost=lambda: self.syncing.poke(pull=True), stopped=self._stopped, now=clock.now,
        )  # fmt: skip
        self.relay.use(self.signal)
        self.link.watch(self._link_changed)
        self._tasks: list[asyncio.Task[None]] = []
        self._keeping: set[asyncio.Task[None]] = set()
        self._proxy = not _is_loopback(reached)

    async def link_up(self) -> None:
        """Begin to talk to the hub."""
        self._client = httpx.AsyncClient(
            timeout=TIMEOUT, transport=self._transport, trust_env=self._proxy, limits=KEPT_OPEN
        )
        self._tasks = [
            asyncio.create_task(self.syncing.run(self._client)),
            asyncio.create_task(self.signal.run(self._client, proxy=self._proxy)),
        ]

    async def link_down(self) -> None:
        """Stop talking to the hub."""
        for task in (*self._tasks, *self._keeping):
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._client.aclose()

    def close(self) -> None:
        """Close the store and let another agent have it."""
        self.database.close()
        self._lock.close()

    def saved(self) -> None:
        """Something new waits for the hub."""
        self.syncing.poke()

    def keep(self, task: asyncio.Task[None]) -> None:
        """Let a task end by itself, at the latest with the link."""
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)

    async def _changed(self, resources: list[tuple[str, str]]) -> None:
        for rtype, rid in resources:
            if rtype == "ServiceRequest":
                await self.relay.known(rid)
        for session in self.relay.sessions.all():
            session.push(Envelope(t="poke", d={"what": "sync"}))

    def _stopped(self, code: int) -> None:
        states = {CloseCode.REVOKED: LinkState.REVOKED, CloseCode.VERSION: LinkState.OUTDATED}
        if code in states:
            self.link.now_is(states[CloseCode(code)], at=clock.now(), reason=CloseCode(code).name.lower())
            self.syncing.poke()

    def _link_changed(self) -> None:
        """Keep the state for ``status``, which is another process."""
        state, reason = self.link.state, self.link.reason
        log.info("link_state", state=state.value, reason=reason)
        if state is LinkState.ONLINE:
            self.signal.reconnect()
        with contextlib.suppress(RuntimeError):
            self.keep(asyncio.get_running_loop().create_task(self._keep_link_state(state)))

    async def _keep_link_state(self, state: LinkState) -> None:
        await self.database.run(lambda tx: settings.put(tx, "link", state.value))


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def status(directory: Path) -> dict[str, Any]:
    """Return how a station is, for a technician: counts and codes, nothing about patients.

    Raises:
        NotEnrolled: this directory holds no station.
    """
    try:
        tx = read_only(directory / FILE_NAME)
    except FileNotFoundError:
        raise NotEnrolled("there is no data here: run station-agent enrol first") from None
    try:
        return summary(tx, running=lock.is_held(directory))
    finally:
        tx.close()


def summary(tx: Tx, *, running: bool) -> dict[str, Any]:
    """Return what ``status`` prints and ``/api/status`` answers."""
    enrolled = settings.enrolment(tx) or {}
    counts = outbox.counts(tx)
    link = settings.get(tx, "link") or "connecting"
    if not enrolled:
        link = LinkState.UNENROLLED.value
    return {
        "station": enrolled.get("station"),
        "name": enrolled.get("name"),
        "facility": enrolled.get("facility"),
        "hub": enrolled.get("hub"),
        "link": link if running else ("stopped" if enrolled else link),
        "last_contact": settings.get(tx, "last_contact"),
        "waiting": {str(lane): number for lane, number in counts.waiting.items()},
        "waiting_total": counts.total,
        "oldest_waiting": counts.oldest,
        "conflicts": counts.conflicts,
        "refused": [
            {
                "op": w.op,
                "type": w.rtype,
                "codes": sorted({str(i.get("code")) for i in w.issues}),
                "leg": w.leg,
            }
            for w in outbox.listing(tx)
            if w.leg in ("conflict", "quarantined")
        ],
        "db_epoch": settings.get(tx, "db_epoch"),
        "copied_at": settings.get(tx, "forked_at"),
        "version": __version__,
    }
