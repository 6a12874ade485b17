"""Records up and down: ``clinicnet.sync.v1`` as the station speaks it."""

import asyncio
import contextlib
import gzip
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import httpx
import structlog
from pydantic import ValidationError

from clinic_net.protocol.sync import (
    Lane,
    Op,
    OpIssue,
    OpResult,
    Outcome,
    Page,
    Pull,
    Push,
    PushAnswer,
    Report,
)
from station_agent import __version__
from station_agent.errors import EnvelopeRefused, LinkError, Revoked
from station_agent.ids import new_id
from station_agent.link.backoff import honoured, wait_before
from station_agent.link.state import Link, LinkState
from station_agent.link.tokens import Tokens, refused
from station_agent.store import Database, Tx, calls, feed, outbox, settings

log = structlog.get_logger()

URGENT_BYTES = 16 * 1024
CARE_BYTES = 32 * 1024
"""Bytes of resource text in one push, before gzip: at 64 kbit/s an urgent one waits 1 s at most for the line
(sync §4.7: frames that it can get in between)."""

BATCH_OPS = 50
PULL_EVERY_S = 60.0
REVOKED_EVERY_S = 60.0
"""A revoked device asks this often whether it is welcome again."""
GZIP_FROM = 400
"""Bytes from which compression pays."""
PUSHES_BEFORE_PULL = 5
TIMEOUT = httpx.Timeout(60.0, connect=10.0)

RANDOM = secrets.SystemRandom().random

Changed = Callable[[list[tuple[str, str]]], Awaitable[None]]


@dataclass(frozen=True)
class Route:
    """How the hub is reached and who speaks."""

    hub: str
    station: str


class Syncing:
    """The loop. ``changed`` hears the (type, id) of resources whose state or text changed here."""

    def __init__(
        self,
        database: Database,
        tokens: Tokens,
        route: Route,
        *,
        link: Link,
        clock: Callable[[], datetime],
        changed: Changed,
        rng: Callable[[], float] = RANDOM,
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._route = route
        self._link = link
        self._clock = clock
        self._changed = changed
        self._rng = rng
        self._wake = asyncio.Event()
        self._pull_wanted = True
        self.attempt = 0

    def poke(self, *, pull: bool = False) -> None:
        """Something waits: try at once, whatever back-off is running."""
        self._pull_wanted = self._pull_wanted or pull
        self._wake.set()

    async def run(self, client: httpx.AsyncClient) -> None:
        """Push and pull for ever. Only cancellation ends it."""
        while True:
            wait = await self._round(client)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait)
            self._wake.clear()

    async def _round(self, client: httpx.AsyncClient) -> float:
        """Try once; return the seconds until the next try if nobody pokes."""
        try:
            await self.exchange(client)
        except Revoked as error:
            self._tokens.forget()
            self._link.now_is(LinkState.REVOKED, at=self._clock(), reason=error.reason)
            return REVOKED_EVERY_S
        except LinkError as error:
            return await self._failed(error.reason, error.retry_after)
        except httpx.HTTPError as error:
            return await self._failed(type(error).__name__, None)
        except Exception:
            # The loop must outlive every surprise: a station that stops sending without a word loses its patients.
            log.exception("sync_failed")
            return await self._failed("internal", None)
        self.attempt = 0
        return PULL_EVERY_S

    async def _failed(self, reason: str, retry_after: float | None) -> float:
        self.attempt += 1
        self._link.now_is(LinkState.OFFLINE, at=self._clock(), reason=reason)
        log.info("link_failed", reason=reason, attempt=self.attempt)
        if retry_after is not None:
            return honoured(retry_after, self._rng)
        return wait_before(self.attempt, self._rng, urgent=await self._database.run(_urgent))

    async def exchange(self, client: httpx.AsyncClient) -> None:
        """Push everything that waits, fastest lane first, and pull until nothing is left.

        Raises:
            LinkError, httpx.HTTPError: the link failed; what was answered until then is stored.
        """
        self._pull_wanted = True
        pushed = 0
        while True:
            sent = await self.push_once(client)
            pushed += sent
            if self._pull_wanted and (not sent or pushed % PUSHES_BEFORE_PULL == 0):
                self._pull_wanted = await self.pull_once(client)
            if not sent and not self._pull_wanted:
                return

    # -- up

    async def push_once(self, client: httpx.AsyncClient) -> bool:
        """Push one batch; whether there was one. A batch that the hub cannot read is sent in ever smaller pieces."""
        batch = await self._database.run(
            lambda tx: outbox.next_batch(
                tx, max_ops=BATCH_OPS, max_bytes=URGENT_BYTES if _urgent(tx) else CARE_BYTES
            )
        )
        if batch is None:
            return False
        lane, ops = batch
        try:
            await self._push(client, lane, ops)
        except EnvelopeRefused:
            if len(ops) > 1:
                await self._one_by_one(client, lane, ops)
            else:
                await self._quarantine_here(client, ops[0])
        return True

    async def _one_by_one(self, client: httpx.AsyncClient, lane: Lane, ops: Sequence[Op]) -> None:
        for op in ops:
            try:
                await self._push(client, lane, (op,))
            except EnvelopeRefused:
                await self._quarantine_here(client, op)

    async def _quarantine_here(self, client: httpx.AsyncClient, op: Op) -> None:
        """The hub cannot even read this one: keep it, show it, and let what is behind it go.

        An empty push tells whether it is this operation or everything we say; the latter is not the record's fault.
        """
        try:
            await self._push(client, Lane.URGENT, ())
        except EnvelopeRefused as error:
            raise LinkError("push-refused") from error
        issue = OpIssue(
            code="structure", expression=op.type, diagnostics="the hub could not read this operation"
        )
        await self._take([OpResult(op=op.op, outcome=Outcome.QUARANTINED, issues=(issue,))], (op,))

    async def _push(self, client: httpx.AsyncClient, lane: Lane, ops: Sequence[Op]) -> None:
        numbers = [op.op for op in ops]

        def leave(tx: Tx) -> str:
            outbox.mark_sent(tx, numbers)
            return settings.get(tx, "db_epoch") or ""

        epoch = await self._database.run(leave)
        push = Push(
            station=self._route.station, db_epoch=UUID(epoch), batch=UUID(new_id(self._clock())), lane=lane,
            agent=__version__, ops=tuple(ops),
        )  # fmt: skip
        answer = await self._post(client, "/sync/v1/push", push.model_dump_json().encode())
        try:
            said = PushAnswer.model_validate_json(answer.content)
        except ValidationError:
            raise LinkError("not-a-hub") from None
        if said.batch != push.batch:
            raise LinkError("answer-to-another-batch")
        asked = set(numbers)
        results = [result for result in said.results if result.op in asked]
        if ops and not results:
            raise LinkError("empty-answer")
        await self._take(results, ops)

    async def _take(self, results: Sequence[OpResult], ops: Sequence[Op]) -> None:
        now = self._clock()
        by_number = {op.op: op for op in ops}
        taken = [by_number[r.op] for r in results if r.outcome in (Outcome.APPLIED, Outcome.DUPLICATE)]

        def store(tx: Tx) -> None:
            outbox.answered(tx, results, now)
            settings.contacted(tx, now)
            for op in taken:
                if op.type == "ServiceRequest":
                    calls.received(tx, op.id)

        await self._database.run(store)
        for result in results:
            if result.outcome in (Outcome.CONFLICT, Outcome.QUARANTINED):
                log.warning("op_refused", op=result.op, outcome=result.outcome.value)
        if ops:
            await self._changed([(op.type, op.id) for op in ops])

    # -- down

    async def pull_once(self, client: httpx.AsyncClient) -> bool:
        """Pull one page; whether there is more."""

        def ask(tx: Tx) -> Pull:
            feed.adopt_hub_copies(tx)
            return Pull(station=self._route.station, cursor=settings.cursor(tx), report=report(tx))

        asked = await self._database.run(ask)
        answer = await self._post(client, "/sync/v1/pull", asked.model_dump_json().encode())
        try:
            page = Page.model_validate_json(answer.content)
        except ValidationError:
            raise LinkError("not-a-hub") from None
        now = self._clock()
        changed = await self._database.run(lambda tx: feed.store(tx, page, now))
        self._link.now_is(LinkState.ONLINE, at=now)
        if changed:
            await self._changed(changed)
        return page.more and page.cursor > asked.cursor

    async def _post(self, client: httpx.AsyncClient, path: str, body: bytes) -> httpx.Response:
        token = await self._tokens.get(client)
        headers = {"Authorization": f"Bearer {token.text}", "Content-Type": "application/json"}
        if len(body) >= GZIP_FROM:
            body, headers["Content-Encoding"] = gzip.compress(body, 6, mtime=0), "gzip"
        answer = await client.post(self._route.hub + path, content=body, headers=headers)
        if answer.status_code == 401:
            # Asking for a fresh token tells whether the device was revoked or only this token has ended.
            self._tokens.forget()
            headers["Authorization"] = f"Bearer {(await self._tokens.get(client)).text}"
            answer = await client.post(self._route.hub + path, content=body, headers=headers)
        if answer.status_code == 200:
            return answer
        if answer.status_code in (400, 413, 422) and path.endswith("push"):
            raise EnvelopeRefused(f"http-{answer.status_code}")
        raise refused(answer, f"http-{answer.status_code}")


def _urgent(tx: Tx) -> bool:
    return outbox.counts(tx).waiting[Lane.URGENT] > 0


def report(tx: Tx) -> Report:
    """Return how this station is, for the hub."""
    counts = outbox.counts(tx)
    return Report(
        agent=__version__,
        waiting={str(lane): number for lane, number in counts.waiting.items()},
        refused=counts.refused + counts.conflicts,
        oldest_waiting_at=_instant(counts.oldest),
    )


def _instant(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text or "")
    except ValueError:
        return None
