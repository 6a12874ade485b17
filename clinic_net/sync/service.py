"""Use cases of the synchronisation: take a station's operations, hand it what is new."""

from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import access, fleet
from clinic_net.access import StationPrincipal
from clinic_net.kernel import jobs
from clinic_net.kernel.errors import Conflict, Invalid, NotFound, PreconditionFailed, Refusal
from clinic_net.protocol.sync import (
    MAX_BODY_BYTES,
    Entry,
    Op,
    OpIssue,
    OpResult,
    Outcome,
    Page,
    Pull,
    Push,
    PushAnswer,
)
from clinic_net.records import service as records
from clinic_net.sync import store
from clinic_net.sync.errors import NotYourStation
from clinic_net.sync.model import AppliedOp, FeedEntry, Quarantined
from clinic_net.sync.store import Change

_ENTRIES_PER_PAGE = 200


def is_site(tenant: str) -> bool:
    """Whether a tenant is a station's site (``03325-01``); facilities and the nation have no hyphen and no feed."""
    return "-" in tenant


def feed_of(site: str) -> str:
    """Return the name of a station's scope."""
    return f"stn:{site}"


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
                outcome=Outcome(before.outcome),
                version=before.version,
                issues=tuple(OpIssue.model_validate(issue) for issue in before.issues),
            )
        )
    await records.tell(session, news)
    return PushAnswer(batch=request.batch, results=tuple(results))


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
    except (Conflict, PreconditionFailed):
        row.outcome = Outcome.CONFLICT
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
    base = op.base or await store.last_version_from(session, request.db_epoch, op)
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
    return (Outcome.APPLIED if stored.changed else Outcome.DUPLICATE), stored.version


def _issues(refusal: Refusal) -> list[OpIssue]:
    if not refusal.places:
        return [OpIssue(code=refusal.code, diagnostics=refusal.message)]
    return [
        OpIssue(code=place.code, expression=place.path, diagnostics=place.message) for place in refusal.places
    ]


async def pull(session: AsyncSession, request: Pull, *, station: StationPrincipal, now: datetime) -> Page:
    """Return what a station has not seen yet, up to ``max_bytes``, and note how the station is.

    An entry carries the newest text of its resource; an older version that it overtakes is not sent.

    Raises:
        NotYourStation: the envelope names another station.
    """
    if request.station != station.site:
        raise NotYourStation
    await fleet.service.report(session, station.site, request.report, now)
    scope = access.scope_of(station)
    waiting = await store.after(session, feed_of(station.site), request.cursor, _ENTRIES_PER_PAGE + 1)
    newest = {(entry.rtype, entry.fid): entry.seq for entry in waiting[:_ENTRIES_PER_PAGE]}
    entries: list[Entry] = []
    cursor, size = request.cursor, 0
    for entry in waiting[:_ENTRIES_PER_PAGE]:
        if newest[(entry.rtype, entry.fid)] == entry.seq:
            filled = await _fill(session, entry, scope=scope, now=now)
            size += len(filled.body or "") + 200
            if entries and size > request.max_bytes:
                break
            entries.append(filled)
        cursor = entry.seq
    more = len(waiting) > _ENTRIES_PER_PAGE or cursor != (waiting[-1].seq if waiting else cursor)
    return Page(entries=tuple(entries), cursor=cursor, more=more)


async def _fill(
    session: AsyncSession, entry: FeedEntry, *, scope: access.RecordScope, now: datetime
) -> Entry:
    try:
        stored = await records.read(session, entry.rtype, entry.fid, scope=scope, now=now)
    except NotFound:  # deleted since, or no longer this station's
        return Entry(seq=entry.seq, kind="delete", type=entry.rtype, id=entry.fid, version=entry.version)
    return Entry(
        seq=entry.seq,
        type=entry.rtype,
        id=entry.fid,
        version=stored.version,
        body=stored.text.decode("utf-8"),
    )


async def feed(session: AsyncSession, stored: list[dict[str, object]], *, now: datetime) -> None:
    """Put stored records into the feed of the station they belong to, and tell that station."""
    by_site: dict[str, list[Change]] = {}
    for record in stored:
        if not is_site(str(record["tenant"])):
            continue
        change = Change("put", str(record["rtype"]), str(record["fid"]), int(str(record["version"])))
        by_site.setdefault(str(record["tenant"]), []).append(change)
    for site, changes in sorted(by_site.items()):  # sorted: two transactions lock heads in the same order
        if await store.append(session, feed_of(site), changes):
            await jobs.announce(session, "sync.feed_grew", {"site": site})
