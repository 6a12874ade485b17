"""What people ask for is done in time, or says why not: restriction, erasure, holds, breaches, figures."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from clinic_net.access import care
from clinic_net.access.policy import hub_scope, scope_of
from clinic_net.access.principals import Role, StationPrincipal
from clinic_net.kernel.hub import Hub
from clinic_net.privacy import breaches, service, statistics
from clinic_net.privacy.breaches import Found, Step
from clinic_net.privacy.errors import (
    MustBeKept,
    NobodyOfThatId,
    NotOpen,
    OnHold,
    SecondPersonNeeded,
    UnknownBreach,
    UnusableEntry,
)
from clinic_net.privacy.model import PrivacyRequest
from clinic_net.privacy.rules import Ground, Kind, State
from clinic_net.records import service as records
from clinic_net.records.errors import ResourceDeleted, UnknownResource
from tests.access.test_policy import person
from tests.console.support import ask_for_a_doctor
from tests.consultations.support import SITE, make_district

KEEP = timedelta(days=3653)
ONE, OTHER = "user:one", "user:other"
STATION = StationPrincipal(site=SITE, device=uuid4())
SECRET = "Zanahary"


async def a_record(hub: Hub, *, now: datetime | None = None) -> str:
    """A patient with an observation, each in two versions."""
    patient, at = str(uuid4()), now or hub.now()
    for round_ in range(2):
        name: dict[str, Any] = {
            "resourceType": "Patient",
            "id": patient,
            "name": [{"text": f"{SECRET} {round_}"}],
        }
        seen: dict[str, Any] = {
            "resourceType": "Observation", "id": f"o-{patient}", "status": "final",
            "code": {"text": f"{SECRET} {round_}"}, "subject": {"reference": f"Patient/{patient}"},
        }  # fmt: skip
        for content in (name, seen):
            async with hub.sessions() as s, s.begin():
                await records.put(
                    s, json.dumps(content).encode(), rtype=content["resourceType"], fid=content["id"],
                    scope=scope_of(STATION), author=STATION.address, tenant=SITE, now=at, with_patient=False,
                )  # fmt: skip
    return patient


async def asked(hub: Hub, kind: Kind, patient: str, *, ground: Ground = Ground.ASKED) -> PrivacyRequest:
    async with hub.sessions() as s, s.begin():
        return await service.receive(s, service.Asked(kind, patient, ground=ground), by=ONE, now=hub.now())


async def carry_out(hub: Hub, request: PrivacyRequest, *, by: str = OTHER) -> None:
    async with hub.sessions() as s, s.begin():
        await service.carry_out(s, request.id, by=by, now=hub.now(), keep=KEEP)


async def trail(hub: Hub, subject: str) -> list[str]:
    async with hub.sessions() as s:
        rows = await (await s.connection()).execute(
            text("select action from audit_event where subject = :subject order by at, id"),
            {"subject": subject},
        )
        return [row[0] for row in rows]


async def everywhere(hub: Hub, words: str) -> set[str]:
    """Return the tables that hold these words, as text or as bytes."""
    found = set()
    async with hub.sessions() as s:
        connection = await s.connection()
        names = await connection.execute(text("select tablename from pg_tables where schemaname = 'public'"))
        for (table,) in names.all():
            for row in (await connection.execute(text(f'select t::text from "{table}" t'))).scalars():
                if words.casefold() in row.casefold() or words.encode().hex() in row:
                    found.add(table)
    return found


async def test_an_erased_record_is_nowhere_and_its_tombstones_and_trail_are_there(hub: Hub) -> None:
    patient = await a_record(hub)
    assert {"records_resource", "records_version", "records_ix_string"} <= await everywhere(hub, SECRET)
    request = await asked(hub, Kind.ERASURE, patient, ground=Ground.UNLAWFUL)
    await carry_out(hub, request)
    await hub.jobs.run_pending()
    async with hub.sessions() as s, s.begin():
        await records.derive(hub)

    assert await everywhere(hub, SECRET) == set()
    async with hub.sessions() as s, s.begin():
        with pytest.raises(ResourceDeleted):
            await records.read(s, "Patient", patient, scope=hub_scope(), now=hub.now())
        for version in (1, 2, 3):
            with pytest.raises(ResourceDeleted):
                await records.vread(s, "Patient", patient, version, scope=hub_scope(), now=hub.now())
        past = await records.history(s, "Observation", f"o-{patient}", scope=hub_scope(), now=hub.now())
    assert [each.stored.version for each in past] == [3, 2, 1], "the chain of versions stays dense"
    assert all(each.stored.text == b"" and each.stored.deleted for each in past)
    told = await trail(hub, f"Patient/{patient}")
    assert [action for action in told if action.startswith("privacy.")] == [
        "privacy.receive.erasure",
        "privacy.carry_out.erasure",
    ]
    assert "record.erase" in told


async def _change_log(hub: Hub, setting: str, statement: str) -> None:
    async with hub.sessions() as s, s.begin():
        connection = await s.connection()
        await connection.execute(text(f"select set_config('clinic_net.erasing', '{setting}', true)"))
        await connection.execute(text(statement))


async def test_the_log_takes_back_content_for_an_erasure_only_and_nothing_else_ever(hub: Hub) -> None:
    await a_record(hub)
    for setting, statement in (
        ("", "update records_version set body = null"),
        ("on", "update records_version set body = 'x'"),
        ("on", "update records_version set body = null, version = version + 1"),
        ("on", "update records_version set author = 'somebody'"),
        ("on", "delete from records_version"),
        ("on", "truncate records_version"),
    ):
        with pytest.raises(DBAPIError):
            await _change_log(hub, setting, statement)


async def test_an_erasure_needs_a_second_person_no_hold_and_a_law_that_is_done_with_it(hub: Hub) -> None:
    patient = await a_record(hub)
    request = await asked(hub, Kind.ERASURE, patient)
    with pytest.raises(SecondPersonNeeded):
        await carry_out(hub, request, by=ONE)
    with pytest.raises(MustBeKept):
        await carry_out(hub, request)
    async with hub.sessions() as s, s.begin():
        hold = await service.place_hold(s, patient, reason="dispute", by=ONE, now=hub.now())
    with pytest.raises(OnHold):
        await carry_out(hub, request)
    later = replace(hub, now=lambda: hub.now() + KEEP + timedelta(days=1))
    with pytest.raises(OnHold):
        await carry_out(later, request)
    async with hub.sessions() as s, s.begin():
        await service.lift_hold(s, hold, by=OTHER, now=hub.now())
    await carry_out(later, request)
    with pytest.raises(NotOpen):
        await carry_out(later, request)


async def test_what_need_not_be_kept_is_put_before_a_person_once(hub: Hub) -> None:
    old = await a_record(hub, now=hub.now() - KEEP - timedelta(days=2))
    held = await a_record(hub, now=hub.now() - KEEP - timedelta(days=2))
    fresh = await a_record(hub)
    async with hub.sessions() as s, s.begin():
        await service.place_hold(s, held, reason="inspection", by=ONE, now=hub.now())
        found = await service.retention_over(s, keep=KEEP, now=hub.now())
        assert old in found
        assert not {held, fresh} & set(found)
        assert await service.begin_retention(s, keep=KEEP, by=ONE, now=hub.now()) == len(found)
        assert await service.begin_retention(s, keep=KEEP, by=ONE, now=hub.now()) == 0
        [mine] = [row for row in await service.open_requests(s) if row.patient == old]
    assert (mine.kind, mine.state) == (Kind.ERASURE, State.RECEIVED)
    await carry_out(hub, mine)


@pytest.mark.parametrize("kind", [Kind.RESTRICTION, Kind.OBJECTION, Kind.WITHDRAWAL])
async def test_whose_processing_is_restricted_is_seen_in_an_emergency_only(hub: Hub, kind: Kind) -> None:
    patient, doctor = await a_record(hub), person(Role.DOCTOR)
    request = await asked(hub, kind, patient)
    await carry_out(hub, request)

    async def seen(scope: Any) -> bool:
        async with hub.sessions() as s, s.begin():
            try:
                await records.read(s, "Patient", patient, scope=scope, now=hub.now())
            except UnknownResource:
                return False
            return True

    async def cares(basis: str) -> None:
        async with hub.sessions() as s, s.begin():
            await care.grant_care(
                s, patient=patient, grantee=doctor.address, basis=basis, purpose="TREAT",
                since=hub.now() - timedelta(minutes=1), until=hub.now() + timedelta(hours=4),
            )  # fmt: skip

    assert not await seen(scope_of(STATION)), "its own station does not go on with it"
    await cares("open_consult")
    assert not await seen(scope_of(doctor))
    await cares("emergency_btg")
    assert await seen(scope_of(doctor))
    async with hub.sessions() as s, s.begin():
        await service.lift_restriction(s, request.id, by=OTHER, now=hub.now())
    assert await seen(scope_of(STATION))
    assert "care.unrestrict" in await trail(hub, f"Patient/{patient}")


async def test_a_request_goes_its_way_once(hub: Hub) -> None:
    patient = await a_record(hub)
    request = await asked(hub, Kind.CORRECTION, patient)
    async with hub.sessions() as s, s.begin():
        await service.answer(s, request.id, by=ONE, now=hub.now())
        with pytest.raises(NotOpen):
            await service.answer(s, request.id, by=ONE, now=hub.now())
        await service.extend(s, request.id, by=ONE, now=hub.now())
        with pytest.raises(NotOpen):
            await service.extend(s, request.id, by=ONE, now=hub.now())
        with pytest.raises(UnusableEntry):
            await service.refuse(s, request.id, reason="no wish", by=ONE, now=hub.now())
        await service.refuse(s, request.id, reason="not-founded", by=ONE, now=hub.now())
        with pytest.raises(NotOpen):
            await service.refuse(s, request.id, reason="not-founded", by=ONE, now=hub.now())
        [row] = [row for row in await service.decided_requests(s) if row.id == request.id]
    assert row.due_at - request.due_at == timedelta(days=15)
    with pytest.raises(NobodyOfThatId):
        await asked(hub, Kind.COPY, "nobody")


def breach(hub: Hub, **changed: Any) -> Found:
    facts: dict[str, Any] = {
        "kind": "lost-device", "data": ["health"], "people": 12, "words": "A laptop was left in a bus.",
        "noticed_at": hub.now() - timedelta(hours=1),
    }  # fmt: skip
    return Found(**(facts | changed))


async def test_a_breach_has_72_hours_from_when_it_was_noticed_and_leaves_evidence(hub: Hub) -> None:
    async with hub.sessions() as s, s.begin():
        found = breach(hub)
        id_ = await breaches.enter(s, found, by=ONE, now=hub.now())
        [row] = [row for row in await breaches.register(s) if row.id == id_]
        assert row.notify_by == found.noticed_at + timedelta(hours=72)
        with pytest.raises(NotOpen):
            await breaches.take(s, id_, Step.CLOSED, "over", by=ONE, now=hub.now())
        at = found.noticed_at + timedelta(hours=73)
        await breaches.take(s, id_, Step.NOTIFIED, "letter 12", by=OTHER, now=at)
        with pytest.raises(NotOpen):
            await breaches.take(s, id_, Step.NOTIFIED, "again", by=OTHER, now=at)
        await breaches.take(s, id_, Step.CLOSED, "keys changed", by=OTHER, now=at + timedelta(1))
        facts = await breaches.evidence(s, id_, by=ONE, now=at)
    assert facts["notified_in_time"] is False
    assert [step["step"] for step in facts["steps"]] == ["notified", "closed"]
    shown = {name: facts[name] for name in ("breach", "notified_in_time", "steps")}
    assert breaches.digest(shown) == facts["sha256"]
    assert breaches.digest({**shown, "notified_in_time": True}) != facts["sha256"]
    told = await trail(hub, f"breach:{id_}")
    assert sorted(told) == ["breach.closed", "breach.enter", "breach.export", "breach.notified"]


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "ufo"},
        {"data": ["shoes"]},
        {"people": -1},
        {"people": 2**40},
        {"words": " "},
        {"noticed_at": None},
    ],
)
async def test_a_breach_that_says_nothing_is_not_entered(hub: Hub, changed: dict[str, Any]) -> None:
    if "noticed_at" in changed:
        changed = {"noticed_at": hub.now() + timedelta(minutes=1)}
    async with hub.sessions() as s, s.begin():
        with pytest.raises(UnusableEntry):
            await breaches.enter(s, breach(hub, **changed), by=ONE, now=hub.now())
        with pytest.raises(UnknownBreach):
            await breaches.take(s, uuid4(), Step.NOTE, "x", by=ONE, now=hub.now())


async def test_figures_hold_no_person_and_nobody_whose_processing_is_restricted(hub: Hub) -> None:
    await make_district(hub)
    cases = [await ask_for_a_doctor(hub) for _ in range(6)]
    async with hub.sessions() as s:
        rows = await (await s.connection()).execute(
            text("select patient from consultation where id = any(:ids)"), {"ids": cases}
        )
        patients = [row[0] for row in rows]
    await carry_out(hub, await asked(hub, Kind.RESTRICTION, patients[0]))
    out = StringIO()
    wanted = statistics.Wanted("study", hub.now() - timedelta(days=1), hub.now() + timedelta(days=1))
    async with hub.sessions() as s, s.begin():
        made = await statistics.export(s, out, wanted, key=hub.settings.token_key, by=ONE, now=hub.now())
    head, *lines = list(statistics.lines(out.getvalue()))
    assert head[0] == "person"
    assert (made.rows, made.people, made.left_out) == (5, 5, 1)
    assert len(lines) == 5
    assert not [patient for patient in patients if patient in out.getvalue()]
    assert {line[4] for line in lines} == {"45-54"}
    assert await trail(hub, "project:study") == ["statistics.export"]
