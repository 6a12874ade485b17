"""Care relations: facts about who cares for a patient, from which a right to see follows."""

from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import audit
from clinic_net.access import store
from clinic_net.access.model import CareRelation, Restriction
from clinic_net.access.policy import Relation
from clinic_net.kernel.ids import new_id


async def grant_care(
    session: AsyncSession,
    *,
    patient: str,
    grantee: str,
    basis: str,
    purpose: str,
    since: datetime,
    until: datetime | None,
) -> None:
    """Say that ``grantee`` (a principal's address) cares for a patient (FHIR id of the Patient) during a time.

    ``basis`` is ``ring``, ``open_consult``, ``consult_followup``, ``home_station``, ``referral_accepted`` …;
    ``purpose`` a code of HL7 v3 PurposeOfUse. Saying it again adds nothing; a longer time is added beside.
    """
    relation = CareRelation(
        id=new_id(since),
        patient=patient,
        grantee=grantee,
        basis=basis,
        purpose=purpose,
        since=since,
        until=until,
    )
    if await store.care_covers(session, relation):
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
    for relation in await store.end_care(session, patient=patient, grantee=grantee, basis=basis, at=at):
        await audit.record(
            session,
            actor=grantee,
            action=f"care.{basis}.end",
            subject=f"Patient/{patient}",
            at=at,
            purpose=relation.purpose,
        )


async def relations_of(session: AsyncSession, patient: str) -> tuple[Relation, ...]:
    """Return a patient's care relations, past and future ones too, for :func:`policy.permits`."""
    return tuple(
        Relation(row.grantee, row.patient, row.since, row.until, row.basis)
        for row in await store.care_of(session, patient)
    )


async def restrict(session: AsyncSession, patient: str, *, by: str, at: datetime) -> None:
    """Stop the processing of a patient's record for everybody but in an emergency. Saying it again changes nothing."""
    if await session.get(Restriction, patient) is None:
        session.add(Restriction(patient=patient, since=at))
        await session.flush()
        await audit.record(session, actor=by, action="care.restrict", subject=f"Patient/{patient}", at=at)


async def lift_restriction(session: AsyncSession, patient: str, *, by: str, at: datetime) -> None:
    """Let a patient's record be processed again."""
    found = await session.get(Restriction, patient)
    if found is not None:
        await session.delete(found)
        await session.flush()
        await audit.record(session, actor=by, action="care.unrestrict", subject=f"Patient/{patient}", at=at)


async def is_restricted(session: AsyncSession, patient: str) -> bool:
    """Whether the processing of a patient's record is stopped."""
    return await session.get(Restriction, patient) is not None
