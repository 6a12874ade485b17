"""Whoever is denied something is in the trail: by what they were, at which kind of address, without any id in it."""

from uuid import uuid4

import pytest

from clinic_net.access.principals import Role
from clinic_net.audit import http
from clinic_net.kernel.hub import Hub
from tests.audit.support import events
from tests.records.support import HOSPITAL, app_of, client_of, open_hospitals, person, visiting


async def test_a_denial_names_who_and_which_route(hub: Hub) -> None:
    await open_hospitals(hub)
    fid = str(uuid4())
    async with person(hub, Role.AUDITOR) as auditor:
        answer = await auditor.get(f"/fhir/Patient/{fid}", headers={"X-Request-Id": fid})
        assert answer.status_code == 403
    (row,) = await events(hub, "request = :r", r=fid)
    assert row["actor"].startswith("user:")
    assert (row["action"], row["outcome"], row["actor_place"]) == ("access.denied", "forbidden", HOSPITAL)
    assert row["subject"] == "GET /fhir/{rtype:type_name}/{fid:resource_id}"


async def test_a_client_beyond_its_scope_is_named(hub: Hub) -> None:
    async with client_of(hub, "system/Observation.rs") as client:
        answer = await client.get("/fhir/Patient/1", headers={"X-Request-Id": "beyond-scope"})
        assert answer.status_code == 403
    (row,) = await events(hub, "request = 'beyond-scope'")
    assert row["actor"].startswith("client:")


async def test_a_credential_that_is_none_is_written_down_and_its_absence_is_not(hub: Hub) -> None:
    async with visiting(app_of(hub)) as stranger:
        forged = {"Authorization": "Bearer forged", "X-Request-Id": "forged-token"}
        assert (await stranger.get("/fhir/Patient/1", headers=forged)).status_code == 401
        bare = {"X-Request-Id": "no-token"}
        assert (await stranger.get("/fhir/Patient/1", headers=bare)).status_code == 401
    (row,) = await events(hub, "request in ('forged-token', 'no-token')")
    assert (row["actor"], row["request"], row["outcome"]) == ("unknown", "forged-token", "unauthenticated")


async def test_who_only_knocks_does_not_fill_the_trail(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "DENIED_A_MINUTE", 5)
    async with visiting(app_of(hub)) as stranger:
        for _ in range(30):
            knock = {"Authorization": "Bearer x", "X-Request-Id": "knock"}
            assert (await stranger.get("/fhir/Patient/1", headers=knock)).status_code == 401
    assert len(await events(hub, "request = 'knock'")) <= 2 * 5  # a minute may begin meanwhile
