"""A station whose copy does not add up finds the bins that differ, and mends exactly those."""

from uuid import uuid4

import pytest

from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import Digest, DigestAsk, EntryHead, PageHead, Sum, frames, sums
from clinic_net.sync import digests
from clinic_net.sync.errors import UnknownScope
from clinic_net.sync.handing import reader_of
from tests.sync.support import Station, a_patient, a_station, store


async def bins_of(hub: Hub, station: Station, scope: str | None = None) -> Digest:
    ask = DigestAsk(station=station.principal.site, scope=scope or station.scope)
    async with hub.sessions() as session, session.begin():
        reader = await reader_of(session, station.principal, hub.now())
        return await digests.digest(session, ask, reader=reader)


def differing(station: Station, said: Digest) -> list[int]:
    ours: dict[int, list[int]] = {}
    for (rtype, fid), (version, _) in station.held[station.scope].records.items():
        ours.setdefault(sums.bin_of(rtype, fid), []).append(sums.of_version(rtype, fid, version))
    mine = [
        Sum(count=len(ours.get(n, [])), sum=sums.spelled(sums.total(ours.get(n, []))))
        for n in range(sums.BINS)
    ]
    return [n for n in range(sums.BINS) if mine[n] != said.bins[n]]


async def mend(hub: Hub, station: Station, bins: list[int]) -> set[tuple[str, str]]:
    """Replace what is in these bins; return what came."""
    after, came = "", set[tuple[str, str]]()
    copy = station.held[station.scope].records
    while True:
        ask = DigestAsk(station=station.principal.site, scope=station.scope, bins=tuple(bins), after=after)
        async with hub.sessions() as session, session.begin():
            reader = await reader_of(session, station.principal, hub.now())
            stream = await digests.repair(session, ask, reader=reader)
        head, start = frames.first_of(stream, PageHead)
        entries = list(frames.frames_of(stream, start, EntryHead, head.count))
        last = f"{entries[-1][0].type}/{entries[-1][0].id}" if head.more else "\U0010ffff"
        for key in [k for k in copy if sums.bin_of(*k) in bins and after < f"{k[0]}/{k[1]}" <= last]:
            del copy[key]
        for entry, text in entries:
            station.apply(entry, text)
            came.add((entry.type, entry.id))
        if not head.more:
            return came
        after = last


async def test_only_the_bins_that_differ_are_mended(hub: Hub) -> None:
    station = a_station()
    for _ in range(30):
        await store(hub, station.principal.site, a_patient(), fed=False)
    await hub.jobs.run_pending()
    await station.pull_all(hub)
    copy = station.held[station.scope].records
    right = dict(copy)
    lost, stale = list(copy)[3], list(copy)[7]
    del copy[lost]
    copy[stale] = (99, b"{}")
    copy[("Patient", f"stray-{uuid4()}")] = (1, b"{}")

    bins = differing(station, await bins_of(hub, station))
    came = await mend(hub, station, bins)

    assert 1 <= len(bins) <= 3
    assert copy == right
    assert {sums.bin_of(*key) for key in came} <= set(bins)
    assert differing(station, await bins_of(hub, station)) == []


async def test_a_repair_in_many_pages_is_the_same(hub: Hub) -> None:
    station = a_station()
    for _ in range(6):
        await store(hub, station.principal.site, a_patient(name=[{"text": "y" * 90_000}]), fed=False)
    await hub.jobs.run_pending()
    await station.pull_all(hub)
    right = dict(station.held[station.scope].records)
    station.held[station.scope].records.clear()

    await mend(hub, station, list(range(256)))

    assert station.held[station.scope].records == right


@pytest.mark.parametrize("scope", ["stn:99999-01", "prov:99", "dev:00000000-0000-4000-8000-000000000000"])
async def test_another_s_scope_is_as_one_that_is_not_there(hub: Hub, scope: str) -> None:
    with pytest.raises(UnknownScope):
        await bins_of(hub, a_station(), scope)
