"""Two places changed one record: both changes are merged, or both texts kept and one person asked."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clinic_net.access import StationPrincipal
from clinic_net.access.lines import narrow
from clinic_net.access.policy import hub_scope, scope_of
from clinic_net.access.principals import Role, UserPrincipal
from clinic_net.fhir import parse, parse_search
from clinic_net.kernel.errors import Refusal
from clinic_net.kernel.hub import Hub
from clinic_net.protocol.sync import Op, Outcome, Push
from clinic_net.protocol.sync.merge import Side
from clinic_net.protocol.sync.merge_policy import in_effect
from clinic_net.protocol.sync.reviews import Review, read_review, settled
from clinic_net.records import service as records
from clinic_net.sync import inbox_store, reviewing, service
from clinic_net.sync.reviewing import Decision

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)


class Station:
    """A station's device with a database of its own, at a site."""

    def __init__(self, hub: Hub, site: str) -> None:
        self.hub, self.epoch, self.last = hub, uuid4(), 0
        self.principal = StationPrincipal(site=site, device=uuid4())

    async def says(self, resource: dict[str, Any], *, base: int | None = None) -> tuple[str, int | None]:
        """Push a change; return what became of it and the version."""
        self.last += 1
        op = Op(
            op=self.last, type=resource["resourceType"], id=resource["id"], base=base, at=NOW,
            by="Điều dưỡng Mai", body=json.dumps(resource, ensure_ascii=False),
        )  # fmt: skip
        return await self.sends(op)

    async def sends(self, op: Op) -> tuple[str, int | None]:
        request = Push(station=self.principal.site, db_epoch=self.epoch, batch=uuid4(), ops=(op,))
        await service.push_form_1(self.hub, request, station=self.principal)
        async with self.hub.links.begin() as link:
            (kept,) = await inbox_store.told_of(link, self.epoch, [op.op])
        return kept.outcome, kept.version


@pytest.fixture
def site() -> str:
    """A site of its own for every test."""
    return f"03325-{uuid4().hex[:6]}"


@pytest.fixture
def two(hub: Hub, site: str) -> tuple[Station, Station]:
    """Two computers of one site, neither of which has seen the other's changes."""
    return Station(hub, site), Station(hub, site)


def patient(**changed: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": str(uuid4()), "gender": "female", **changed}


def allergy(about: str, **changed: Any) -> dict[str, Any]:
    return {
        "resourceType": "AllergyIntolerance", "id": str(uuid4()), "patient": {"reference": f"Patient/{about}"},
        "clinicalStatus": {"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active",
        }]},
        "code": {"text": "Penicillin"}, **changed,
    }  # fmt: skip


def ended(resource: dict[str, Any]) -> dict[str, Any]:
    coding = {**resource["clinicalStatus"]["coding"][0], "code": "inactive"}
    return {**resource, "clinicalStatus": {"coding": [coding]}}


async def at_hub(hub: Hub, rtype: str, fid: str) -> dict[str, Any]:
    async with hub.sessions() as session, session.begin():
        return parse((await records.read(session, rtype, fid, scope=hub_scope(), now=NOW)).text)


async def found(hub: Hub, rtype: str, query: str) -> list[dict[str, Any]]:
    async with hub.sessions() as session, session.begin():
        page = await records.search(
            session, parse_search(rtype, parse_qsl(query)), scope=hub_scope(), now=NOW
        )
        return [parse(entry.text) for entry in page.entries]


async def reviews(hub: Hub, resource: dict[str, Any]) -> list[tuple[Review, dict[str, Any]]]:
    """Return every open review of a record with its Task."""
    focus = f"{resource['resourceType']}/{resource['id']}"
    tasks = await found(
        hub, "Task", f"focus={focus}&code=urn:clinic-net:task|conflict-review&status=requested"
    )
    return [(review, task) for task in tasks if (review := read_review(task)) is not None]


async def text_of(hub: Hub, binary: str) -> dict[str, Any]:
    text: dict[str, Any] = json.loads(base64.b64decode((await at_hub(hub, "Binary", binary))["data"]))
    return text


def without_stamps(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name != "meta"}


async def test_changes_of_different_fields_are_both_there_with_their_origin(
    hub: Hub, two: tuple[Station, Station]
) -> None:
    one, other = two
    born = patient()
    await one.says(born)
    await one.says({**born, "gender": "male"}, base=1)

    answer = await other.says({**born, "birthDate": "1980"}, base=1)

    assert answer == (Outcome.MERGED, 3)
    assert without_stamps(await at_hub(hub, "Patient", born["id"])) == {
        **born, "gender": "male", "birthDate": "1980",
    }  # fmt: skip
    (origin,) = await found(hub, "Provenance", f"target=Patient/{born['id']}/_history/3")
    assert [agent["who"].get("display") for agent in origin["agent"]] == [
        "Điều dưỡng Mai",
        one.principal.site,
    ]
    versions = {entity["what"]["reference"].partition("_history/")[2] for entity in origin["entity"]}
    assert versions >= {"1", "2"}
    assert await reviews(hub, born) == []


async def test_one_field_changed_twice_keeps_both_texts_and_asks_once(
    hub: Hub, two: tuple[Station, Station]
) -> None:
    one, other = two
    born = patient()
    await one.says(born)
    await one.says({**born, "gender": "male"}, base=1)
    unsure = {**born, "gender": "unknown"}

    outcome, _ = await other.says(unsure, base=1)

    assert outcome == Outcome.CONFLICT
    assert (await at_hub(hub, "Patient", born["id"]))["gender"] == "male"
    ((review, task),) = await reviews(hub, born)
    assert task["priority"] == "routine"
    assert task["for"] == task["focus"]
    (sibling,) = review.siblings
    assert (sibling.against, sibling.by, sibling.site) == (2, "Điều dưỡng Mai", other.principal.site)
    assert await text_of(hub, sibling.text) == unsure
    assert sibling.base is not None
    assert without_stamps(await text_of(hub, sibling.base)) == born


async def test_three_stations_that_disagree_make_one_task_with_each_ones_text(hub: Hub, site: str) -> None:
    stations = [Station(hub, site) for _ in range(3)]
    born = patient()
    await stations[0].says(born)
    await stations[0].says({**born, "birthDate": "1980"}, base=1)

    for year, station in zip(("1981", "1982", "1983"), stations, strict=True):
        await station.says({**born, "birthDate": year}, base=1)

    ((review, _),) = await reviews(hub, born)
    texts = [(await text_of(hub, sibling.text))["birthDate"] for sibling in review.siblings]
    assert texts == ["1981", "1982", "1983"]


async def test_an_operation_that_comes_again_asks_nothing_new(hub: Hub, two: tuple[Station, Station]) -> None:
    one, other = two
    born = patient()
    await one.says(born)
    await one.says({**born, "gender": "male"}, base=1)
    again = Op(
        op=7, type="Patient", id=born["id"], base=1, at=NOW, body=json.dumps({**born, "gender": "other"})
    )

    first, second = await other.sends(again), await other.sends(again)

    assert first == second
    ((review, task),) = await reviews(hub, born)
    assert len(review.siblings) == 1
    assert task["meta"]["versionId"] == "1"


async def test_a_station_goes_on_from_its_own_text_after_it_was_merged_or_clashed(
    hub: Hub, two: tuple[Station, Station]
) -> None:
    one, other = two
    born = patient(birthDate="1980")
    await one.says(born)
    await one.says({**born, "gender": "male"}, base=1)

    phone = {"telecom": [{"system": "phone", "value": "0912"}]}
    assert (await other.says({**born, **phone}, base=1))[0] == Outcome.MERGED
    assert (await other.says({**born, **phone, "birthDate": "1981"}))[0] == Outcome.MERGED
    # It has not seen the answers yet, and says the version that it knows; and then the number was wrong.
    assert (await other.says({**born, **phone, "birthDate": "1982"}, base=1))[0] == Outcome.MERGED
    assert (await other.says({**born, "birthDate": "1982"}))[0] == Outcome.MERGED

    assert without_stamps(await at_hub(hub, "Patient", born["id"])) == {
        **born, "gender": "male", "birthDate": "1982",
    }  # fmt: skip


async def test_an_allergy_that_one_place_ended_is_asked_about_urgently_and_stays(
    hub: Hub, two: tuple[Station, Station]
) -> None:
    one, other = two
    born = patient()
    warned = allergy(born["id"])
    await one.says(born)
    await one.says(warned)
    await one.says({**warned, "criticality": "high"}, base=1)

    outcome, _ = await other.says(ended(warned), base=1)

    assert outcome == Outcome.CONFLICT
    assert in_effect(await at_hub(hub, "AllergyIntolerance", warned["id"]))
    ((review, task),) = await reviews(hub, warned)
    assert review.urgent
    assert task["for"] == {"reference": f"Patient/{born['id']}"}


async def test_what_is_kept_beside_a_record_is_seen_by_whoever_sees_the_record_and_nobody_else(
    hub: Hub, two: tuple[Station, Station]
) -> None:
    one, other = two
    born = patient(
        meta={"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}]}
    )
    await one.says(born)
    await one.says({**born, "gender": "male"}, base=1)
    await other.says({**born, "gender": "other"}, base=1)
    ((review, task),) = await reviews(hub, born)
    (sibling,) = review.siblings

    async def seen_by(site: str) -> set[str]:
        who = StationPrincipal(site=site, device=uuid4())
        kept = set()
        async with hub.requests() as session, session.begin():
            await narrow(session, scope_of(who), now=NOW)
            for rtype, fid in (("Task", task["id"]), ("Binary", sibling.text), ("Patient", born["id"])):
                found = await records.beside(session, rtype, fid, scope=scope_of(who), now=NOW)
                if found is not None:
                    assert found.patient == born["id"]
                    kept.add(rtype)
                    assert rtype == "Task" or found.labels
        return kept

    assert await seen_by(one.principal.site) == {"Task", "Binary", "Patient"}
    assert await seen_by("99999-01") == set()


async def test_a_change_of_what_was_deleted_brings_it_back_and_somebody_is_asked(
    hub: Hub, two: tuple[Station, Station]
) -> None:
    one, other = two
    born = patient()
    await one.says(born)
    async with hub.sessions() as session, session.begin():
        await records.delete(session, "Patient", born["id"], scope=hub_scope(), author="hub", now=NOW)

    outcome, version = await other.says({**born, "gender": "male"}, base=1)

    assert (outcome, version) == (Outcome.MERGED, 3)
    assert (await at_hub(hub, "Patient", born["id"]))["gender"] == "male"
    ((review, _),) = await reviews(hub, born)
    assert review.deleted


async def test_a_version_that_is_not_valid_is_quarantined_also_where_it_would_clash(
    hub: Hub, two: tuple[Station, Station]
) -> None:
    one, other = two
    born = patient()
    await one.says(born)
    await one.says({**born, "gender": "male"}, base=1)

    assert (await other.says({**born, "gender": "?"}, base=1))[0] == Outcome.QUARANTINED
    assert await reviews(hub, born) == []


async def test_a_record_out_of_reach_is_quarantined_as_if_there_were_none(hub: Hub, site: str) -> None:
    born = patient()
    await Station(hub, site).says(born)

    assert (await Station(hub, "99999-01").says({**born, "gender": "male"}, base=7))[0] == Outcome.QUARANTINED


async def test_a_decision_that_does_not_know_of_a_newer_version_leaves_that_one_open(
    hub: Hub, two: tuple[Station, Station]
) -> None:
    one, other = two
    born = patient()
    await one.says(born)
    await one.says({**born, "gender": "male"}, base=1)
    await other.says({**born, "gender": "other"}, base=1)
    ((review, seen),) = await reviews(hub, born)
    await other.says({**born, "gender": "unknown"}, base=1)

    closed = settled(without_stamps(seen), review.siblings[0].text, now="2026-11-24T03:00:00Z")
    await one.says(closed, base=1)

    ((after, _),) = await reviews(hub, born)
    assert [(await text_of(hub, sibling.text))["gender"] for sibling in after.siblings] == ["unknown"]


# -- what two places may do to the lists on which a life can depend

changes = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["criticality", "note", "reaction", "end", "nothing"])),
    min_size=2, max_size=6,
)  # fmt: skip


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes)
async def test_whatever_two_stations_do_no_allergy_ends_but_by_a_hand_that_saw_the_newest(
    hub: Hub, steps: list[tuple[int, str]]
) -> None:
    site = f"03325-{uuid4().hex[:6]}"
    stations = [Station(hub, site), Station(hub, site)]
    born = patient()
    warned = allergy(born["id"])
    await stations[0].says(born)
    await stations[0].says(warned)
    texts, said, before = [warned, warned], [], warned
    bases: list[int | None] = [1, 1]
    for number, (who, what) in enumerate(steps):
        text = texts[who]
        match what:
            case "criticality":
                text = {**text, "criticality": ("low", "high")[who]}
            case "note":
                text = {**text, "note": [*text.get("note", []), {"text": f"{who}-{number}"}]}
            case "reaction":
                text = {**text, "reaction": [{"manifestation": [{"text": f"{who}-{number}"}]}]}
            case "end":
                text = ended(text)
        outcome, version = await stations[who].says(text, base=bases[who])
        texts[who], bases[who] = text, version if outcome in ("applied", "duplicate") else None
        said.append((outcome, text))
        now = await at_hub(hub, "AllergyIntolerance", warned["id"])
        if outcome in (Outcome.MERGED, Outcome.CONFLICT) and in_effect(before):
            assert in_effect(now)
        before = now
    open_now = await reviews(hub, warned)
    clashed = [text for outcome, text in said if outcome == Outcome.CONFLICT]
    assert len(open_now) == bool(clashed)
    kept = [await text_of(hub, sibling.text) for review, _ in open_now for sibling in review.siblings]
    assert kept == clashed


async def test_a_coordinator_settles_a_request_that_is_done_here_and_called_off_there(
    hub: Hub, two: tuple[Station, Station]
) -> None:
    one, other = two
    born = patient()
    asked: dict[str, Any] = {
        "resourceType": "ServiceRequest", "id": str(uuid4()), "status": "active", "intent": "order",
        "subject": {"reference": f"Patient/{born['id']}"},
    }  # fmt: skip
    await one.says(born)
    await one.says(asked)
    await one.says({**asked, "status": "completed"}, base=1)
    assert (await other.says({**asked, "status": "revoked"}, base=1))[0] == Outcome.CONFLICT
    ((review, _),) = await reviews(hub, asked)
    site = one.principal.site
    who = UserPrincipal(uuid4(), "dieu.phoi", "Điều phối", Role.COORDINATOR, site)

    async with hub.requests() as session, session.begin():
        await narrow(session, scope_of(who), now=NOW)
        text = review.siblings[0].text
        # By itself a Binary is nothing that a coordinator sees; as part of what may be seen it is.
        assert await records.beside(session, "Binary", text, scope=scope_of(who), now=NOW) is None
        looked = await reviewing.look(session, review.task, None, by=who, now=NOW)
        assert [difference.path for difference in looked.differences] == ["status"]
        decision = Decision(review.task, text, looked.seen, whole=Side.THEIRS)
        after = await reviewing.decide_review(session, decision, by=who, now=NOW)

    assert not after.open
    assert (await at_hub(hub, "ServiceRequest", asked["id"]))["status"] == "revoked"


async def test_who_may_not_change_an_allergy_does_not_decide_about_it(
    hub: Hub, two: tuple[Station, Station]
) -> None:
    one, other = two
    born = patient()
    warned = allergy(born["id"])
    await one.says(born)
    await one.says(warned)
    await one.says({**warned, "criticality": "high"}, base=1)
    await other.says({**warned, "criticality": "low"}, base=1)
    ((review, _),) = await reviews(hub, warned)
    who = UserPrincipal(uuid4(), "dieu.phoi", "Điều phối", Role.COORDINATOR, one.principal.site)

    async with hub.requests() as session, session.begin():
        await narrow(session, scope_of(who), now=NOW)
        decision = Decision(review.task, review.siblings[0].text, "1-2", whole=Side.THEIRS)
        with pytest.raises(Refusal):
            await reviewing.decide_review(session, decision, by=who, now=NOW)
        assert await reviewing.open_reviews(session, by=who, now=NOW) == []

    assert (await at_hub(hub, "AllergyIntolerance", warned["id"]))["criticality"] == "high"
