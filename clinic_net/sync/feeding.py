"""Putting what was stored into the feeds of the scopes it belongs to; and form 1 of handing it out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import access, fleet
from clinic_net.access import StationPrincipal
from clinic_net.access.policy import hub_scope
from clinic_net.kernel import jobs
from clinic_net.protocol.sync import Entry, Page, Pull
from clinic_net.records import service as records
from clinic_net.sync import feed_store as store
from clinic_net.sync import move_store
from clinic_net.sync.errors import NotYourStation
from clinic_net.sync.feed_store import DELETE, OUT, PUT, Change
from clinic_net.sync.scopes import feed_of, is_site, scope_of_record

_ENTRIES_PER_PAGE = 200


async def feed(session: AsyncSession, stored: Sequence[Mapping[str, Any]], *, now: datetime) -> None:
    """Put stored records into the feeds that they belong to, and tell the stations.

    The news says where they were when they were stored. Where they are by now decides: the feeds are locked first,
    then the records are looked up, so a record that has moved meanwhile does not appear where it no longer is (who
    moved it has put it where it is).
    """
    named = {
        (str(record["rtype"]), str(record["fid"])): scope
        for record in stored
        if (scope := _scope_told(record)) is not None
    }
    if not named:
        return
    await store.hold(session, set(named.values()))
    places = await records.placed(session, list(named), scope=hub_scope(), now=now)
    changes: dict[str, list[Change]] = {}
    for (rtype, fid), place in places.items():
        scope = named[(rtype, fid)]
        if scope_of_record(place.tenant, rtype, place.patient) == scope:
            kind = DELETE if place.deleted else PUT
            changes.setdefault(scope, []).append(Change(kind, rtype, fid, place.version))
    await put_in(session, changes)
    here = {(place.patient, place.tenant) for place in places.values() if place.patient is not None}
    for origin, patients in (await move_store.moved_among(session, here)).items():
        await jobs.announce(session, "sync.late_entries", {"origin": origin, "patients": patients})


def _scope_told(record: Mapping[str, Any]) -> str | None:
    patient = record.get("patient")
    return scope_of_record(
        str(record["tenant"]), str(record["rtype"]), None if patient is None else str(patient)
    )


async def put_in(session: AsyncSession, changes: Mapping[str, Sequence[Change]]) -> None:
    """Append to feeds, and tell the stations whose feed has grown. Call this last in a transaction."""
    for scope in sorted(await store.append(session, changes)):
        site = scope.removeprefix("stn:")
        if is_site(site) and feed_of(site) == scope:
            await jobs.announce(session, "sync.feed_grew", {"site": site})


async def pull(session: AsyncSession, request: Pull, *, station: StationPrincipal, now: datetime) -> Page:
    """Return what a station of form 1 has not seen yet, up to ``max_bytes``, and note how the station is.

    Raises:
        NotYourStation: the envelope names another station.
    """
    if request.station != station.site:
        raise NotYourStation
    await fleet.service.report(session, station.site, request.report, now)
    scope = feed_of(station.site)
    _, waiting = (await store.after(session, {scope: request.cursor}, _ENTRIES_PER_PAGE + 1))[scope]
    batch = waiting[:_ENTRIES_PER_PAGE]
    texts = await records.copies(
        session,
        [records.Named(each.rtype, each.fid, each.version) for each in batch if each.kind == PUT],
        scope=access.scope_of(station),
        now=now,
        max_bytes=request.max_bytes,
    )
    entries: list[Entry] = []
    cursor, gone = request.cursor, list[Change]()
    for each in batch:
        copy = texts.get(records.Named(each.rtype, each.fid, each.version)) if each.kind == PUT else None
        if copy is not None and copy.text is None:
            break
        if copy is None and each.kind == PUT:
            gone.append(Change(OUT, each.rtype, each.fid, each.version))
        entries.append(
            Entry(
                seq=each.seq,
                kind="delete" if copy is None else "put",
                type=each.rtype,
                id=each.fid,
                version=each.version,
                body=None if copy is None or copy.text is None else copy.text.decode("utf-8"),
            )
        )
        cursor = each.seq
    more = len(waiting) > _ENTRIES_PER_PAGE or len(entries) < len(batch)
    await store.append(session, {scope: gone})
    return Page(entries=tuple(entries), cursor=cursor, more=more)
