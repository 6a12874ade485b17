"""The older form of the conversation, for a hub that was not updated yet: JSON, one answer a push, one cursor."""

import gzip
from collections.abc import Callable, Sequence
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
from station_agent.errors import EnvelopeRefused, LinkError
from station_agent.ids import new_id
from station_agent.link.line import HubRefused, Line, Request
from station_agent.store import Database, Tx, feed, outbox, settings
from station_agent.store.outbox import Settled
from station_agent.store.scopes import Key

log = structlog.get_logger()

URGENT_BYTES = 16 * 1024
CARE_BYTES = 32 * 1024
BATCH_OPS = 50
GZIP_FROM = 400
"""Bytes from which compression pays."""


class OldForm:
    """Pushes and pulls in form 1. What a batch of form 2 holds and was not answered goes too: the hub knows every
    operation by its number, in whatever form it comes."""

    def __init__(
        self,
        database: Database,
        line: Line,
        station: str,
        *,
        clock: Callable[[], datetime],
        report: Callable[[Tx], Report],
    ) -> None:
        self._database = database
        self._line = line
        self._station = station
        self._clock = clock
        self._report = report

    async def push(self, client: httpx.AsyncClient) -> list[Settled]:
        """Push one batch of the fastest lane that has something. One that the hub cannot read is sent in ever smaller
        pieces."""
        batch = await self._database.run(
            lambda tx: outbox.next_batch(
                tx, max_ops=BATCH_OPS, max_bytes=URGENT_BYTES if urgent(tx) else CARE_BYTES
            )
        )
        if batch is None:
            return []
        lane, ops = batch
        try:
            return await self._push(client, lane, ops)
        except EnvelopeRefused:
            return await self._one_by_one(client, lane, ops)

    async def _one_by_one(self, client: httpx.AsyncClient, lane: Lane, ops: Sequence[Op]) -> list[Settled]:
        told = list[Settled]()
        for op in ops:
            try:
                told += await self._push(client, lane, (op,))
            except EnvelopeRefused:
                told += await self._quarantine_here(client, op)
        return told

    async def _quarantine_here(self, client: httpx.AsyncClient, op: Op) -> list[Settled]:
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
        return await self._take([OpResult(op=op.op, outcome=Outcome.QUARANTINED, issues=(issue,))])

    async def _push(self, client: httpx.AsyncClient, lane: Lane, ops: Sequence[Op]) -> list[Settled]:
        numbers = [op.op for op in ops]

        def leave(tx: Tx) -> str:
            outbox.mark_sent(tx, numbers)
            return settings.get(tx, "db_epoch") or ""

        epoch = await self._database.run(leave)
        push = Push(
            station=self._station, db_epoch=UUID(epoch), batch=UUID(new_id(self._clock())), lane=lane,
            agent=__version__, ops=tuple(ops),
        )  # fmt: skip
        body = await self._post(client, "/sync/v1/push", push.model_dump_json().encode())
        try:
            said = PushAnswer.model_validate_json(body)
        except ValidationError:
            raise LinkError("not-a-hub") from None
        if said.batch != push.batch:
            raise LinkError("answer-to-another-batch")
        asked = set(numbers)
        results = [result for result in said.results if result.op in asked]
        if ops and not results:
            raise LinkError("empty-answer")
        return await self._take(results)

    async def _take(self, results: Sequence[OpResult]) -> list[Settled]:
        now = self._clock()

        def store(tx: Tx) -> list[Settled]:
            settings.contacted(tx, now)
            return outbox.answered(tx, results, now)

        return await self._database.run(store)

    async def pull(self, client: httpx.AsyncClient) -> tuple[bool, list[Key]]:
        """Pull one page; whether there is more, and what changed here."""

        def ask(tx: Tx) -> Pull:
            feed.adopt_hub_copies(tx)
            return Pull(station=self._station, cursor=settings.cursor(tx), report=self._report(tx))

        asked = await self._database.run(ask)
        body = await self._post(client, "/sync/v1/pull", asked.model_dump_json().encode())
        try:
            page = Page.model_validate_json(body)
        except ValidationError:
            raise LinkError("not-a-hub") from None
        now = self._clock()
        changed = await self._database.run(lambda tx: feed.store(tx, page, now))
        return page.more and page.cursor > asked.cursor, changed

    async def _post(self, client: httpx.AsyncClient, path: str, body: bytes) -> bytes:
        coding = ""
        if len(body) >= GZIP_FROM:
            body, coding = gzip.compress(body, 6, mtime=0), "gzip"
        try:
            return await self._line.ask(client, Request("POST", path, body, "application/json", coding))
        except HubRefused as refused:
            if refused.status in (400, 413, 422) and path.endswith("push"):
                raise EnvelopeRefused(refused.code) from refused
            raise


def urgent(tx: Tx) -> bool:
    """Whether somebody waits for a doctor."""
    return outbox.counts(tx).waiting[Lane.URGENT] > 0
