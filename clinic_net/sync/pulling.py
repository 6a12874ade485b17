"""Form 2 of handing a station what is new for it: all its scopes in one stream, commands first, sums at the end."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import fleet
from clinic_net.access import StationPrincipal
from clinic_net.protocol.sync import PageHead, PullAsk, frames
from clinic_net.records import service as records
from clinic_net.sync import erasures, snapshots
from clinic_net.sync import feed_store as store
from clinic_net.sync.answers import answers
from clinic_net.sync.errors import NotYourStation
from clinic_net.sync.feed_store import OUT, PUT, Change, Entry
from clinic_net.sync.handing import Page, Reader, reader_of, texts_of
from clinic_net.sync.scopes import feed_of, holds_records, is_shared, own_cursors, scopes_of

_SMALLEST_ENTRY = 400
"""Bytes; so many entries are looked up for a page at most. Fewer than fit are no harm: the rest follows."""
_MOST_ENTRIES = 1000


async def pull(session: AsyncSession, ask: PullAsk, *, station: StationPrincipal, now: datetime) -> bytes:
    """Return a page of what a station has not seen, as a stream, and take in what it says about itself.

    A cursor beyond its scope's end is set back to the end: the hub was restored from a backup, and the sums tell what
    is to be repaired.

    Raises:
        NotYourStation: the envelope names another station.
    """
    if ask.station != station.site:
        raise NotYourStation
    config = await fleet.service.heard(session, station.site, ask.report, now)
    await erasures.take(session, ask.receipts, device=station.device, now=now)
    reader = await reader_of(session, station, now)
    page = await _page(session, ask, reader)
    own = feed_of(station.site)
    offer = await snapshots.offer(session, own, page.cursors[own], now=now) if page.more else None
    head = PageHead(
        cursors=page.cursors,
        count=len(page.entries),
        more=page.more,
        sums=page.sums,
        answers=await answers(session, station, ask.db_epoch, ask.asks),
        snapshot=offer,
        config=config,
        server_time=now,
    )
    return frames.write(head, page.entries)


async def _page(session: AsyncSession, ask: PullAsk, reader: Reader) -> Page:
    station = reader.station
    own = scopes_of(station.device, station.site, reader.province)
    most = min(_MOST_ENTRIES, ask.max_bytes // _SMALLEST_ENTRY)
    found = await store.after(session, own_cursors(dict(ask.cursors), own), most + 1)
    page = Page({scope: min(ask.cursors.get(scope, 0), found[scope][0].last_seq) for scope in own})
    gone: list[Change] = []
    for scope in own:
        at, entries = found[scope]
        batch = entries[: max(0, most - len(page.entries))]
        missing = await _fill(session, page, scope, batch, reader=reader, max_bytes=ask.max_bytes)
        whole = page.cursors[scope] >= (entries[-1].seq if entries else 0)
        if not is_shared(scope):
            gone += missing
        if whole and not missing and holds_records(scope):
            page.sums[scope] = at.sum
        if not whole:  # what comes behind this scope waits for it
            page.more = True
            break
    if gone:  # at the end: it locks the feed
        await store.append(session, {feed_of(station.site): gone})
        page.more = True
    return page


async def _fill(
    session: AsyncSession,
    page: Page,
    scope: str,
    batch: Sequence[Entry],
    *,
    reader: Reader,
    max_bytes: int,
) -> list[Change]:
    """Add what fits of a scope; return what the station may not have any more."""
    wanted = [records.Named(each.rtype, each.fid, each.version) for each in batch if each.kind == PUT]
    room = max(1, max_bytes - page.used)
    texts = await texts_of(session, wanted, scope, reader=reader, max_bytes=room)
    missing: list[Change] = []
    for each in batch:
        copy = texts.get(records.Named(each.rtype, each.fid, each.version)) if each.kind == PUT else None
        if page.entries and (
            page.used >= max_bytes or (copy is not None and page.used + copy.size > max_bytes)
        ):
            break
        if copy is not None:
            if copy.text is None:
                break
            page.add(each, copy.text)
        elif each.kind == PUT:
            missing.append(Change(OUT, each.rtype, each.fid, each.version))
        else:
            page.add(each)
        page.cursors[scope] = each.seq
    return missing
