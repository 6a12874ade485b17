"""Copies of a scope made in advance, for a station that has nothing yet: built once, handed out by any node.

``as_of`` is read first and the records after it, each in its newest version: the feed from ``as_of`` on brings again
what changed meanwhile, which does no harm. A build holds one portion of patients at a time.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from operator import itemgetter
from uuid import UUID

import zstandard
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access.policy import RecordScope, station_scope
from clinic_net.kernel import jobs
from clinic_net.kernel.db import Sessions
from clinic_net.kernel.ids import new_id
from clinic_net.protocol.sync import EntryHead, Manifest, Segment, SnapshotOffer, Sum, sums
from clinic_net.records import service as records
from clinic_net.sync import feed_store, snapshot_rules
from clinic_net.sync import snapshot_store as store
from clinic_net.sync.errors import UnknownScope
from clinic_net.sync.feed_model import Snapshot
from clinic_net.sync.handing import Reader, demand_own
from clinic_net.sync.snapshot_rules import TELLING, Need
from clinic_net.sync.snapshot_store import Row

FAR = 3000
"""Resources a cursor must lack for a snapshot to be the shorter way: some 250 KB."""
STALE = 0.1
"""Part of a scope that may have changed since its snapshot before a new one is made."""
ORDER_AGAIN = timedelta(minutes=10)
SEGMENT_BYTES = 256 * 1024
LONGEST_PLAIN = 8 * 1024 * 1024
"""Of a segment, inflated: what a station must be able to hold."""
LEVEL = 15
"""zstd with long-distance matching; 122 MB of records were measured at 7.2 MB with it, 7.7 MB at level 9."""
_FORMER = 1
_PORTION = 500
"""Records that are read at once."""
_KEYS = 5000
_FIRST_RATIO = 10.0


_Text = tuple[Row, bytes, str | None]
"""A row, its text, and whose record it is part of."""


@dataclass
class _Packer:
    """Collects entries into segments of about :data:`SEGMENT_BYTES`."""

    parts: list[bytes] = field(default_factory=list)
    plain: int = 0
    records: int = 0
    ratio: float = _FIRST_RATIO

    def add(self, scope: str, row: Row, text: bytes) -> None:
        head = EntryHead(
            scope=scope, seq=row.seq, type=row.rtype, id=row.fid, version=row.version, size=len(text)
        )
        line = head.model_dump_json(exclude_defaults=True).encode()
        self.parts += (line, b"\n", text, b"\n")
        self.plain += len(line) + len(text) + 2
        self.records += 1

    @property
    def full(self) -> bool:
        return self.plain >= min(SEGMENT_BYTES * self.ratio, LONGEST_PLAIN - 2 * 1024 * 1024)

    def close(self) -> tuple[bytes, int]:
        """Return the compressed segment and how many records it has, and begin the next."""
        stream, count = b"".join(self.parts), self.records
        data = _compressor().compress(stream)
        self.ratio = max(4.0, len(stream) / len(data))
        self.parts, self.plain, self.records = [], 0, 0
        return data, count


def _compressor() -> zstandard.ZstdCompressor:
    options = zstandard.ZstdCompressionParameters.from_level(
        LEVEL, window_log=23, enable_ldm=True, write_checksum=True
    )
    return zstandard.ZstdCompressor(compression_params=options)


async def offer(session: AsyncSession, scope: str, cursor: int, *, now: datetime) -> SnapshotOffer | None:
    """Return a snapshot that is the shorter way for who is at ``cursor``; order one where there is no fresh one."""
    lacking = await feed_store.behind(session, scope, cursor, most=FAR + 1)
    if lacking <= FAR:
        return None
    found = await store.newest(session, scope)
    missing = found is None or await _is_stale(session, found)
    if missing and await store.ask(session, scope, now=now, again=ORDER_AGAIN):
        await jobs.announce(session, "sync.snapshot_wanted", {"scope": scope}, lane="sync snapshots")
    if found is None or found.as_of <= cursor:
        return None
    return SnapshotOffer(scope=scope, as_of=found.as_of, url=f"/sync/v1/snapshots/{found.id}")


async def _is_stale(session: AsyncSession, found: Snapshot) -> bool:
    most = max(FAR, int(found.manifest["total"]["count"] * STALE))
    return await feed_store.behind(session, found.scope, found.as_of, most=most + 1) > most


async def build(sessions: Sessions, scope: str, *, now: datetime) -> UUID | None:
    """Make a snapshot of a station's scope, unless there is one that will do. It takes transactions of its own.

    What the station may not see is left out. Returns the snapshot's id.
    """
    async with sessions() as session, session.begin():
        await store.drop_unfinished(session)
        newest = await store.newest(session, scope)
        if newest is not None and not await _is_stale(session, newest):
            return newest.id
        at, _ = (await feed_store.after(session, {scope: 0}, 1))[scope]
    snapshot, right = new_id(now), _right(scope)
    told: list[Segment] = []
    packer, shares, count = _Packer(), 0, 0
    async for portion in _in_order(sessions, scope, right, now=now):
        for row, text in portion:
            packer.add(scope, row, text)
            shares += sums.of_version(row.rtype, row.fid, row.version)
            count += 1
            if packer.full:
                told.append(await _keep(sessions, snapshot, len(told), packer))
    if packer.records or not told:
        told.append(await _keep(sessions, snapshot, len(told), packer))
    manifest = Manifest(
        scope=scope,
        as_of=at.last_seq,
        total=Sum(count=count, sum=sums.spelled(shares)),
        segments=tuple(told),
    )
    made = Snapshot(
        id=snapshot, scope=scope, as_of=at.last_seq, made_at=now, manifest=manifest.model_dump(mode="json")
    )
    async with sessions() as session, session.begin():
        await store.keep(session, made, former=_FORMER)
    return snapshot


def _right(scope: str) -> RecordScope:
    """Return what a station's snapshot may hold. Nobody looks yet, so nobody is written down as having looked."""
    return replace(station_scope(scope.removeprefix("stn:")), grantee=None)


async def _keep(sessions: Sessions, snapshot: UUID, n: int, packer: _Packer) -> Segment:
    data, count = await asyncio.to_thread(packer.close)
    async with sessions() as session, session.begin():
        store.keep_segment(session, snapshot, n, data)
    return Segment(n=n, sha256=sha256(data).hexdigest(), bytes=len(data), records=count)


async def _in_order(
    sessions: Sessions, scope: str, right: RecordScope, *, now: datetime
) -> AsyncIterator[list[tuple[Row, bytes]]]:
    """Yield all that a scope holds, in the order of need; in each patient's record, the patient first."""
    needs: dict[str, Need] = {}
    async for batch in _batches(sessions, scope, TELLING):
        async for portion in _texts(sessions, batch, right, now=now):
            await asyncio.to_thread(_told_by, portion, needs, now)
    order: list[tuple[int, str, int, Row]] = []
    async for batch in _batches(sessions, scope):
        async with sessions() as session, session.begin():
            identities = [(row.rtype, row.fid) for row in batch]
            places = await records.placed(session, identities, scope=right, now=now)
        for row in batch:
            place = places.get((row.rtype, row.fid))
            if place is not None:
                need = Need.NOBODY if place.patient is None else needs.get(place.patient, Need.REST)
                patient = sys.intern(place.patient or "")
                order.append((need, patient, snapshot_rules.type_rank(row.rtype), row))
    order.sort(key=itemgetter(0, 1, 2))
    async for portion in _texts(sessions, [each[3] for each in order], right, now=now):
        yield [(row, text) for row, text, _ in portion]


def _told_by(portion: list[_Text], needs: dict[str, Need], now: datetime) -> None:
    for _, text, patient in portion:
        if patient is not None:
            said = snapshot_rules.need_of(json.loads(text), now.date())
            needs[patient] = min(said, needs.get(patient, Need.REST))


async def _batches(sessions: Sessions, scope: str, rtypes: Iterable[str] = ()) -> AsyncIterator[list[Row]]:
    behind = ("", "")
    while True:
        async with sessions() as session, session.begin():
            batch = await store.fed(session, scope, behind=behind, most=_KEYS, rtypes=tuple(rtypes))
        if not batch:
            return
        yield batch
        behind = (batch[-1].rtype, batch[-1].fid)


async def _texts(
    sessions: Sessions, rows: list[Row], right: RecordScope, *, now: datetime
) -> AsyncIterator[list[_Text]]:
    """Yield the rows with their texts, portion by portion, in order; without what is not to be handed out."""
    for start in range(0, len(rows), _PORTION):
        portion = rows[start : start + _PORTION]
        wanted = [records.Named(row.rtype, row.fid, row.version) for row in portion]
        async with sessions() as session, session.begin():
            found = await records.copies(session, wanted, scope=right, now=now)
        yield [
            (row, copy.text, copy.patient)
            for row, named in zip(portion, wanted, strict=True)
            if (copy := found.get(named)) is not None and copy.text is not None
        ]


async def manifest(session: AsyncSession, snapshot: UUID, *, reader: Reader) -> Manifest:
    """Return what a snapshot of one of this station's scopes consists of. It is written down as a download.

    Raises:
        UnknownScope: there is no such snapshot, or not for this station.
    """
    found = await _own(session, snapshot, reader)
    address = reader.station.address
    await audit.record(session, actor=address, action="sync.snapshot", subject=found.scope, at=reader.now)
    return Manifest.model_validate(found.manifest)


async def segment(session: AsyncSession, snapshot: UUID, n: int, *, reader: Reader) -> tuple[bytes, str]:
    """Return a segment and its digest.

    Raises:
        UnknownScope: there is no such segment, or not for this station.
    """
    found = await _own(session, snapshot, reader)
    told = next((each for each in found.manifest["segments"] if each["n"] == n), None)
    data = await store.segment(session, snapshot, n) if told is not None else None
    if told is None or data is None:
        raise UnknownScope
    return data, str(told["sha256"])


async def _own(session: AsyncSession, snapshot: UUID, reader: Reader) -> Snapshot:
    found = await store.of_id(session, snapshot)
    if found is None:
        raise UnknownScope
    demand_own(found.scope, reader)
    return found
