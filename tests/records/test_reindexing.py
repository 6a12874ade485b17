"""Index rows are made anew from what is stored: by request, by command, and by itself after a change of definitions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from clinic_net import cli, worker
from clinic_net.access.principals import Role
from clinic_net.kernel.hub import Hub
from clinic_net.records import reindex_store, reindexing, service
from clinic_net.records.fingerprints import fingerprint
from tests.records.support import FHIR, HUB, Records, client_of, codes, ids, observation, patient, person
from tests.records.support import text as as_text

pytestmark = pytest.mark.usefixtures("hospitals")

TABLES = ("records_ix_token", "records_ix_date", "records_ix_string", "records_ix_number", "records_ix_link")


@asynccontextmanager
async def transaction(hub: Hub) -> AsyncIterator[AsyncSession]:
    async with hub.sessions() as s, s.begin():
        yield s


async def sql(hub: Hub, statement: str, **given: Any) -> list[Any]:
    async with transaction(hub) as s:
        answer = await (await s.connection()).execute(text(statement), given)
        return list(answer.all()) if answer.returns_rows else []


async def rows(hub: Hub, fid: str) -> dict[str, set[tuple[Any, ...]]]:
    """Every index row of a resource, and the tokens that its head remembers."""
    found = {
        table: {
            tuple(row)
            for row in await sql(
                hub,
                f"select i.* from {table} i join records_resource r using (rid) where fid = :fid",
                fid=fid,
            )
        }
        for table in TABLES
    }
    heads = await sql(hub, "select unnest(tokens) from records_resource where fid = :fid", fid=fid)
    return {**found, "head": {tuple(row) for row in heads}}


async def spoil(hub: Hub, fid: str) -> None:
    """Leave a resource's index as another program would: some rows missing, some that do not belong."""
    rid = (await sql(hub, "select rid from records_resource where fid = :fid", fid=fid))[0][0]
    for table in TABLES:
        await sql(hub, f"delete from {table} where rid = :rid", rid=rid)
    await sql(hub, "insert into records_ix_token (h, rid) values (17, :rid)", rid=rid)
    await sql(hub, "insert into records_ix_string values (:rid, 1, 'zzz', 'zzz')", rid=rid)
    await sql(hub, "update records_resource set tokens = '{17}' where rid = :rid", rid=rid)


async def steps(hub: Hub, run: str) -> reindexing.Progress:
    """Take a run to its end, a transaction a chunk."""
    while True:
        async with transaction(hub) as s:
            await reindexing.step(s, run, now=hub.now())
            found = await reindexing.progress(s, run)
        assert found is not None
        if found.finished is not None:
            return found


async def begin(hub: Hub, *types: str) -> str:
    async with transaction(hub) as s:
        return await reindexing.begin(s, types, by="client:test", now=hub.now())


async def test_a_client_has_the_index_made_anew_and_sees_how_far_it_is(
    hub: Hub, fhir: httpx.AsyncClient, records: Records
) -> None:
    about = await records.new_patient(birthDate="1971-03-02", telecom=[{"system": "phone", "value": "0912"}])
    seen = (await records.put(observation(about))).fid
    right = {fid: await rows(hub, fid) for fid in (about, seen)}
    for fid in right:
        await spoil(hub, fid)
    lost = await fhir.get(f"/fhir/Observation?subject=Patient/{about}")

    begun = await fhir.post("/fhir/$reindex")
    address = begun.headers["content-location"].removeprefix(HUB)
    waiting = await fhir.get(address)
    await hub.jobs.run_pending()
    finished = await fhir.get(address)
    found = await fhir.get(f"/fhir/Observation?subject=Patient/{about}")

    assert (begun.status_code, waiting.status_code, finished.status_code) == (202, 202, 200)
    assert waiting.headers["x-progress"] == "0/0"
    assert int(waiting.headers["retry-after"]) > 0
    said = {item["name"]: item for item in finished.json()["parameter"]}
    assert said["state"]["valueCode"] == "completed"
    assert said["done"] == {**said["total"], "name": "done"}
    assert said["changed"]["valueInteger"] >= 2
    assert said["failed"]["valueInteger"] == 0
    assert said["started"]["valueInstant"] <= said["finished"]["valueInstant"]
    assert (ids(lost.json()), ids(found.json())) == ([], [seen])
    assert {fid: await rows(hub, fid) for fid in right} == right


async def test_what_is_right_is_left_alone_and_makes_no_version(hub: Hub, records: Records) -> None:
    fid = (await records.put(patient(str(uuid4())))).fid
    await steps(hub, await begin(hub, "Patient"))
    before = await sql(hub, "select xmin::text from records_resource where fid = :fid", fid=fid)

    again = await steps(hub, await begin(hub, "Patient"))

    assert again.done > 0
    assert again.changed == 0
    assert await sql(hub, "select xmin::text from records_resource where fid = :fid", fid=fid) == before
    assert (await records.read("Patient", fid)).version == 1


async def test_only_the_named_types_are_done(hub: Hub, fhir: httpx.AsyncClient, records: Records) -> None:
    about = await records.new_patient()
    await spoil(hub, about)
    place = {"resourceType": "Location", "id": str(uuid4()), "name": "Trạm"}
    await records.put(place)
    await spoil(hub, place["id"])
    named = {"resourceType": "Parameters", "parameter": [{"name": "type", "valueCode": "Location"}]}

    begun = await fhir.post("/fhir/$reindex", content=as_text(named))
    joined = await fhir.post("/fhir/$reindex?type=Location")
    await hub.jobs.run_pending()

    assert begun.headers["content-location"] == joined.headers["content-location"]
    assert (17,) in (await rows(hub, about))["head"]
    assert (17,) not in (await rows(hub, place["id"]))["head"]


async def test_a_run_goes_on_where_its_worker_died(
    hub: Hub, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reindex_store, "CHUNK", 2)
    fids = [(await records.put({"resourceType": "Basic", "code": {"text": "x"}})).fid for _ in range(5)]
    for fid in fids:
        await spoil(hub, fid)
    run = await begin(hub, "Basic")
    for _ in range(2):
        async with transaction(hub) as s:
            await reindexing.step(s, run, now=hub.now())
    async with hub.sessions() as killed:
        await reindexing.step(killed, run, now=hub.now())
        await killed.rollback()
    async with transaction(hub) as s:
        halfway = await reindexing.progress(s, run)
    found = await steps(hub, run)

    assert halfway is not None
    assert (halfway.state, halfway.done, halfway.total) == ("running", 2, 5)
    assert (found.done, found.changed, found.state) == (5, 5, "completed")


async def test_a_step_that_was_taken_is_not_taken_again_by_its_job(hub: Hub, records: Records) -> None:
    await records.put({"resourceType": "Person", "gender": "other"})
    run = await begin(hub, "Person")
    first = reindexing.Expected("Person", 0)
    async with transaction(hub) as s:
        await reindexing.step(s, run, now=hub.now(), expected=first)
        await reindexing.step(s, run, now=hub.now(), expected=first)
    async with transaction(hub) as s:
        assert await reindexing.step(s, run, now=hub.now(), expected=first) is None

    await hub.jobs.run_pending()
    async with transaction(hub) as s:
        found = await reindexing.progress(s, run)
    assert found is not None
    assert (found.state, found.done) == ("completed", 1)


async def test_a_writer_is_not_waited_for_and_its_resource_comes_later(hub: Hub, records: Records) -> None:
    fid = (await records.put({"resourceType": "Basic", "code": {"text": "held"}})).fid
    await spoil(hub, fid)
    run = await begin(hub, "Basic")
    async with transaction(hub) as writer:
        connection = await writer.connection()
        await connection.execute(
            text("select 1 from records_resource where fid = :fid for update"), {"fid": fid}
        )
        async with asyncio.timeout(5):
            for _ in range(4):
                async with transaction(hub) as s:
                    await reindexing.step(s, run, now=hub.now())
        async with transaction(hub) as s:
            held = await reindexing.progress(s, run)
    found = await steps(hub, run)

    assert held is not None
    assert (held.state, held.done) == ("running", held.total - 1)
    assert found.done == found.total
    assert (17,) not in (await rows(hub, fid))["head"]


async def test_a_resource_that_cannot_be_read_keeps_no_other_back(hub: Hub, records: Records) -> None:
    bad = (await records.put({"resourceType": "Organization", "name": "Trạm"})).fid
    good = (await records.put({"resourceType": "Organization", "name": "Trạm"})).fid
    await spoil(hub, good)
    await sql(hub, "update records_resource set body = 'no json' where fid = :fid", fid=bad)

    found = await steps(hub, await begin(hub, "Organization"))

    assert (found.done, found.failed, found.changed) == (2, 1, 1)


async def test_new_definitions_are_noticed_and_only_their_types_done(
    hub: Hub, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    await records.new_patient()
    await sql(hub, "delete from records_index_state")
    async with transaction(hub) as s:
        unknown = await reindexing.begin_where_needed(s, now=hub.now())
    await hub.jobs.run_pending()
    async with transaction(hub) as s:
        known = await reindexing.begin_where_needed(s, now=hub.now())

    real = fingerprint
    monkeypatch.setattr(
        reindexing, "fingerprint", lambda rtype: "other" if rtype == "Patient" else real(rtype)
    )
    async with transaction(hub) as s:
        run = await reindexing.begin_where_needed(s, now=hub.now())
        again = await reindexing.begin_where_needed(s, now=hub.now())
        found = None if run is None else await reindexing.progress(s, run)
    await hub.jobs.run_pending()
    async with transaction(hub) as s:
        after = await reindexing.begin_where_needed(s, now=hub.now())

    assert unknown is not None
    assert known is None
    assert found is not None
    assert found.types == ("Patient",)
    assert (again, after) == (None, None)


async def test_a_worker_that_starts_with_other_definitions_begins_by_itself(
    hub: Hub, records: Records
) -> None:
    fid = await records.new_patient()
    await steps(hub, await begin(hub, "Patient"))
    await spoil(hub, fid)
    await sql(hub, "update records_index_state set fingerprint = 'of another release'")

    running = asyncio.create_task(worker.run(hub))
    for _ in range(300):
        if (17,) not in (await rows(hub, fid))["head"]:
            break
        await asyncio.sleep(0.1)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    assert (17,) not in (await rows(hub, fid))["head"]
    assert await sql(hub, "select 1 from records_reindex where asked_by = 'hub'") != []


async def test_a_run_with_older_definitions_ends_when_newer_ones_come(
    hub: Hub, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    await records.new_patient()
    run = await begin(hub, "Patient")
    monkeypatch.setattr(reindexing, "fingerprint", lambda rtype: f"newer {rtype}"[:32])

    async with transaction(hub) as s:
        refused = await reindexing.step(s, run, now=hub.now())
    newer = await begin(hub, "Patient")
    async with transaction(hub) as s:
        old = await reindexing.progress(s, run)
    monkeypatch.undo()
    async with transaction(hub) as s:
        older = await reindexing.begin(s, ["Patient"], by="test", now=hub.now())

    assert refused is None
    assert old is not None
    assert old.state == "replaced"
    assert newer not in (run, older)


async def test_a_run_that_lost_its_job_gets_another(hub: Hub, records: Records) -> None:
    await records.new_patient()
    run = await begin(hub, "Patient")
    await sql(hub, "delete from procrastinate_jobs")
    late = hub.now() + 2 * reindexing.STUCK_AFTER

    async with transaction(hub) as s:
        await service.sweep(s, late)
    await hub.jobs.run_pending()

    async with transaction(hub) as s:
        found = await reindexing.progress(s, run)
        await service.sweep(s, late + reindexing.RUNS_KEPT)
        forgotten = await reindexing.progress(s, run)
    assert found is not None
    assert found.state == "completed"
    assert forgotten is None


async def test_who_may_not_update_may_not_reindex(hub: Hub, fhir: httpx.AsyncClient) -> None:
    begun = await fhir.post("/fhir/$reindex?type=Patient,Observation")
    address = begun.headers["content-location"].removeprefix(HUB)
    async with client_of(hub, "system/Patient.cruds") as narrow, person(hub, Role.DOCTOR) as doctor:
        answers = [
            await narrow.post("/fhir/$reindex"),
            await narrow.post("/fhir/$reindex?type=Observation"),
            await doctor.post("/fhir/$reindex?type=Patient"),
            await narrow.get(address),
            await doctor.get(address),
        ]
        allowed = await narrow.post("/fhir/$reindex?type=Patient")

    assert [answer.status_code for answer in answers] == [403] * 5
    assert allowed.status_code == 202


@pytest.mark.parametrize(
    ("query", "body", "status", "code"),
    [
        ("?type=Bogus", b"", 404, "unknown-resource-type"),
        ("", b'{"resourceType":"Patient"}', 400, "malformed-request"),
        ("", b'{"resourceType":"Parameters","parameter":[{"name":"only"}]}', 400, "malformed-request"),
        ("", b'{"resourceType":"Parameters","parameter":[{"name":"type"}]}', 400, "malformed-request"),
        ("", b"{", 400, "malformed-json"),
    ],
)
async def test_a_reindexing_that_is_not_understood_is_refused(
    fhir: httpx.AsyncClient, query: str, body: bytes, status: int, code: str
) -> None:
    answer = await fhir.post(f"/fhir/$reindex{query}", content=body, headers=FHIR)

    assert (answer.status_code, codes(answer.json())) == (status, [code])


@pytest.mark.parametrize("run", ["unknown", "%00", "x" * 300, "%C3%A9"])
async def test_an_unknown_run_has_no_status(fhir: httpx.AsyncClient, run: str) -> None:
    assert (await fhir.get(f"/fhir/_reindex/{run}")).status_code == 404


async def test_the_command_does_it_here_and_now(
    hub: Hub, records: Records, capsys: pytest.CaptureFixture[str]
) -> None:
    fid = await records.new_patient()
    await spoil(hub, fid)

    facts = await cli.reindex(cli.parser().parse_args(["reindex", "--type", "Patient"]), hub)

    assert facts["state"] == "completed"
    assert facts["done"] == facts["total"]
    assert (17,) not in (await rows(hub, fid))["head"]
    assert capsys.readouterr().err == ""


async def test_the_words_of_a_resource_are_read_again_with_its_index(hub: Hub) -> None:
    records = Records(hub)
    about = await records.new_patient()
    fid = (await records.put(observation(about, note=[{"text": "thở rít khi nằm yên"}]))).fid
    await service.derive(hub)
    words = "select content::text from records_words join records_resource using (rid) where fid = :fid"
    before = await sql(hub, words, fid=fid)
    await sql(
        hub,
        "update records_words set content = 'spoilt'::tsvector"
        " where rid = (select rid from records_resource where fid = :fid)",
        fid=fid,
    )

    await steps(hub, await begin(hub, "Observation"))

    assert await sql(hub, words, fid=fid) == before != []
