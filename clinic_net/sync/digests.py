"""Where a station's copy and the hub's feed differ: sums of 256 bins, and all that is in those that do not agree."""

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.protocol.sync import Digest, DigestAsk, PageHead, frames
from clinic_net.records import service as records
from clinic_net.sync import feed_store as store
from clinic_net.sync.errors import NotYourStation
from clinic_net.sync.feed_store import OUT, Change
from clinic_net.sync.handing import Page, Reader, demand_own, texts_of
from clinic_net.sync.scopes import is_shared

_ENTRIES = 500
_BYTES = 256 * 1024
"""Of one page of a repair."""


def _demand(ask: DigestAsk, reader: Reader) -> None:
    if ask.station != reader.station.site:
        raise NotYourStation
    demand_own(ask.scope, reader)


async def digest(session: AsyncSession, ask: DigestAsk, *, reader: Reader) -> Digest:
    """Return the sums of a scope's bins, as of one moment.

    Raises:
        NotYourStation: the envelope names another station.
        UnknownScope: it is not one of this station's scopes.
    """
    _demand(ask, reader)
    seq, bins = await store.bins(session, ask.scope)
    return Digest(scope=ask.scope, seq=seq, bins=tuple(bins))


async def repair(session: AsyncSession, ask: DigestAsk, *, reader: Reader) -> bytes:
    """Return a page of what a scope holds in the bins that were asked for, by ``Type/id`` behind ``after``.

    What the station holds in these bins between ``after`` and the last entry of the page, and is not among them, goes;
    after the page without ``more``, all that is behind it. The cursors stay where they are.

    Raises:
        NotYourStation, UnknownScope: as :func:`digest`.
    """
    _demand(ask, reader)
    found = await store.in_bins(session, ask.scope, ask.bins, after=ask.after, most=_ENTRIES + 1)
    batch = found[:_ENTRIES]
    wanted = [records.Named(each.rtype, each.fid, each.version) for each in batch]
    texts = await texts_of(session, wanted, ask.scope, reader=reader, max_bytes=_BYTES)
    page = Page({})
    gone: list[Change] = []
    complete = True
    for each, named in zip(batch, wanted, strict=True):
        copy = texts.get(named)
        if copy is None:
            gone.append(Change(OUT, each.rtype, each.fid, each.version))
        elif copy.text is None:
            complete = False
            break
        else:
            page.add(each, copy.text)
    if gone and not is_shared(ask.scope):
        await store.append(session, {ask.scope: gone})
    more = not complete or len(found) > _ENTRIES
    return frames.write(PageHead(cursors={}, count=len(page.entries), more=more), page.entries)
