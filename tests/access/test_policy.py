"""Whose records a caller may reach: the rule in SQL and the rule in Python are one rule."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Text, literal
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net.access import policy, service
from clinic_net.access.errors import InsufficientScope, RoleNotAllowed
from clinic_net.access.labels import EVERY, VERY_RESTRICTED
from clinic_net.access.policy import MINIMUM, Allow, Columns, Deny, Record, RecordScope, Relation
from clinic_net.access.principals import ClientPrincipal, Principal, Role, StationPrincipal, UserPrincipal
from clinic_net.access.scopes import parse, parse_app
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.ids import new_id
from tests.access.support import NOW

TENANTS = st.sampled_from(["11007", "11001", "03163-01", "03166-01"])
PATIENTS = st.sampled_from(["p1", "p2", "p3"])
GRANTEES = st.sampled_from(["user:1", "station:03163-01"])
INSTANTS = st.integers(-2, 2).map(lambda hours: NOW + timedelta(hours=hours))
RELATIONS = st.lists(st.builds(Relation, GRANTEES, PATIENTS, INSTANTS, st.none() | INSTANTS), max_size=5)


def person(role: Role, user: int = 1) -> UserPrincipal:
    return UserPrincipal(UUID(int=user), f"login{user}", "Tên", role, "11007")


def app_of(*scopes: str, patient: str | None = None, role: Role = Role.DOCTOR) -> UserPrincipal:
    granted = parse_app(" ".join(scopes)).resources
    return replace(person(role), scopes=granted, launch_patient=patient)


@pytest.fixture
async def session(hub: Hub) -> AsyncIterator[AsyncSession]:
    async with hub.sessions() as session:
        yield session


async def in_sql(session: AsyncSession, scope: RecordScope, tenant: str | None, patient: str | None) -> bool:
    row = Columns(literal(tenant, Text), literal(patient, Text), literal("Observation", Text), literal(0))
    return (
        await session.exec(select(literal(1)).where(policy.predicate(scope, row, now=NOW)))
    ).first() is not None


@given(tenant=st.none() | TENANTS, patient=st.none() | PATIENTS, relations=RELATIONS)
def test_an_empty_scope_means_nothing(
    tenant: str | None, patient: str | None, relations: list[Relation]
) -> None:
    record = Record(tenant, patient, "Observation")
    assert not policy.permits(policy.NOTHING, record, relations=relations, now=NOW)


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.NATIONAL, Role.AUDITOR])
async def test_who_runs_the_network_reaches_no_record(session: AsyncSession, role: Role) -> None:
    scope = policy.scope_of(person(role))

    assert replace(scope, purpose=None) == policy.NOTHING
    assert not await in_sql(session, scope, "11007", "p1")


def test_each_kind_of_caller_gets_its_own_reach() -> None:
    doctor = person(Role.DOCTOR)
    station = StationPrincipal("03163-01", UUID(int=2))

    assert policy.scope_of(doctor) == RecordScope(
        frozenset({"11007"}),
        doctor.address,
        writable=True,
        withheld=VERY_RESTRICTED,
        names=frozenset({doctor.address, "facility:11007"}),
        purpose="TREAT",
    )
    coordinator = policy.scope_of(person(Role.COORDINATOR))
    assert (coordinator.types, coordinator.never) == (MINIMUM, EVERY)
    assert policy.scope_of(station) == RecordScope(
        frozenset({"03163-01"}), "station:03163-01", writable=True, names=frozenset({"station:03163-01"})
    )
    assert policy.scope_of(ClientPrincipal("c", parse("system/*.rs"))) == RecordScope(
        None, None, writable=False
    )
    assert policy.scope_of(ClientPrincipal("c", parse("system/*.cruds"))) == RecordScope(
        None, None, writable=True
    )
    assert policy.scope_of(ClientPrincipal("c")) == policy.NOTHING


@pytest.mark.parametrize(
    ("principal", "rtype", "allowed"),
    [
        (person(Role.DOCTOR), "Observation", "crus"),
        (person(Role.NURSE), "Observation", "crus"),
        (person(Role.COORDINATOR), "Observation", "rs"),
        (person(Role.COORDINATOR), "Task", "crus"),
        (person(Role.OPERATOR), "Observation", ""),
        (person(Role.AUDITOR), "Observation", ""),
        (StationPrincipal("03163-01", UUID(int=2)), "Observation", "cru"),
        (ClientPrincipal("c", parse("system/Observation.rs")), "Observation", "rs"),
        (ClientPrincipal("c", parse("system/Observation.rs")), "Patient", ""),
    ],
)
def test_a_kind_of_caller_may_do_only_what_its_role_or_scope_says(
    principal: Principal, rtype: str, allowed: str
) -> None:
    for action in "cruds":
        assert policy.may(principal, rtype, action) is (action in allowed)
        if action not in allowed:
            expected = InsufficientScope if isinstance(principal, ClientPrincipal) else RoleNotAllowed
            with pytest.raises(expected):
                policy.demand(principal, rtype, action)


def test_a_decision_names_the_reach_and_the_purpose_or_the_refusal() -> None:
    allowed = policy.decide(person(Role.DOCTOR), "u", "Observation", purpose="ETREAT")
    assert isinstance(allowed, Allow)
    assert (allowed.scope.writing, allowed.purpose, "audit" in allowed.obligations) == (True, "ETREAT", True)
    assert policy.decide(person(Role.AUDITOR), "r", "Patient") == Deny(RoleNotAllowed)
    citizen = replace(person(Role.CITIZEN), patient="p1")
    own = policy.decide(citizen, "r", "Observation")
    assert isinstance(own, Allow)
    assert (own.scope.own, own.scope.tenants, own.purpose) == ("p1", frozenset(), "PATRQT")
    assert policy.decide(person(Role.CITIZEN), "r", "Patient") == Deny(RoleNotAllowed)
    assert policy.decide(citizen, "u", "Observation") == Deny(RoleNotAllowed)


async def test_a_doctor_sees_a_stations_patient_while_caring_for_them_and_not_after(
    session: AsyncSession,
) -> None:
    doctor = person(Role.DOCTOR, user=77)
    scope, patient = policy.scope_of(doctor), "patient-of-the-station"
    assert not await in_sql(session, scope, "03163-01", patient)
    for _ in range(2):
        await service.grant_care(
            session,
            patient=patient,
            grantee=doctor.address,
            basis="open_consult",
            purpose="TREAT",
            since=NOW - timedelta(minutes=1),
            until=None,
        )
    assert await in_sql(session, scope, "03163-01", patient)
    assert not await in_sql(session, scope, "03163-01", "another-patient")
    assert len(await service.relations_of(session, patient)) == 1

    await service.end_care(session, patient=patient, grantee=doctor.address, basis="open_consult", at=NOW)
    assert not await in_sql(session, scope, "03163-01", patient)


async def test_a_longer_relation_is_added_and_a_shorter_one_takes_nothing_away(session: AsyncSession) -> None:
    patient = str(new_id(NOW))
    for hours in (1, 5, 2):
        await service.grant_care(
            session, patient=patient, grantee="user:9", basis="ring", purpose="TREAT",
            since=NOW, until=NOW + timedelta(hours=hours),
        )  # fmt: skip

    relations = await service.relations_of(session, patient)
    assert max(relation.until or NOW for relation in relations) == NOW + timedelta(hours=5)
    assert len(relations) == 2


def test_a_program_that_acts_for_a_person_may_what_both_its_scopes_and_the_role_include() -> None:
    reads = app_of("user/Patient.rs", "user/Observation.cruds")

    assert policy.may(reads, "Patient", "r")
    assert not policy.may(reads, "Patient", "u")
    assert policy.may(reads, "Observation", "u")
    assert not policy.may(reads, "Observation", "d")  # no doctor deletes
    assert not policy.may(reads, "Encounter", "r")
    assert not policy.may(app_of(), "Patient", "r")
    assert not policy.may(app_of("user/*.cruds", role=Role.OPERATOR), "Patient", "r")
    with pytest.raises(InsufficientScope):
        policy.demand(reads, "Encounter", "r")
    with pytest.raises(RoleNotAllowed):
        policy.demand(reads, "Observation", "d")


def test_a_program_launched_for_a_patient_reaches_that_patient_only() -> None:
    whole = policy.scope_of(person(Role.DOCTOR))

    assert policy.scope_of(app_of("user/*.rs")) == whole
    assert policy.scope_of(app_of("patient/*.rs", patient="p1")) == replace(whole, patients=frozenset({"p1"}))
    assert policy.scope_of(app_of("user/*.rs", patient="p1")) == replace(whole, patients=frozenset({"p1"}))
    assert policy.scope_of(app_of("patient/*.rs")).patients == frozenset()  # nobody was chosen: nothing
