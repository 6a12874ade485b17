"""Taking a station's operations: each on its own, once for ever; answered when they are durable."""

from dataclasses import dataclass

from clinic_net.access import StationPrincipal
from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import BatchAnswer, Lane, OpResult, Outcome, Push, PushAnswer, PushReply
from clinic_net.sync import inbox_store as store
from clinic_net.sync.answers import answer_of, result_of
from clinic_net.sync.batches import Content, read_batch
from clinic_net.sync.bodies import IDENTITY
from clinic_net.sync.errors import NotAppliedYet, NotYourStation
from clinic_net.sync.inbox import inbox_of
from clinic_net.sync.inbox_store import Arrival, Told
from clinic_net.sync.taking import Forked, Missing, Taken, Taking

URGENT_WAIT_S = 10.0
"""How long an urgent batch is waited for: a doctor is rung by what it becomes."""
WAIT_S = 1.0
"""How long any other batch is waited for where little waits here; an answer later costs the station a question."""
_LITTLE = 3
FORM_1_WAIT_S = 20.0
"""Agents of form 1 know no answer but the last one."""


@dataclass(frozen=True)
class Pushed:
    """A push that was read: what it holds, and the bytes as they came."""

    content: Content
    raw: bytes
    coding: str
    signature: bytes | None = None


async def push(
    hub: Hub, pushed: Pushed, *, station: StationPrincipal
) -> PushReply | PushAnswer | Missing | Forked:
    """Keep a station's batch, and answer with what became of it as far as that is known.

    Once this returns, everything in the batch is durable. An operation seen before gets its first answer again and has
    no second effect.

    Raises:
        NotYourStation: the envelope names another station.
        NotAppliedYet: form 1 only: the operations are durable, their answers come when the same is sent again.
    """
    content = pushed.content
    if content.station != station.site:
        raise NotYourStation
    inbox = inbox_of(hub)
    taken = await inbox.take(_arrival(pushed, station), content)
    if not isinstance(taken, Taken):
        return taken
    if content.form == 1:
        return await _answer_form_1(hub, content, taken)
    urgent = content.lane is Lane.URGENT
    if urgent or inbox.backlog <= _LITTLE:
        await inbox.applied(taken.batch, URGENT_WAIT_S if urgent else WAIT_S)
    return PushReply(answer=await _answer(hub, content))


async def push_form_1(hub: Hub, request: Push, *, station: StationPrincipal) -> PushAnswer:
    """Keep and apply the operations of an agent that speaks form 1; see :func:`push`."""
    raw = request.model_dump_json().encode()
    told = await push(hub, Pushed(read_batch(raw, IDENTITY, 1), raw, IDENTITY), station=station)
    assert isinstance(told, PushAnswer)
    return told


def _arrival(pushed: Pushed, station: StationPrincipal) -> Arrival:
    content = pushed.content
    return Arrival(
        site=station.site,
        device=station.device,
        db_epoch=content.db_epoch,
        lane=content.lane,
        seq=content.seq,
        form=content.form,
        ops=content.kept,
        digest=content.digest,
        signature=pushed.signature,
        coding=pushed.coding,
        raw=pushed.raw,
        agent=content.agent,
        offset_ms=content.offset_ms,
    )


async def _answer(hub: Hub, content: Content) -> BatchAnswer:
    assert content.seq is not None
    return answer_of(content.lane, content.seq, await _told(hub, content))


async def _told(hub: Hub, content: Content) -> list[Told]:
    async with hub.links.begin() as s:
        return await store.told_of(s, content.db_epoch, [head.op for head, _ in content.ops])


async def _answer_form_1(hub: Hub, content: Content, taken: Taking) -> PushAnswer:
    assert isinstance(taken, Taken)
    assert content.batch is not None
    await inbox_of(hub).applied(taken.batch, FORM_1_WAIT_S)
    told = {each.op: each for each in await _told(hub, content)}
    if any(each.outcome == store.PENDING for each in told.values()):
        raise NotAppliedYet
    results = tuple(_as_form_1(result_of(told[head.op])) for head, _ in content.ops)
    return PushAnswer(batch=content.batch, results=results)


_IN_FORM_1 = {Outcome.MERGED: Outcome.CONFLICT, Outcome.DEFERRED: Outcome.QUARANTINED}
"""What agents of form 1 make of outcomes that they do not know."""


def _as_form_1(result: OpResult) -> OpResult:
    known = _IN_FORM_1.get(result.outcome)
    return result if known is None else result.model_copy(update={"outcome": known})
