"""National identifiers cannot be read in the database, and come back byte for byte to whoever may see them."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import text as sql

from clinic_net.kernel import envelope
from clinic_net.kernel.data_keys import Keyring, WrongMasterKey
from clinic_net.kernel.envelope import MARK, DataKeyUnknown, SealBroken
from clinic_net.kernel.hub import Hub, open_hub
from clinic_net.records import derived
from clinic_net.records.sealing import bound_to, national_values, opened, sealed, telling_words
from tests.records.support import client_of

CCCD = "001099012345"
CMND = "123456781"
BHYT = "GD4017912345678"
BHXH = "7912345678"
PASSPORT = "C4471923"
SECRETS = (CCCD, CMND, BHYT, BHXH, PASSPORT)
SID = "http://fhir.hl7.org.vn/core/sid/"


def identifiers() -> list[dict[str, Any]]:
    passport = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PPN"}]}
    return [
        {"system": SID + "cccd", "value": CCCD},
        {"system": SID + "cmnd", "value": CMND, "use": "old"},
        {"system": SID + "bhyt", "value": BHYT},
        {"system": SID + "bhxh", "value": BHXH},
        {"type": passport, "value": PASSPORT},
        {"system": "http://hospital.test/mrn", "value": "MRN-1"},
    ]


def patient(**more: Any) -> bytes:
    """A Patient in a spelling of its own, with a number in the narrative and one written with escapes."""
    content = {
        "resourceType": "Patient",
        "identifier": identifiers(),
        "name": [{"text": "Nguyễn Văn A"}],
        **more,
    }
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">Số {CCCD}, thẻ {BHYT}</div>'
    written = json.dumps(
        content | {"text": {"status": "generated", "div": div}}, ensure_ascii=False, indent=1
    )
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in PASSPORT)
    return written.replace(f'"value": "{PASSPORT}"', f'"value" :  "{escaped}"').encode()


class Still:
    """A keyring without a database."""

    def __init__(self) -> None:
        self.name, key = envelope.new_data_key()
        envelope.learn({self.name: key})

    def seal(self, plain: bytes, *, bound: bytes) -> bytes:
        return envelope.seal(plain, self.name, bound=bound)


STILL: Any = Still()


def test_what_is_stored_holds_no_number_and_is_still_json() -> None:
    kept = sealed(patient(), "Patient", "a", STILL)
    for secret in SECRETS:
        assert secret.encode() not in kept
        assert secret not in json.dumps(json.loads(kept), ensure_ascii=False)
    assert b"MRN-1" in kept
    assert "Nguyễn Văn A".encode() in kept
    assert opened(kept, "Patient", "a") == patient()


def test_other_types_are_left_as_they_are() -> None:
    text = json.dumps({"resourceType": "Observation", "identifier": identifiers()}).encode()
    assert sealed(text, "Observation", "a", STILL) is text
    assert opened(MARK + b"x~", "Observation", "a") == MARK + b"x~"


def test_a_value_opens_only_where_it_was_put_and_only_unchanged() -> None:
    kept = sealed(patient(), "Patient", "a", STILL)
    with pytest.raises(SealBroken):
        opened(kept, "Patient", "b")
    found = envelope.SEALED.search(kept)
    assert found is not None
    at = found.end() - 10
    with pytest.raises(SealBroken):
        opened(kept[:at] + (b"A" if kept[at : at + 1] != b"A" else b"B") + kept[at + 1 :], "Patient", "a")
    unknown = Still()
    other = sealed(patient(), "Patient", "a", unknown)  # type: ignore[arg-type]
    envelope._known.pop(unknown.name)
    with pytest.raises(DataKeyUnknown):
        opened(other, "Patient", "a")


def test_who_sends_what_looks_sealed_gets_it_back_and_nothing_opened() -> None:
    stolen = envelope.SEALED.search(sealed(patient(), "Patient", "a", STILL))
    assert stolen is not None
    forged = patient(language=stolen[0].decode())
    kept = sealed(forged, "Patient", "a", STILL)
    assert stolen[0] not in kept
    assert opened(kept, "Patient", "a") == forged


_texts = st.text(alphabet=st.sampled_from(f'{CCCD}~sealed."\\ \n\té/:,{{}}[]uX'), max_size=30)


@given(
    values=st.lists(_texts, max_size=3),
    others=st.dictionaries(
        _texts, _texts | st.lists(_texts, max_size=3) | st.integers() | st.none(), max_size=6
    ),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
def test_every_text_comes_back_and_no_value_stays(
    values: list[str], others: dict[str, Any], ascii_only: bool, indent: int | None
) -> None:
    content = {
        "resourceType": "Person",
        "identifier": [{"system": SID + "cccd", "value": one} for one in values],
    }
    text = json.dumps(content | {"extension": others}, ensure_ascii=ascii_only, indent=indent).encode()
    kept = sealed(text, "Person", "a", STILL)
    assert opened(kept, "Person", "a") == text
    stored = json.loads(kept)
    strings = json.dumps([stored["identifier"], list(stored["extension"].values())], ensure_ascii=False)
    for value in national_values(content):
        if len(value) >= 6:
            assert json.dumps(value, ensure_ascii=False)[1:-1] not in strings


def test_words_that_would_tell_are_left_out() -> None:
    resource = json.loads(patient())
    assert {CCCD, BHYT.lower()} <= telling_words(resource, "Patient")
    assert telling_words(resource, "Observation") == frozenset()


@pytest.fixture(scope="module")
async def client(hub: Hub) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(hub) as made:
        yield made


async def whole_database(hub: Hub) -> list[tuple[str, bytes]]:
    """Return every value of every column of every table that could hold text, as its octets."""
    found: list[tuple[str, bytes]] = []
    async with hub.sessions() as s:
        connection = await s.connection()
        columns = await connection.execute(
            sql(
                "select c.table_name, c.column_name, c.data_type from information_schema.columns c"
                " join information_schema.tables t using (table_schema, table_name)"
                " where c.table_schema = 'public' and t.table_type = 'BASE TABLE'"
            )
        )
        for table, column, kind in columns.all():
            cast = f'"{column}"' if kind == "bytea" else f"convert_to(\"{column}\"::text, 'UTF8')"
            where = f'where "{column}" is not null'
            rows = await connection.execute(sql(f'select {cast} from "{table}" {where}'))
            found += [(f"{table}.{column}", bytes(row[0])) for row in rows]
    return found


async def test_no_table_of_the_database_holds_a_number_that_was_written(
    hub: Hub, client: httpx.AsyncClient
) -> None:
    made = await client.post("/fhir/Patient", content=patient())
    assert made.status_code == 201, made.text
    fid = made.json()["id"]
    for rtype, more in (
        ("RelatedPerson", {"patient": {"reference": f"Patient/{fid}"}}),
        ("Person", {}),
        ("Coverage", {"status": "active", "beneficiary": {"reference": f"Patient/{fid}"}, "subscriberId": BHYT,
                      "payor": [{"display": "BHXH"}]}),
    ):  # fmt: skip
        answer = await client.post(
            f"/fhir/{rtype}", json={"resourceType": rtype, "identifier": identifiers(), **more}
        )
        assert answer.status_code == 201, answer.text
    changed = json.loads(patient()) | {"id": fid, "gender": "female"}
    assert (await client.put(f"/fhir/Patient/{fid}", json=changed)).status_code == 200
    found = await client.post(
        "/fhir/Patient/_search",
        content=f"identifier={SID}cccd|{CCCD}",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert [entry["resource"]["id"] for entry in found.json()["entry"]] == [fid]
    assert found.json()["entry"][0]["resource"]["identifier"] == json.loads(patient())["identifier"]
    once = {"If-None-Exist": f"identifier={SID}cccd|{CCCD}"}
    assert (await client.post("/fhir/Patient", content=patient(), headers=once)).status_code == 200
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": {"resourceType": "Patient", "identifier": identifiers()},
         "request": {"method": "POST", "url": "Patient"}}]}  # fmt: skip
    assert (await client.post("/fhir", json=bundle)).status_code == 200
    later = {"Prefer": "respond-async"}
    asked = [
        await client.post("/fhir", json=bundle, headers=later),
        await client.get(f"/fhir/Patient?identifier={SID}cccd|{CCCD}", headers=later),
    ]
    assert [answer.status_code for answer in asked] == [202, 202]
    await hub.jobs.run_pending()
    await derived.derive(hub)
    answers = [await client.get(httpx.URL(answer.headers["content-location"]).path) for answer in asked]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert CCCD in answers[1].text

    seen = set()
    for place, value in await whole_database(hub):
        seen.add(place)
        for secret in SECRETS:
            assert secret.encode() not in value, place
            assert secret.lower().encode() not in value.lower(), place
    assert {"records_resource.body", "records_version.body", "records_words.content", "records_async.answer",
            "audit_event.subject"} <= seen  # fmt: skip


async def test_every_way_to_a_record_gives_back_what_was_received(
    hub: Hub, client: httpx.AsyncClient
) -> None:
    made = await client.put("/fhir/Patient/every-way", content=patient(id="every-way"))
    assert made.status_code == 201
    sent = json.loads(patient())["identifier"]
    exact = (await client.get("/fhir/Patient/every-way")).content
    assert patient(id="every-way")[200:] == exact[-len(patient(id="every-way")) + 200 :], "byte for byte"
    ways = (
        "/Patient/every-way/_history/1", "/Patient/every-way/_history", "/Patient/_history?_count=50",
        "/_history?_count=50", "/Patient?_id=every-way", "/Patient?_id=every-way&_sort=birthdate",
        "/Patient/every-way/$everything", "/Patient?_id=every-way&_elements=identifier",
        "/?_id=every-way&_type=Patient",
    )  # fmt: skip
    for way in ways:
        answer = await client.get(f"/fhir{way}")
        assert answer.status_code == 200, (way, answer.text)
        content = answer.json()
        resources = [
            entry["resource"]
            for entry in content.get("entry", [{"resource": content}])
            if "resource" in entry
        ]
        (one,) = [resource for resource in resources if resource.get("id") == "every-way"]
        assert one["identifier"] == sent, way
    patched = await client.patch(
        "/fhir/Patient/every-way",
        content=b'[{"op": "add", "path": "/gender", "value": "male"}]',
        headers={"content-type": "application/json-patch+json"},
    )
    assert patched.json()["identifier"] == sent
    same = await client.put(
        "/fhir/Patient/every-way", content=(await client.get("/fhir/Patient/every-way")).content
    )
    assert same.json()["meta"]["versionId"] == "2", "sealed anew it would be another version"


async def test_what_is_sealed_is_sorted_behind_what_is_readable(client: httpx.AsyncClient) -> None:
    for system, value in ((SID + "cccd", CCCD), ("http://hospital.test/mrn", "zz")):
        one = {
            "resourceType": "Patient",
            "id": f"s{value}",
            "identifier": [{"system": system, "value": value}],
        }
        made = await client.put(f"/fhir/Patient/s{value}", json=one | {"name": [{"family": "Order"}]})
        assert made.status_code == 201
    found = (await client.get("/fhir/Patient?family=Order&_sort=identifier")).json()
    assert [entry["resource"]["id"] for entry in found["entry"]] == ["szz", f"s{CCCD}"]


async def test_the_master_key_is_changed_while_processes_run(hub: Hub, client: httpx.AsyncClient) -> None:
    """A process with the old key goes on, one with both begins to seal anew, one with the new alone reads all."""
    assert (await client.put("/fhir/Patient/old-key", content=patient(id="old-key"))).status_code == 201
    new, old = SecretStr("n" * 48), hub.settings.identifier_key
    changed = {"identifier_key": new, "identifier_key_before": old}
    async with open_hub(hub.settings.model_copy(update=changed)) as both, client_of(both) as there:
        written = await there.put("/fhir/Patient/new-key", content=patient(id="new-key"))
        assert written.status_code == 201
        for here in (client, there):
            for fid in ("old-key", "new-key"):
                assert CCCD in (await here.get(f"/fhir/Patient/{fid}")).text
        names = {name for name in await _sealed_with(hub, "old-key", "new-key")}
        assert len(names) == 2, "what is sealed from now on has another data key"
    alone = hub.settings.model_copy(update={"identifier_key": new})
    async with open_hub(alone) as after, client_of(after) as there:
        for fid in ("old-key", "new-key"):
            assert CCCD in (await there.get(f"/fhir/Patient/{fid}")).text
    with pytest.raises(WrongMasterKey, match="CLINIC_NET_IDENTIFIER_KEY"):
        async with open_hub(hub.settings):
            raise AssertionError("it opened")


async def _sealed_with(hub: Hub, *fids: str) -> list[bytes]:
    async with hub.sessions() as s:
        rows = await (await s.connection()).execute(
            sql("select body from records_resource where rtype = 'Patient' and fid = any(:fids)"),
            {"fids": list(fids)},
        )
        found = [envelope.SEALED.search(bytes(row.body)) for row in rows]
    return [one[1][:10] for one in found if one is not None]


async def test_a_data_key_that_another_process_made_is_fetched(hub: Hub) -> None:
    name, key = envelope.new_data_key()
    envelope.learn({name: key})
    kept = envelope.seal(b"x", name, bound=bound_to("Patient", "p"))
    settings = hub.settings.model_copy(update={"identifier_key": SecretStr("n" * 48)})
    keyring = Keyring(settings, hub.sessions)
    (master,) = keyring._masters
    async with hub.sessions() as s, s.begin():
        await (await s.connection()).execute(
            sql("insert into kernel_data_key values (:name, :master, :master, :wrapped, now())"),
            {"name": name, "master": master.name, "wrapped": master.wrap(key)},
        )
    envelope._known.pop(name)
    with pytest.raises(DataKeyUnknown):
        opened(kept, "Patient", "p")
    assert keyring._asking is not None
    await keyring._asking
    assert opened(kept, "Patient", "p") == b"x"


async def test_the_key_of_the_hashes_is_not_readable_either(hub: Hub, client: httpx.AsyncClient) -> None:
    async with hub.sessions() as s:
        kept = (await (await s.connection()).execute(sql("select key from records_index_key"))).scalar_one()
    assert bytes(kept).startswith(MARK)
