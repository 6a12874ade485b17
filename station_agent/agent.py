"""The agent as a whole: the store, the link and the relay, started and stopped together."""

import asyncio
import contextlib
import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import structlog

from clinic_net.protocol.signalling.messages import CloseCode, Envelope
from station_agent import clock, lock
from station_agent.errors import NotEnrolled
from station_agent.link.files import Files
from station_agent.link.gateways import gateway_of
from station_agent.link.signal import HubSignal
from station_agent.link.signing import Signer
from station_agent.link.sms import AFTER, SmsLane, Way
from station_agent.link.state import Link, LinkState
from station_agent.link.sync import TIMEOUT, Extras, Route, Syncing
from station_agent.link.tokens import Tokens
from station_agent.relay.relay import Relay
from station_agent.store import Tx, batches, figures, files, outbox, rescue, settings
from station_agent.store.files import File
from station_agent.supervisor import teller
from station_agent.upkeep import Upkeep

log = structlog.get_logger()

KEEP_BYTES = timedelta(days=180)
"""How long the bytes of an attachment that the hub has stay on this computer; they can be fetched again."""

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
    supervisor: str | None = None
    """The service manager's socket (``NOTIFY_SOCKET``), if there is one."""
    sms: str | None = None
    """How an SMS leaves when the link does not carry an urgent request: a modem's device, ``record``, or not at all."""
    sms_after: timedelta = AFTER


class Agent:
    """One station at work. ``open`` first, ``link_up`` in an event loop, ``close`` last."""

    def __init__(self, options: Options, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.options = options
        self.link = Link()
        self._transport = transport
        self._lock = lock.hold(options.directory)
        try:
            self.database = rescue.open_store(options.directory, clock.now()).database
        except BaseException:
            self._lock.close()
            raise
        self.upkeep = Upkeep(
            self.database, options.directory, clock=clock.now, tell=teller(options.supervisor)
        )
        with self.database.transaction() as tx:
            self.enrolment = settings.enrolment(tx)
            outbox.prune(tx, clock.now() - KEEP_APPLIED)
            figures.prune(tx, clock.now().date())
            files.forget_old(tx, clock.now() - KEEP_BYTES)
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
            extras=Extras(
                changed=self._changed, listening=lambda: self.signal.open, forget=(files.forget_patient,)
            ),
        )  # fmt: skip
        self.signal = HubSignal(
            self.tokens, hub=reached, welcomed=self.relay.welcomed, delivered=self.relay.delivered,
            lost=lambda: self.syncing.poke(pull=True), stopped=self._stopped, now=clock.now,
        )  # fmt: skip
        self.files = Files(self.database, self.tokens, reached, clock=clock.now)
        self.sms: SmsLane | None = None
        if options.sms is not None:
            gateway = gateway_of(options.sms, options.directory)
            way = Way(reached, self.enrolment["device"], gateway, options.sms_after)
            self.sms = SmsLane(self.database, self.tokens, way, clock=clock.now, changed=self._changed)
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
            asyncio.create_task(self.upkeep.run()),
            asyncio.create_task(self.files.run(self._client, online=self._is_online)),
        ]
        if self.sms is not None:
            self._tasks.append(asyncio.create_task(self.sms.run(self._client, online=self._is_online)))

    async def link_down(self) -> None:
        """Stop talking to the hub."""
        for task in (*self._tasks, *self._keeping):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)  # one may have ended by a damaged store
        await self._client.aclose()

    def close(self) -> None:
        """Close the store and let another agent have it."""
        self.database.close()
        self._lock.close()

    def saved(self) -> None:
        """Something new waits for the hub."""
        self.syncing.poke()

    def _is_online(self) -> bool:
        return self.link.state is LinkState.ONLINE

    async def fetch_file(self, file: File) -> None:
        """Fetch the bytes of a document from the hub and keep them. Raises FileNotThere, LinkError, httpx.HTTPError."""
        await self.files.fetch(self._client, file)

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
        offset = round(self.tokens.clock_offset.total_seconds())

        def keep(tx: Tx) -> None:
            settings.put(tx, "link", state.value)
            if state is LinkState.ONLINE:  # only now is it known
                settings.put(tx, "clock_offset", str(offset))

        await self.database.run(keep)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
