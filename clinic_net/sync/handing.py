"""Handing out what feeds name: who asks, by which right, and a page as it is put together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import access
from clinic_net.access import StationPrincipal
from clinic_net.access.lines import narrow
from clinic_net.access.policy import shared_scope
from clinic_net.directory import service as directory
from clinic_net.directory.errors import UnknownSite
from clinic_net.protocol.sync import EntryHead, Sum
from clinic_net.records import service as records
from clinic_net.sync.errors import UnknownScope
from clinic_net.sync.feed_store import Entry
from clinic_net.sync.scopes import NATIONAL, holds_records, is_shared, scopes_of

HEAD_BYTES = 160
"""What an entry's head takes."""


@dataclass(frozen=True)
class Reader:
    """Who is handed something: a station, in the province it belongs to today, at this time."""

    station: StationPrincipal
    province: str | None
    now: datetime


async def reader_of(session: AsyncSession, station: StationPrincipal, now: datetime) -> Reader:
    """Return the reader of a request; one of a site that the directory has closed is in no province."""
    try:
        province = (await directory.site(session, station.site, now.date())).province_code
    except UnknownSite:
        province = None
    return Reader(station, province, now)


@dataclass
class Page:
    """A page as it is put together."""

    cursors: dict[str, int]
    entries: list[tuple[EntryHead, bytes]] = field(default_factory=list)
    used: int = 0
    more: bool = False
    sums: dict[str, Sum] = field(default_factory=dict)

    def add(self, entry: Entry, text: bytes = b"") -> None:
        head = EntryHead(
            scope=entry.scope,
            seq=entry.seq,
            kind=entry.kind,
            type=entry.rtype,
            id=entry.fid,
            version=entry.version,
            size=len(text),
        )
        self.entries.append((head, text))
        self.used += len(text) + HEAD_BYTES


def demand_own(scope: str, reader: Reader) -> None:
    """Refuse a scope that is not of this station, as one that is not there.

    Raises:
        UnknownScope: it is not.
    """
    own = scopes_of(reader.station.device, reader.station.site, reader.province)
    if scope not in own or not holds_records(scope):
        raise UnknownScope


async def texts_of(
    session: AsyncSession,
    wanted: Sequence[records.Named],
    scope: str,
    *,
    reader: Reader,
    max_bytes: int | None = None,
) -> Mapping[records.Named, records.Copy]:
    """Return the texts of what a scope holds, by the right of the station that asks; shared ones by everybody's."""
    if not wanted:
        return {}
    own, by = access.scope_of(reader.station), reader.station.address
    if not is_shared(scope):
        return await records.copies(session, wanted, scope=own, now=reader.now, by=by, max_bytes=max_bytes)
    right = shared_scope({NATIONAL} | ({reader.province} if reader.province is not None else set()))
    await narrow(session, right, now=reader.now)
    found = await records.copies(session, wanted, scope=right, now=reader.now, by=by, max_bytes=max_bytes)
    await narrow(session, own, now=reader.now)
    return found
