"""A guardian sees a child's record while a station vouches for them and until the child is of age."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from clinic_net.access.consent import USER_ID
from clinic_net.access.policy import hub_scope, scope_of
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.kernel.hub import Hub
from clinic_net.records import guardians, service
from clinic_net.records.errors import UnknownResource
from tests.records.support import NOW, SITE, Records, patient, text


@pytest.mark.parametrize(
    ("born", "of_age"),
    [
        ("2010-03-05", datetime(2028, 3, 4, 17, tzinfo=UTC)),
        ("2008-02-29", datetime(2026, 2, 28, 17, tzinfo=UTC)),
        ("2010-03", datetime(2028, 2, 29, 17, tzinfo=UTC)),
        ("2010", datetime(2027, 12, 31, 17, tzinfo=UTC)),
        ("None", None),
    ],
)
def test_of_age_is_the_first_of_the_eighteenth_birthday_in_viet_nam(
    born: str, of_age: datetime | None
) -> None:
    assert guardians.of_age(born) == of_age


async def test_28_a_guardian_sees_the_child_until_the_eighteenth_birthday(hub: Hub, records: Records) -> None:
    """#28: the clock of the test goes past the birthday; the station takes its word back."""
    child = (await records.put(patient(str(uuid4()), birthDate="2010-03-05"))).fid
    who = UserPrincipal(uuid4(), "me", "Mẹ", Role.CITIZEN, "11001", patient=str(uuid4()))

    async def vouch(author: str, **more: object) -> None:
        related = {
            "resourceType": "RelatedPerson",
            "id": f"guardian-{child}",
            "patient": {"reference": f"Patient/{child}"},
            "identifier": [{"system": USER_ID, "value": str(who.id)}],
            "relationship": [
                {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "GUARD"}]}
            ],
            **more,
        }
        async with hub.sessions() as s, s.begin():
            await service.put(
                s, text(related), rtype="RelatedPerson", fid=f"guardian-{child}", scope=hub_scope(),
                author=author, tenant=SITE, now=hub.now(),
            )  # fmt: skip
        await hub.jobs.run_pending()

    async def sees(at: datetime, person: UserPrincipal = who) -> bool:
        async with hub.sessions() as s:
            try:
                await service.read(s, "Patient", child, scope=scope_of(person), now=at)
            except UnknownResource:
                return False
        return True

    await vouch("client:somebody")
    soon = hub.now() + timedelta(minutes=1)
    assert not await sees(soon), "a system's word opens nothing"
    await vouch(f"station:{SITE}", active=True)
    birthday = datetime(2028, 3, 4, 17, tzinfo=UTC)
    assert await sees(soon)
    assert await sees(birthday - timedelta(seconds=1))
    assert not await sees(birthday)
    assert not await sees(soon, replace(who, id=uuid4()))
    assert soon > NOW
    await vouch(f"station:{SITE}", active=False)
    assert not await sees(soon)
