"""What a device is told to erase, and its signed word that it has: who still owes a receipt is listed.

A receipt is signed by the device's key, so it is taken whatever way it comes, and from a device that was revoked too:
that is the only thing such a device may still hand in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from pydantic import ValidationError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import service as access
from clinic_net.access.policy import hub_scope, station_scope
from clinic_net.protocol.sync import Receipt
from clinic_net.protocol.sync.standing import EVERYTHING, Standing, StandingAsk, proof_input
from clinic_net.records import service as records
from clinic_net.sync import feed_store, snapshot_store
from clinic_net.sync.errors import ProofWrong
from clinic_net.sync.feed_model import Erasure, FeedEntry
from clinic_net.sync.feed_store import OUT, PURGE, PUT, Change
from clinic_net.sync.feeding import put_in
from clinic_net.sync.scopes import commands_of, feed_of, is_site

log = structlog.get_logger()


@dataclass(frozen=True)
class Owed:
    """A device that was told to erase something and has not said yet that it did. Whose record it is is not told."""

    site: str
    device: UUID
    everything: bool
    why: str
    ordered_at: datetime


async def order(
    session: AsyncSession, device: UUID, site: str, patient: str, *, why: str, now: datetime
) -> int:
    """Tell a device to erase all about a patient (or :data:`EVERYTHING`); return the number of the entry that does."""
    scope = commands_of(device)
    await feed_store.append(session, {scope: [Change(PURGE, "Patient", patient, 0)]})
    statement = select(FeedEntry.seq).where(
        FeedEntry.scope == scope, FeedEntry.rtype == "Patient", FeedEntry.fid == patient
    )
    seq = (await session.exec(statement)).one()
    session.add(Erasure(device=device, seq=seq, site=site, patient=patient, why=why, ordered_at=now))
    await session.flush()
    subject = f"device:{device}"
    await audit.record(session, actor="hub", action="device.order_erasure", subject=subject, at=now)
    return seq


async def order_at(session: AsyncSession, site: str, patient: str, *, why: str, now: datetime) -> None:
    """Tell the devices that a site has to erase all about a patient."""
    for device in await access.devices_of(session, site):
        if device.status == "active":
            await order(session, device.id, site, patient, why=why, now=now)


async def take(session: AsyncSession, signed: Sequence[str], *, device: UUID, now: datetime) -> int:
    """Keep receipts that a device has signed; return how many. One that is none of its own is passed over."""
    taken = 0
    for each in signed:
        receipt = await _read(session, each, device)
        found = await session.get(Erasure, (device, receipt.seq)) if receipt is not None else None
        if receipt is None or found is None or found.patient != receipt.patient:
            log.warning("receipt_refused", device=str(device))
            continue
        taken += 1
        if found.receipt is None:
            found.receipt, found.erased, found.received_at = each, receipt.erased, now
            await session.flush()
            actor, subject = f"device:{device}", f"device:{device}"
            await audit.record(session, actor=actor, action="device.erased", subject=subject, at=now)
    return taken


async def _read(session: AsyncSession, signed: str, device: UUID) -> Receipt | None:
    payload = await access.said_by_device(session, device, signed)
    if payload is None:
        return None
    try:
        receipt = Receipt.model_validate_json(payload)
    except ValidationError:
        return None
    ours = receipt.device == device and receipt.scope == commands_of(device)
    return receipt if ours else None


async def standing(session: AsyncSession, ask: StandingAsk, *, now: datetime) -> Standing:
    """Return how a device stands that proves that it has its key.

    Raises:
        ProofWrong: it does not, or there is no such device; the two look alike.
    """
    found = await access.device_of_id(session, ask.device)
    said = await access.said_by_device(session, ask.device, ask.proof)
    if found is None or said != proof_input(ask.device, ask.nonce):
        raise ProofWrong
    revoked = found.status != "active"
    statement = select(Erasure.seq).where(Erasure.device == ask.device, Erasure.patient == EVERYTHING)
    seq = (await session.exec(statement.order_by(col(Erasure.seq).desc()).limit(1))).first()
    if revoked and seq is None:  # the news of the revocation has not been worked through yet
        seq = await order(session, found.id, found.site, EVERYTHING, why="revoked", now=now)
    return Standing(
        device=found.id,
        station=found.site,
        status="revoked" if revoked else "active",
        nonce=ask.nonce,
        at=now,
        seq=seq if revoked else None,
    )


async def revoked(session: AsyncSession, device: UUID, *, now: datetime) -> None:
    """Have a revoked device erase all it holds, once."""
    found = await access.device_of_id(session, device)
    statement = select(Erasure.seq).where(Erasure.device == device, Erasure.patient == EVERYTHING)
    if found is not None and (await session.exec(statement)).first() is None:
        await order(session, device, found.site, EVERYTHING, why="revoked", now=now)


async def erased(session: AsyncSession, patient: str, *, now: datetime) -> None:
    """Have every station that held something of an erased record erase it, and say so."""
    for tenant in await records.places_of(session, patient, scope=hub_scope(), now=now):
        if is_site(tenant):
            await snapshot_store.drop_of(session, feed_of(tenant))
            await order_at(session, tenant, patient, why="erased", now=now)


async def reach_changed(session: AsyncSession, patient: str, *, now: datetime) -> None:
    """Bring feeds into line with who may see a patient's record now.

    What a station may not see any more leaves its feed, and its devices say by a receipt that they erased it; what it
    may see again comes back.
    """
    places = await records.places_of(session, patient, scope=hub_scope(), now=now)
    changes: dict[str, list[Change]] = {}
    for site, identities in places.items():
        if not is_site(site):
            continue
        seen = await records.placed(session, identities, scope=station_scope(site), now=now)
        known = await records.placed(session, identities, scope=hub_scope(), now=now)
        changes[feed_of(site)] = [
            Change(PUT if key in seen else OUT, *key, place.version)
            for key, place in known.items()
            if not place.deleted
        ]
        if not seen and known:
            await snapshot_store.drop_of(session, feed_of(site))
            await order_at(session, site, patient, why="withdrawn", now=now)
    await put_in(session, changes)


async def owed(session: AsyncSession, *, sites: frozenset[str] | None = None) -> tuple[Owed, ...]:
    """Return who owes a receipt, the longest first; of these sites if they are given."""
    statement = select(Erasure).where(col(Erasure.receipt).is_(None)).order_by(col(Erasure.ordered_at))
    if sites is not None:
        statement = statement.where(col(Erasure.site).in_(sites))
    rows = (await session.exec(statement)).all()
    return tuple(
        Owed(row.site, row.device, row.patient == EVERYTHING, row.why, row.ordered_at) for row in rows
    )
