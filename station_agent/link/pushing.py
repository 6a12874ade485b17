"""Up: one batch at a time, byte for byte until it is answered."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
import structlog
from pydantic import ValidationError

from clinic_net.protocol.sync import (
    SIGNATURE_HEADER,
    Behind,
    Fork,
    Lane,
    OpIssue,
    OpResult,
    Outcome,
    PushReply,
    codec,
)
from station_agent.errors import LinkError
from station_agent.link.line import HubRefused, Line, framed
from station_agent.link.signing import Signer
from station_agent.store import Database, Tx, batches, outbox, settings
from station_agent.store.batches import Batch, Limit, Maker

log = structlog.get_logger()

PATH = "/sync/v1/push"
LIMITS = {
    Lane.URGENT: Limit(50, 16 * 1024, 4 * 1024),
    Lane.CARE: Limit(50, 128 * 1024, 16 * 1024),
    Lane.ROUTINE: Limit(50, 128 * 1024, 16 * 1024),
    Lane.BULK: Limit(50, 128 * 1024, 16 * 1024),
}
"""At 64 kbit/s an urgent batch waits two seconds at most for the frame before it (sync §4.7)."""

REMEMBERED = timedelta(days=1)
"""How long is remembered what a hub cannot do."""
PLAIN_UNTIL = "plain_until"
UNREADABLE = frozenset({400, 413, 415, 422})


class Unreadable(LinkError):
    """The hub could not read a batch and did not store it."""

    def __init__(self, batch: Batch, refused: HubRefused) -> None:
        super().__init__(refused.code)
        self.batch = batch
        self.status = refused.status


class Pushing:
    """Sends batches and takes what the hub says of them."""

    def __init__(
        self, database: Database, line: Line, maker: Callable[[], Maker], clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._line = line
        self._maker = maker
        self._clock = clock

    async def push(self, client: httpx.AsyncClient, lane: Lane) -> list[outbox.Settled] | None:
        """Send the next batch of a lane; return what was said of its operations, None when there was nothing to send.

        Raises:
            Unreadable: the hub could not read it; :meth:`part` deals with that.
            LinkError, httpx.HTTPError: no answer; the same batch goes again.
        """
        now = self._clock()
        batch = await self._database.run(
            lambda tx: batches.next_of(tx, lane, self._maker(), LIMITS[lane], now=now)
        )
        return None if batch is None else await self._send(client, batch)

    async def _send(self, client: httpx.AsyncClient, batch: Batch) -> list[outbox.Settled]:
        try:
            body = await self._ask(client, batch)
        except HubRefused as refused:
            if refused.status == 409:
                return await self._corrected(batch, refused)
            if refused.status in UNREADABLE:
                raise Unreadable(batch, refused) from refused
            raise
        try:
            answer = PushReply.model_validate_json(body).answer
        except ValidationError:
            raise LinkError("not-a-hub") from None
        if (answer.lane, answer.seq) != (batch.lane, batch.seq):
            raise LinkError("answer-to-another-batch")
        now = self._clock()

        def take(tx: Tx) -> list[outbox.Settled]:
            settings.contacted(tx, now)
            return batches.taken(tx, answer, batch.epoch, now)

        return await self._database.run(take)

    async def _ask(self, client: httpx.AsyncClient, batch: Batch) -> bytes:
        body, coding = batch.body, batch.coding
        if coding == codec.DCZ and await self._database.run(self._plain_only):
            body, coding = codec.compress(batches.stream_of(batch), None)
        signature = batch.signature or self._maker().sign(batches.stream_of(batch))
        request = framed(PATH, body, coding, **{SIGNATURE_HEADER: signature})
        try:
            return await self._line.ask(client, request)
        except HubRefused as refused:
            if refused.status != 415 or coding != codec.DCZ:
                raise
        # The hub does not have this dictionary: without it, for a day.
        until = (self._clock() + REMEMBERED).isoformat()
        await self._database.run(lambda tx: settings.put(tx, PLAIN_UNTIL, until))
        body, coding = codec.compress(batches.stream_of(batch), None)
        return await self._line.ask(client, replace(request, content=body, coding=coding))

    def _plain_only(self, tx: Tx) -> bool:
        return (settings.get(tx, PLAIN_UNTIL) or "") > self._clock().isoformat()

    async def _corrected(self, batch: Batch, refused: HubRefused) -> list[outbox.Settled]:
        """The hub lacks batches, or knows others under this name: go on as it says."""
        now = self._clock()
        if refused.code == "sync-behind":
            try:
                behind = Behind.model_validate_json(refused.body)
            except ValidationError:
                raise LinkError("not-a-hub") from None
            whole = await self._database.run(lambda tx: batches.behind(tx, behind.lane, behind.expected, now))
            log.warning("hub_behind", lane=int(behind.lane), expected=behind.expected, kept=whole)
            return []
        if refused.code == "sync-fork":
            try:
                fork = Fork.model_validate_json(refused.body)
            except ValidationError:
                raise LinkError("not-a-hub") from None

            def adopt(tx: Tx) -> int:
                # Somebody must know: this computer's data was copied, or brought back from a copy.
                settings.put(tx, "forked_at", now.isoformat())
                return batches.adopt(tx, str(fork.epoch))

            queued = await self._database.run(adopt)
            log.error("database_was_copied", queued=queued)
            return []
        raise refused

    # -- what the hub cannot read

    async def part(self, client: httpx.AsyncClient, batch: Batch) -> list[outbox.Settled]:
        """Find what in a batch cannot be read: its operations go one by one, and one that cannot go alone stays here.

        Raises:
            LinkError: the hub reads nothing of this station at all; that is no record's fault.
        """
        if len(batch.ops) > 1:
            await self._database.run(lambda tx: batches.dissolve(tx, batch, apart=True))
            return []
        if not batch.ops:
            await self._database.run(lambda tx: batches.dissolve(tx, batch, apart=False))
            raise LinkError("push-refused")
        return await self._alone(client, batch)

    async def _alone(self, client: httpx.AsyncClient, batch: Batch) -> list[outbox.Settled]:
        """An empty batch in its place tells whether it is this operation."""
        now, op = self._clock(), batch.ops[0]

        def empty(tx: Tx) -> Batch:
            batches.dissolve(tx, batch, apart=False)
            return batches.make(tx, batch.lane, (), self._maker(), now=now)

        probe = await self._database.run(empty)
        try:
            await self._send(client, probe)
        except Unreadable:
            await self._database.run(lambda tx: batches.dissolve(tx, probe, apart=False))
            raise LinkError("push-refused") from None
        issue = OpIssue(code="structure", diagnostics="the hub could not read this operation")
        result = OpResult(op=op, outcome=Outcome.QUARANTINED, issues=(issue,))
        return await self._database.run(lambda tx: outbox.answered(tx, [result], now))


def maker_of(station: str, agent: str, signer: Signer, offset: timedelta) -> Maker:
    """Return who makes batches."""
    return Maker(station, agent, signer.batch, round(offset.total_seconds() * 1000))
