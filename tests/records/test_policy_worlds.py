"""The rule in SQL and the rule in Python are one rule: worlds of records, relations and refusals, row by row."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access.labels import EVERY, HIV, PROTECTED, RESTRICTED, VERY_RESTRICTED
from clinic_net.access.model import CareRelation, ConsentRow, Restriction
from clinic_net.access.policy import MINIMUM, Record, RecordScope, Refused, Relation, permits
from clinic_net.kernel.hub import Hub
from clinic_net.records.model import Resource
from clinic_net.records.store import labels_in, visible
from tests.records.support import NOW

TENANTS = st.sampled_from(["11007", "11001", "03163-01"])
PATIENTS = st.sampled_from(["p1", "p2"])
GRANTEES = st.sampled_from(["user:1", "user:2", "facility:11007"])
INSTANTS = st.integers(-2, 2).map(lambda hours: NOW + timedelta(hours=hours))
BASES = st.sampled_from(["ring", "open_consult", "referral_review", "emergency_btg", "guardian", "consent"])
PURPOSES = st.sampled_from(["TREAT", "ETREAT", "BTG"])
TYPES = st.sampled_from(["Patient", "Observation", "Task"])
LABELS = st.sampled_from([None, 0, RESTRICTED, VERY_RESTRICTED, HIV, HIV | RESTRICTED])
SCOPES = st.builds(
    RecordScope,
    tenants=st.none() | st.frozensets(TENANTS, max_size=2),
    grantee=st.none() | GRANTEES,
    writable=st.booleans(),
    withheld=st.sampled_from([0, VERY_RESTRICTED, PROTECTED, EVERY]),
    never=st.sampled_from([0, RESTRICTED, EVERY]),
    types=st.none() | st.just(MINIMUM),
    own=st.none() | PATIENTS,
    names=st.frozensets(GRANTEES, max_size=2),
    patients=st.none() | st.frozensets(PATIENTS, max_size=1),
    writing=st.booleans(),
)


@dataclass(frozen=True)
class Given:
    """A row: what the rule asks of it, and a text that says so where the row does not (an older release's)."""

    tenant: str
    patient: str | None
    rtype: str
    labels: int | None
    says: bool

    @property
    def record(self) -> Record:
        labels = self.labels if self.labels is not None else EVERY if self.says else 0
        return Record(self.tenant, self.patient, self.rtype, labels)


WORLDS = st.fixed_dictionaries(
    {
        "rows": st.lists(
            st.builds(Given, TENANTS, st.none() | PATIENTS, TYPES, LABELS, st.booleans()),
            min_size=1,
            max_size=8,
        ),
        "relations": st.lists(
            st.builds(
                Relation,
                GRANTEES,
                PATIENTS,
                INSTANTS,
                st.none() | INSTANTS,
                BASES,
                PURPOSES,
                st.none() | TENANTS,
            ),
            max_size=5,
        ),
        "refused": st.lists(
            st.builds(Refused, GRANTEES, PATIENTS, INSTANTS, st.none() | INSTANTS, st.none() | TENANTS),
            max_size=3,
        ),
        "restricted": st.lists(PATIENTS, max_size=2, unique=True),
    }
)


@pytest.fixture
async def session(hub: Hub) -> AsyncIterator[AsyncSession]:
    async with hub.sessions() as session:
        yield session


async def _settle(session: AsyncSession, world: dict[str, list[object]]) -> None:
    """Make a world and nothing beside it, in a transaction that is never committed."""
    for table in (CareRelation, ConsentRow, Resource, Restriction):
        await session.exec(delete(table))
    for number, row in enumerate(world["rows"]):
        assert isinstance(row, Given)
        session.add(
            Resource(
                tenant=row.tenant,
                rtype=row.rtype,
                fid=str(number),
                patient=row.patient,
                version=1,
                updated=NOW,
                author="user:9",
                address=number,
                labels=row.labels,
                tokens=[],
                body=b'{"meta":{"security":[]}}' if row.says else b"{}",
            )
        )
    for one in world["relations"]:
        assert isinstance(one, Relation)
        session.add(CareRelation(id=uuid4(), **vars(one)))
    for refusal in world["refused"]:
        assert isinstance(refusal, Refused)
        session.add(
            ConsentRow(
                id=uuid4(),
                resource="c",
                grantor=f"Patient/{refusal.patient}",
                verified_by="user:9",
                decision="deny",
                status="active",
                wording="1",
                language="vi",
                evidence=b"",
                given_at=NOW,
                **vars(refusal),
            )
        )
    for patient in world["restricted"]:
        session.add(Restriction(patient=str(patient), since=NOW))
    await session.flush()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scope=SCOPES, world=WORLDS)
async def test_the_database_and_the_program_agree_on_every_record(
    session: AsyncSession, scope: RecordScope, world: dict[str, list[object]]
) -> None:
    try:
        await _settle(session, world)
        seen = set(await session.exec(select(col(Resource.fid)).where(visible(scope, NOW))))
        hidden = set(await session.exec(select(col(Resource.fid)).where(~visible(scope, NOW))))
    finally:
        await session.rollback()
    allowed = {
        str(number)
        for number, row in enumerate(world["rows"])
        if permits(
            scope,
            row.record,  # type: ignore[attr-defined]  # every one is a Given
            relations=world["relations"],  # type: ignore[arg-type]  # as above
            refusals=world["refused"],  # type: ignore[arg-type]  # as above
            restricted=world["restricted"],  # type: ignore[arg-type]  # as above
            now=NOW,
        )
    }
    assert seen == allowed
    assert hidden == {str(number) for number in range(len(world["rows"]))} - allowed, "never null"


@given(rows=WORLDS)
def test_nobody_s_scope_permits_nothing(rows: dict[str, list[object]]) -> None:
    nobody = RecordScope(frozenset(), None, writable=True)
    for row in rows["rows"]:
        assert isinstance(row, Given)
        assert not permits(nobody, row.record, relations=rows["relations"], now=NOW)  # type: ignore[arg-type]


async def test_labels_are_asked_for_only_where_they_count(session: AsyncSession) -> None:
    everywhere = RecordScope(None, None, writable=False)
    assert "body" not in str(labels_in(Resource, everywhere))
    assert "labels" not in str(visible(everywhere, NOW))
