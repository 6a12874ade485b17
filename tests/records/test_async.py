"""``Prefer: respond-async``: kept before it is acknowledged, carried out once by today's rights, forgotten in time."""

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text as sql_text
from sqlalchemy.exc import OperationalError

from clinic_net.access import service as access
from clinic_net.access.principals import Role
from clinic_net.fhir import check, parse
from clinic_net.kernel.hub import Hub
from clinic_net.records import async_requests, async_running, service
from clinic_net.records.async_model import AsyncRequest
from tests.records.support import HUB, Records, client_of, codes, ids, observation, patient, person, text

pytestmark = pytest.mark.usefixtures("hospitals")

LATER = {"Prefer": "respond-async"}


async def ask(client: httpx.AsyncClient, method: str, path: str, **how: Any) -> str:
    """Ask for something later and return where its status is."""
    headers = {**LATER, **how.pop("headers", {})}
    answer = await client.request(method, f"/fhir{path}", headers=headers, **how)
    assert (answer.status_code, answer.content) == (202, b""), answer.text
    location: str = answer.headers["content-location"]
    assert location.startswith(f"{HUB}/fhir/_async/")
    return location.removeprefix(HUB)


async def told(client: httpx.AsyncClient, address: str) -> dict[str, Any]:
    """Return the entry of a batch-response."""
    answer = await client.get(address)
    assert answer.status_code == 200, answer.text
    assert check(parse(answer.content)) == []
    bundle = answer.json()
    assert (bundle["type"], len(bundle["entry"])) == ("batch-response", 1)
    entry: dict[str, Any] = bundle["entry"][0]
    return entry


async def count(hub: Hub, statement: str, **given: Any) -> int:
    async with hub.sessions() as s, s.begin():
        found: int = (await (await s.connection()).execute(sql_text(statement), given)).scalar_one()
        return found


def transaction(*resources: dict[str, Any]) -> bytes:
    entries = [
        {"request": {"method": "PUT", "url": f"{item['resourceType']}/{item['id']}"}, "resource": item}
        for item in resources
    ]
    return text({"resourceType": "Bundle", "type": "transaction", "entry": entries})


async def test_a_search_is_answered_later(hub: Hub, fhir: httpx.AsyncClient, records: Records) -> None:
    about = await records.new_patient()
    seen = (await records.put(observation(about))).fid

    address = await ask(fhir, "GET", f"/Observation?subject=Patient/{about}&_count=5")
    waiting = await fhir.get(address)
    await hub.jobs.run_pending()
    finished = await fhir.get(address)
    entry = await told(fhir, address)

    assert waiting.status_code == 202
    assert waiting.headers["x-progress"] == "waiting"
    assert int(waiting.headers["retry-after"]) > 0
    assert entry["response"] == {"status": "200"}
    assert ids(entry["resource"]) == [seen]
    left = parsedate_to_datetime(finished.headers["expires"]) - hub.now()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


async def test_a_transaction_is_carried_out_once_and_its_news_told(hub: Hub, fhir: httpx.AsyncClient) -> None:
    fid = str(uuid4())
    address = await ask(
        fhir,
        "POST",
        "",
        content=transaction(patient(fid)),
        headers={"Prefer": "respond-async, return=minimal"},
    )
    before = await fhir.get(f"/fhir/Patient/{fid}")
    await hub.jobs.run_pending()
    await async_running.run(hub, address.rpartition("/")[2])
    after = await fhir.get(f"/fhir/Patient/{fid}")
    entry = await told(fhir, address)

    assert (before.status_code, after.status_code) == (404, 200)
    assert after.json()["meta"]["versionId"] == "1"
    assert entry["resource"]["type"] == "transaction-response"
    assert entry["resource"]["entry"][0]["response"]["status"] == "201 Created"
    kept = "select count(*) from records_async where body is not null and finished_at is not null"
    assert await count(hub, kept) == 0


async def test_every_way_to_search_and_everything_can_be_answered_later(
    hub: Hub, fhir: httpx.AsyncClient, records: Records
) -> None:
    about = await records.new_patient()
    seen = (await records.put(observation(about))).fid
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    batch = {"request": {"method": "GET", "url": f"Patient/{about}"}}
    asked: list[tuple[str, str, dict[str, Any], set[str]]] = [
        ("GET", f"?_type=Patient,Observation&_id={about}", {}, {about}),
        ("POST", "/_search", {"content": f"_type=Patient&_id={about}", "headers": form}, {about}),
        ("POST", "/Patient/_search", {"content": f"_id={about}", "headers": form}, {about}),
        ("GET", f"/Patient/{about}/Observation", {}, {seen}),
        ("POST", f"/Patient/{about}/Observation/_search", {"content": "", "headers": form}, {seen}),
        ("GET", f"/Patient/{about}/*", {}, {seen}),
        ("POST", f"/Patient/{about}/_search", {"content": "", "headers": form}, {seen}),
        ("GET", f"/Patient/{about}/$everything?_type=Observation", {}, {seen}),
        (
            "POST",
            f"/Patient/{about}/$everything",
            {"content": text({"resourceType": "Parameters"})},
            {about, seen},
        ),
    ]
    addresses = [await ask(fhir, method, path, **how) for method, path, how, _ in asked]
    whole = {"resourceType": "Bundle", "type": "batch", "entry": [batch]}
    bundle = await ask(fhir, "POST", "/", content=text(whole))
    await hub.jobs.run_pending()

    for address, (_, path, _, expected) in zip(addresses, asked, strict=True):
        assert set(ids((await told(fhir, address))["resource"])) == expected, path
    assert (await told(fhir, bundle))["resource"]["entry"][0]["resource"]["id"] == about


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/Patient?no-such=1", b"", "400", "unknown-search-parameter"),
        ("GET", "/Bogus", b"", "404", "unknown-resource-type"),
        ("GET", "/Patient/unknown/$everything", b"", "404", "unknown-resource"),
        ("POST", "", b"{", "400", "malformed-json"),
        ("POST", "", transaction({"resourceType": "Patient", "id": "x", "gender": "no"}), "422", "invalid-resource"),
    ],
)  # fmt: skip
async def test_a_refusal_is_told_as_the_outcome_of_the_entry(
    hub: Hub, fhir: httpx.AsyncClient, method: str, path: str, body: bytes, status: str, code: str
) -> None:
    address = await ask(fhir, method, path, content=body)
    await hub.jobs.run_pending()
    entry = await told(fhir, address)

    assert entry["response"]["status"] == status
    assert codes(entry["response"]["outcome"])[0] == code
    assert "resource" not in entry


async def test_it_is_done_with_the_rights_of_that_moment(hub: Hub, records: Records) -> None:
    about = await records.new_patient()
    async with client_of(hub) as client, client_of(hub) as reduced:
        revoked = await ask(client, "GET", f"/Patient?_id={about}")
        narrowed = await ask(reduced, "GET", f"/Patient?_id={about}")
        async with hub.sessions() as s, s.begin():
            owners = [
                (await s.get_one(AsyncRequest, name.rpartition("/")[2])).owner for name in (revoked, narrowed)
            ]
            await access.disable_client(s, owners[0].removeprefix("client:"), by="test", now=hub.now())
            statement = sql_text("update access_client set scope = 'system/Observation.rs' where id = :id")
            await (await s.connection()).execute(statement, {"id": owners[1].removeprefix("client:")})
        await hub.jobs.run_pending()
        entry = await told(reduced, narrowed)
        async with hub.sessions() as s, s.begin():
            refused = await s.get_one(AsyncRequest, revoked.rpartition("/")[2])

    assert (entry["response"]["status"], codes(entry["response"]["outcome"])) == (
        "403",
        ["insufficient-scope"],
    )
    assert refused.status == 401
    assert b"credential-revoked" in async_requests.said(refused, refused.answer)


async def test_a_person_who_signed_out_meanwhile_is_refused(hub: Hub) -> None:
    async with person(hub, Role.DOCTOR) as doctor:
        kept = await ask(doctor, "GET", "/Patient?_count=1")
        await hub.jobs.run_pending()
        found = await told(doctor, kept)
        address = await ask(doctor, "GET", "/Patient?_count=1")
        await doctor.delete("/access/v1/session")
        await hub.jobs.run_pending()
    async with hub.sessions() as s, s.begin():
        refused = await s.get_one(AsyncRequest, address.rpartition("/")[2])

    assert found["resource"]["type"] == "searchset"
    assert (refused.status, b"not-signed-in" in async_requests.said(refused, refused.answer)) == (401, True)


async def test_nobody_else_sees_it_or_ends_it(hub: Hub, fhir: httpx.AsyncClient) -> None:
    address = await ask(fhir, "GET", "/Patient")
    async with client_of(hub) as other, person(hub, Role.DOCTOR) as doctor:
        answers = [
            await other.get(address),
            await other.delete(address),
            await doctor.get(address),
            await fhir.get("/fhir/_async/unknown"),
            await fhir.get("/fhir/_async/%00"),
            await fhir.delete("/fhir/_async/unknown"),
        ]
    assert [answer.status_code for answer in answers] == [404] * 6
    assert (await fhir.get(address)).status_code == 202
    assert len(address.rpartition("/")[2]) == 43


async def test_what_is_taken_back_does_not_happen(hub: Hub, fhir: httpx.AsyncClient) -> None:
    fid = str(uuid4())
    address = await ask(fhir, "POST", "", content=transaction(patient(fid)))
    gone = await fhir.delete(address)
    again = await fhir.delete(address)
    await hub.jobs.run_pending()

    assert (gone.status_code, again.status_code) == (202, 404)
    assert (await fhir.get(f"/fhir/Patient/{fid}")).status_code == 404


async def test_what_is_taken_back_while_it_runs_is_undone(
    hub: Hub, fhir: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fid = str(uuid4())
    address = await ask(fhir, "POST", "", content=transaction(patient(fid)))
    carried_out = async_running.INTERACTIONS["bundle"]

    async def meanwhile(**given: Any) -> Any:
        response = await carried_out(**given)
        assert (await fhir.delete(address)).status_code == 202
        return response

    monkeypatch.setattr(async_running, "INTERACTIONS", {"bundle": meanwhile})
    await hub.jobs.run_pending()

    assert (await fhir.get(f"/fhir/Patient/{fid}")).status_code == 404


async def test_a_worker_that_dies_leaves_nothing_and_another_does_it(
    hub: Hub, fhir: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fid = str(uuid4())
    address = await ask(fhir, "POST", "", content=transaction(patient(fid)))
    name = address.rpartition("/")[2]
    finish = async_requests.finish

    async def dies(*_: Any, **__: Any) -> None:
        raise OperationalError("the connection", None, ConnectionError())

    monkeypatch.setattr(async_running, "finish", dies)
    with pytest.raises(OperationalError):
        await async_running.run(hub, name)
    running = await fhir.get(address)
    nothing = await fhir.get(f"/fhir/Patient/{fid}")
    monkeypatch.setattr(async_running, "finish", finish)
    await count(hub, "with gone as (delete from procrastinate_jobs returning 1) select count(*) from gone")
    async with hub.sessions() as s, s.begin():
        await service.sweep(s, hub.now() + 2 * async_requests.LOST_AFTER)
    await hub.jobs.run_pending()

    assert (running.status_code, running.headers["x-progress"]) == (202, "running")
    assert nothing.status_code == 404
    assert (await told(fhir, address))["response"]["status"] == "200"
    assert (await fhir.get(f"/fhir/Patient/{fid}")).status_code == 200


async def test_a_request_that_ends_its_worker_each_time_is_given_up(
    hub: Hub, fhir: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = await ask(fhir, "GET", "/Patient")
    name = address.rpartition("/")[2]
    tries = 0

    async def dies(**_: Any) -> None:
        nonlocal tries
        tries += 1
        raise OperationalError("the connection", None, ConnectionError())

    monkeypatch.setattr(async_running, "INTERACTIONS", {"search": dies})
    for _ in range(async_requests.MOST_TRIES):
        with pytest.raises(OperationalError):
            await async_running.run(hub, name)
    await async_running.run(hub, name)

    assert tries == async_requests.MOST_TRIES
    assert (await told(fhir, address))["response"]["status"] == "500"


async def test_a_failure_of_ours_is_told_and_quotes_nothing(
    hub: Hub, fhir: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(**_: Any) -> None:
        raise RuntimeError("Nguyễn Thị Hòa")

    address = await ask(fhir, "GET", "/Patient")
    monkeypatch.setattr(async_running, "INTERACTIONS", {"search": fails})
    await hub.jobs.run_pending()
    entry = await told(fhir, address)

    assert entry["response"]["status"] == "500"
    assert "Hòa" not in str(entry)


async def test_answers_are_forgotten_in_time(hub: Hub, fhir: httpx.AsyncClient) -> None:
    address = await ask(fhir, "GET", "/Patient")
    await hub.jobs.run_pending()
    name = address.rpartition("/")[2]

    async def there(at: datetime) -> int:
        async with hub.sessions() as s, s.begin():
            await service.sweep(s, at)
        return await count(hub, "select count(*) from records_async where id = :id", id=name)

    assert await there(hub.now() + timedelta(minutes=59)) == 1
    async with hub.sessions() as s, s.begin():
        (await s.get_one(AsyncRequest, name)).expires_at = hub.now()
    assert (await fhir.get(address)).status_code == 404
    assert await there(hub.now()) == 0


async def test_one_caller_has_a_bounded_number_here(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_requests, "MOST_KEPT", 2)
    async with client_of(hub) as client:
        first = await ask(client, "GET", "/Patient")
        await ask(client, "GET", "/Patient")
        refused = await client.get("/fhir/Patient", headers=LATER)
        await client.delete(first)
        await ask(client, "GET", "/Patient")

    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/Patient/x"),
        ("HEAD", "/Patient"),
        ("POST", "/Patient"),
        ("PUT", "/Patient/x"),
        ("DELETE", "/Patient/x"),
        ("GET", "/Patient/x/_history"),
        ("POST", "/Patient/$match"),
        ("GET", "/no/such/place/at/all"),
    ],
)
async def test_what_is_answered_at_once_only_is_refused(
    fhir: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await fhir.request(method, f"/fhir{path}", headers=LATER, content=b"{}")

    assert answer.status_code == 400
    if method != "HEAD":
        assert codes(answer.json()) == ["async-unsupported"]
        assert answer.json()["issue"][0]["code"] == "not-supported"


async def test_the_preference_means_nothing_where_nobody_waits(hub: Hub, fhir: httpx.AsyncClient) -> None:
    address = await ask(fhir, "GET", "/Patient")
    answers = [
        await fhir.get("/fhir/metadata", headers=LATER),
        await fhir.get("/fhir/.well-known/smart-configuration", headers=LATER),
        await fhir.get(address, headers=LATER),
        await fhir.post("/fhir/$reindex?type=Basic", headers=LATER),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 202, 202]


async def test_who_has_no_credential_is_asked_for_one(hub: Hub, fhir: httpx.AsyncClient) -> None:
    headers = {**LATER, "Authorization": ""}
    for path in ("/fhir/Patient", "/fhir/Patient/x", "/fhir/_async/x"):
        assert (await fhir.get(path, headers=headers)).status_code == 401
