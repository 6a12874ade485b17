"""Somebody else's record: by id, by search, by inference, by what a search brings along, by writing."""

import statistics
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from clinic_net.access.labels import ACT_CODE, CONFIDENTIALITY
from clinic_net.access.principals import Role
from tests.attacks.support import Ground, Person, reads, text
from tests.records.support import HOSPITAL, OTHER_HOSPITAL, client_of, codes, ids, observation, patient

CARD = {"system": "http://fhir.hl7.org.vn/core/sid/cccd"}


async def _entries(person: Person, address: str, **params: str) -> dict[str, Any]:
    answer = await person.http.get(address, params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _alike(one: httpx.Response, other: httpx.Response, *names: str) -> None:
    """Two answers are the same but for the ids that were asked for and the length that follows from them."""
    text_of = [answer.text for answer in (one, other)]
    for name in names:
        text_of = [text.replace(name, "*") for text in text_of]
    assert one.status_code == other.status_code
    assert text_of[0] == text_of[1]
    kept = [{k: v for k, v in answer.headers.items() if k != "content-length"} for answer in (one, other)]
    assert kept[0] == kept[1]


async def test_13_a_foreign_record_answers_like_an_unknown_one(ground: Ground) -> None:
    """#13: GET by id of another commune's patient: 404, the same body and headers as an unknown one."""
    theirs, unknown = await ground.patient(), str(uuid4())
    async with ground.person() as doctor:
        for path in ("{}", "{}/_history", "{}/_history/1", "{}/$everything", "{}/$meta"):
            foreign = await doctor.http.get(f"/fhir/Patient/{path.format(theirs)}")
            missing = await doctor.http.get(f"/fhir/Patient/{path.format(unknown)}")
            assert foreign.status_code == 404
            _alike(foreign, missing, theirs, unknown)


async def test_13_a_foreign_record_takes_as_long_as_an_unknown_one(ground: Ground) -> None:
    """#13, #32: the medians of interleaved reads differ by less than half."""
    theirs = await ground.patient(photo=[{"contentType": "image/png", "data": "A" * 40_000}])
    spent: dict[str, list[float]] = {"foreign": [], "unknown": []}
    async with ground.person() as doctor:
        for turn in range(120):
            for kind in ("foreign", "unknown") if turn % 2 else ("unknown", "foreign"):
                fid = theirs if kind == "foreign" else str(uuid4())
                start = time.perf_counter()
                await doctor.http.get(f"/fhir/Patient/{fid}")
                spent[kind].append(time.perf_counter() - start)
    foreign, unknown = (statistics.median(spent[kind][10:]) for kind in ("foreign", "unknown"))
    assert 0.67 < foreign / unknown < 1.5


async def test_14_a_search_neither_finds_nor_counts_a_foreign_record(ground: Ground) -> None:
    """#14: ``_id``, ``_search``, ``_total=accurate``, ``_summary=count``."""
    theirs = await ground.patient(identifier=[{**CARD, "value": "001099000014"}])
    async with ground.person() as doctor:
        for params in ({"_id": theirs}, {"identifier": "001099000014"}):
            for more in ({"_total": "accurate"}, {"_summary": "count"}, {"_count": "0"}):
                found = await _entries(doctor, "/fhir/Patient", **params, **more)
                assert (found.get("entry", []), found["total"]) == ([], 0)
            posted = await doctor.http.post(
                "/fhir/Patient/_search",
                data=params,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
            )
            assert posted.json()["total"] == 0
            whole = await _entries(doctor, "/fhir", **params, _type="Patient") if "_id" in params else {}
            assert whole.get("entry", []) == []


async def test_15_nothing_is_inferred_through_a_joined_record(ground: Ground) -> None:
    """#15: ``_has`` on a foreign Observation, a chain through a foreign Patient."""
    mine = await ground.patient(HOSPITAL)
    await ground.observation(mine, OTHER_HOSPITAL, value=199)
    theirs = await ground.patient(identifier=[{**CARD, "value": "001099000015"}])
    await ground.observation(theirs, HOSPITAL, value=188)
    async with ground.person() as doctor:
        assert await reads(doctor, mine)
        has = await _entries(doctor, "/fhir/Patient", **{"_has:Observation:patient:value-quantity": "gt190"})
        assert has.get("entry", []) == []
        chain = await _entries(doctor, "/fhir/Observation", **{"patient.identifier": "001099000015"})
        assert chain.get("entry", []) == []
        own = await _entries(doctor, "/fhir/Observation", **{"value-quantity": "188"})
        assert len(own["entry"]) == 1, "the observation itself is this hospital's"


async def test_16_a_search_brings_no_foreign_record_along(ground: Ground) -> None:
    """#16: ``_include``, ``_include:iterate``, ``_revinclude``, ``*``; no more than a bounded number."""
    theirs = await ground.patient()
    pointing = await ground.observation(theirs, HOSPITAL)
    mine = await ground.patient(HOSPITAL)
    await ground.observation(mine, OTHER_HOSPITAL)
    async with ground.person() as doctor:
        for name in ("_include", "_include:iterate"):
            for value in ("Observation:patient", "Observation:subject", "*"):
                found = await _entries(doctor, "/fhir/Observation", _id=pointing, **{name: value})
                assert ids(found) == [pointing]
                assert ids(found, "include") == []
        for value in ("Observation:patient", "Provenance:target", "*"):
            found = await _entries(doctor, "/fhir/Patient", _id=mine, _revinclude=value)
            assert ids(found, "include") == []


async def test_17_old_versions_follow_the_right_of_today(ground: Ground) -> None:
    """#17: history and vread of what was re-labelled, and of what is no longer cared for."""
    whom = await ground.patient()
    async with ground.person() as doctor, ground.person(Role.NURSE) as nurse:
        await ground.care(whom, doctor.address)
        assert (await doctor.http.get(f"/fhir/Patient/{whom}/_history/1")).status_code == 200
        mine = await ground.observation(await ground.patient(HOSPITAL), HOSPITAL)
        assert await reads(nurse, mine, "Observation")
        content = (await doctor.http.get(f"/fhir/Observation/{mine}")).json()
        content["meta"] = {"security": [{"system": ACT_CODE, "code": "HIV"}]}
        assert (await doctor.http.put(f"/fhir/Observation/{mine}", content=text(content))).status_code == 200
        for path in ("", "/_history", "/_history/1", "/_history/2"):
            assert (await nurse.http.get(f"/fhir/Observation/{mine}{path}")).status_code == 404
        listed = await _entries(nurse, "/fhir/Observation/_history")
        assert mine not in [entry["resource"]["id"] for entry in listed.get("entry", [])]
        assert (await doctor.http.get(f"/fhir/Observation/{mine}/_history/1")).status_code == 200


async def test_18_everything_asks_for_the_right_at_every_hop(ground: Ground) -> None:
    """#18, #65: ``$everything`` through a linked Patient; there is no ``$export``, and no ``$access-history``."""
    theirs = await ground.patient()
    link = [{"other": {"reference": f"Patient/{theirs}"}, "type": "seealso"}]
    mine = await ground.patient(HOSPITAL, link=link)
    await ground.observation(theirs)
    async with ground.person() as doctor:
        found = await _entries(doctor, f"/fhir/Patient/{mine}/$everything")
        assert [entry["resource"]["id"] for entry in found["entry"]] == [mine]
        for path in ("$export", "Patient/$export", "Group/x/$export", f"Patient/{theirs}/$access-history"):
            assert (await doctor.http.get(f"/fhir/{path}")).status_code in (404, 405)


async def test_19_a_conditional_write_that_would_match_a_foreign_record_matches_nothing(
    ground: Ground,
) -> None:
    """#19 (CVE-2026-113876): conditional create, update, patch and delete; no body and no Location of the match."""
    card = {**CARD, "value": "001099000019"}
    theirs = await ground.patient(identifier=[card])
    asked = f"identifier={card['system']}|{card['value']}"
    async with ground.person() as doctor:
        created = await doctor.http.post(
            "/fhir/Patient", content=text(patient(active=True)), headers={"If-None-Exist": asked}
        )
        assert created.status_code == 201
        assert theirs not in created.headers["location"]
        assert theirs not in created.text
        updated = await doctor.http.put(f"/fhir/Patient?{asked}", content=text(patient(active=False)))
        assert updated.status_code == 201
        assert theirs not in updated.headers["location"]
        changed = await doctor.http.patch(
            f"/fhir/Patient?{asked}", content=b"[]", headers={"Content-Type": "application/json-patch+json"}
        )
        assert changed.status_code == 404
        assert (await doctor.http.delete(f"/fhir/Patient?{asked}")).status_code == 403
    assert (await ground.records().read("Patient", theirs)).version == 1


@pytest.mark.parametrize(
    "spelling", ["Patient/{}", "http://hub.test/fhir/Patient/{}", "Patient/{}/_history/1"]
)
async def test_20_a_reference_gives_no_way_into_a_foreign_record(ground: Ground, spelling: str) -> None:
    """#20: an Observation about a foreign patient, by relative, absolute and versioned reference."""
    theirs = await ground.patient()
    async with ground.person() as doctor:
        about = observation(theirs, subject={"reference": spelling.format(theirs)})
        answer = await doctor.http.post("/fhir/Observation", content=text(about))
        unknown = str(uuid4())
        missing = await doctor.http.post(
            "/fhir/Observation", content=text({**about, "subject": {"reference": spelling.format(unknown)}})
        )
        assert answer.status_code == missing.status_code
        if answer.status_code != 201:
            _alike(answer, missing, theirs, unknown)
        assert not await reads(doctor, theirs)
    async with client_of(ground.hub) as client:
        whole = (await client.get(f"/fhir/Patient/{theirs}/$everything")).json()
        authors = [entry["resource"]["resourceType"] for entry in whole["entry"]]
        assert authors == ["Patient"], "nothing was put into the record"


async def test_21_a_bundle_is_judged_entry_by_entry_and_stands_or_falls_whole(ground: Ground) -> None:
    """#21: two entries of one ``fullUrl``, addresses that are none, one forbidden entry among allowed ones."""
    theirs = await ground.patient()

    def post(url: str, resource: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"resource": resource, "request": {"method": "POST", "url": url}, **more}

    urn = f"urn:uuid:{uuid4()}"
    async with ground.person() as doctor:
        for entries in (
            [post("Patient", patient(), fullUrl=urn), post("Patient", patient(), fullUrl=urn)],
            [post("../Patient", patient())],
            [post("http://elsewhere.test/fhir/Patient", patient())],
            [post("Patient", patient()), post("Observation", observation(theirs))],
            [post("Patient", patient()), {"request": {"method": "DELETE", "url": f"Patient/{theirs}"}}],
        ):
            before = (await _entries(doctor, "/fhir/Patient", _summary="count"))["total"]
            whole = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
            answer = await doctor.http.post("/fhir", content=text(whole))
            assert 400 <= answer.status_code < 500, entries
            after = (await _entries(doctor, "/fhir/Patient", _summary="count"))["total"]
            assert after == before, "nothing of it stays"
        batch = {
            "resourceType": "Bundle",
            "type": "batch",
            "entry": [
                {"request": {"method": "GET", "url": f"Patient/{theirs}"}},
                {"request": {"method": "GET", "url": f"Patient/{uuid4()}"}},
            ],
        }
        told = (await doctor.http.post("/fhir", content=text(batch))).json()["entry"]
        assert told[0]["response"] == told[1]["response"]
        assert told[0]["response"]["status"].startswith("404")


async def test_22_a_caller_does_not_set_what_the_hub_sets(ground: Ground) -> None:
    """#22: version, date and tenant are the hub's; labels go by right; what is final stays final."""
    whom = await ground.patient(HOSPITAL)
    async with ground.person() as doctor, ground.person(Role.NURSE) as nurse:
        forged = observation(whom, meta={"versionId": "99", "lastUpdated": "2001-01-01T00:00:00Z"})
        made = (await doctor.http.post("/fhir/Observation", content=text(forged))).json()
        assert made["meta"]["versionId"] == "1"
        assert made["meta"]["lastUpdated"] > "2026"
        back = await doctor.http.put(
            f"/fhir/Observation/{made['id']}", content=text({**made, "status": "preliminary"})
        )
        assert (back.status_code, codes(back.json())) == (403, ["read-only"])
        amended = await doctor.http.put(
            f"/fhir/Observation/{made['id']}", content=text({**made, "status": "amended"})
        )
        assert amended.status_code == 200
        for security in (
            [{"system": ACT_CODE, "code": "PSYTHPN"}],
            [{"system": CONFIDENTIALITY, "code": "V"}],
        ):
            labelled = {**made, "status": "amended", "meta": {"security": security}}
            answer = await nurse.http.put(f"/fhir/Observation/{made['id']}", content=text(labelled))
            assert (answer.status_code, codes(answer.json())) == (403, ["label-not-allowed"])


async def test_23_who_may_set_one_label_may_not_set_two(ground: Ground) -> None:
    """#23: a write with labels of two kinds by somebody whom only one lets in."""
    whom = await ground.patient(HOSPITAL)
    restricted = {"system": CONFIDENTIALITY, "code": "R"}
    both = [restricted, {"system": ACT_CODE, "code": "ETHUD"}]
    async with ground.person(Role.NURSE) as nurse:
        one = await nurse.http.post(
            "/fhir/Observation", content=text(observation(whom, meta={"security": [restricted]}))
        )
        assert one.status_code == 201
        two = await nurse.http.post(
            "/fhir/Observation", content=text(observation(whom, meta={"security": both}))
        )
        assert (two.status_code, codes(two.json())) == (403, ["label-not-allowed"])


async def test_26_a_cursor_is_its_owner_s_and_its_time_s(ground: Ground) -> None:
    """#26: a page's cursor that is forged, or taken to another user."""
    whom = await ground.patient(HOSPITAL)
    for _ in range(3):
        await ground.observation(whom, HOSPITAL)
    async with ground.person() as doctor, ground.person() as other:
        first = await _entries(doctor, "/fhir/Observation", patient=whom, _count="1")
        following = next(link["url"] for link in first["link"] if link["relation"] == "next")
        assert (await doctor.http.get(following)).status_code == 200
        assert (await other.http.get(following)).status_code == 400
        assert (await doctor.http.get(following[:-4] + "AAAA")).status_code == 400


async def test_27_a_binary_is_no_secret_by_its_id(ground: Ground) -> None:
    """#27: a Binary is found by who answers for it, not by who knows its id."""
    binary = {"resourceType": "Binary", "id": str(uuid4()), "contentType": "text/plain", "data": "aGk="}
    theirs = (await ground.records().put(binary)).fid
    async with ground.person() as doctor:
        assert not await reads(doctor, theirs, "Binary")


async def test_28_a_citizen_sees_their_own_record_and_no_sibling_s(ground: Ground) -> None:
    """#28: another family member; a guardian from the day the relation ends."""
    mine, sibling, child = [await ground.patient() for _ in range(3)]
    own = await ground.observation(mine)
    await ground.observation(sibling)
    async with ground.person(Role.CITIZEN, own=mine) as citizen:
        assert await reads(citizen, mine)
        assert await reads(citizen, own, "Observation")
        assert not await reads(citizen, sibling)
        found = await _entries(citizen, "/fhir/Observation", _total="accurate")
        assert (ids(found), found["total"]) == ([own], 1)
        changed = await citizen.http.put(f"/fhir/Patient/{mine}", content=text(patient(mine, active=False)))
        assert changed.status_code == 403

        assert not await reads(citizen, child)
        await ground.care(child, citizen.address, "guardian", until=ground.hub.now() + timedelta(hours=1))
        assert await reads(citizen, child)
    async with ground.person(Role.CITIZEN, own=mine) as former:
        await ground.care(child, former.address, "guardian", until=ground.hub.now())
        assert not await reads(former, child)


async def test_29_a_system_client_is_kept_to_its_scopes(ground: Ground) -> None:
    """#29: a service account reads what its scopes name, of whichever patient, and nothing else."""
    whom = await ground.patient()
    seen = await ground.observation(whom)
    async with client_of(ground.hub, "system/Observation.rs") as client:
        assert (await client.get(f"/fhir/Observation/{seen}")).status_code == 200
        assert (await client.get(f"/fhir/Patient/{whom}")).status_code == 403
        included = await client.get(
            "/fhir/Observation", params={"_id": seen, "_include": "Observation:patient"}
        )
        assert ids(included.json(), "include") == []
        chained = await client.get("/fhir/Observation", params={"patient.name": "Hòa"})
        assert chained.status_code in (400, 403)


async def test_30_roles_without_clinical_content_get_none(ground: Ground) -> None:
    """#30: an empty reach means nothing; see also ``tests/access/test_lines.py`` for the database's own ``''``."""
    whom = await ground.patient(HOSPITAL)
    for role in (Role.OPERATOR, Role.NATIONAL, Role.AUDITOR, Role.CITIZEN):
        async with ground.person(role) as person:
            for path in (f"Patient/{whom}", "Patient", "_history", f"Patient/{whom}/$everything"):
                assert (await person.http.get(f"/fhir/{path}")).status_code == 403, (role, path)
    async with ground.person(Role.COORDINATOR) as coordinator:
        assert await reads(coordinator, whom)
        seen = await ground.observation(whom, HOSPITAL)
        assert not await reads(coordinator, seen, "Observation")


async def test_32_a_number_that_is_taken_elsewhere_is_no_oracle(ground: Ground) -> None:
    """#32: writing a patient with a foreign national id, or under a foreign id, tells nothing."""
    card = {**CARD, "value": "001099000032"}
    theirs = await ground.patient(identifier=[card])
    async with ground.person() as doctor:
        taken = await doctor.http.post("/fhir/Patient", content=text(patient(identifier=[card])))
        free = await doctor.http.post(
            "/fhir/Patient", content=text(patient(identifier=[{**card, "value": "001099000033"}]))
        )
        assert (taken.status_code, free.status_code) == (201, 201)
        put = await doctor.http.put(f"/fhir/Patient/{theirs}", content=text(patient(theirs)))
        guessed = await doctor.http.put("/fhir/Patient/guess-1", content=text(patient("guess-1")))
        _alike(put, guessed, theirs, "guess-1")
        assert put.status_code == 404
