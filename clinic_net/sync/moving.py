"""Patients go from one station to another with their records: a family moves, a commune is merged.

A portion of patients is one transaction: their records change places, leave the one feed and enter the other. What is
cut off goes on where it was: what has moved is no longer where it came from. The old station may go on handing in what
it wrote before it heard of it: that goes where the patient is.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import service as access
from clinic_net.access.policy import hub_scope
from clinic_net.directory import service as directory
from clinic_net.kernel import jobs
from clinic_net.kernel.ids import new_id
from clinic_net.records import service as records
from clinic_net.sync import move_store as store
from clinic_net.sync.errors import NoSuchMove, NowhereToMove
from clinic_net.sync.feed_model import Move
from clinic_net.sync.feed_store import DELETE, OUT, PUT, Change
from clinic_net.sync.feeding import put_in
from clinic_net.sync.scopes import feed_of

PORTION = 50
"""Patients of one transaction: some 700 records, whose rows are held for less than a second."""
_RECORDS = 500
"""Records without a patient of one transaction."""
LATE = timedelta(days=90)
"""How long the station that patients left may still hand in what it wrote about them."""
LATE_ENTRY = "late_entry"
_HUB = "hub"


@dataclass(frozen=True)
class Progress:
    """How far a move has come. ``patients`` is how many were named; None: all of the site's."""

    id: UUID
    origin: str
    target: str
    patients: int | None
    moved_patients: int
    moved_records: int
    ordered_at: datetime
    done_at: datetime | None


def _progress(row: Move) -> Progress:
    named = None if row.patients is None else len(row.patients)
    return Progress(
        row.id, row.origin, row.target, named, row.moved_patients, row.moved_records, row.ordered_at, row.done_at
    )  # fmt: skip


async def order(
    session: AsyncSession,
    origin: str,
    target: str,
    *,
    patients: Collection[str] | None = None,
    by: str,
    now: datetime,
) -> Progress:
    """Have patients, or with None all that a site holds, go to another site. A job does it.

    Raises:
        UnknownSite: the directory does not know the target today; the origin may have been closed.
        NowhereToMove: it is the same site.
    """
    if origin == target:
        raise NowhereToMove
    await directory.site(session, target, now.date())
    row = Move(
        id=new_id(now),
        origin=origin,
        target=target,
        patients=None if patients is None else sorted(set(patients)),
        ordered_by=by,
        ordered_at=now,
    )
    session.add(row)
    await session.flush()
    subject = f"station:{origin}"
    await audit.record(session, actor=by, action="station.move_patients", subject=subject, at=now)
    await jobs.announce(session, "sync.move", {"move": str(row.id)}, lane="sync moves")
    return _progress(row)


async def step(session: AsyncSession, move: UUID, *, now: datetime) -> Progress:
    """Move one portion; ``done_at`` says whether that was the last.

    Raises:
        NoSuchMove: there is none.
    """
    row = await store.move(session, move, hold=True)
    if row is None:
        raise NoSuchMove
    if row.done_at is not None:
        return _progress(row)
    patients = await records.patients_at(
        session, row.origin, scope=hub_scope(), now=now, limit=PORTION, only=row.patients
    )
    if patients:
        row.moved_patients += len(patients)
        row.moved_records += await _carry(
            session, patients, row.origin, row.target, by=row.ordered_by, now=now
        )
    else:
        count = 0
        if row.patients is None:
            count = await _carry(session, None, row.origin, row.target, by=row.ordered_by, now=now)
        row.moved_records += count
        row.done_at = None if count == _RECORDS else now
    await session.flush()
    return _progress(row)


async def _carry(
    session: AsyncSession,
    patients: Sequence[str] | None,
    origin: str,
    target: str,
    *,
    by: str,
    now: datetime,
    why: str = "",
) -> int:
    """Move what one site holds of these patients; return how many records."""
    moved = await records.move(
        session,
        patients,
        origin=origin,
        target=target,
        scope=hub_scope(),
        author=by,
        now=now,
        limit=_RECORDS if patients is None else None,
        why=why,
    )
    if patients is not None and not why:
        await store.remember(session, patients, origin, target, now)
        for patient in patients:
            await access.grant_care(
                session,
                patient=patient,
                grantee=f"station:{origin}",
                basis=LATE_ENTRY,
                purpose="TREAT",
                since=now,
                until=now + LATE,
            )
    left = [Change(OUT, each.rtype, each.fid, each.version) for each in moved]
    came = [Change(DELETE if each.deleted else PUT, each.rtype, each.fid, each.version) for each in moved]
    await put_in(session, {feed_of(origin): left, feed_of(target): came})
    return len(moved)


async def forward(session: AsyncSession, origin: str, patients: Sequence[str], *, now: datetime) -> int:
    """Bring what a site handed in late about patients who have left it to where they are; return how many records."""
    moved = await store.moved_among(session, {(patient, origin) for patient in patients})
    identities = [("Patient", patient) for patient in moved.get(origin, [])]
    places = await records.placed(session, identities, scope=hub_scope(), now=now)
    count = 0
    for (_, patient), place in sorted(places.items()):
        if place.tenant != origin:
            count += await _carry(
                session, [patient], origin, place.tenant, by=_HUB, now=now, why="late entry"
            )
    return count


async def progress(session: AsyncSession, move: UUID) -> Progress:
    """Return how far a move has come.

    Raises:
        NoSuchMove: there is none.
    """
    row = await store.move(session, move)
    if row is None:
        raise NoSuchMove
    return _progress(row)


async def newest(
    session: AsyncSession, *, sites: Collection[str] | None = None, most: int = 50
) -> tuple[Progress, ...]:
    """Return the newest moves, of these sites if they are given."""
    return tuple(_progress(row) for row in await store.moves(session, sites, most=most))
