"""Writing and reading, through the use cases, on real PostgreSQL."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text as sql
from sqlalchemy.exc import DBAPIError

from clinic_net.access import RecordScope
from clinic_net.access import service as access
from clinic_net.kernel.errors import Refusal
from clinic_net.kernel.hub import Hub
from clinic_net.kernel.jobs import on
from clinic_net.records import Stored, service
from clinic_net.records.errors import (
    AlreadyExists,
    InvalidResource,
    ReadOnly,
    ResourceDeleted,
    UnknownPatient,
    UnknownResource,
    VersionConflict,
)
from tests.records.support import (
    EVERYWHERE,
    HOSPITAL,
    NOW,
    NOWHERE,
    OTHER_SITE,
    OTHER_STATION,
    SITE,
    STATION,
    Records,
    observation,
    patient,
)


async def test_what_was_received_comes_back_byte_for_byte_with_id_and_meta_stamped(records: Records) -> None:
    about = await records.new_patient()
    body = (
        '{ "status":"final","resourceType":"Observation", "code":{"text":"cân \\u006eặng"},\n'
        f'"subject":{{"reference":"Patient/{about}"}},"valueQuantity":{{"value":72.50,"unit":"kg"}} }}'
    ).encode()

    stored = await records.put_text(body, "Observation")
    read = await records.read("Observation", stored.fid)

    stamp = (
        f',"id":"{stored.fid}","meta":{{"versionId":"1","lastUpdated":"2026-11-22T03:00:00.123Z"}}'.encode()
    )
    assert read.text == body.replace(b'"Observation"', b'"Observation"' + stamp, 1)
    assert (read.version, read.patient, read.tenant, read.author) == (1, about, SITE, "user:test")


async def test_an_identical_text_makes_no_new_version(records: Records) -> None:
    content = patient(str(uuid4()))
    first = await records.put(content)

    again = await records.after(timedelta(minutes=1)).put(content)
    as_read = await records.after(timedelta(minutes=2)).put_text(first.text, "Patient", first.fid)

    assert first.changed
    assert first.created
    assert (again.changed, again.version, again.text) == (False, 1, first.text)
    assert (as_read.changed, as_read.version) == (False, 1)


async def test_a_changed_text_makes_the_next_version_and_keeps_the_former(hub: Hub, records: Records) -> None:
    fid = await records.new_patient()
    second = await records.after(timedelta(minutes=1)).put(patient(fid, gender="male"), if_match=1)

    async with hub.sessions() as s, s.begin():
        first = await service.vread(s, "Patient", fid, 1, scope=STATION, now=NOW)
        history = await service.history(s, "Patient", fid, scope=STATION, now=NOW)

    assert (second.version, second.created, b"male" in second.text) == (2, False, True)
    assert b"female" in first.text
    assert [(past.stored.version, past.method) for past in history] == [(2, "U"), (1, "C")]


async def test_of_two_updates_of_one_version_at_once_one_is_refused(records: Records) -> None:
    fid = await records.new_patient()

    outcomes = await asyncio.gather(
        *(records.put(patient(fid, birthDate=f"19{year}-01-01"), if_match=1) for year in range(50, 58)),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, Stored) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, VersionConflict) for outcome in outcomes) == 7
    assert (await records.read("Patient", fid)).version == 2


async def test_of_two_creates_of_one_id_at_once_one_makes_it_and_the_others_change_it(
    records: Records,
) -> None:
    fid = str(uuid4())

    outcomes = await asyncio.gather(
        *(records.put(patient(fid, birthDate=f"19{year}-01-01")) for year in range(50, 58))
    )

    assert sorted(outcome.version for outcome in outcomes) == list(range(1, 9))
    assert [outcome.created for outcome in outcomes].count(True) == 1


async def test_create_only_refuses_what_exists_with_another_text(records: Records) -> None:
    fid = await records.new_patient()

    same = await records.put(patient(fid), create_only=True)

    assert (same.changed, same.version) == (False, 1)
    with pytest.raises(AlreadyExists):
        await records.put(patient(fid, gender="male"), create_only=True)


async def test_a_deleted_resource_is_gone_keeps_its_history_and_can_come_back(
    hub: Hub, records: Records
) -> None:
    fid = await records.new_patient()

    gone = await records.delete("Patient", fid)
    twice = await records.delete("Patient", fid)
    with pytest.raises(ResourceDeleted):
        await records.read("Patient", fid)
    back = await records.put(patient(fid))

    assert (gone.version, gone.deleted, gone.changed) == (2, True, True)
    assert (twice.version, twice.changed) == (2, False)
    assert (back.version, back.created) == (3, True)
    async with hub.sessions() as s, s.begin():
        history = await service.history(s, "Patient", fid, scope=STATION, now=NOW)
    assert [past.method for past in history] == ["U", "D", "C"]


async def test_what_is_not_valid_is_refused_with_its_places(records: Records) -> None:
    with pytest.raises(InvalidResource) as refused:
        await records.put(patient(gender="xx", birthDate="1970-02-31"))

    assert {place.path for place in refused.value.places} == {"Patient.gender", "Patient.birthDate"}


async def test_somebody_elses_record_looks_like_no_record_to_every_use_case(
    hub: Hub, records: Records
) -> None:
    theirs = await records.within(OTHER_STATION, OTHER_SITE).new_patient()
    missing = str(uuid4())

    async def refusal(fid: str, what: str) -> tuple[str, str]:
        try:
            async with hub.sessions() as s, s.begin():
                match what:
                    case "read":
                        await service.read(s, "Patient", fid, scope=STATION, now=NOW)
                    case "vread":
                        await service.vread(s, "Patient", fid, 1, scope=STATION, now=NOW)
                    case "history":
                        await service.history(s, "Patient", fid, scope=STATION, now=NOW)
                    case "everything":
                        await service.everything(s, fid, scope=STATION, now=NOW)
                    case "delete":
                        await service.delete(s, "Patient", fid, scope=STATION, author="a", now=NOW)
        except Refusal as refused:
            return refused.code, refused.message
        raise AssertionError(what)

    for what in ("read", "vread", "history", "everything", "delete"):
        assert await refusal(theirs, what) == await refusal(missing, what)


async def test_an_id_that_is_taken_elsewhere_cannot_be_written(records: Records) -> None:
    theirs = await records.within(OTHER_STATION, OTHER_SITE).new_patient()

    with pytest.raises(UnknownResource):
        await records.put(patient(theirs, gender="male"))


async def test_an_empty_scope_sees_and_writes_nothing(records: Records) -> None:
    fid = await records.new_patient()

    with pytest.raises(UnknownResource):
        await records.within(NOWHERE).read("Patient", fid)
    with pytest.raises(ReadOnly):
        await records.within(NOWHERE).put(patient())


async def test_nothing_can_be_written_for_another_place(records: Records) -> None:
    with pytest.raises(ReadOnly):
        await records.within(STATION, OTHER_SITE).put(patient())


async def test_a_reading_scope_writes_nothing(records: Records) -> None:
    with pytest.raises(ReadOnly):
        await records.within(RecordScope(None, None, writable=False)).put(patient())


async def test_nothing_can_be_put_into_a_foreign_patients_record(records: Records) -> None:
    theirs = await records.within(OTHER_STATION, OTHER_SITE).new_patient()
    ours = await records.new_patient()
    stored = await records.put(observation(ours))

    for about in (theirs, str(uuid4())):
        with pytest.raises(UnknownPatient):
            await records.put(observation(about))
        with pytest.raises(UnknownPatient):
            await records.put(observation(about, id=stored.fid))


async def test_a_care_relation_opens_a_record_for_its_time(hub: Hub, records: Records) -> None:
    fid = await records.new_patient()
    doctor = RecordScope(frozenset({HOSPITAL}), f"user:{uuid4()}", writable=True)
    later = NOW + timedelta(hours=1)
    with pytest.raises(UnknownResource):
        await records.within(doctor).read("Patient", fid)

    async with hub.sessions() as s, s.begin():
        assert doctor.grantee is not None
        await access.grant_care(
            s, patient=fid, grantee=doctor.grantee, basis="ring", purpose="TREAT", since=NOW, until=later
        )

    assert (await records.within(doctor).read("Patient", fid)).fid == fid
    note = await records.within(doctor, HOSPITAL).put(observation(fid), with_patient=True)
    assert (note.tenant, note.patient) == (SITE, fid)
    assert (await records.read("Observation", note.fid)).fid == note.fid
    with pytest.raises(ReadOnly):
        await records.within(doctor, OTHER_SITE).put(observation(fid))
    with pytest.raises(UnknownResource):
        await records.within(doctor).after(timedelta(hours=2)).read("Patient", fid)


async def test_everything_is_the_patient_first_then_the_newest(hub: Hub, records: Records) -> None:
    fid = await records.new_patient()
    older = await records.after(timedelta(minutes=1)).put(observation(fid))
    newer = await records.after(timedelta(minutes=2)).put(observation(fid, code="8310-5"))
    gone = await records.after(timedelta(minutes=3)).put(observation(fid))
    await records.after(timedelta(minutes=4)).delete("Observation", gone.fid)

    async with hub.sessions() as s, s.begin():
        found = await service.everything(s, fid, scope=STATION, now=NOW)
        two = await service.everything(s, fid, scope=STATION, now=NOW, limit=2)

    assert [stored.fid for stored in found] == [fid, newer.fid, older.fid]
    assert [stored.fid for stored in two] == [fid, newer.fid]


_heard: list[dict[str, object]] = []


@on("record.stored")
async def _hear(_hub: object, payload: dict[str, object]) -> None:
    _heard.append(payload)


async def test_a_use_case_tells_its_news_once_and_only_if_something_changed(
    hub: Hub, records: Records
) -> None:
    await hub.jobs.run_pending()
    _heard.clear()
    about = await records.new_patient()
    content = observation(about)
    async with hub.sessions() as s, s.begin():
        news: service.News = []
        for _ in range(3):
            await service.put(
                s,
                b'{"resourceType":"Basic","code":{"text":"x"}}',
                rtype="Basic",
                fid=None,
                scope=STATION,
                author="station:x",
                tenant=SITE,
                now=NOW,
                news=news,
            )
        await service.tell(s, news)
    stored = await records.put(content)
    await records.put({**content, "id": stored.fid})
    second = await records.put({**content, "id": stored.fid, "status": "amended"})

    await hub.jobs.run_pending()

    sizes = sorted(len(list(payload["records"])) for payload in _heard)  # type: ignore[call-overload]
    assert sizes in ([1, 1, 1, 3], [1, 1, 1, 1, 3])
    told = [record for payload in _heard for record in payload["records"]]  # type: ignore[attr-defined]
    assert {
        "rtype": "Observation",
        "fid": stored.fid,
        "version": second.version,
        "tenant": SITE,
        "patient": about,
        "author": "user:test",
        "deleted": False,
    } in told


async def test_looking_into_a_record_is_written_down_once_with_identifiers_only(
    hub: Hub, records: Records
) -> None:
    fid = await records.new_patient()
    by = f"user:{uuid4()}"

    async with hub.sessions() as s, s.begin():
        await service.everything(s, fid, scope=EVERYWHERE, now=NOW, by=by)
        await service.read(s, "Patient", fid, scope=EVERYWHERE, now=NOW)

    async with hub.sessions() as s:
        rows = (
            await (await s.connection()).execute(
                sql(
                    "select actor, action, subject from audit_event where subject = :subject and actor = :by"
                ),
                {"subject": f"Patient/{fid}", "by": by},
            )
        ).all()
    assert [tuple(row) for row in rows] == [(by, "record.everything", f"Patient/{fid}")]


async def test_an_update_leaves_no_index_row_behind(hub: Hub, records: Records) -> None:
    about = await records.new_patient()
    stored = await records.put(observation(about))

    async def rows() -> dict[str, int]:
        async with hub.sessions() as s:
            counts = {}
            for table in ("token", "date", "string", "number"):
                counted = sql(
                    f"select count(*) from records_ix_{table} join records_resource using (rid) where fid = :fid"
                )
                counts[table] = (
                    await (await s.connection()).execute(counted, {"fid": stored.fid})
                ).scalar_one()
            return counts

    before = await rows()
    await records.put(observation(about, id=stored.fid, code="8310-5", value=37.2))
    after = await rows()
    await records.delete("Observation", stored.fid)
    deleted = await rows()

    assert before == after
    assert before["token"] > 5
    assert before["date"] >= 1
    assert before["number"] == 3, "alone, and with its code with and without the code's system"
    assert set(deleted.values()) == {0}


async def test_the_database_refuses_to_change_a_version(hub: Hub, records: Records) -> None:
    await records.new_patient()

    for statement in ("update records_version set author = 'x'", "delete from records_version"):
        with pytest.raises(DBAPIError, match="never change"):
            async with hub.sessions() as s, s.begin():
                await (await s.connection()).execute(sql(statement))
