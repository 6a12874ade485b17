"""Taking a station's operations: each on its own, once for ever."""

from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import access
from clinic_net.access import StationPrincipal
from clinic_net.kernel.errors import Conflict, Invalid, PreconditionFailed, Refusal
from clinic_net.protocol.sync import MAX_BODY_BYTES, Op, OpIssue, OpResult, Outcome, Push, PushAnswer
from clinic_net.records import service as records
from clinic_net.sync import push_store as store
from clinic_net.sync.errors import NotYourStation
from clinic_net.sync.model import AppliedOp, Quarantined
from clinic_net.sync.reconciling import Incoming, reconcile


async def push(
    session: AsyncSession, request: Push, *, station: StationPrincipal, now: datetime
) -> PushAnswer:
    """Store a station's operations, each on its own: a bad one is quarantined and the next still goes.

    An operation seen before gets its first answer again and has no second effect. Once this transaction is
    committed, the answer may be given: everything in it is durable.

    Raises:
        NotYourStation: the envelope names another station.
    """
    if request.station != station.site:
        raise NotYourStation
    await store.one_at_a_time(session, request.db_epoch)
    seen = await store.answered(session, request.db_epoch, [op.op for op in request.ops])
    news = records.News()
    results: list[OpResult] = []
    for op in request.ops:
        before = seen.get(op.op)
        if before is None:
            before = await _apply(session, request, op, station=station, now=now, news=news)
            seen[op.op] = before
        results.append(
            OpResult(
                op=op.op,
                outcome=_told(Outcome(before.outcome)),
                version=before.version,
                issues=tuple(OpIssue.model_validate(issue) for issue in before.issues),
            )
        )
    await records.tell(session, news)
    return PushAnswer(batch=request.batch, results=tuple(results))


def _told(outcome: Outcome) -> Outcome:
    """Return an outcome as agents of form 1 know it: after ``conflict`` they show both versions and send nothing of
    their own on top of what they have not seen."""
    return Outcome.CONFLICT if outcome is Outcome.MERGED else outcome


async def _apply(
    session: AsyncSession,
    request: Push,
    op: Op,
    *,
    station: StationPrincipal,
    now: datetime,
    news: records.News,
) -> AppliedOp:
    row = AppliedOp(
        db_epoch=request.db_epoch,
        op=op.op,
        site=station.site,
        rtype=op.type,
        fid=op.id,
        outcome=Outcome.QUARANTINED,
        at=now,
    )
    try:
        async with session.begin_nested():
            row.outcome, row.version = await _store(session, request, op, station=station, now=now, news=news)
    except Refusal as refusal:
        row.issues = [issue.model_dump() for issue in _issues(refusal)]
        store.quarantine(
            session,
            Quarantined(
                db_epoch=request.db_epoch,
                op=op.op,
                site=station.site,
                text=op.body.replace("\0", "\ufffd"),
                at=now,
            ),
        )
    store.remember(session, row)
    await session.flush()  # so that the next operation of this push sees this one
    return row


async def _store(
    session: AsyncSession,
    request: Push,
    op: Op,
    *,
    station: StationPrincipal,
    now: datetime,
    news: records.News,
) -> tuple[Outcome, int]:
    """Store one operation's text; return what became of it and the version that holds it."""
    text = op.body.encode("utf-8", "surrogatepass")
    if len(text) > MAX_BODY_BYTES:
        raise Invalid("the record is larger than 1 MiB")
    earlier = await store.last_from(session, request.db_epoch, op)
    base, after = op.base, None
    if earlier is not None and earlier.outcome in (Outcome.MERGED, Outcome.CONFLICT):
        unseen = base is None or (earlier.version is not None and base < earlier.version)
        after = earlier.op if unseen else None
    elif earlier is not None and base is None:
        base = earlier.version
    if after is None:
        try:
            async with session.begin_nested():
                stored = await records.put(
                    session,
                    text,
                    rtype=op.type,
                    fid=op.id,
                    scope=access.scope_of(station),
                    author=station.address,
                    tenant=station.site,
                    now=now,
                    if_match=base,
                    create_only=base is None,
                    news=news,
                )
        except (Conflict, PreconditionFailed):
            pass  # it was made from another version: see below
        else:
            return (Outcome.APPLIED if stored.changed else Outcome.DUPLICATE), stored.version
    incoming = Incoming(op.type, op.id, text, op.at, op.by, request.db_epoch, op.op, base, after)
    done = await reconcile(session, incoming, station=station, now=now, news=news)
    return done.outcome, done.version


def _issues(refusal: Refusal) -> list[OpIssue]:
    if not refusal.places:
        return [OpIssue(code=refusal.code, diagnostics=refusal.message)]
    return [
        OpIssue(code=place.code, expression=place.path, diagnostics=place.message) for place in refusal.places
    ]
