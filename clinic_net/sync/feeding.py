"""Handing a station what is new for it, and putting what was stored into the feed of the station it belongs to."""

from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import access, fleet
from clinic_net.access import StationPrincipal
from clinic_net.kernel import jobs
from clinic_net.kernel.errors import NotFound
from clinic_net.protocol.sync import Entry, Page, Pull
from clinic_net.records import service as records
from clinic_net.sync import feed_store as store
from clinic_net.sync.errors import NotYourStation
from clinic_net.sync.feed_store import Change
from clinic_net.sync.model import FeedEntry

_ENTRIES_PER_PAGE = 200


def is_site(tenant: str) -> bool:
    """Whether a tenant is a station's site (``03325-01``); facilities and the nation have no hyphen and no feed."""
    return "-" in tenant


def feed_of(site: str) -> str:
    """Return the name of a station's scope."""
    return f"stn:{site}"


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
