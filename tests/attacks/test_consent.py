"""Consent gives and takes exactly what the citizen said, from the moment they said it."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from tests.attacks.support import Ground, Person, consent, reads, text
from tests.records.support import HOSPITAL, OTHER_HOSPITAL, OTHER_SITE, SITE, client_of, codes


async def give(ground: Ground, said: dict[str, Any], *, tenant: str = SITE) -> str:
    stored = await ground.records(tenant).put({**said, "id": str(uuid4())}, with_patient=True)
    return stored.fid


async def test_a_permit_opens_at_once_and_its_withdrawal_closes_at_once(ground: Ground) -> None:
    whom = await ground.patient()
    async with ground.person() as doctor, ground.person() as colleague:
        assert not await reads(doctor, whom)
        given = await give(ground, consent(whom, "permit", user=doctor.id))
        assert await reads(doctor, whom)
        assert not await reads(colleague, whom)

        withdrawn = {**consent(whom, "permit", user=doctor.id), "id": given, "status": "inactive"}
        await ground.records().put(withdrawn)
        assert not await reads(doctor, whom)
    assert [actor for actor, _ in await ground.audited("consent.permit", whom)] == ["user:test"]
    assert [actor for actor, _ in await ground.audited("consent.withdraw", whom)] == ["user:test"]


async def test_a_permit_to_a_hospital_is_for_its_people_and_only_to_look(ground: Ground) -> None:
    whom = await ground.patient()
    await give(ground, consent(whom, "permit", facility=HOSPITAL))
    async with ground.person() as doctor, ground.person(facility=OTHER_HOSPITAL) as stranger:
        assert await reads(doctor, whom)
        assert not await reads(stranger, whom)
        content = (await doctor.http.get(f"/fhir/Patient/{whom}")).json()
        changed = await doctor.http.put(f"/fhir/Patient/{whom}", content=text({**content, "active": True}))
        assert (changed.status_code, codes(changed.json())) == (403, ["read-only"])


async def test_24_nobody_writes_themselves_a_consent(ground: Ground) -> None:
    """#24: a self-granted Consent gives no extra access."""
    whom = await ground.patient()
    async with ground.person() as doctor:
        await ground.care(whom, doctor.address, until=ground.hub.now() + timedelta(minutes=5))
        for mine in ({"user": doctor.id}, {"facility": HOSPITAL}):
            answer = await doctor.http.post("/fhir/Consent", content=text(consent(whom, "permit", **mine)))
            assert (answer.status_code, codes(answer.json())) == (403, ["consent-to-oneself"])
        stranger = await ground.patient()
        unknown = await doctor.http.post(
            "/fhir/Consent", content=text(consent(stranger, "permit", user=doctor.id))
        )
        assert (unknown.status_code, codes(unknown.json())) == (422, ["unknown-patient"])
        assert not await reads(doctor, stranger)
    async with client_of(ground.hub) as client:
        whole = {"resourceType": "Bundle", "type": "transaction", "entry": [
            {"resource": consent(whom, "permit", user=uuid4()), "request": {"method": "POST", "url": "Consent"}}
        ]}  # fmt: skip
        assert (await client.post("/fhir", content=text(whole))).status_code == 200


async def test_24_a_consent_out_of_time_or_of_another_place_opens_nothing(ground: Ground) -> None:
    """#24: an expired ``provision.period``, one that has not begun, and a Consent of another tenant."""
    whom = await ground.patient()
    await ground.observation(whom)
    async with ground.person() as doctor:
        for period in ({"end": "2020-01-01"}, {"start": "2999-01-01"}):
            await give(ground, consent(whom, "permit", user=doctor.id, provision={"period": period}))
            assert not await reads(doctor, whom)
        # Written down at another station, it is good for what that station holds of the patient.
        theirs = await ground.observation(whom, OTHER_SITE)
        said = {**consent(whom, "permit", user=doctor.id), "id": str(uuid4())}
        await ground.records(OTHER_SITE).put(said)
        assert await reads(doctor, theirs, "Observation")
        assert not await reads(doctor, whom)


async def test_24_a_consent_that_nobody_verified_or_that_is_not_active_opens_nothing(ground: Ground) -> None:
    """#24: the grantor was not verified; the status is a draft's."""
    whom = await ground.patient()
    async with ground.person() as doctor:
        ways: tuple[dict[str, Any], ...] = (
            {"verification": [{"verified": False}]},
            {"verification": []},
            {"status": "draft"},
        )
        for more in ways:
            said = {
                name: value
                for name, value in consent(whom, "permit", user=doctor.id, **more).items()
                if value
            }
            await give(ground, said)
            assert not await reads(doctor, whom)


async def test_what_would_not_be_kept_is_refused(ground: Ground) -> None:
    whom = await ground.patient()
    async with client_of(ground.hub) as client:
        ways: tuple[dict[str, Any], ...] = (
            {"purpose": [{"code": "TREAT"}]},
            {"actor": []},
            {"actor": [{"role": {"text": "?"}, "reference": {"display": "bác sĩ Lan"}}]},
            {"provision": [{"type": "deny"}]},
        )
        for provision in ways:
            said = consent(whom, "permit", facility=HOSPITAL, provision=provision)
            if not said["provision"]["actor"]:
                del said["provision"]["actor"]
            answer = await client.post("/fhir/Consent", content=text(said))
            assert (answer.status_code, codes(answer.json())) == (422, ["consent-not-enforceable"]), provision


async def test_25_a_refusal_stops_the_next_page_and_the_next_read(ground: Ground) -> None:
    """#25: rights revoked while a page's cursor is held; the next page holds nothing of the patient."""
    whom = await ground.patient(HOSPITAL)
    for _ in range(3):
        await ground.observation(whom, HOSPITAL)
    async with ground.person() as doctor:
        await ground.care(whom, doctor.address)
        first = (await doctor.http.get("/fhir/Observation", params={"patient": whom, "_count": "2"})).json()
        following = next(link["url"] for link in first["link"] if link["relation"] == "next")
        assert len(first["entry"]) == 2

        said = await give(ground, consent(whom, "deny", user=doctor.id), tenant=HOSPITAL)

        page = await doctor.http.get(following)
        assert page.json().get("entry", []) == []
        assert not await reads(doctor, whom)
        assert await _count(doctor, whom) == 0
        async with ground.person() as colleague:
            assert await reads(colleague, whom), "a refusal is for whom it names"
            answer = await colleague.http.put(
                f"/fhir/Consent/{said}",
                content=text({**consent(whom, "deny", user=doctor.id), "id": said, "status": "inactive"}),
            )
            assert (answer.status_code, codes(answer.json())) == (403, ["consent-not-yours"])
        await ground.records(HOSPITAL).put(
            {**consent(whom, "deny", user=doctor.id), "id": said, "status": "inactive"}
        )
        assert await reads(doctor, whom)


async def test_an_emergency_does_not_rest_on_consent(ground: Ground) -> None:
    whom = await ground.patient()
    await give(ground, consent(whom, "deny", facility=HOSPITAL))
    async with ground.person() as doctor:
        await ground.care(whom, doctor.address)
        assert not await reads(doctor, whom)
        await ground.care(whom, doctor.address, "emergency_btg", purpose="ETREAT")
        assert await reads(doctor, whom)


async def _count(doctor: Person, whom: str) -> int:
    answer = await doctor.http.get("/fhir/Observation", params={"patient": whom, "_summary": "count"})
    total: int = answer.json()["total"]
    return total
