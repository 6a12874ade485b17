"""A right to see a patient lives as long as what it follows from: rung, in care, followed up, sent on, registered."""

from datetime import datetime, timedelta
from uuid import UUID

from clinic_net.access import service as access
from clinic_net.access.policy import hub_scope, scope_of
from clinic_net.access.principals import UserPrincipal
from clinic_net.consultations import service as consultations
from clinic_net.kernel.hub import Hub
from clinic_net.records import registration
from clinic_net.records import service as records
from clinic_net.records.errors import UnknownResource
from clinic_net.referrals import service
from tests.consultations.support import CENTRAL, NOW, PROVINCIAL, SITE, after, coordinator, doctor
from tests.consultations.test_documents import taken
from tests.records.support import patient, text
from tests.referrals.test_referrals import refer

DAY = 24 * 3600.0


async def sees(hub: Hub, who: UserPrincipal, fid: str, at: datetime) -> bool:
    async with hub.sessions() as session:
        try:
            await records.read(session, "Patient", fid, scope=scope_of(who), now=at)
        except UnknownResource:
            return False
    return True


async def about(hub: Hub, case: UUID, by: UserPrincipal) -> str:
    async with hub.sessions() as session:
        return (await consultations.case(session, case, by=by, now=NOW)).patient


async def test_the_doctor_of_a_call_sees_the_patient_for_thirty_days_after_it(clinic: Hub) -> None:
    case, near = await taken(clinic)
    whom = await about(clinic, case, near)
    assert await sees(clinic, near, whom, after(3 * DAY)), "while the call is open it does not end by itself"

    async with clinic.sessions() as session, session.begin():
        await consultations.end(session, case, by=near, reason="completed", now=after(600))

    assert await sees(clinic, near, whom, after(600 + 30 * DAY - 1))
    assert not await sees(clinic, near, whom, after(600 + 30 * DAY))


async def test_who_receives_a_referral_reviews_it_then_cares_or_lets_go(clinic: Hub) -> None:
    case, near = await taken(clinic)
    whom = await about(clinic, case, near)
    sent = await refer(clinic, case, near)
    receiver, other = doctor("Người nhận", PROVINCIAL), doctor("Người khác", PROVINCIAL)
    assert not await sees(clinic, receiver, whom, after(70))

    async with clinic.sessions() as session, session.begin():
        await service.open_referral(session, sent.id, by=receiver, now=after(70))
        await service.open_referral(session, sent.id, by=other, now=after(70))
    assert await sees(clinic, receiver, whom, after(80))
    assert not await sees(clinic, receiver, whom, after(70 + 1800)), "a review is half an hour"

    async with clinic.sessions() as session, session.begin():
        await service.accept(session, sent.id, by=receiver, now=after(90))
    assert await sees(clinic, receiver, whom, after(29 * DAY))
    assert not await sees(clinic, receiver, whom, after(31 * DAY))
    assert not await sees(clinic, other, whom, after(2 * DAY)), "the right is a person's, not the house's"


async def test_nobody_goes_on_reviewing_what_was_refused_or_sent_elsewhere(clinic: Hub) -> None:
    case, near = await taken(clinic)
    whom = await about(clinic, case, near)
    sent = await refer(clinic, case, near)
    receiver = doctor("Người nhận", PROVINCIAL)
    async with clinic.sessions() as session, session.begin():
        await service.open_referral(session, sent.id, by=receiver, now=after(70))
        await service.reject(
            session, sent.id, by=receiver, reason="no-bed", words="Hết giường", now=after(80)
        )
    assert not await sees(clinic, receiver, whom, after(81))

    async with clinic.sessions() as session, session.begin():
        await service.redirect(
            session,
            sent.id,
            by=coordinator(),
            to_facility=CENTRAL,
            reason="no-bed",
            words="Hết",
            now=after(90),
        )
    onward = doctor("Tuyến trên", CENTRAL)
    async with clinic.sessions() as session, session.begin():
        await service.open_referral(session, sent.id, by=onward, now=after(100))
    assert await sees(clinic, onward, whom, after(101))


async def test_a_station_knows_what_others_write_about_who_is_registered_there(clinic: Hub) -> None:
    async def put(**more: object) -> str:
        async with clinic.sessions() as session, session.begin():
            stored = await records.put(
                session, text(patient("registered-1", **more)), rtype="Patient", fid="registered-1",
                scope=hub_scope(), author="test", tenant=SITE, now=clinic.now(),
            )  # fmt: skip
        await clinic.jobs.run_pending()
        return stored.fid

    fid = await put()
    assert await relation(clinic, fid) is None
    await put(active=False)
    ended = await relation(clinic, fid)
    assert ended is not None
    assert ended <= clinic.now() + timedelta(seconds=1)


async def relation(hub: Hub, fid: str) -> datetime | None:
    """Return when the relation of the home station ends; fails where there is none."""
    async with hub.sessions() as session:
        found = [one for one in await access.relations_of(session, fid) if one.basis == registration.BASIS]
    assert [one.grantee for one in found] == [f"station:{SITE}"]
    return found[0].until
