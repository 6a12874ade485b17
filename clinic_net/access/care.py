"""Care relations: facts about who cares for a patient, from which a right to see follows."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import care_store
from clinic_net.access.model import CareRelation, Restriction
from clinic_net.access.principals import UserPrincipal
from clinic_net.access.reach import EMERGENCY, Record, RecordScope, Refused, Relation, permits
from clinic_net.kernel.ids import new_id
from clinic_net.kernel.jobs import announce

REACH_CHANGED = "care.reach_changed"
"""News that others may see a patient's record than before, beyond what a record stored says."""


async def grant_care(  # noqa: PLR0913 -- a relation has so many parts
    session: AsyncSession,
    *,
    patient: str,
    grantee: str,
    basis: str,
    purpose: str,
    since: datetime,
    until: datetime | None,
    tenant: str | None = None,
    source: str | None = None,
) -> None:
    """Say that ``grantee`` (a principal's address) cares for a patient (FHIR id of the Patient) during a time.

    ``basis`` is ``ring``, ``open_consult``, ``consult_followup``, ``home_station``, ``referral_accepted`` …;
    ``purpose`` a code of HL7 v3 PurposeOfUse; ``tenant`` keeps it to what one place holds.
    Saying it again adds nothing; a longer time is added beside.
    """
    relation = CareRelation(
        id=new_id(since),
        patient=patient,
        grantee=grantee,
        basis=basis,
        purpose=purpose,
        since=since,
        until=until,
        tenant=tenant,
        source=source,
    )
    if await care_store.care_covers(session, relation):
        return
    session.add(relation)
    await session.flush()
    await audit.record(
        session,
        actor=grantee,
        action=f"care.{basis}",
        subject=f"Patient/{patient}",
        at=since,
        purpose=purpose,
    )


async def end_care(session: AsyncSession, *, patient: str, grantee: str, basis: str, at: datetime) -> None:
    """End a kind of care relation at ``at``; what would end earlier stays as it is."""
    ended = await care_store.end_care(session, patient=patient, grantee=grantee, basis=basis, at=at)
    await audit.record_many(session, [_end(relation) for relation in ended], at=at)


async def end_care_from(session: AsyncSession, source: str, *, bases: Collection[str], at: datetime) -> None:
    """End at ``at`` the relations of these kinds that follow from a record, whoever's they are."""
    ended = await care_store.end_source(session, source, bases=bases, at=at)
    await audit.record_many(session, [_end(relation) for relation in ended], at=at)


def _end(relation: CareRelation) -> audit.Event:
    subject = f"Patient/{relation.patient}"
    return audit.Event(relation.grantee, f"care.{relation.basis}.end", subject, purpose=relation.purpose)


async def relations_of(session: AsyncSession, patient: str) -> tuple[Relation, ...]:
    """Return a patient's care relations, past and future ones too, for :func:`policy.permits`."""
    return tuple(_relation(row) for row in await care_store.care_of(session, patient))


@dataclass(frozen=True)
class Look:
    """What is not within the scope, and for what the rest is seen: an emergency, where nothing else opens it."""

    outside: list[Record]
    purpose: str | None


async def second_look(
    session: AsyncSession, records: Collection[Record], *, scope: RecordScope, now: datetime
) -> Look:
    """Evaluate the rule in Python, with today's facts, on records that are about to leave."""
    if scope.everywhere:
        return Look([], scope.purpose)
    patients = {record.patient for record in records if record.patient is not None}
    relations: list[Relation] = []
    refused: list[Refused] = []
    if patients and scope.grantee is not None:
        relations = [
            _relation(row) for row in await care_store.care_between(session, scope.known_as, patients)
        ]
    if patients and scope.names:
        refused = [
            Refused(row.grantee, row.patient, row.since, row.until, row.tenant)
            for row in await care_store.refusals(session, scope.names, patients)
        ]
    stopped = await care_store.restricted(session, patients) if patients else set()
    calm = [relation for relation in relations if relation.basis != EMERGENCY]
    broken = [relation for relation in relations if relation.basis == EMERGENCY and relation.holds(now)]
    wrong, purpose = [], scope.purpose
    for record in records:
        if permits(scope, record, relations=calm, refusals=refused, restricted=stopped, now=now):
            continue
        if permits(scope, record, relations=broken, refusals=refused, restricted=stopped, now=now):
            purpose = next(one.purpose for one in broken if one.patient == record.patient)
        else:
            wrong.append(record)
    return Look(wrong, purpose)


def _relation(row: CareRelation) -> Relation:
    return Relation(row.grantee, row.patient, row.since, row.until, row.basis, row.purpose, row.tenant)


async def restrict(session: AsyncSession, patient: str, *, by: str, at: datetime) -> None:
    """Stop the processing of a patient's record for everybody but in an emergency. Saying it again changes nothing."""
    if await session.get(Restriction, patient) is None:
        session.add(Restriction(patient=patient, since=at))
        await session.flush()
        await audit.record(session, actor=by, action="care.restrict", subject=f"Patient/{patient}", at=at)
        await announce(session, REACH_CHANGED, {"patient": patient})


async def lift_restriction(session: AsyncSession, patient: str, *, by: str, at: datetime) -> None:
    """Let a patient's record be processed again."""
    found = await session.get(Restriction, patient)
    if found is not None:
        await session.delete(found)
        await session.flush()
        await audit.record(session, actor=by, action="care.unrestrict", subject=f"Patient/{patient}", at=at)
        await announce(session, REACH_CHANGED, {"patient": patient})


async def is_restricted(session: AsyncSession, patient: str) -> bool:
    """Whether the processing of a patient's record is stopped."""
    return await session.get(Restriction, patient) is not None


@dataclass(frozen=True)
class Ward:
    """A child whose guardian somebody is. ``relation`` names that; ``patient`` is the child's FHIR id."""

    relation: UUID
    patient: str


async def wards_of(session: AsyncSession, guardian: UserPrincipal, *, now: datetime) -> list[Ward]:
    """Return the children whose record somebody sees as their guardian now."""
    found = await care_store.open_care(session, guardian.address, "guardian", at=now)
    return [Ward(each.id, each.patient) for each in found]
