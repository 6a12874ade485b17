"""Operations through HTTP."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from clinic_net.access.principals import Role
from clinic_net.fhir import check, parse
from clinic_net.kernel.hub import Hub
from clinic_net.records import operations
from tests.records.support import (
    OTHER_SITE,
    OTHER_STATION,
    Records,
    client_of,
    codes,
    ids,
    observation,
    patient,
    person,
    text,
)

pytestmark = pytest.mark.usefixtures("hospitals")

TAG = {"system": "urn:t", "code": "a"}


def given(name: str, **value: Any) -> dict[str, Any]:
    return {"name": name, **value}


def asked(*items: dict[str, Any]) -> bytes:
    return text({"resourceType": "Parameters", "parameter": list(items)})


async def test_tags_are_added_once_and_deleted(fhir: httpx.AsyncClient, records: Records) -> None:
    address = f"/fhir/Patient/{await records.new_patient()}"
    body = asked(given("meta", valueMeta={"tag": [TAG]}))

    added = await fhir.post(f"{address}/$meta-add", content=body)
    again = await fhir.post(f"{address}/$meta-add", content=body)
    found = await fhir.get(f"{address}/$meta")
    deleted = await fhir.post(f"{address}/$meta-delete", content=body)
    forged = await fhir.post(
        f"{address}/$meta-add", content=asked(given("meta", valueMeta={"versionId": "9"}))
    )

    assert added.json()["parameter"][0]["valueMeta"]["tag"] == [TAG]
    assert again.json() == added.json() == found.json()
    assert "tag" not in deleted.json()["parameter"][0]["valueMeta"]
    assert deleted.json()["parameter"][0]["valueMeta"]["versionId"] == "3"
    assert forged.status_code == 400


async def test_tags_are_a_set_of_system_and_code(fhir: httpx.AsyncClient, records: Records) -> None:
    address = f"/fhir/Patient/{await records.new_patient()}"
    shown = {**TAG, "display": "A"}
    profile = "http://x.example/profile"
    twice = {"tag": [TAG, shown], "profile": [profile, profile], "security": [TAG]}

    added = await fhir.post(f"{address}/$meta-add", content=asked(given("meta", valueMeta=twice)))
    deleted = await fhir.post(
        f"{address}/$meta-delete", content=asked(given("meta", valueMeta={"tag": [shown], "security": []}))
    )

    held = added.json()["parameter"][0]["valueMeta"]
    assert (held["tag"], held["profile"], held["security"]) == ([TAG], [profile], [TAG])
    left = deleted.json()["parameter"][0]["valueMeta"]
    assert ("tag" in left, left["security"], left["profile"]) == (False, [TAG], [profile])


async def test_the_labels_of_each_version_are_told_by_either_way(
    fhir: httpx.AsyncClient, records: Records
) -> None:
    address = f"/fhir/Patient/{await records.new_patient()}"
    await fhir.post(f"{address}/$meta-add", content=asked(given("meta", valueMeta={"tag": [TAG]})))

    for call in (fhir.get, fhir.post):
        now = (await call(f"{address}/$meta")).json()["parameter"][0]["valueMeta"]
        first = (await call(f"{address}/_history/1/$meta")).json()["parameter"][0]["valueMeta"]
        assert (now["versionId"], now["tag"]) == ("2", [TAG])
        assert (first["versionId"], "tag" in first) == ("1", False)
    assert (await fhir.get(f"{address}/_history/3/$meta")).status_code == 404
    assert (await fhir.get(f"{address}/_history/x/$meta")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "$meta"),
        ("GET", "Patient/$meta"),
        ("POST", "Patient/$meta"),
        ("POST", "Patient/x/_history/1/$meta-add"),
        ("POST", "Patient/x/_history/1/$meta-delete"),
    ],
)
async def test_labels_are_not_summed_up_and_versions_not_changed(
    fhir: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await fhir.request(method, f"/fhir/{path}")
    assert (answer.status_code, codes(answer.json())) == (405, ["unsupported-interaction"])


async def test_who_may_not_change_a_resource_may_not_label_it(hub: Hub, records: Records) -> None:
    address = f"/fhir/Patient/{await records.new_patient()}"
    body = asked(given("meta", valueMeta={"tag": [TAG]}))
    async with client_of(hub, "system/Patient.rs") as reader, person(hub, Role.DOCTOR) as stranger:
        read = await reader.get(f"{address}/$meta")
        refused = [
            await reader.post(f"{address}/{name}", content=body) for name in ("$meta-add", "$meta-delete")
        ]
        foreign = [
            await stranger.get(f"{address}/$meta"),
            await stranger.post(f"{address}/$meta-add", content=body),
        ]
    assert read.status_code == 200
    assert [answer.status_code for answer in refused] == [403, 403]
    assert [answer.status_code for answer in foreign] == [404, 404]


async def test_every_operation_that_is_told_of_is_there(fhir: httpx.AsyncClient, records: Records) -> None:
    fid = await records.new_patient()
    rest = (await fhir.get("/fhir/metadata")).json()["rest"][0]
    told = {item["type"]: {one["name"] for one in item["operation"]} for item in rest["resource"]}
    alike = {"validate", "meta", "meta-add", "meta-delete"}
    answers = [
        await fhir.get(f"/fhir/Patient/{fid}/$everything"),
        await fhir.get("/fhir/Encounter/unknown/$everything"),
        await fhir.get(f"/fhir/Observation/$lastn?patient={fid}"),
        await fhir.post("/fhir/Patient/$match", content=text(patient())),
        await fhir.post(f"/fhir/${rest['operation'][0]['name']}?type=Basic"),
    ]

    assert all(names >= alike for names in told.values())
    assert {rtype: names - alike for rtype, names in told.items() if names - alike} == {
        "Patient": {"everything", "match"},
        "Encounter": {"everything"},
        "Observation": {"lastn"},
    }
    assert [answer.status_code for answer in answers] == [200, 404, 200, 200, 202]


async def test_the_last_of_each_code_are_found(fhir: httpx.AsyncClient, records: Records) -> None:
    about = await records.new_patient()
    days = ("2026-11-01", "2026-11-03", "2026-11-02")
    pulse = [(await records.put(observation(about, effectiveDateTime=day))).fid for day in days]
    weight = (await records.put(observation(about, code="29463-7", effectiveDateTime="2025-01-01"))).fid

    one = await fhir.get(f"/fhir/Observation/$lastn?patient={about}")
    two = await fhir.get(f"/fhir/Observation/$lastn?subject=Patient/{about}&max=2&code=8867-4")
    bad = [
        await fhir.get(f"/fhir/Observation/$lastn?{query}")
        for query in ("", f"patient={about}&max=0", f"patient={about}&no-such=1")
    ]

    posted = await fhir.post(
        "/fhir/Observation/$lastn",
        content=asked(
            given("patient", valueString=about),
            given("code", valueString="8867-4"),
            given("max", valuePositiveInt=2),
        ),
    )

    assert ids(one.json()) == [pulse[1], weight]
    assert ids(posted.json()) == [pulse[1], pulse[2]]
    assert ids(two.json()) == [pulse[1], pulse[2]]
    assert [answer.status_code for answer in bad] == [400, 400, 400]


async def test_the_last_of_very_many_say_that_not_all_were_looked_at(
    fhir: httpx.AsyncClient, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = await records.new_patient()
    for _ in range(3):
        await records.put(observation(about))
    monkeypatch.setattr(operations, "_LASTN_PAGE", 2)
    monkeypatch.setattr(operations, "_LASTN_PAGES", 1)

    found = await fhir.get(f"/fhir/Observation/$lastn?patient={about}")

    assert [entry["search"]["mode"] for entry in found.json()["entry"]] == ["match", "outcome"]
    assert found.json()["total"] == 1
    assert check(parse(found.content)) == []


async def test_patients_that_fit_are_scored_and_graded(fhir: httpx.AsyncClient, records: Records) -> None:
    number = uuid4().hex
    described = patient(
        name=[{"text": "Trần Thị Hoà Bình"}],
        birthDate="1971-03-02",
        identifier=[{"system": "urn:cccd", "value": number}],
        telecom=[{"system": "phone", "value": "+84 912 345 678"}],
    )
    same = await records.new_patient(**{**described, "name": [{"text": "Trần Thị Hòa Bình"}]})
    without = await records.new_patient(name=[{"text": "Tran Thi Hoa Binh"}], birthDate="1971-03-02")
    await records.new_patient(name=[{"text": "Lê Văn An"}], birthDate="1971-03-02")

    found = await fhir.post("/fhir/Patient/$match", content=asked(given("resource", resource=described)))
    certain = await fhir.post(
        "/fhir/Patient/$match",
        content=asked(
            given("resource", resource=described),
            given("onlyCertainMatches", valueBoolean=True),
            given("count", valueInteger=5),
        ),
    )
    other = await fhir.post(
        "/fhir/Patient/$match",
        content=asked(given("resource", resource={**described, "birthDate": "1990-01-01", "gender": "male"})),
    )

    assert found.status_code == 200, found.text
    assert check(parse(found.content)) == []
    graded = [
        (entry["resource"]["id"], entry["search"]["extension"][0]["valueCode"])
        for entry in found.json()["entry"]
    ]
    assert graded == [(same, "certain"), (without, "possible")]
    assert found.json()["entry"][0]["search"]["score"] == 1
    assert ids(certain.json()) == [same]
    assert other.json()["entry"][0]["search"]["extension"][0]["valueCode"] == "probable"


async def test_one_certain_match_is_found_and_of_two_none(fhir: httpx.AsyncClient, records: Records) -> None:
    described = patient(
        name=[{"text": "Phạm Thị Kim Liên"}],
        birthDate="1969-12-24",
        identifier=[{"system": "urn:cccd", "value": uuid4().hex}],
    )
    first = await records.new_patient(**described)

    async def certain() -> list[str]:
        answer = await fhir.post(
            "/fhir/Patient/$match?onlyCertainMatches=true&count=9", content=text(described)
        )
        assert answer.status_code == 200, answer.text
        return ids(answer.json())

    alone = await certain()
    second = await records.new_patient(**described)
    among_two = await certain()
    both = await fhir.post("/fhir/Patient/$match", content=text(described))

    assert (alone, among_two) == ([first], [])
    assert set(ids(both.json())) == {first, second}


async def test_a_description_need_not_be_whole(fhir: httpx.AsyncClient) -> None:
    incomplete = {"resourceType": "Patient", "communication": [{"preferred": True}], "birthDate": "1801"}
    answer = await fhir.post("/fhir/Patient/$match", content=text(incomplete))
    assert (answer.status_code, answer.json()["total"]) == (200, 0)


@pytest.mark.parametrize("query", ["count=x", "count=1&count=2", "onlyCertainMatches=yes"])
async def test_a_match_asked_for_wrongly_is_refused(fhir: httpx.AsyncClient, query: str) -> None:
    answer = await fhir.post(f"/fhir/Patient/$match?{query}", content=text(patient()))
    assert (answer.status_code, codes(answer.json())) == (400, ["malformed-request"])


async def test_a_match_tells_nothing_of_foreign_patients(hub: Hub, records: Records) -> None:
    identifier = [{"system": "urn:cccd", "value": uuid4().hex}]
    await records.within(OTHER_STATION, OTHER_SITE).new_patient(identifier=identifier)
    async with person(hub, Role.DOCTOR) as doctor:
        body = asked(given("resource", resource=patient(identifier=identifier)))
        answer = await doctor.post("/fhir/Patient/$match", content=body)
    assert (answer.status_code, answer.json()["total"]) == (200, 0)


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceType":"Group"}',
        asked(),
        asked(given("resource", resource=patient()), given("resource", resource=patient())),
        asked(given("resource", resource={"resourceType": "Group"})),
        asked(given("resource", resource={"resourceType": "Patient", "gender": "x"})),
        asked(given("resource", resource={"resourceType": "Patient"}), given("count", valueString="1")),
    ],
)
async def test_a_description_that_is_none_is_refused(fhir: httpx.AsyncClient, body: bytes) -> None:
    answer = await fhir.post("/fhir/Patient/$match", content=body)
    assert (answer.status_code, codes(answer.json())) == (400, ["malformed-request"])
